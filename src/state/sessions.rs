//! What runs for whom, so that it is seen, and ends when they may not any more.

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

/// Everything of ours that goes on for somebody: MJPEG and RTSP readers, endless uploads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    running: Mutex<HashMap<u64, Running>>,
    /// Bytes sent to all sessions, those that are over included.
    sent: AtomicU64,
}

#[derive(Debug)]
struct Running {
    who: Principal,
    end: CancellationToken,
    since: SystemTime,
    doing: SessionInfo,
    bytes: Arc<AtomicU64>,
}

/// What somebody does, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionInfo {
    /// Such as `mjpeg`, `rtsp`, `upload`; empty if nobody has said.
    pub protocol: &'static str,
    /// The stream, where there is one.
    pub path: String,
    /// From where, `IP:port`.
    pub remote: String,
    /// Whether they send pictures, and not get them.
    pub publishes: bool,
}

/// A session, for lists.
#[derive(Clone, Debug)]
pub struct SessionSnapshot {
    /// By which it is ended.
    pub id: u64,
    /// Whose it is.
    pub who: Principal,
    /// Since when.
    pub since: SystemTime,
    /// What it is.
    pub doing: SessionInfo,
    /// Bytes so far, sent by us or, of one that publishes, to us.
    pub bytes: u64,
}

/// One of them; over when it is dropped.
#[derive(Debug)]
pub struct Session {
    id: u64,
    all: Sessions,
    end: CancellationToken,
    bytes: Arc<AtomicU64>,
}

impl Session {
    /// Cancelled when it has to end.
    pub fn end(&self) -> &CancellationToken {
        &self.end
    }

    /// Says what it is, for the list of sessions.
    pub fn describe(&self, doing: SessionInfo) {
        let mut running = self.all.lock();
        if let Some(running) = running.get_mut(&self.id) {
            running.doing = doing;
        }
    }

    /// Counts bytes that were sent to it.
    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.all.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts bytes that came from it.
    pub fn received(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

impl Sessions {
    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<u64, Running>> {
        self.0.running.lock()
    }

    /// Begins one, which also ends with `parent`.
    pub fn begin(&self, who: Principal, parent: &CancellationToken) -> Session {
        let (id, end) = (self.0.next.fetch_add(1, Ordering::Relaxed), parent.child_token());
        let bytes = Arc::<AtomicU64>::default();
        let (since, doing) = (SystemTime::now(), SessionInfo::default());
        self.lock().insert(id, Running { who, end: end.clone(), since, doing, bytes: bytes.clone() });
        Session { id, all: self.clone(), end, bytes }
    }

    /// Ends all of theirs; says how many.
    pub fn end(&self, of: &Principal) -> usize {
        let running = self.lock();
        let theirs = running.values().filter(|running| running.who == *of);
        theirs.inspect(|running| running.end.cancel()).count()
    }

    /// Ends one; says whether there was one.
    pub fn end_one(&self, id: u64) -> bool {
        self.lock().get(&id).inspect(|running| running.end.cancel()).is_some()
    }

    /// Those there are, oldest first.
    pub fn list(&self) -> Vec<SessionSnapshot> {
        let running = self.lock();
        let listed = running.iter().map(|(id, running)| SessionSnapshot {
            id: *id,
            who: running.who.clone(),
            since: running.since,
            doing: running.doing.clone(),
            bytes: running.bytes.load(Ordering::Relaxed),
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by_key(|session| session.id);
        listed
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
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
    fn only_theirs_end_and_nothing_is_left_behind() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let alice = || Principal::User("alice".into());
        let (a, b, c) = (
            sessions.begin(alice(), &program),
            sessions.begin(alice(), &program),
            sessions.begin(Principal::Token("alice".into()), &program),
        );
        drop(b);
        assert_eq!(sessions.end(&alice()), 1);
        assert!(a.end().is_cancelled() && !c.end().is_cancelled());
        program.cancel();
        assert!(c.end().is_cancelled());
        drop((a, c));
        assert!(sessions.is_empty());
    }

    #[test]
    fn sessions_are_listed_as_they_were_described_and_ended_one_by_one() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let first = sessions.begin(Principal::Anonymous, &program);
        let second = sessions.begin(Principal::Anonymous, &program);
        let doing =
            SessionInfo { protocol: "mjpeg", path: "door".into(), remote: "192.0.2.1:4711".into(), publishes: false };
        second.describe(doing.clone());
        second.sent(1000);
        second.sent(234);
        let listed = sessions.list();
        assert_eq!(
            listed.iter().map(|session| session.doing.clone()).collect::<Vec<_>>(),
            [SessionInfo::default(), doing]
        );
        assert_eq!(listed[1].bytes, 1234);
        assert!(sessions.end_one(listed[1].id));
        assert!(second.end().is_cancelled() && !first.end().is_cancelled());
        drop((first, second));
        assert!(!sessions.end_one(listed[1].id), "it is over");
        assert_eq!(sessions.sent(), 1234, "what was sent was sent");
    }
}
