//! The end of the program in two stages: a request, then a deadline.

use std::future::Future;

use tokio::time::{Duration, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Tells endless tasks to end, and waits for them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    asked: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A shutdown that was not requested yet.
    pub fn new() -> Self {
        Shutdown::default()
    }

    /// Requests the end.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Cancelled when the end is requested.
    pub fn token(&self) -> &CancellationToken {
        &self.asked
    }

    /// Whether the end was requested.
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Returns when the end is requested.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Registers a future that [`Shutdown::wait`] waits for.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }

    /// Waits until every registered future has ended, at most for `longest`. Returns whether all have ended.
    pub async fn wait(&self, longest: Duration) -> bool {
        self.tasks.close();
        timeout(longest, self.tasks.wait()).await.is_ok()
    }
}

/// Returns at the first SIGINT or SIGTERM. A second signal ends the process at once.
#[expect(clippy::expect_used, reason = "called once at the start, in a runtime with its signal driver")]
pub async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("the runtime has its signal driver");
    let mut interrupt = signal(SignalKind::interrupt()).expect("the runtime has its signal driver");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: ending at once");
        std::process::exit(130);
    });
}
