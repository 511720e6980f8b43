//! Background tasks that must not end: a task that panics is logged, counted and started again.
//!
//! A panic in a task of tokio ends that task alone and is easily missed. Without this, one bad value could stop the audit,
//! revocation or the expiry of streams until the next restart of the program.

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, sync::Arc};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tokio::time::{Duration, Instant, sleep};

use crate::{backoff::Backoff, faults};

/// The pauses before a task is started again. A task that ran for the longest pause begins with the shortest again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
const RESTART: Backoff = Backoff::new(Duration::from_secs(1), LONGEST_PAUSE);

/// The label of the counter of restarts.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct TaskLabels {
    task: &'static str,
}

/// Restarts of background tasks by task.
pub type Restarts = Family<TaskLabels, Counter>;

/// Runs the background tasks of one program and counts their restarts. Cheap to clone.
#[derive(Clone, Default)]
pub struct Supervisor(Arc<Inner>);

#[derive(Default)]
struct Inner {
    restarts: Restarts,
    /// The subject of [`faults`]: the data folder, which distinguishes programs in one process.
    subject: String,
}

impl Supervisor {
    /// The supervisor of the program with this data folder.
    pub fn new(data_dir: &std::path::Path) -> Self {
        Supervisor(Arc::new(Inner { restarts: Restarts::default(), subject: data_dir.display().to_string() }))
    }

    /// Runs `task` until it returns. After a panic, the task is logged, counted, and started again.
    ///
    /// The task's own state may be half changed after a panic, so `task` must build it anew, and everything that outlives
    /// it must be consistent at each await point.
    pub async fn run<F: Future<Output = ()>>(&self, name: &'static str, mut task: impl FnMut() -> F) {
        let mut backoff = RESTART;
        loop {
            let began = Instant::now();
            let attempt = async {
                tokio::select! {
                    () = task() => {}
                    () = faults::wait(name, &self.0.subject) => {}
                }
            };
            let Err(panic) = AssertUnwindSafe(attempt).catch_unwind().await else { return };
            if began.elapsed() >= LONGEST_PAUSE {
                backoff = RESTART;
            }
            let pause = backoff.next_pause();
            tracing::error!(task = name, "the task panicked and is started again in {pause:?}: {}", message(&*panic));
            self.0.restarts.get_or_create(&TaskLabels { task: name }).inc();
            sleep(pause).await;
        }
    }

    /// The same as a task for [`all`].
    pub fn task<'a, F: Future<Output = ()> + Send + 'a>(
        &'a self,
        name: &'static str,
        task: impl FnMut() -> F + Send + 'a,
    ) -> BoxFuture<'a, ()> {
        self.run(name, task).boxed()
    }

    /// The counters, for the metrics.
    pub fn restarts(&self) -> &Restarts {
        &self.0.restarts
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Supervisor({})", self.0.subject)
    }
}

/// Runs tasks side by side until all have ended. A task is polled when it was woken itself. `tokio::join!` polls all tasks when one of them
/// was woken: dozens, for each timer of a program at rest.
pub async fn all<const N: usize>(tasks: [BoxFuture<'_, ()>; N]) {
    tasks.into_iter().collect::<FuturesUnordered<_>>().collect::<()>().await;
}

/// The text of a panic.
pub fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    fn count(supervisor: &Supervisor, task: &'static str) -> u64 {
        supervisor.restarts().get_or_create(&TaskLabels { task }).get()
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_is_counted_and_started_again_while_others_go_on() {
        let (runs, others, supervisor) = (AtomicUsize::new(0), AtomicUsize::new(0), Supervisor::default());
        let fragile = supervisor.run("fragile", || async {
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
        assert_eq!((runs.load(SeqCst), count(&supervisor, "fragile")), (3, 2));
        assert!(others.load(SeqCst) >= 20, "the other task runs during the pauses of one and two seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn of_tasks_side_by_side_the_one_that_is_woken_is_polled() {
        let polls = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let busy = async {
            for _ in 0..50 {
                polls[0].fetch_add(1, SeqCst);
                sleep(Duration::from_millis(1)).await;
            }
        };
        let mut rest = Box::pin(sleep(Duration::from_secs(1)));
        let resting = std::future::poll_fn(|context| {
            polls[1].fetch_add(1, SeqCst);
            rest.as_mut().poll(context)
        });
        all([busy.boxed(), resting.boxed()]).await;
        assert_eq!(polls.map(|polls| polls.load(SeqCst)), [50, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pauses_begin_anew_after_a_long_run() {
        let (supervisor, runs) = (Supervisor::default(), AtomicUsize::new(0));
        let began = Instant::now();
        let task = supervisor.run("rare", || async {
            sleep(LONGEST_PAUSE).await;
            assert!(runs.fetch_add(1, SeqCst) >= 10, "on purpose");
        });
        task.await;
        let paused = began.elapsed() - LONGEST_PAUSE * 11;
        assert_eq!(count(&supervisor, "rare"), 10);
        assert!(paused < Duration::from_secs(20), "ten first pauses, and no longer ones: {paused:?}");
    }
}
