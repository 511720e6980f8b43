//! Panics on purpose, for tests: a test arms a point for a subject (a stream, an address, a data folder), and the code that
//! passes the point for that subject panics once.
//!
//! Only a test in the same process can arm a point: no request, setting or signal leads here. In a release build nothing is
//! ever armed.

use std::{collections::BTreeSet, sync::LazyLock};

use tokio::sync::watch;

/// The armed points with their subjects.
static ARMED: LazyLock<watch::Sender<BTreeSet<(String, String)>>> =
    LazyLock::new(|| watch::Sender::new(BTreeSet::new()));

/// Arms a point: the next code that passes it for this subject panics.
pub fn arm(point: &str, subject: &str) {
    if cfg!(debug_assertions) {
        ARMED.send_if_modified(|armed| armed.insert((point.to_owned(), subject.to_owned())));
    }
}

/// Whether a point is armed for this subject and was not passed since.
pub fn is_armed(point: &str, subject: &str) -> bool {
    cfg!(debug_assertions) && ARMED.borrow().contains(&(point.to_owned(), subject.to_owned()))
}

/// Passes a point.
///
/// # Panics
/// If a test has armed the point for this subject.
pub fn pass(point: &str, subject: &str) {
    if cfg!(debug_assertions) && !ARMED.borrow().is_empty() && disarm(point, subject) {
        panic!("on purpose, at the point {point} for {subject}");
    }
}

/// Waits until a test arms the point for this subject, and panics then. Never ends otherwise.
pub async fn wait(point: &str, subject: &str) {
    if cfg!(debug_assertions) {
        let mut armed = ARMED.subscribe();
        loop {
            pass(point, subject);
            if armed.changed().await.is_err() {
                break;
            }
        }
    }
    std::future::pending().await
}

fn disarm(point: &str, subject: &str) -> bool {
    ARMED.send_if_modified(|armed| armed.remove(&(point.to_owned(), subject.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_armed_point_panics_once_and_for_its_subject_only() {
        arm("a point", "this subject");
        pass("a point", "another subject");
        pass("another point", "this subject");
        assert!(is_armed("a point", "this subject"));
        assert!(std::panic::catch_unwind(|| pass("a point", "this subject")).is_err());
        assert!(!is_armed("a point", "this subject"));
        pass("a point", "this subject");
    }
}
