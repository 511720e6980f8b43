//! Admission: may this caller do this, now, and for how long.
//!
//! HTTP, RTSP and MediaMTX's authentication hook all ask [`Access`]. The order is the same for every protocol: the
//! policy decides, the decision is counted and noted in the audit, a caller that stays connected takes a [`Permit`],
//! and only then is a camera started. The rules themselves are in [`policy`](crate::policy), which does no I/O.

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod audit;
mod permits;
mod revocation;
mod sessions;
mod uses;

use std::{net::IpAddr, sync::Arc};

use tokio::{
    sync::{Mutex, mpsc},
    time::Duration,
};

use self::{
    audit::{Asked, Audit, Change},
    permits::{Permits, Refusal},
};
pub use self::{
    permits::{Permit, Role},
    sessions::{Session, SessionInfo, SessionSnapshot, Sessions},
    uses::LastUse,
};
use crate::{
    error::{Error, Result},
    events::{Bus, RateLimiter},
    foreign, mediamtx,
    metrics::Metrics,
    policy::{
        Action, Authorized, Caller, Decision, Permission, Policy, Principal, Revoked, Sender, Verdict,
        webhook::Question,
    },
    settings::Limits,
    shutdown::Shutdown,
    units::is_this_machine,
};

/// Decides, counts, notes, and hands out permits. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    policy: Policy,
    audit: Audit,
    metrics: Metrics,
    sessions: Sessions,
    watchers: Permits,
    publishers: Permits,
    shutdown: Shutdown,
    /// Sessions that MediaMTX admitted because we allowed them.
    admitted: mediamtx::SessionIndex,
    /// Failures of requests that are decided more than once, which the audit has once.
    failures: parking_lot::Mutex<RateLimiter>,
    uses: uses::Uses,
}

/// How often the audit has the failures of one caller at a list, for which each entry is decided.
const LIST_INTERVAL: Duration = Duration::from_secs(1);

impl Access {
    /// Admission by these rules, with `limits.watchers` and `limits.publishers`.
    pub fn new(policy: Policy, audit: Audit, metrics: Metrics, shutdown: Shutdown, limits: &Limits) -> Self {
        Access(Arc::new(Inner {
            policy,
            audit,
            metrics,
            sessions: Sessions::default(),
            watchers: Permits::new(Role::Watcher, limits.watchers, limits.caller_share),
            publishers: Permits::new(Role::Publisher, limits.publishers, limits.caller_share),
            shutdown,
            admitted: mediamtx::SessionIndex::default(),
            failures: parking_lot::Mutex::default(),
            uses: uses::Uses::default(),
        }))
    }

    /// The policy's verdict on a request to our own addresses, without counting it: for lists, which leave out what the caller
    /// may not see. Wrong credentials are noted once.
    pub async fn decide(&self, caller: &Caller, action: Action, path: &str) -> Verdict {
        let verdict = self.judge(caller, action, path).await;
        if matches!(verdict.decision, Decision::WrongCredentials | Decision::TooManyFailures) {
            let about =
                format!("{} {:?} {}", foreign::shown(&caller.credentials.user), caller.ip, verdict.decision.as_str());
            if self.0.failures.lock().allow(&about, LIST_INTERVAL) {
                self.note(caller, Asked { action: action.as_str(), protocol: "http", ..Asked::default() }, &verdict);
            }
        }
        verdict
    }

    async fn judge(&self, caller: &Caller, action: Action, path: &str) -> Verdict {
        not_by_internal(self.0.policy.decide(caller, action, path).await)
    }

    /// Checks that the caller may see anything in a list: at least one path by `action`, or everything as an
    /// administrator. A refusal is counted and noted. Ask before the list is made, so that a caller who may see nothing
    /// costs nothing.
    pub async fn authorize_some(&self, protocol: &str, caller: &Caller, action: Action) -> Result<Verdict> {
        let verdict = not_by_internal(self.0.policy.decide_some(caller, action).await);
        if verdict.decision.is_allowed() {
            return Ok(verdict);
        }
        // Not after a wrong password, which would count twice.
        if matches!(verdict.decision, Decision::NotPermitted | Decision::AskCredentials) {
            let as_administrator = self.decide(caller, Action::Api, "").await;
            if as_administrator.decision.is_allowed() {
                return Ok(as_administrator);
            }
        }
        self.record(caller, Asked { action: action.as_str(), protocol, ..Asked::default() }, &verdict);
        Err(verdict.refusal(action, ""))
    }

    /// Whether the caller may do this; neither counted nor noted.
    pub async fn may(&self, caller: &Caller, action: Action, path: &str) -> bool {
        self.decide(caller, action, path).await.decision.is_allowed()
    }

    /// Decides, counts and notes a request to our own addresses. `protocol` is the word for the audit. The error is what
    /// the caller is told.
    pub async fn authorize(&self, protocol: &str, caller: &Caller, action: Action, path: &str) -> Result<Authorized> {
        let asked = Asked { action: action.as_str(), path, protocol, ..Asked::default() };
        self.authorize_as(caller, action, asked).await
    }

    /// Decides, counts and notes a request of an administrator. `request` says what it does, such as `PUT users/alice`, and
    /// `object` is what it is done to, such as `alice`.
    /// The audit gets a change when the guard is dropped.
    pub async fn authorize_administrator(
        &self,
        caller: &Caller,
        request: &str,
        object: &str,
    ) -> Result<(Authorized, Option<Change>)> {
        let (action, object) = (Action::Api, Some(object));
        let asked =
            Asked { action: action.as_str(), protocol: "http", request: Some(request), object, ..Asked::default() };
        let verdict = self.judge(caller, action, "").await;
        self.0.metrics.count_decision(asked.action, verdict.decision);
        let change = self.0.audit.begin(caller, asked, &verdict);
        match verdict.decision {
            Decision::Allowed => Ok((verdict.into(), change)),
            _ => Err(verdict.refusal(action, "")),
        }
    }

    async fn authorize_as(&self, caller: &Caller, action: Action, asked: Asked<'_>) -> Result<Authorized> {
        let verdict = self.judge(caller, action, asked.path).await;
        self.record(caller, asked, &verdict);
        match verdict.decision {
            Decision::Allowed => Ok(verdict.into()),
            _ => Err(verdict.refusal(action, asked.path)),
        }
    }

    /// Decides, counts and notes a question of MediaMTX (`authHTTPAddress`), which `sender` has sent. An action that this
    /// version does not know is refused.
    pub async fn answer(&self, question: &Question<'_>, sender: Option<IpAddr>) -> Verdict {
        let caller = Caller { sender: Sender::MediaMtx(sender), ..question.caller() };
        let verdict = match question.action() {
            Some(action) => self.0.policy.decide(&caller, action, &question.path).await,
            None => Verdict::on_unknown_action(&caller),
        };
        let Question { action, path, protocol, id, .. } = question;
        self.record(&caller, Asked { action, path, protocol, session: id.as_deref(), ..Asked::default() }, &verdict);
        verdict
    }

    /// Authorizes a caller that stays connected, and takes its permit. Nothing has been started when this refuses.
    pub async fn admit(&self, role: Role, caller: &Caller, session: SessionInfo) -> Result<(Authorized, Permit)> {
        let action = match role {
            Role::Watcher => Action::Read,
            Role::Publisher => Action::Publish,
        };
        let by = self.authorize(session.protocol, caller, action, &session.path).await?;
        let permit = self.permit(role, caller, by.clone(), session).await?;
        Ok((by, permit))
    }

    /// Takes a permit for a caller that was authorized already. Fails when all permits of the role are taken, or the
    /// caller's share of them; the share does not limit administrators and callers of this machine.
    pub async fn permit(
        &self,
        role: Role,
        caller: &Caller,
        by: impl Into<Authorized>,
        session: SessionInfo,
    ) -> Result<Permit> {
        let by = by.into();
        let permits = match role {
            Role::Watcher => &self.0.watchers,
            Role::Publisher => &self.0.publishers,
        };
        let begin = || self.begin(by.clone(), session.clone());
        let is_local = caller.ip.is_some_and(is_this_machine);
        let refusal = match permits.take(&by, caller.ip, is_local, begin) {
            Ok(permit) => return Ok(permit),
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::ForOthers(_) if self.may(caller, Action::Api, "").await => {
                permits.take(&by, caller.ip, true, begin).map_err(|refusal| permits.error(refusal))
            }
            refusal => Err(permits.error(refusal)),
        }
    }

    /// Lists a session that needs no permit. It ends with the program, when its principal loses a permission, and with the
    /// token, share or sign-in by which it was authorized.
    pub fn begin(&self, by: impl Into<Authorized>, info: SessionInfo) -> Session {
        self.0.sessions.begin(by, info, self.0.shutdown.token())
    }

    /// Recognizes the caller and lists what it is granted by name; a refusal is noted as `action`. The error is what a sign-in
    /// form shows.
    pub async fn permissions_of(&self, caller: &Caller, action: &str) -> Result<(Authorized, Vec<Permission>)> {
        let found = self.0.policy.permissions_of(caller).await;
        found.map_err(|verdict| self.refuse(caller, action, &verdict))
    }

    /// Checks the credentials of the caller, without asking what they permit; a refusal is noted as `action`.
    pub async fn authenticate(&self, caller: &Caller, action: &str) -> Result<()> {
        let found = self.0.policy.authenticate(caller).await;
        found.map(drop).map_err(|verdict| self.refuse(caller, action, &verdict))
    }

    /// Notes a refused sign-in. Returns what the caller is told.
    pub fn refuse(&self, caller: &Caller, action: &str, verdict: &Verdict) -> Error {
        self.note(caller, Asked { action, protocol: "http", ..Asked::default() }, verdict);
        verdict.sign_in_refusal()
    }

    /// Notes something that a caller did and that is no decision of the policy, such as a changed password.
    pub fn note(&self, caller: &Caller, asked: Asked<'_>, verdict: &Verdict) {
        self.0.audit.note(caller, asked, verdict);
    }

    /// The latest decisions.
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// The last use of a token or a share since the start, by its id.
    pub fn last_use(&self, id: &str) -> Option<LastUse> {
        self.0.uses.last(id)
    }

    /// All sessions of ours.
    pub fn sessions(&self) -> &Sessions {
        &self.0.sessions
    }

    /// Watchers that hold a permit.
    pub fn watchers(&self) -> usize {
        self.0.watchers.taken()
    }

    /// Publishers that hold a permit.
    pub fn publishers(&self) -> usize {
        self.0.publishers.taken()
    }

    /// Writes the audit, publishes failed sign-ins as events, and ends the sessions of all credentials that `revoked`
    /// names, here and at MediaMTX, and MediaMTX's sessions whose token has expired. Runs until the program ends; it can be started again after a panic.
    pub async fn run(&self, events: &Bus, mediamtx: &mediamtx::Client, revoked: &Mutex<mpsc::Receiver<Vec<Revoked>>>) {
        let index = &self.0.admitted;
        let mut failures = audit::FailureEvents::default();
        let auditing = self.0.audit.run(|entry| {
            if let Some(session) = entry.session.as_deref().filter(|_| entry.decision.is_allowed()) {
                let by = Authorized { who: entry.who.clone(), lease: entry.lease.clone() };
                index.note(&by, &entry.protocol, session);
            }
            self.0.uses.note(entry);
            failures.publish(events, entry);
        });
        tokio::select! {
            ((), ()) = async { tokio::join!(auditing, revocation::run(&self.0.sessions, mediamtx, index, revoked)) } => {}
            () = revocation::end_leases(mediamtx, index) => {}
        }
    }

    fn record(&self, caller: &Caller, asked: Asked<'_>, verdict: &Verdict) {
        self.0.metrics.count_decision(asked.action, verdict.decision);
        self.0.audit.note(caller, asked, verdict);
    }
}

/// The token that we send to MediaMTX's control API grants nothing here, because MediaMTX and everything that reads its
/// traffic sees that token.
fn not_by_internal(verdict: Verdict) -> Verdict {
    match verdict.who {
        Principal::Internal => {
            Verdict { decision: Decision::NotPermitted, reason: "this token is for MediaMTX only", ..verdict }
        }
        _ => verdict,
    }
}
