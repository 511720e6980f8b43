//! Ending the program in two stages: ask, then insist.

use std::future::Future;

use tokio::time::{Duration, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Asks everything that runs without end to end, and waits for it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    asked: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Shutdown::default()
    }

    /// Asks everybody to end.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Cancelled when the end was asked for.
    pub fn token(&self) -> &CancellationToken {
        &self.asked
    }

    /// Whether the end was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.is_cancelled()
    }

    /// Returns when the end is asked for.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// A future that [`Shutdown::wait`] waits for, wherever it is spawned.
    pub fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.tasks.track_future(task)
    }

    /// Waits until everything tracked has ended, so long at most. Says whether it has.
    pub async fn wait(&self, longest: Duration) -> bool {
        self.tasks.close();
        timeout(longest, self.tasks.wait()).await.is_ok()
    }
}

/// Returns at the first SIGINT or SIGTERM. A second one ends the process at once.
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
        tracing::warn!("asked a second time: ending at once");
        std::process::exit(130);
    });
}
