//! HTTP to hosts that an administrator names: MediaMTX, webhooks, another sidecar. `fetch` is for the hosts that stream definitions
//! and devices name, because it checks addresses (docs/decisions/0010-two-http-clients.md).
//!
//! A client of awc cannot leave the thread that made it, and needs an actix runtime there. [`Hosts`] can be sent between
//! threads, and gives work a thread, a runtime and a client.

use std::{path::Path, sync::Arc, thread};

use awc::{
    Connector,
    error::{ConnectError, SendRequestError},
};
use tokio::time::Duration;
use tokio_rustls::rustls::ClientConfig;

use crate::{
    error::{Error, Result},
    supervise::Supervisor,
    trust::{self, Check},
};

/// Makes HTTP clients. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hosts {
    tls: Arc<ClientConfig>,
    supervisor: Supervisor,
}

impl Hosts {
    /// Trusts the well-known authorities, and those of the PEM file `ca_file`; an empty path is no file.
    pub fn new(ca_file: &Path) -> Result<Self> {
        let mut tls = trust::client_config(&trust::roots(ca_file)?, Check::Authority)?;
        // Without HTTP/2: awc speaks it with h2 0.3, which gets no more repairs (RUSTSEC-2026-0258).
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Hosts { tls: Arc::new(tls), supervisor: Supervisor::default() })
    }

    /// Has this supervisor start work again that panics ([`Hosts::spawn`]).
    pub fn supervised_by(self, supervisor: &Supervisor) -> Self {
        Hosts { supervisor: supervisor.clone(), ..self }
    }

    /// A client for this thread, which must have an actix runtime. It follows no redirect; `timeout` bounds the time up to the head of a response.
    pub fn client(&self, timeout: Duration) -> awc::Client {
        let connector = Connector::new().rustls_0_23(self.tls.clone());
        awc::Client::builder().connector(connector).timeout(timeout).disable_redirects().finish()
    }

    /// Runs work on a new thread with a client of its own, until the work ends. Work that panics is started again.
    pub fn spawn<W: Future<Output = ()>>(
        &self,
        name: &'static str,
        timeout: Duration,
        work: impl Fn(awc::Client) -> W + Send + 'static,
    ) -> Result<()> {
        let hosts = self.clone();
        let supervised = move || {
            let supervisor = hosts.supervisor.clone();
            hosts.run(timeout, async |client| supervisor.run(name, || work(client.clone())).await);
        };
        let started = thread::Builder::new().name(name.to_owned()).spawn(supervised);
        started.map(drop).map_err(|e| Error::internal(format!("the thread {name} cannot be started"), e))
    }

    /// Runs work on this thread, which must have no runtime yet.
    pub fn run<W: Future>(&self, timeout: Duration, work: impl FnOnce(awc::Client) -> W) -> W::Output {
        actix_web::rt::System::new().block_on(async { work(self.client(timeout)).await })
    }
}

/// The error of a request. For a failed TLS handshake it has the reason, such as a certificate that is not trusted.
pub fn explain(e: &SendRequestError) -> String {
    tls_failure(e).unwrap_or_else(|| e.to_string())
}

/// Whether the TLS handshake failed, so that a second attempt has the same result.
pub fn is_untrusted(e: &SendRequestError) -> bool {
    tls_failure(e).is_some()
}

fn tls_failure(e: &SendRequestError) -> Option<String> {
    match e {
        SendRequestError::Connect(ConnectError::Io(io)) => trust::tls_failure(io),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_that_cannot_be_used_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("writes");
            path
        };
        assert!(Hosts::new(Path::new("")).is_ok(), "no file");
        for (path, says) in [
            (folder.path().join("none.pem"), "fetch.ca_file"),
            (file("text.pem", "not PEM"), "it has no certificate"),
            (file("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "fetch.ca_file"),
        ] {
            let error = Hosts::new(&path).expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn work_has_a_client_on_a_thread_with_the_name() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let hosts = Hosts::new(Path::new("")).expect("TLS");
        let work = move |client: awc::Client| {
            let sender = sender.clone();
            async move {
                let refused = client.get("http://127.0.0.1:1/").send().await.map(drop).expect_err("no server");
                let name = thread::current().name().map(str::to_owned);
                sender.send((name, explain(&refused), is_untrusted(&refused))).expect("the test waits");
            }
        };
        hosts.spawn("some work", Duration::from_secs(5), work).expect("a thread");
        let (name, reason, untrusted) = receiver.recv().expect("the work is done");
        assert_eq!((name.as_deref(), untrusted), (Some("some work"), false));
        assert!(reason.contains("refused"), "{reason}");
    }
}
