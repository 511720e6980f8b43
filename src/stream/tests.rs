//! The life of streams with a scripted producer, on a paused clock.

mod demand;
mod fetch;

use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Duration, Instant, timeout},
};

use super::*;
use crate::{
    error::{Code, Error},
    picture::{Picture, testing},
};

/// The next step of a scripted run.
#[derive(Debug)]
enum Act {
    Publish(Picture),
    StillCurrent,
    Problem(&'static str),
    Fail(&'static str),
    Panic,
}

/// A producer that the test controls, with counters of its runs.
struct Scripted {
    mode: Mode,
    acts: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Act>>>,
    runs: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    sinks: Arc<Mutex<Vec<FrameSink>>>,
}

struct Remote {
    acts: mpsc::UnboundedSender<Act>,
    runs: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
    sinks: Arc<Mutex<Vec<FrameSink>>>,
}

fn scripted(mode: Mode) -> (Arc<dyn Producer>, Remote) {
    let (send, receive) = mpsc::unbounded_channel();
    let (runs, running, sinks) = (Arc::default(), Arc::default(), Arc::default());
    let remote =
        Remote { acts: send, runs: Arc::clone(&runs), running: Arc::clone(&running), sinks: Arc::clone(&sinks) };
    let acts = Arc::new(tokio::sync::Mutex::new(receive));
    (Arc::new(Scripted { mode, acts, runs, running, sinks }), remote)
}

impl Producer for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn mode(&self) -> Mode {
        self.mode
    }

    fn run(&self, run: Run) -> ProducerFuture {
        struct RunGuard(Arc<AtomicUsize>);
        impl Drop for RunGuard {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let acts = self.acts.clone();
        self.runs.fetch_add(1, SeqCst);
        self.running.fetch_add(1, SeqCst);
        self.sinks.lock().push(run.sink.clone());
        let guard = RunGuard(self.running.clone());
        Box::pin(async move {
            let _guard = guard;
            loop {
                let act = tokio::select! {
                    () = run.stop.cancelled() => return Ok(()),
                    act = async { acts.lock().await.recv().await } => act,
                };
                match act {
                    Some(Act::Publish(picture)) => drop(run.sink.publish(&picture)?),
                    Some(Act::StillCurrent) => run.sink.still_current(),
                    Some(Act::Problem(why)) => run.sink.report_problem(why),
                    Some(Act::Fail(why)) => return Err(Error::new(Code::Unavailable, why)),
                    Some(Act::Panic) => panic!("a bug in a producer"),
                    None => std::future::pending().await,
                }
            }
        })
    }
}

fn picture(number: u32) -> Picture {
    Picture {
        jpeg: Bytes::from(testing::photo_numbered(16, 16, number)),
        width: 16,
        height: 16,
        captured_at: std::time::SystemTime::now(),
    }
}

fn name(text: &str) -> StreamName {
    StreamName::parse(text).expect("a name")
}

/// Lets every task that can run do so; on the paused clock this takes no time.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn advance(by: Duration) {
    settle().await;
    tokio::time::advance(by).await;
    settle().await;
}

fn registry() -> Registry {
    Registry::new(StreamSettings::default(), StreamLimits { streams: 3, ..Default::default() })
}

fn pulled(registry: &Registry, text: &str) -> (Arc<Stream>, Remote) {
    let (producer, remote) = scripted(Mode::Pulled);
    (registry.define(&name(text), Origin::File, producer).expect("room"), remote)
}

#[tokio::test(start_paused = true)]
async fn the_first_watch_starts_and_the_last_one_stops_after_the_linger() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    settle().await;
    assert_eq!(remote.runs.load(SeqCst), 0, "no producer runs without a watcher");

    let mut first = stream.watch().expect("open");
    let second = stream.watch().expect("open");
    settle().await;
    assert_eq!(stream.state().0, State::Starting);
    remote.acts.send(Act::Publish(picture(1))).expect("listens");
    assert_eq!(first.next().await.expect("a frame").seq, 1);
    assert_eq!((remote.runs.load(SeqCst), stream.state().0), (1, State::Live));

    drop(first);
    advance(Duration::from_secs(60)).await;
    assert_eq!(remote.running.load(SeqCst), 1, "one still watches");
    drop(second);
    advance(Duration::from_millis(9_900)).await;
    assert_eq!((remote.running.load(SeqCst), stream.state().0.as_str()), (1, "lingering"));
    advance(Duration::from_millis(200)).await;
    assert_eq!((remote.running.load(SeqCst), stream.state()), (0, (State::Idle, "no watchers".into())));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_who_returns_within_the_linger_finds_the_producer_running() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    let watch = stream.watch().expect("open");
    remote.acts.send(Act::Publish(picture(1))).expect("listens");
    settle().await;
    drop(watch);
    advance(Duration::from_secs(9)).await;
    let mut again = stream.watch().expect("open");
    advance(Duration::from_secs(60)).await;
    assert_eq!((remote.runs.load(SeqCst), stream.state().0), (1, State::Live));
    assert_eq!(again.next().await.expect("the held one").seq, 1);
}

#[tokio::test(start_paused = true)]
async fn no_picture_in_time_is_a_failure_and_retries_have_growing_pauses() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    let watch = stream.watch().expect("open");
    let began = Instant::now();
    assert_eq!(watch.failures().next().await, "no picture within the start timeout");
    assert_eq!(began.elapsed().as_secs(), 10);
    settle().await;
    assert_eq!(remote.running.load(SeqCst), 0);

    let mut starts = vec![];
    for run in 2..8 {
        while remote.runs.load(SeqCst) < run {
            advance(Duration::from_millis(100)).await;
        }
        starts.push(began.elapsed().as_secs_f64());
        remote.acts.send(Act::Fail("camera unplugged")).expect("listens");
        settle().await;
        assert_eq!(stream.state().1, "camera unplugged");
    }
    let pauses: Vec<f64> = starts.windows(2).map(|w| w[1] - w[0]).collect();
    for (pause, least) in pauses.iter().zip([2.0, 4.0, 8.0, 16.0, 30.0]) {
        assert!((least..least * 1.2 + 0.2).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn watchers_who_come_and_go_do_not_shorten_the_retry_pause() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    let first = stream.watch().expect("open");
    settle().await;
    remote.acts.send(Act::Fail("refused")).expect("listens");
    settle().await;
    drop(first);
    for _ in 0..20 {
        let impatient = stream.watch().expect("open");
        assert_eq!(impatient.failures().next().await, "refused", "the failure is reported at once");
    }
    assert_eq!(remote.runs.load(SeqCst), 1);
    advance(Duration::from_secs(2)).await;
    assert_eq!(stream.state().0, State::Idle, "no retry without a watcher");
    assert_eq!(remote.runs.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_a_producer_is_a_failure() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    let mut watch = stream.watch().expect("open");
    remote.acts.send(Act::Panic).expect("listens");
    assert!(watch.failures().next().await.contains("crashed"));
    remote.acts.send(Act::Publish(picture(1))).expect("listens");
    assert_eq!(watch.next().await.expect("after the retry").seq, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pushed_stream_waits_for_its_peer_for_ever() {
    let registry = registry();
    let (producer, remote) = scripted(Mode::Pushed);
    let stream = registry.define(&name("up"), Origin::Upload, producer).expect("room");
    let mut watch = stream.watch().expect("open");
    advance(Duration::from_secs(3600)).await;
    assert_eq!(stream.state(), (State::Starting, "waiting for the first picture".into()));
    stream.push(&picture(1)).expect("room");
    assert_eq!(watch.next().await.expect("pushed").seq, 1);
    assert_eq!(stream.state().0, State::Live);
    drop(watch);
    advance(Duration::from_secs(11)).await;
    stream.push(&picture(2)).expect("room");
    assert_eq!(stream.state(), (State::Idle, "a picture is held; no watchers".into()));

    let mut later = stream.watch().expect("open");
    remote.acts.send(Act::StillCurrent).expect("listens");
    settle().await;
    assert_eq!((later.next().await.expect("held").seq, stream.state().0), (2, State::Live));
}

#[tokio::test(start_paused = true)]
async fn a_slow_watcher_skips_frames_and_counts_them() {
    let registry = registry();
    let (stream, _remote) = pulled(&registry, "cam");
    let (mut fast, mut slow) = (stream.watch().expect("open"), stream.watch().expect("open"));
    let mut seen = vec![];
    for n in 1..=10 {
        stream.push(&picture(n)).expect("room");
        seen.push(fast.next().await.expect("each one").seq);
        if n == 1 {
            slow.next().await.expect("the first");
        }
    }
    assert_eq!(seen, (1..=10).collect::<Vec<_>>());
    assert_eq!(slow.next().await.expect("the latest").seq, 10);
    assert_eq!((slow.dropped(), fast.dropped(), stream.stats().dropped), (8, 0, 8));
}

#[tokio::test(start_paused = true)]
async fn pictures_and_problems_of_a_stopped_run_are_dropped() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    let watch = stream.watch().expect("open");
    settle().await;
    drop(watch);
    advance(Duration::from_secs(11)).await;
    let late = remote.sinks.lock()[0].clone();
    assert!(late.publish(&picture(1)).expect("no error").is_none());
    assert!(stream.latest().is_none());
    late.report_problem("too late");
    assert_eq!(stream.state().1, "no watchers");
}

#[tokio::test(start_paused = true)]
async fn a_problem_is_reported_until_the_next_picture() {
    let registry = registry();
    let (stream, remote) = pulled(&registry, "cam");
    let _watch = stream.watch().expect("open");
    remote.acts.send(Act::Problem("the camera does not answer")).expect("listens");
    settle().await;
    assert_eq!(stream.state(), (State::Starting, "the camera does not answer".into()));
    let before = stream.placeholder();
    assert!(before.placeholder && before.seq == 0);
    assert!(Arc::ptr_eq(&before, &stream.placeholder()), "drawn once");
    remote.acts.send(Act::Publish(picture(1))).expect("listens");
    settle().await;
    assert_eq!(stream.state(), (State::Live, "pictures arrive".into()));
    assert!(!Arc::ptr_eq(&before, &stream.placeholder()), "drawn anew for a new reason");
}

#[tokio::test(start_paused = true)]
async fn a_redefined_stream_keeps_its_watchers() {
    let registry = registry();
    let (stream, old) = pulled(&registry, "cam");
    let mut watch = stream.watch().expect("open");
    old.acts.send(Act::Publish(picture(1))).expect("listens");
    assert_eq!(watch.next().await.expect("old").seq, 1);
    let (producer, new) = scripted(Mode::Pulled);
    let same = registry.define(&name("cam"), Origin::Api, producer).expect("there");
    assert!(Arc::ptr_eq(&same, &stream));
    settle().await;
    assert_eq!((old.running.load(SeqCst), new.running.load(SeqCst)), (0, 1));
    assert!(stream.latest().is_none(), "the old producer's picture is not the new one's");
    new.acts.send(Act::Publish(picture(2))).expect("listens");
    assert_eq!(watch.next().await.expect("new").seq, 2);
}

#[tokio::test(start_paused = true)]
async fn removal_and_shutdown_end_every_wait() {
    let registry = registry();
    let (stream, _remote) = pulled(&registry, "cam");
    let mut watch = stream.watch().expect("open");
    assert!(registry.remove(&name("cam"), "it was deleted"));
    assert_eq!(watch.next().await.expect_err("ended"), Ended("it was deleted"));
    assert!(stream.watch().is_err());
    assert!(registry.get("cam").is_none() && registry.is_empty());
    drop(watch);

    let (stream, remote) = pulled(&registry, "other");
    let mut watch = stream.watch().expect("open");
    settle().await;
    timeout(Duration::from_secs(1), registry.close()).await.expect("closes");
    assert_eq!(watch.next().await.expect_err("ended"), Ended("the server is shutting down"));
    assert_eq!(remote.running.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_streams_is_limited_and_a_removed_stream_frees_its_place() {
    let registry = registry();
    for n in 0..3 {
        pulled(&registry, &format!("cam{n}"));
    }
    let one_more = || registry.define(&name("cam3"), Origin::Upload, scripted(Mode::Pushed).0);
    let error = one_more().map(|_| ()).expect_err("full");
    assert_eq!(error.code(), Code::TooManyStreams);
    registry.remove(&name("cam0"), "deleted");
    one_more().expect("a place is free");
    assert_eq!(registry.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn unused_streams_of_uploads_and_recipes_are_removed() {
    let registry = registry();
    let keep = pulled(&registry, "kept").0;
    let empty = registry.define(&name("empty"), Origin::Pull, scripted(Mode::Pulled).0).expect("room");
    let full = registry.define(&name("full"), Origin::Upload, scripted(Mode::Pushed).0).expect("room");
    full.push(&picture(1)).expect("room");
    drop((keep, empty, full));
    let sweep = || {
        let forgotten = Mutex::new(vec![]);
        registry.sweep(|name| forgotten.lock().push(name.to_string()));
        forgotten.into_inner()
    };
    advance(Duration::from_secs(601)).await;
    assert_eq!(sweep(), ["empty"]);
    advance(Duration::from_secs(29 * 86_400)).await;
    let watched = registry.get("full").expect("there").watch().expect("open");
    advance(Duration::from_secs(2 * 86_400)).await;
    assert!(sweep().is_empty(), "watched");
    drop(watched);
    advance(Duration::from_secs(31 * 86_400)).await;
    assert_eq!(sweep(), ["full"]);
    assert_eq!(registry.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pictures_without_a_watcher_are_dropped_when_memory_is_full() {
    let one = picture(1).jpeg.len();
    let registry = Registry::new(
        StreamSettings::default(),
        StreamLimits { frame_memory: Size(2 * one as u64 + 200), ..Default::default() },
    );
    let streams: Vec<_> = (0..3)
        .map(|n| {
            let (producer, _) = scripted(Mode::Pushed);
            registry.define(&name(&format!("s{n}")), Origin::Upload, producer).expect("room")
        })
        .collect();
    streams[0].push(&picture(1)).expect("room");
    advance(Duration::from_secs(1)).await;
    let _watch = streams[1].watch().expect("open");
    streams[1].push(&picture(1)).expect("room");
    streams[2].push(&picture(1)).expect("the unwatched picture makes room");
    let held: Vec<_> = streams.iter().map(|s| s.latest().is_some()).collect();
    assert_eq!(held, [false, true, true]);

    let _second = streams[2].watch().expect("open");
    let error = streams[0].push(&picture(1)).expect_err("both others are watched");
    assert_eq!(error.code(), Code::FrameMemory);
}
