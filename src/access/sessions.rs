//! Active sessions by principal: listed, and ended on revocation.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::policy::Principal;

/// The callers that stay connected to us: MJPEG, WebSocket and RTSP readers, event listeners, publishers. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    active: Mutex<HashMap<u64, Active>>,
    /// Bytes sent to all sessions, including those that have ended.
    sent: AtomicU64,
}

#[derive(Debug)]
struct Active {
    principal: Principal,
    end: CancellationToken,
    since: SystemTime,
    info: SessionInfo,
    bytes: Arc<AtomicU64>,
}

/// What a session does, as the console shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// Such as `mjpeg`, `rtsp` or `upload`.
    pub protocol: &'static str,
    /// The stream, or empty if the session has none.
    pub path: String,
    /// The peer's address, `IP:port`.
    pub remote: String,
    /// Whether the session sends pictures to us.
    pub publishes: bool,
}

/// A session at the moment it was listed.
#[derive(Clone, Debug)]
pub struct SessionSnapshot {
    /// The number by which [`Sessions::end_one`] ends it.
    pub id: u64,
    /// Its principal.
    pub principal: Principal,
    /// When it began.
    pub since: SystemTime,
    /// What it does.
    pub info: SessionInfo,
    /// Bytes so far: sent by us, or received from a session that publishes.
    pub bytes: u64,
}

/// One session. It leaves the list when this is dropped.
#[derive(Debug)]
pub struct Session {
    id: u64,
    all: Sessions,
    end: CancellationToken,
    bytes: Arc<AtomicU64>,
}

impl Session {
    /// Cancelled when the session must end.
    pub fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Counts bytes that were sent to the peer.
    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.all.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that were received from the peer.
    pub fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.all.0.active.lock().remove(&self.id);
    }
}

impl Sessions {
    /// Begins a session. It also ends when `parent` is cancelled.
    pub fn begin(&self, principal: Principal, info: SessionInfo, parent: &CancellationToken) -> Session {
        let (id, end) = (self.0.next.fetch_add(1, Ordering::Relaxed), parent.child_token());
        let bytes = Arc::<AtomicU64>::default();
        let active = Active { principal, end: end.clone(), since: SystemTime::now(), info, bytes: bytes.clone() };
        self.0.active.lock().insert(id, active);
        Session { id, all: self.clone(), end, bytes }
    }

    /// Ends all sessions of a principal. Returns their number.
    pub fn end(&self, principal: &Principal) -> usize {
        let active = self.0.active.lock();
        let of_principal = active.values().filter(|session| session.principal == *principal);
        of_principal.inspect(|session| session.end.cancel()).count()
    }

    /// Ends one session. Returns whether it existed.
    pub fn end_one(&self, id: u64) -> bool {
        self.0.active.lock().get(&id).inspect(|session| session.end.cancel()).is_some()
    }

    /// All sessions, oldest first.
    pub fn list(&self) -> Vec<SessionSnapshot> {
        let active = self.0.active.lock();
        let snapshots = active.iter().map(|(id, session)| SessionSnapshot {
            id: *id,
            principal: session.principal.clone(),
            since: session.since,
            info: session.info.clone(),
            bytes: session.bytes.load(Ordering::Relaxed),
        });
        let mut snapshots: Vec<_> = snapshots.collect();
        drop(active);
        snapshots.sort_by_key(|session| session.id);
        snapshots
    }

    /// The number of sessions.
    pub fn len(&self) -> usize {
        self.0.active.lock().len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes sent to all sessions since the program was started.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revocation_ends_the_sessions_of_one_principal_only() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let alice = || Principal::User("alice".into());
        let begin = |principal| sessions.begin(principal, SessionInfo::default(), &program);
        let (a, b, c) = (begin(alice()), begin(alice()), begin(Principal::Token("alice".into())));
        drop(b);
        assert_eq!(sessions.end(&alice()), 1);
        assert!(a.end().is_cancelled() && !c.end().is_cancelled());
        program.cancel();
        assert!(c.end().is_cancelled());
        drop((a, c));
        assert!(sessions.is_empty());
    }

    #[test]
    fn sessions_are_listed_with_their_bytes_and_ended_one_by_one() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let info =
            SessionInfo { protocol: "mjpeg", path: "door".into(), remote: "192.0.2.1:4711".into(), publishes: false };
        let first = sessions.begin(Principal::Anonymous, SessionInfo::default(), &program);
        let second = sessions.begin(Principal::Anonymous, info.clone(), &program);
        second.sent(1000);
        second.sent(234);
        let listed = sessions.list();
        let infos: Vec<_> = listed.iter().map(|session| session.info.clone()).collect();
        assert_eq!(infos, [SessionInfo::default(), info]);
        assert_eq!(listed[1].bytes, 1234);
        assert!(sessions.end_one(listed[1].id));
        assert!(second.end().is_cancelled() && !first.end().is_cancelled());
        assert!(!sessions.end_one(99));
        assert_eq!(sessions.sent(), 1234);
    }
}
