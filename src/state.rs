//! [`State`]: what those who answer requests, by HTTP and by RTSP, work with.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{
    error::{Code, Error, Result},
    metrics::Metrics,
    output::h264::Encodings,
    policy::{Action, Caller, Decision, Policy},
    producer::{Definition, Kit},
    settings::Settings,
    shutdown::Shutdown,
    store::Store,
    stream::{Origin, Registry, Stream, StreamName},
};

/// Everything a request may need; one for the whole program.
pub struct State {
    /// The settings.
    pub settings: Settings,
    /// The streams.
    pub registry: Registry,
    /// What producers are made with.
    pub kit: Kit,
    /// Who may do what.
    pub policy: Policy,
    /// State on disk.
    pub store: Store,
    /// The end of the program.
    pub shutdown: Shutdown,
    /// What is encoded for whom.
    pub encodings: Encodings,
    /// Counters.
    pub metrics: Metrics,
    /// Watchers with an endless response.
    pub watchers: Arc<AtomicUsize>,
}

#[derive(Debug)]
/// One watcher's share of `limits.watchers`, given back on drop.
pub struct Seat(Arc<AtomicUsize>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    /// Asks the policy; the error is what the caller is told.
    pub async fn permit(&self, caller: &Caller, action: Action, path: &str) -> Result<()> {
        let decision = self.policy.decide(caller, action, path).await;
        self.metrics.count_decision(action.as_str(), decision);
        let what = || match action.has_path() {
            true => format!("{} {path}", action.as_str()),
            false => action.as_str().to_owned(),
        };
        match decision {
            Decision::Allowed => Ok(()),
            Decision::AskCredentials => {
                Err(Error::new(Code::Unauthenticated, format!("to {} a user name and password are needed", what())))
            }
            Decision::WrongCredentials => {
                Err(Error::new(Code::Unauthenticated, "the user name or the password is wrong"))
            }
            Decision::NotPermitted => Err(Error::new(Code::Forbidden, format!("this user may not {}", what()))),
            Decision::TooManyFailures => {
                Err(Error::new(Code::TooManyFailures, "too many wrong passwords; wait a minute before the next one"))
            }
        }
    }

    /// Takes a seat for an endless response.
    pub fn seat(&self) -> Result<Seat> {
        let most = self.settings.limits.watchers;
        self.watchers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1))
            .map(|_| Seat(self.watchers.clone()))
            .map_err(|_| {
                Error::new(Code::TooManyWatchers, format!("there are {most} watchers already (limits.watchers)"))
            })
    }

    /// The stream, made of the definition if there is none of that name; one of another kind is a conflict.
    pub fn stream_of_kind(&self, name: &StreamName, wanted: &Definition, origin: Origin) -> Result<Arc<Stream>> {
        let stream = self.registry.get_or_create(name, origin, || wanted.producer(name, &self.kit))?;
        let kind = stream.kind();
        if kind != wanted.kind() {
            return Err(Error::new(
                Code::KindConflict,
                format!("stream {name} is of kind {kind}, and this needs one of kind {}", wanted.kind()),
            ));
        }
        Ok(stream)
    }
}
