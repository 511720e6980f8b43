//! Signs of life: a request and a report, at half of the session's timeout.

use tokio::time::Instant;

use super::{Inner, MAX_UNSENT};
use crate::{
    fetch::challenge::Scheme,
    rtsp_client::{message::Answer, udp::EMPTY_REPORT},
};

impl Inner {
    pub(super) async fn send_sign_of_life(&mut self) {
        self.keep_alive.at = Instant::now() + self.keep_alive.pause;
        if self.connection.unsent() > MAX_UNSENT {
            return;
        }
        match &self.udp {
            Some(udp) => udp.report().await,
            None => {
                let [high, low] = (EMPTY_REPORT.len() as u16).to_be_bytes();
                self.connection.send(&[b'$', self.channels.1, high, low]);
                self.connection.send(&EMPTY_REPORT);
            }
        }
        self.keep_alive.is_waiting = true;
        self.keep_alive.may_answer = true;
        self.ask_for_life();
    }

    fn ask_for_life(&mut self) {
        let method = if self.keep_alive.has_get_parameter { "GET_PARAMETER" } else { "OPTIONS" };
        let base = self.base.clone();
        self.send(method, &base, "");
    }

    /// The answer to a sign of life. No answer ends the session: the packets tell whether it lives.
    pub(super) fn take_life(&mut self, answer: &Answer) {
        self.keep_alive.is_waiting = false;
        match answer.status {
            401 if self.keep_alive.may_answer && self.target.login.is_some() => {
                self.keep_alive.may_answer = false;
                if let Ok(scheme) = Scheme::choose(answer.headers.all("www-authenticate")) {
                    self.auth = Some(scheme);
                    self.keep_alive.is_waiting = true;
                    self.ask_for_life();
                }
            }
            200..=299 => {
                let public = answer.headers.all("public").chain(answer.headers.all("allow"));
                let has = |list: &str| list.to_ascii_uppercase().contains("GET_PARAMETER");
                self.keep_alive.has_get_parameter |= public.into_iter().any(has);
            }
            // Not supported: the other request may be.
            400.. => self.keep_alive.has_get_parameter = !self.keep_alive.has_get_parameter,
            _ => {}
        }
    }
}
