//! Admission: may this caller do this, now, and for how long.
//!
//! HTTP, RTSP and MediaMTX's authentication hook all ask [`Access`]. The order is the same for every protocol: the
//! policy decides, the decision is counted and noted in the audit, a caller that stays connected takes a [`Permit`],
//! and only then is a camera started. The rules themselves are in [`policy`](crate::policy), which does no I/O.

pub mod audit;
mod permits;
mod revocation;
mod sessions;

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};

use self::{
    audit::{Asked, Audit},
    permits::{Permits, Refusal},
};
pub use self::{
    permits::{Permit, Role},
    sessions::{Session, SessionInfo, SessionSnapshot, Sessions},
};
use crate::{
    error::Result,
    events::Bus,
    mediamtx,
    metrics::Metrics,
    policy::{Action, Caller, Decision, Permission, Policy, Principal, Verdict, webhook::Question},
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
}

impl Access {
    /// Admission by these rules, with `limits.watchers` and `limits.publishers`.
    pub fn new(policy: Policy, metrics: Metrics, shutdown: Shutdown, limits: &Limits) -> Self {
        Access(Arc::new(Inner {
            policy,
            audit: Audit::default(),
            metrics,
            sessions: Sessions::default(),
            watchers: Permits::new(Role::Watcher, limits.watchers, limits.caller_share),
            publishers: Permits::new(Role::Publisher, limits.publishers, limits.caller_share),
            shutdown,
            admitted: mediamtx::SessionIndex::default(),
        }))
    }

    /// The policy's verdict on a request to our own addresses, without counting or noting it: for lists, which leave out
    /// what the caller may not see.
    ///
    /// The token that we send to MediaMTX's control API grants nothing here, because MediaMTX and everything that reads
    /// its traffic sees that token.
    pub async fn decide(&self, caller: &Caller, action: Action, path: &str) -> Verdict {
        let verdict = self.0.policy.decide(caller, action, path).await;
        match verdict.who {
            Principal::Internal => {
                Verdict { decision: Decision::NotPermitted, reason: "this token is for MediaMTX only", ..verdict }
            }
            _ => verdict,
        }
    }

    /// Whether the caller may do this; neither counted nor noted.
    pub async fn may(&self, caller: &Caller, action: Action, path: &str) -> bool {
        self.decide(caller, action, path).await.decision.is_allowed()
    }

    /// Decides, counts and notes a request to our own addresses. `protocol` is the word for the audit. The error is what
    /// the caller is told.
    pub async fn authorize(&self, protocol: &str, caller: &Caller, action: Action, path: &str) -> Result<Principal> {
        let verdict = self.decide(caller, action, path).await;
        self.record(caller, Asked { action: action.as_str(), path, protocol, session: None }, &verdict);
        match verdict.decision {
            Decision::Allowed => Ok(verdict.who),
            _ => Err(verdict.refusal(action, path)),
        }
    }

    /// Decides, counts and notes a question of MediaMTX (`authHTTPAddress`). An action that this version does not know is
    /// refused.
    pub async fn answer(&self, question: &Question<'_>) -> Verdict {
        let caller = question.caller();
        let verdict = match question.action() {
            Some(action) => self.0.policy.decide(&caller, action, &question.path).await,
            None => Verdict::on_unknown_action(&caller),
        };
        let Question { action, path, protocol, id, .. } = question;
        self.record(&caller, Asked { action, path, protocol, session: id.as_deref() }, &verdict);
        verdict
    }

    /// Authorizes a caller that stays connected, and takes its permit. Nothing has been started when this refuses.
    pub async fn admit(&self, role: Role, caller: &Caller, session: SessionInfo) -> Result<(Principal, Permit)> {
        let action = match role {
            Role::Watcher => Action::Read,
            Role::Publisher => Action::Publish,
        };
        let principal = self.authorize(session.protocol, caller, action, &session.path).await?;
        let permit = self.permit(role, caller, principal.clone(), session).await?;
        Ok((principal, permit))
    }

    /// Takes a permit for a caller that was authorized already as this principal. Fails when all permits of the role are
    /// taken, or the caller's share of them; the share does not limit administrators and callers of this machine.
    pub async fn permit(
        &self,
        role: Role,
        caller: &Caller,
        principal: Principal,
        session: SessionInfo,
    ) -> Result<Permit> {
        let permits = match role {
            Role::Watcher => &self.0.watchers,
            Role::Publisher => &self.0.publishers,
        };
        let begin = || self.begin(principal.clone(), session.clone());
        let is_local = caller.ip.is_some_and(is_this_machine);
        let refusal = match permits.take(&principal, caller.ip, is_local, begin) {
            Ok(permit) => return Ok(permit),
            Err(refusal) => refusal,
        };
        match refusal {
            Refusal::ForOthers(_) if self.may(caller, Action::Api, "").await => {
                permits.take(&principal, caller.ip, true, begin).map_err(|refusal| permits.error(refusal))
            }
            refusal => Err(permits.error(refusal)),
        }
    }

    /// Lists a session that needs no permit. It ends with the program, and when its principal loses a permission.
    pub fn begin(&self, principal: Principal, info: SessionInfo) -> Session {
        self.0.sessions.begin(principal, info, self.0.shutdown.token())
    }

    /// Recognizes the caller and lists what it is granted by name; the error is what a sign-in form shows.
    pub async fn permissions_of(&self, caller: &Caller) -> Result<(Principal, Vec<Permission>)> {
        self.0.policy.permissions_of(caller).await.map_err(|verdict| verdict.sign_in_refusal())
    }

    /// Checks the credentials of the caller, without asking what they permit.
    pub async fn authenticate(&self, caller: &Caller) -> Result<()> {
        self.0.policy.authenticate(caller).await.map(drop).map_err(|verdict| verdict.sign_in_refusal())
    }

    /// Notes something that a caller did and that is no decision of the policy, such as a changed password.
    pub fn note(&self, caller: &Caller, asked: Asked<'_>, verdict: &Verdict) {
        self.0.audit.note(caller, asked, verdict);
    }

    /// The latest decisions.
    pub fn audit(&self) -> &Audit {
        &self.0.audit
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

    /// Writes the audit, publishes failed sign-ins as events, and ends the sessions of each principal that `revoked`
    /// names, here and at MediaMTX. Runs until the program ends; it can be started again after a panic.
    pub async fn run(
        &self,
        events: &Bus,
        mediamtx: &mediamtx::Client,
        revoked: &Mutex<mpsc::Receiver<Vec<Principal>>>,
    ) {
        let index = &self.0.admitted;
        let mut failures = audit::FailureEvents::default();
        let auditing = self.0.audit.run(|entry| {
            if let Some(session) = entry.session.as_deref().filter(|_| entry.decision.is_allowed()) {
                index.note(&entry.who, &entry.protocol, session);
            }
            failures.publish(events, entry);
        });
        tokio::join!(auditing, revocation::run(&self.0.sessions, mediamtx, index, revoked));
    }

    fn record(&self, caller: &Caller, asked: Asked<'_>, verdict: &Verdict) {
        self.0.metrics.count_decision(asked.action, verdict.decision);
        self.0.audit.note(caller, asked, verdict);
    }
}
