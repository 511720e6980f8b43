//! Requests and their answers.

use std::fmt::Write;

use tokio::time::timeout;

use super::{ATTEMPTS, GRACE, Inner};
use crate::{
    fetch::challenge::Scheme,
    rtsp_client::{
        failure::Failure,
        headers::Headers,
        message::{Answer, Item},
        uri::clean,
    },
};

impl Inner {
    /// Sends a request; its number.
    pub(super) fn send(&mut self, method: &'static str, uri: &str, extra: &str) -> u32 {
        self.cseq += 1;
        let uri = clean(uri);
        let mut text = format!("{method} {uri} RTSP/1.0\r\nCSeq: {}\r\nUser-Agent: mtx-sidecar\r\n{extra}", self.cseq);
        if let Some(id) = &self.id {
            let _ = write!(text, "Session: {id}\r\n");
        }
        if let (Some(scheme), Some((user, password))) = (&mut self.auth, &self.target.login)
            && let Ok(answer) = scheme.answer((user, password), method, &uri, &[])
        {
            let _ = write!(text, "Authorization: {answer}\r\n");
        }
        text.push_str("\r\n");
        self.connection.send(text.as_bytes());
        self.cseq
    }

    /// Sends a request, and answers challenges.
    pub(super) async fn request(&mut self, method: &'static str, uri: &str, extra: &str) -> Result<Answer, Failure> {
        let mut has_answered = false;
        for _ in 0..ATTEMPTS {
            let cseq = self.send(method, uri, extra);
            let answer = self.answer(method, cseq).await?;
            match answer.status {
                200..=299 => return Ok(answer),
                401 => self.take_challenge(&answer.headers, &mut has_answered)?,
                300..=399 if answer.headers.get("location").is_some() => {
                    let location = answer.headers.get("location").unwrap_or_default();
                    return Err(Failure::Moved(location.to_owned()));
                }
                403 if self.auth.is_some() || self.target.login.is_none() => {
                    return Err(Failure::Password { is_given: self.target.login.is_some(), unsupported: None });
                }
                status => return Err(Failure::Refused { method, status, reason: answer.reason }),
            }
        }
        Err(Failure::Password { is_given: true, unsupported: None })
    }

    /// A password is wrong only after 401 to the answer to a challenge of the same request: an older nonce can be out of date, which
    /// not every server says with `stale=true`.
    fn take_challenge(&mut self, headers: &Headers, has_answered: &mut bool) -> Result<(), Failure> {
        if self.target.login.is_none() {
            return Err(Failure::Password { is_given: false, unsupported: None });
        }
        let unsupported = |schemes: String| Failure::Password {
            is_given: true,
            unsupported: Some(if schemes.is_empty() { "401 without a challenge".into() } else { schemes }),
        };
        let scheme = match Scheme::choose(headers.all("www-authenticate")) {
            Ok(scheme) => scheme,
            // MediaMTX refuses a wrong password without another challenge.
            Err(_) if self.auth.is_some() => {
                return Err(Failure::Password { is_given: true, unsupported: None });
            }
            Err(schemes) => return Err(unsupported(schemes)),
        };
        if *has_answered && !scheme.is_stale() {
            return Err(Failure::Password { is_given: true, unsupported: None });
        }
        *has_answered = true;
        self.auth = Some(scheme);
        Ok(())
    }

    pub(super) async fn answer(&mut self, method: &'static str, cseq: u32) -> Result<Answer, Failure> {
        self.connection.reader().expect_description(method == "DESCRIBE");
        let mut doubtful: Option<Answer> = None;
        let answer = loop {
            let item = match &doubtful {
                None => self.connection.item().await?,
                Some(_) => match timeout(GRACE, self.connection.item()).await {
                    Ok(item) => item?,
                    Err(_) => break None,
                },
            };
            match item {
                // "Continue", and the like.
                Item::Answer(answer) if (100..200).contains(&answer.status) => {}
                Item::Answer(answer) => {
                    let number = answer.headers.cseq();
                    let is_earlier = number.is_some_and(|number| number > 0 && number < cseq);
                    if self.is_cseq_right && is_earlier && doubtful.is_none() {
                        // An answer that comes late or twice; or a server that always sends the same number.
                        doubtful = Some(answer);
                        continue;
                    }
                    self.is_cseq_right &= number == Some(cseq);
                    break Some(answer);
                }
                other => self.take(other),
            }
        };
        self.connection.reader().expect_description(false);
        if answer.is_none() {
            self.is_cseq_right = false;
        }
        answer.or(doubtful).ok_or(Failure::Silent)
    }
}
