//! [`Pool`]: blocking work on tokio's blocking threads, a bounded number of pieces at a time.
//!
//! tokio starts up to 512 blocking threads for the whole program. Without a bound, one burst of large pictures takes the
//! memory of all of them at once, and one network mount that hangs takes all threads. So each kind of work has a pool of
//! its own (the database, the data folder, each media folder, pictures), and a pool that is stuck stops no other.
//!
//! Password verification does not use a pool: it keeps a niceness and 19 MiB of memory for each thread, so it owns its
//! threads (`policy`).

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use tokio::{
    sync::Semaphore,
    time::{Duration, Instant, timeout_at},
};

use crate::error::{Code, Error, Result};

/// How long a caller waits for a piece of disk work, including the wait for its turn. A local disk answers within
/// milliseconds; a network mount whose server restarts needs some seconds.
pub const DISK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a caller waits for its turn in a pool of work for the processor. A client gives up at about this time.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

/// Pieces of work in the data folder at a time, beside the database. More do not make a disk faster.
const DATA_AT_ONCE: usize = 16;

/// Documents that are parsed at a time. Each can take some ten megabytes.
const DOCUMENTS_AT_ONCE: usize = 2;

/// What a pool waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A disk or network mount, which can hang: turn and work together have a limit.
    Disk,
    /// The processor: the turn has a limit, and the work ends by itself.
    Processor,
}

/// A bounded number of pieces of blocking work. Cheap to clone; clones share the bound.
#[derive(Clone)]
pub struct Pool {
    name: Arc<str>,
    kind: Kind,
    permits: Arc<Semaphore>,
}

impl Pool {
    /// A pool for the processor that runs `at_once` pieces at a time, at least one. `name` says in error texts what the
    /// work is. A caller whose turn does not come within a minute gets an error of code `unavailable`.
    pub fn new(name: impl Into<Arc<str>>, at_once: usize) -> Self {
        Pool::of(name.into(), at_once, Kind::Processor)
    }

    /// A pool for disk work. A caller whose work is not done after [`DISK_TIMEOUT`] gets an error of code
    /// `storage_timeout`; the work itself goes on, because the system has no way to end it, and keeps its place.
    pub fn disk(name: impl Into<Arc<str>>, at_once: usize) -> Self {
        Pool::of(name.into(), at_once, Kind::Disk)
    }

    fn of(name: Arc<str>, at_once: usize, kind: Kind) -> Self {
        let permits = at_once.clamp(1, Semaphore::MAX_PERMITS);
        Pool { name, kind, permits: Arc::new(Semaphore::new(permits)) }
    }

    /// Runs the work on a blocking thread and returns its result. Waits in turn while the pool is full. A panic in the
    /// work becomes an error of code `internal`.
    ///
    /// Cancel-safe: a caller that stops waiting before its turn leaves the queue. Work that has begun runs to its end
    /// and keeps its place in the pool until then.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let limit = if self.kind == Kind::Disk { DISK_TIMEOUT } else { TURN_TIMEOUT };
        self.run_within(limit, work).await
    }

    /// As [`Pool::run`], with another limit, for work that takes longer by its nature.
    pub async fn run_within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let until = Instant::now() + limit;
        let turn = timeout_at(until, self.permits.clone().acquire_owned()).await;
        let permit = turn.map_err(|_| self.late(limit))?.map_err(|e| self.no_result(e))?;
        let work = move || {
            let _permit = permit;
            work()
        };
        let done = tokio::task::spawn_blocking(work);
        let done = match self.kind {
            Kind::Disk => timeout_at(until, done).await.map_err(|_| self.late(limit))?,
            Kind::Processor => done.await,
        };
        done.map_err(|e| self.no_result(e))?
    }

    fn late(&self, limit: Duration) -> Error {
        match self.kind {
            Kind::Disk => {
                let seconds = limit.as_secs();
                Error::new(Code::StorageTimeout, format!("{} did not answer within {seconds} s", self.name))
            }
            Kind::Processor => {
                Error::new(Code::Unavailable, format!("{} has waited too long for its turn; retry later", self.name))
            }
        }
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

/// The pool for files in the data folder, without the database.
pub fn data() -> &'static Pool {
    static DATA: LazyLock<Pool> = LazyLock::new(|| Pool::disk("the data folder", DATA_AT_ONCE));
    &DATA
}

/// The pool for reading documents of administrators.
pub fn documents() -> &'static Pool {
    static DOCUMENTS: LazyLock<Pool> = LazyLock::new(|| Pool::new("reading the document", DOCUMENTS_AT_ONCE));
    &DOCUMENTS
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    };

    use super::*;

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

    /// A hung network mount: the call to the system does not return.
    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_costs_its_callers_a_timeout_and_no_other_pool() {
        let (hung, other) = (Pool::disk("the mount", 1), Pool::disk("the data folder", 1));
        let (has_begun, begun) = tokio::sync::oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let pool = hung.clone();
        let first = tokio::spawn(async move {
            pool.run(move || {
                let _ = has_begun.send(());
                let _ = released.recv();
                Ok(())
            })
            .await
        });
        begun.await.expect("it began");
        let pool = hung.clone();
        let second = tokio::spawn(async move { pool.run(|| Ok(())).await });
        tokio::task::yield_now().await;
        // The paused clock stands still while a blocking thread works.
        tokio::time::advance(DISK_TIMEOUT).await;
        for caller in [first, second] {
            let error = caller.await.expect("no panic").expect_err("too late");
            assert_eq!(error.code(), Code::StorageTimeout);
            assert_eq!(error.to_string(), "the mount did not answer within 10 s");
        }
        assert_eq!(other.run(|| Ok(7)).await.expect("has a thread"), 7);
        release.send(()).expect("the work still waits");
        assert_eq!(hung.run(|| Ok(8)).await.expect("the mount is back"), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_does_not_come_is_refused_and_work_for_the_processor_is_not_cut() {
        let pool = Pool::new("the test", 1);
        let held = pool.permits.clone().acquire_owned().await.expect("open");
        let error = pool.run(|| Ok(())).await.expect_err("no turn");
        assert_eq!(error.code(), Code::Unavailable);
        drop(held);
        pool.run(|| Ok(())).await.expect("the place is free");
    }
}
