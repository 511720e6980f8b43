//! Active sessions by principal: listed, and ended on revocation and at the end of their lease.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use parking_lot::Mutex;
use tokio::{
    task::AbortHandle,
    time::{Duration, Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::policy::{Authorized, Lease, Principal, Revoked, now};

/// How often the system clock is read while a session waits for the end of its lease. A clock that is set (a Raspberry Pi has
/// none until it reaches the network) or a machine that slept ends the session no later than this.
const CLOCK_INTERVAL: Duration = Duration::from_secs(30);

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
    by: Authorized,
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
    /// Waits for the end of the lease.
    timer: Option<AbortHandle>,
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
        if let Some(timer) = &self.timer {
            timer.abort();
        }
        self.all.0.active.lock().remove(&self.id);
    }
}

impl Sessions {
    /// Begins a session. It ends when `parent` is cancelled, when the credentials are revoked, and at the end of their lease.
    /// A lease needs a tokio runtime.
    pub fn begin(&self, by: impl Into<Authorized>, info: SessionInfo, parent: &CancellationToken) -> Session {
        let by = by.into();
        let (id, end) = (self.0.next.fetch_add(1, Ordering::Relaxed), parent.child_token());
        let timer = by.lease.clone().map(|lease| tokio::spawn(end_with(lease, end.clone())).abort_handle());
        let bytes = Arc::<AtomicU64>::default();
        let active = Active { by, end: end.clone(), since: SystemTime::now(), info, bytes: bytes.clone() };
        self.0.active.lock().insert(id, active);
        Session { id, all: self.clone(), end, bytes, timer }
    }

    /// Ends all sessions of revoked credentials. Returns their number.
    pub fn end(&self, revoked: &Revoked) -> usize {
        let active = self.0.active.lock();
        let covered = active.values().filter(|session| revoked.covers(&session.by, session.by.lease.as_deref()));
        covered.inspect(|session| session.end.cancel()).count()
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
            principal: session.by.who.clone(),
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

/// Cancels `end` at the end of the lease: by the system clock, and by the time that has passed.
async fn end_with(lease: Arc<Lease>, end: CancellationToken) {
    let remaining = Duration::from_secs(lease.expires.saturating_sub(now()));
    // A deadline that cannot be represented is never reached.
    let deadline = Instant::now().checked_add(remaining);
    let is_over = || lease.expires <= now() || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    while !is_over() {
        let rest = deadline.map_or(CLOCK_INTERVAL, |deadline| deadline.saturating_duration_since(Instant::now()));
        sleep(rest.min(CLOCK_INTERVAL)).await;
    }
    end.cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leased(lease: Lease) -> Authorized {
        Authorized { who: Principal::User("alice".into()), lease: Some(Arc::new(lease)) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_with_its_lease() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let lease = Lease { expires: now() + 3600, ..Lease::default() };
        let session = sessions.begin(leased(lease), SessionInfo::default(), &program);
        tokio::time::sleep(Duration::from_secs(3590)).await;
        assert!(!session.end().is_cancelled());
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(session.end().is_cancelled());
        let expired = sessions.begin(leased(Lease::default()), SessionInfo::default(), &program);
        expired.end().cancelled().await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_timer_of_a_session_ends_with_the_session() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let lease = Lease { expires: u64::MAX, ..Lease::default() };
        let session = sessions.begin(leased(lease), SessionInfo::default(), &program);
        let timer = session.timer.clone().expect("it has a lease");
        drop(session);
        while !timer.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_sign_in_or_a_key_ends_what_was_begun_with_its_tokens() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let lease = |sign_in: &str, key: &str| Lease {
            expires: now() + 60,
            sign_in: Some(sign_in.into()),
            key: Some(key.into()),
        };
        let begin = |lease| sessions.begin(leased(lease), SessionInfo::default(), &program);
        let (a, b, c) = (begin(lease("one", "old")), begin(lease("two", "old")), begin(lease("three", "new")));
        assert_eq!(sessions.end(&Revoked::Id("one".into())), 1);
        assert!(a.end().is_cancelled() && !b.end().is_cancelled());
        assert_eq!(sessions.end(&Revoked::Key("old".into())), 2);
        assert!(b.end().is_cancelled() && !c.end().is_cancelled());
        assert_eq!(sessions.end(&Revoked::Principal(Principal::User("alice".into()))), 3);
    }

    #[test]
    fn revocation_ends_the_sessions_of_one_principal_only() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let alice = || Principal::User("alice".into());
        let begin = |principal: Principal| sessions.begin(principal, SessionInfo::default(), &program);
        let (a, b, c) = (begin(alice()), begin(alice()), begin(Principal::Token("alice".into())));
        drop(b);
        assert_eq!(sessions.end(&Revoked::Principal(alice())), 1);
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
