//! Executes the effects of the lifecycle: one task for each stream that is not at rest.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt;
use tokio::{
    select,
    task::{JoinError, JoinHandle},
    time::{Duration, Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    FrameSink, Run, State, Stream,
    lifecycle::{Effect, Event, Stop, Timer},
};
use crate::{
    error::{Code, Error, Result},
    faults,
    traces::Kind,
};

/// How long a cancelled producer can take to end before it is aborted: enough to close a connection in order, short
/// enough that the next run starts soon.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A span does not wait longer for the first picture of a producer that waits for its peer without a limit.
const LONGEST_START: Duration = Duration::from_secs(300);

struct Running {
    task: JoinHandle<Result<()>>,
    stop: CancellationToken,
}

/// What the supervisor holds, also across a panic.
#[derive(Default)]
struct Held {
    running: Option<Running>,
    timer: Option<(Timer, Instant)>,
    /// Whether a run of the supervisor began before.
    has_begun: bool,
}

/// Runs until the stream is at rest and no effect is left. A panic in here is logged and counted, and the supervisor goes on
/// with the next effect: without it the stream would never start or stop its producer again.
pub(super) async fn supervise(stream: Arc<Stream>) {
    let held = tokio::sync::Mutex::new(Held::default());
    let supervisor = stream.context.supervisor.clone();
    supervisor.run("streams", || async { carry_out(&stream, &mut *held.lock().await).await }).await;
}

async fn carry_out(stream: &Arc<Stream>, held: &mut Held) {
    if std::mem::replace(&mut held.has_begun, true) && held.running.is_none() && stream.lock().delivering {
        // The effect that panicked was the start of the producer.
        ended(stream, Err(Error::new(Code::Internal, "the stream's task crashed (see the log)")));
    }
    loop {
        let effect = {
            let mut core = stream.lock();
            let effect = core.effects.pop_front();
            if effect.is_none() && held.running.is_none() && held.timer.is_none() {
                core.supervised = false;
                return;
            }
            effect
        };
        faults::pass("supervisor of a stream", &stream.name);
        match effect {
            Some(Effect::Start) => held.running = Some(start(stream)),
            Some(Effect::Stop(why)) => {
                if let Some(running) = held.running.take() {
                    stop(stream, running, why).await;
                }
            }
            Some(Effect::Arm(which)) => held.timer = Some((which, Instant::now() + delay(stream, which))),
            Some(Effect::Disarm) => held.timer = None,
            None => wait(stream, held).await,
        }
    }
}

/// Waits for an event, for the end of the producer, or for the timer.
async fn wait(stream: &Arc<Stream>, held: &mut Held) {
    select! {
        () = stream.wake.notified() => {}
        end = end_of(&mut held.running) => {
            held.running = None;
            ended(stream, end.unwrap_or_else(|gone| Err(Error::internal("the producer was aborted", gone))));
        }
        which = fired(held.timer) => {
            held.timer = None;
            stream.step(&mut stream.lock(), Event::Fired(which), None);
        }
    }
}

/// The end of the producer; waits for ever if none runs.
async fn end_of(running: &mut Option<Running>) -> Result<Result<()>, JoinError> {
    match running {
        Some(running) => (&mut running.task).await,
        None => std::future::pending().await,
    }
}

/// The timer, when it is due; waits for ever if there is none.
async fn fired(timer: Option<(Timer, Instant)>) -> Timer {
    match timer {
        Some((which, at)) => {
            sleep_until(at).await;
            which
        }
        None => std::future::pending().await,
    }
}

fn start(stream: &Arc<Stream>) -> Running {
    let stop = CancellationToken::new();
    let (producer, run, demand) = {
        let core = stream.lock();
        (core.producer.clone(), core.run, core.demands.subscribe())
    };
    tracing::debug!(stream = %stream.name, kind = producer.kind(), "starting");
    let name = stream.name.clone();
    let sink = FrameSink::new(stream.clone(), run);
    let run = Run { name, sink, stop: stop.clone(), demand };
    // A panic in one producer must not end the supervisor, because the stream's watchers would then wait for ever. A producer
    // can panic before it returns its future, too.
    let work = async move {
        faults::pass("producer", &run.name);
        producer.run(run).await
    };
    trace_start(stream);
    let guarded = AssertUnwindSafe(work)
        .catch_unwind()
        .map(|end| end.unwrap_or_else(|_| Err(Error::new(Code::Internal, "the producer crashed (see the log)"))));
    Running { task: stream.context.runtime.spawn(guarded), stop }
}

/// Records the time from the start of a producer to its first picture, below what has caused the start.
fn trace_start(stream: &Arc<Stream>) {
    let Some(traces) = stream.context.traces.get() else { return };
    let mut span = traces.begin("start producer", Kind::Internal, traces.cause_of(&stream.name));
    if !span.is_recorded() {
        return;
    }
    span.set("stream", &stream.name);
    span.set("kind", stream.kind());
    let mut status = stream.status.subscribe();
    stream.context.runtime.spawn(async move {
        let ended = timeout(LONGEST_START, status.wait_for(|status| status.state != State::Starting)).await;
        match ended {
            Ok(Ok(status)) if !matches!(status.state, State::Live) => span.fail(&status.reason),
            Ok(Ok(_)) => {}
            Ok(Err(_)) => span.fail("the stream was removed"),
            Err(_) => span.fail("it is still starting"),
        }
    });
}

async fn stop(stream: &Arc<Stream>, mut running: Running, why: Stop) {
    tracing::debug!(stream = %stream.name, reason = why.reason(), "stopping");
    running.stop.cancel();
    if timeout(STOP_GRACE, &mut running.task).await.is_err() {
        tracing::warn!(stream = %stream.name, "the producer did not end in time and is aborted");
        running.task.abort();
    }
}

fn ended(stream: &Arc<Stream>, end: Result<()>) {
    let error = end.err().unwrap_or_else(|| Error::new(Code::Unavailable, "the producer ended"));
    tracing::info!(stream = %stream.name, "producer failed: {}", error.chain());
    let mut core = stream.lock();
    core.delivering = false;
    let run = core.run;
    core.failures.note(run, &error);
    stream.step(&mut core, Event::Ended, Some(error.to_string()));
}

fn delay(stream: &Arc<Stream>, timer: Timer) -> Duration {
    let settings = &stream.context.settings;
    match timer {
        Timer::Start => *settings.start_timeout,
        Timer::Linger => *settings.linger,
        Timer::Retry => stream.lock().retry_after(*settings.retry_max),
    }
}
