//! What runs for whom, so that it ends when they may not any more.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use crate::policy::Who;

/// Everything of ours that goes on for somebody: MJPEG and RTSP readers, endless uploads. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    running: Mutex<HashMap<u64, (Who, CancellationToken)>>,
}

/// One of them; over when it is dropped.
#[derive(Debug)]
pub struct Session {
    id: u64,
    all: Sessions,
    end: CancellationToken,
}

impl Session {
    /// Cancelled when it has to end.
    pub fn end(&self) -> &CancellationToken {
        &self.end
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.all.0.running.lock().expect("nothing panics while it is held").remove(&self.id);
    }
}

impl Sessions {
    /// Begins one, which also ends with `parent`.
    pub fn begin(&self, who: Who, parent: &CancellationToken) -> Session {
        let (id, end) = (self.0.next.fetch_add(1, Ordering::Relaxed), parent.child_token());
        self.0.running.lock().expect("nothing panics while it is held").insert(id, (who, end.clone()));
        Session { id, all: self.clone(), end }
    }

    /// Ends all of theirs; says how many.
    pub fn end(&self, of: &Who) -> usize {
        let running = self.0.running.lock().expect("nothing panics while it is held");
        let theirs = running.values().filter(|(who, _)| who == of);
        theirs.inspect(|(_, end)| end.cancel()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_theirs_end_and_nothing_is_left_behind() {
        let (sessions, program) = (Sessions::default(), CancellationToken::new());
        let alice = || Who::User("alice".into());
        let (a, b, c) = (
            sessions.begin(alice(), &program),
            sessions.begin(alice(), &program),
            sessions.begin(Who::Token("alice".into()), &program),
        );
        drop(b);
        assert_eq!(sessions.end(&alice()), 1);
        assert!(a.end().is_cancelled() && !c.end().is_cancelled());
        program.cancel();
        assert!(c.end().is_cancelled());
        drop((a, c));
        assert!(sessions.0.running.lock().expect("whole").is_empty());
    }
}
