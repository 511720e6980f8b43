//! [`Pool`]: blocking work on tokio's blocking threads, a bounded number of pieces at a time.
//!
//! tokio starts up to 512 blocking threads for the whole program. Without a bound, one burst of large pictures takes the
//! memory of all of them at once, and one network mount that hangs takes all threads. So each kind of work has a pool of
//! its own, and a pool that is stuck stops no other.
//!
//! Password verification does not use a pool: it keeps a niceness and 19 MiB of memory for each thread, so it owns its
//! threads (`policy`).

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Pieces of file work at a time. A disk gains nothing from more; a network mount answers about as many at once.
const FILES_AT_ONCE: usize = 32;

/// A bounded number of pieces of blocking work. Cheap to clone; clones share the bound.
#[derive(Clone)]
pub struct Pool {
    name: &'static str,
    permits: Arc<Semaphore>,
}

impl Pool {
    /// A pool that runs `at_once` pieces at a time, at least one. `name` says in error texts what the work is.
    pub fn new(name: &'static str, at_once: usize) -> Self {
        let permits = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Pool { name, permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs the work on a blocking thread and returns its result. Waits in turn while the pool is full. A panic in the
    /// work becomes an error of code `internal`.
    ///
    /// Cancel-safe: a caller that stops waiting before its turn leaves the queue. Work that has begun runs to its end
    /// and keeps its place in the pool until then.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = self.permits.clone().acquire_owned().await.map_err(|e| self.no_result(e))?;
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| self.no_result(e))?
    }

    fn no_result(&self, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::internal(format!("{} ended without a result", self.name), cause)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({}, {} free)", self.name, self.permits.available_permits())
    }
}

/// The pool for reading and writing files in media folders, which may lie on network mounts.
pub fn files() -> &'static Pool {
    static FILES: LazyLock<Pool> = LazyLock::new(|| Pool::new("file access", FILES_AT_ONCE));
    &FILES
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    };

    use super::*;
    use crate::error::Code;

    #[tokio::test]
    async fn two_pieces_run_at_a_time_in_a_pool_of_two() {
        let pool = Pool::new("the test", 2);
        let (at_work, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let pair = Arc::new(Barrier::new(2));
        let pieces = (0..8).map(|_| {
            let (at_work, most, pair) = (at_work.clone(), most.clone(), pair.clone());
            pool.run(move || {
                most.fetch_max(at_work.fetch_add(1, SeqCst) + 1, SeqCst);
                // Passes only when a second piece runs.
                pair.wait();
                at_work.fetch_sub(1, SeqCst);
                Ok(())
            })
        });
        for result in futures_util::future::join_all(pieces).await {
            result.expect("finishes");
        }
        assert_eq!(most.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn work_whose_caller_has_left_keeps_its_place_until_it_ends() {
        let pool = Pool::new("the test", 1);
        let (has_begun, begun) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let work = pool.run(move || {
            let _ = has_begun.send(());
            let _ = released.recv();
            Ok(())
        });
        tokio::select! {
            _ = work => panic!("it waits for its release"),
            begun = begun => begun.expect("it began"),
        }
        assert_eq!(pool.permits.available_permits(), 0);
        release.send(()).expect("the work still waits");
        assert_eq!(pool.run(|| Ok(7)).await.expect("its turn comes"), 7);
    }

    #[tokio::test]
    async fn a_caller_that_leaves_the_queue_runs_nothing() {
        let pool = Pool::new("the test", 1);
        let held = pool.permits.clone().acquire_owned().await.expect("open");
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let mut waiting = Box::pin(pool.run(move || {
            count.fetch_add(1, SeqCst);
            Ok(())
        }));
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("the place is taken"),
            () = std::future::ready(()) => {}
        }
        drop(waiting);
        drop(held);
        pool.run(|| Ok(())).await.expect("the place is free");
        assert_eq!(ran.load(SeqCst), 0);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_frees_its_place() {
        let pool = Pool::new("the test", 1);
        let error = pool.run(|| -> Result<()> { panic!("on purpose") }).await.expect_err("it panicked");
        assert_eq!((error.code(), error.to_string().as_str()), (Code::Internal, "the test ended without a result"));
        pool.run(|| Ok(())).await.expect("the place is free");
    }
}
