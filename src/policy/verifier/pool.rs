//! [`Pool`]: the threads that compute argon2.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use parking_lot::{Condvar, Mutex};

/// Verifications run after the threads that answer requests (nice(2) applies to a single thread on Linux).
const NICENESS: i32 = 10;

/// Starts a thread. A parameter so that a test can pass one that fails.
pub(super) type StartThread = fn(Box<dyn FnOnce() + Send>) -> io::Result<()>;

type Job = Box<dyn FnOnce() + Send>;

/// Threads for argon2, which takes 19 MiB and 20 ms each time. Each keeps its memory, so there are few: at most half
/// as many as cores. (tokio's blocking pool can have hundreds.) They are started when they are first needed, and end
/// when the last handle of the pool is dropped. The caller bounds the number of jobs.
#[derive(Clone)]
pub(super) struct Pool(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    start_thread: StartThread,
    /// Threads that are still to be started.
    missing: Mutex<usize>,
    size: usize,
}

struct Shared {
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    first: VecDeque<Job>,
    others: VecDeque<Job>,
    is_closed: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queues.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Pool {
    pub(super) fn new(start_thread: StartThread) -> Self {
        let size = thread::available_parallelism().map_or(2, usize::from).div_ceil(2);
        Pool::of(size, start_thread)
    }

    pub(super) fn of(size: usize, start_thread: StartThread) -> Self {
        let shared = Arc::new(Shared { queues: Mutex::default(), changed: Condvar::new() });
        Pool(Arc::new(Handle { shared, start_thread, missing: Mutex::new(size), size }))
    }

    /// Queues a job; with `first`, before those without it.
    pub(super) fn run(&self, job: Job, first: bool) {
        let mut queues = self.0.shared.queues.lock();
        if first {
            queues.first.push_back(job)
        } else {
            queues.others.push_back(job)
        }
        self.0.shared.changed.notify_one();
    }

    /// Starts the threads that do not run yet; fails if none runs then.
    pub(super) fn start_missing(&self) -> io::Result<()> {
        let Handle { shared, start_thread, missing, size } = &*self.0;
        let mut missing = missing.lock();
        while *missing > 0 {
            let shared = shared.clone();
            match start_thread(Box::new(move || work(&shared))) {
                Ok(()) => *missing -= 1,
                Err(e) if *missing == *size => return Err(e),
                // Those that run do the work; the rest are started with a later job.
                Err(e) => {
                    tracing::warn!("another thread for passwords cannot be started: {e}");
                    break;
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.0.size
    }

    #[cfg(test)]
    pub(super) fn missing(&self) -> usize {
        *self.0.missing.lock()
    }
}

pub(super) fn start_thread(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().name("passwords".into()).spawn(work).map(drop)
}

/// Runs jobs until the pool is dropped.
fn work(shared: &Shared) {
    if let Err(e) = rustix::process::nice(NICENESS) {
        tracing::debug!("the priority of password verification cannot be lowered: {e}");
    }
    loop {
        let job = {
            let mut queues = shared.queues.lock();
            loop {
                if let Some(job) = queues.first.pop_front() {
                    break job;
                }
                if let Some(job) = queues.others.pop_front() {
                    break job;
                }
                if queues.is_closed {
                    return;
                }
                shared.changed.wait(&mut queues);
            }
        };
        // The job is consumed: it leaves nothing half done that could be seen afterwards.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password verification panicked");
        }
    }
}
