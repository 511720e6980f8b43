//! [`State`]: what those who answer requests, by HTTP and by RTSP, work with.

mod pull;
mod sessions;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use crate::{
    discovery::Discovery,
    error::{Code, Error, Result},
    events::{Bus, Webhooks},
    identity::Identity,
    library::Library,
    mediamtx::{Client, PathCache},
    metrics::Metrics,
    output::{h264::Encodings, variants::Variants},
    paths::Paths,
    policy::{
        Action, Caller, Decision, Policy, Principal, Verdict,
        audit::{Asked, Audit},
    },
    producer::{Definition, ProducerContext},
    settings::{Settings, Sources},
    shutdown::Shutdown,
    store::Store,
    stream::{Origin, Registry, Stream, StreamName},
    throughput::Throughput,
};

pub use self::{
    pull::{RelayedPaths, reader_of_mediamtx},
    sessions::{Session, SessionInfo, SessionSnapshot, Sessions},
};

/// Everything a request may need; one for the whole program.
pub struct State {
    /// The settings.
    pub settings: Settings,
    /// Where they came from.
    pub sources: Sources,
    /// When the program was started.
    pub started: SystemTime,
    /// How much came and went lately.
    pub throughput: Throughput,
    /// The streams.
    pub registry: Registry,
    /// What producers are made with.
    pub kit: ProducerContext,
    /// Who may do what.
    pub policy: Policy,
    /// Who there is.
    pub identity: Identity,
    /// The MediaMTX beside us.
    pub mediamtx: Client,
    /// MediaMTX's paths, as they were seen last.
    pub path_cache: PathCache,
    /// The paths that MediaMTX shall have.
    pub paths: Paths,
    /// Finds cameras.
    pub discovery: Discovery,
    /// Files to look through.
    pub library: Library,
    /// What MediaMTX's host gets files at.
    pub advertise_http: String,
    /// What MediaMTX pulls our streams at.
    pub advertise_rtsp: String,
    /// MediaMTX's paths that are watched here.
    pub pulls: RelayedPaths,
    /// What happens.
    pub events: Bus,
    /// Whom it is posted to.
    pub webhooks: Webhooks,
    /// What was decided.
    pub audit: Audit,
    /// What runs for whom, so that it can be ended.
    pub sessions: Sessions,
    /// State on disk.
    pub store: Store,
    /// The end of the program.
    pub shutdown: Shutdown,
    /// What is encoded for whom.
    pub encodings: Encodings,
    /// What is transformed for whom.
    pub variants: Variants,
    /// Counters.
    pub metrics: Metrics,
    /// Watchers with an endless response.
    pub watchers: Arc<AtomicUsize>,
}

/// One watcher's share of `limits.watchers`, given back on drop.
#[derive(Debug)]
pub struct WatcherPermit {
    watchers: Arc<AtomicUsize>,
    session: Session,
}

impl WatcherPermit {
    /// Whose it is, and when it has to end.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl Drop for WatcherPermit {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl State {
    /// What the policy says to a request of ours. The token that we make for MediaMTX's control API, which sees it, counts
    /// nothing here, for whoever might have it from there.
    pub async fn decide(&self, caller: &Caller, action: Action, path: &str) -> Verdict {
        let verdict = self.policy.decide(caller, action, path).await;
        match verdict.who {
            Principal::Internal => {
                Verdict { decision: Decision::NotPermitted, reason: "this token is for MediaMTX only", ..verdict }
            }
            _ => verdict,
        }
    }

    /// Asks the policy, and says who was recognised; the error is what the caller is told. `protocol` is for the audit.
    pub async fn permit_by(&self, protocol: &str, caller: &Caller, action: Action, path: &str) -> Result<Principal> {
        let verdict = self.decide(caller, action, path).await;
        self.metrics.count_decision(action.as_str(), verdict.decision);
        self.audit.note(caller, Asked { action: action.as_str(), path, protocol, session: None }, &verdict);
        match verdict.decision {
            Decision::Allowed => Ok(verdict.who),
            _ => Err(verdict.refusal(action, path)),
        }
    }

    /// [`State::permit_by`] HTTP.
    pub async fn permit(&self, caller: &Caller, action: Action, path: &str) -> Result<Principal> {
        self.permit_by("http", caller, action, path).await
    }

    /// Whether the caller may; for lists, which leave out what they may not see.
    pub async fn may(&self, caller: &Caller, action: Action, path: &str) -> bool {
        self.decide(caller, action, path).await.decision.is_allowed()
    }

    /// Takes a seat for an endless response.
    pub fn watcher_permit(&self, who: Principal) -> Result<WatcherPermit> {
        let most = self.settings.limits.watchers;
        self.watchers
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < most).then_some(n + 1))
            .map(|_| WatcherPermit { watchers: self.watchers.clone(), session: self.session(who) })
            .map_err(|_| {
                Error::new(Code::TooManyWatchers, format!("there are {most} watchers already (limits.watchers)"))
            })
    }

    /// Something that goes on for somebody: it has to end with the program, and when they may not any more.
    pub fn session(&self, who: Principal) -> Session {
        self.sessions.begin(who, self.shutdown.token())
    }

    /// The stream, made of the definition if there is none of that name; one of another kind is a conflict.
    pub fn stream_of_kind(&self, name: &StreamName, wanted: &Definition, origin: Origin) -> Result<Arc<Stream>> {
        let mut stream = self.registry.get_or_create(name, origin, || wanted.producer(name, &self.kit))?;
        if stream.origin() == Origin::MediaMtx {
            // Read in passing; what somebody makes of the name counts more.
            stream = self.registry.define(name, origin, wanted.producer(name, &self.kit)?)?;
        }
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
