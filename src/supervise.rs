//! Background tasks that must not end: a task that panics is logged, counted and started again.
//!
//! A panic in a task of tokio ends that task alone and is easily missed. Without this, one bad value could stop the audit,
//! revocation or the expiry of streams until the next restart of the program.

use std::{any::Any, future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use tokio::time::{Duration, sleep};

use crate::backoff::Backoff;

/// The pauses before a task is started again.
const RESTART: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));

/// Runs `task` until it returns. After a panic it calls `panicked` with the name and starts the task again.
///
/// The task's own state may be half changed after a panic, so `task` must build it anew, and everything that outlives it
/// must be consistent at each await point.
pub async fn supervise<F: Future<Output = ()>>(
    name: &'static str,
    panicked: impl Fn(&'static str),
    mut task: impl FnMut() -> F,
) {
    let mut backoff = RESTART;
    while let Err(panic) = AssertUnwindSafe(task()).catch_unwind().await {
        let pause = backoff.next_pause();
        tracing::error!(task = name, "the task panicked and is started again in {pause:?}: {}", message(&*panic));
        panicked(name);
        sleep(pause).await;
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_started_again_while_others_go_on() {
        let (runs, restarts, others) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |name: &'static str| {
            assert_eq!(name, "fragile");
            restarts.fetch_add(1, SeqCst);
        };
        let fragile = supervise("fragile", count, || async {
            sleep(Duration::from_millis(1)).await;
            match runs.fetch_add(1, SeqCst) {
                0 => panic!("a literal"),
                1 => panic!("{}", "a text"),
                _ => {}
            }
        });
        let other = async {
            loop {
                sleep(Duration::from_millis(100)).await;
                others.fetch_add(1, SeqCst);
            }
        };
        tokio::select! {
            () = fragile => {}
            () = other => {}
        }
        assert_eq!((runs.load(SeqCst), restarts.load(SeqCst)), (3, 2));
        assert!(others.load(SeqCst) >= 20, "the other task runs during the pauses of one and two seconds");
    }
}
