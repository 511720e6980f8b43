use std::{sync::atomic::Ordering, time::SystemTime};

use bytes::Bytes;
use tokio::time::{Duration, Instant, timeout};

use super::*;
use crate::{
    error::{Code, Error},
    picture::{Picture, testing},
    stream::{Mode, Origin, Producer, ProducerFuture, Run, State, StreamLimits, StreamSettings},
};

/// A producer without pictures: it waits, or fails at once.
struct Idle {
    fails: bool,
}

impl Producer for Idle {
    fn kind(&self) -> &'static str {
        "upload"
    }

    fn mode(&self) -> Mode {
        if self.fails { Mode::Pulled } else { Mode::Pushed }
    }

    fn run(&self, run: Run) -> ProducerFuture {
        let fails = self.fails;
        Box::pin(async move {
            if fails {
                return Err(Error::new(Code::NoPicture, "the lens cap is on"));
            }
            run.stop.cancelled().await;
            Ok(())
        })
    }
}

struct Bench {
    registry: Registry,
    stream: Arc<Stream>,
    variants: Variants,
}

impl Bench {
    fn new(settings: VariantSettings) -> Self {
        Bench::with(settings, Idle { fails: false })
    }

    fn with(settings: VariantSettings, producer: Idle) -> Self {
        let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
        let stream = registry.define(&name(), Origin::Upload, Arc::new(producer)).expect("room");
        let variants = Variants::new(settings, PictureLimits::default(), registry.clone());
        Bench { registry, stream, variants }
    }

    fn push(&self, number: u32) -> SharedFrame {
        let jpeg = Bytes::from(testing::photo_numbered(160, 120, number));
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + u64::from(number));
        let picture = Picture { jpeg, width: 160, height: 120, captured_at: at };
        self.stream.push(&picture).expect("room").expect("not closed")
    }

    fn join(&self, query: &str, caller: &str) -> Result<Watching> {
        self.variants.join(self.stream.watch().expect("continues"), transform(query), caller)
    }

    async fn still(&self, frame: &SharedFrame, query: &str) -> Result<Arc<Applied>> {
        self.variants.still(&name(), frame, &transform(query), "a caller").await
    }

    fn encoded(&self) -> u64 {
        self.variants.conversions().counters().encoded.load(Ordering::Relaxed)
    }

    fn shared(&self) -> u64 {
        self.variants.conversions().counters().shared.load(Ordering::Relaxed)
    }
}

fn name() -> StreamName {
    StreamName::parse("cam").expect("a name")
}

fn transform(query: &str) -> Transform {
    Transform::from_query(query).expect("a transform")
}

async fn next(watching: &mut Watching) -> SharedFrame {
    timeout(Duration::from_secs(20), watching.watch.next()).await.expect("in time").expect("continues")
}

#[tokio::test]
async fn eight_sizes_with_eight_watchers_each_take_eight_encodings_a_picture() {
    let bench = Bench::new(VariantSettings::default());
    let queries: Vec<_> = (1..=8).map(|n| format!("w={}", 16 * n + 8)).collect();
    let mut watchers = vec![];
    for query in &queries {
        for n in 0..8 {
            watchers.push((query, bench.join(query, &n.to_string()).expect("room")));
        }
    }
    assert_eq!((bench.variants.len(), bench.stream.stats().watchers), (8, 64));
    for number in 1..=5 {
        let original = bench.push(number);
        for (query, watching) in &mut watchers {
            let frame = next(watching).await;
            assert_eq!(format!("w={}", frame.width), **query);
            assert_eq!((frame.captured_at, frame.received_at), (original.captured_at, original.received_at));
        }
        assert_eq!(bench.encoded(), 8 * u64::from(number));
        // Snapshots of the same variants take no more encodings.
        for query in &queries {
            bench.still(&original, query).await.expect("kept");
        }
        assert_eq!(bench.encoded(), 8 * u64::from(number));
    }
    let stats = bench.variants.stats().remove(&name()).expect("there are some");
    assert_eq!(stats.len(), 8);
    assert!(stats.iter().all(|s| s.watchers == 8 && s.frames == 5 && s.last_bytes > 100), "{stats:?}");
}

#[tokio::test]
async fn equal_snapshots_at_the_same_time_take_one_conversion() {
    let bench = Bench::new(VariantSettings::default());
    let frame = bench.push(1);
    let all = futures_util::future::join_all((0..50).map(|_| bench.still(&frame, "w=40&gray=1"))).await;
    let first = all[0].as_ref().expect("made");
    assert!(all.iter().all(|applied| Arc::ptr_eq(applied.as_ref().expect("made"), first)));
    assert_eq!((bench.encoded(), bench.shared()), (1, 49));
    let newer = bench.push(2);
    let second = bench.still(&newer, "w=40&gray=1").await.expect("made");
    assert!(!Arc::ptr_eq(first, &second) && second.jpeg != first.jpeg);
    assert_eq!(
        bench.variants.conversions().bytes(),
        second.jpeg.len(),
        "the result for an earlier picture is not kept"
    );
    // These transforms do not change the picture.
    for query in ["w=160", "w=3000&h=3000", "fps=2", "rotate=360"] {
        assert_eq!(bench.still(&newer, query).await.expect("the same").jpeg, newer.jpeg(), "{query}");
    }
    assert_eq!(bench.encoded(), 2);
}

#[tokio::test]
async fn the_cache_is_bounded_by_bytes_and_evicts_the_least_recently_used() {
    let size = {
        let bench = Bench::new(VariantSettings::default());
        bench.still(&bench.push(1), "w=40&quality=50").await.expect("made").jpeg.len()
    };
    let settings = VariantSettings { cache: Size(2 * size as u64 + size as u64 / 2), ..VariantSettings::default() };
    let bench = Bench::new(settings);
    let frame = bench.push(1);
    for query in ["w=40&quality=50", "w=41&quality=50", "w=40&quality=50", "w=42&quality=50"] {
        bench.still(&frame, query).await.expect("made");
    }
    assert_eq!(bench.encoded(), 3);
    bench.still(&frame, "w=40&quality=50").await.expect("kept");
    assert_eq!(bench.encoded(), 3, "used recently, kept");
    bench.still(&frame, "w=41&quality=50").await.expect("made again");
    assert_eq!(bench.encoded(), 4, "least recently used, made again");
}

#[tokio::test]
async fn variants_are_limited_in_all_and_for_each_caller() {
    let bench = Bench::new(VariantSettings { max: 3, max_per_caller: 2, ..VariantSettings::default() });
    let a: Vec<_> = ["w=10", "w=20"].iter().map(|query| bench.join(query, "a").expect("room")).collect();
    let refusal = |joined: Result<Watching>| joined.err().map(|e| (e.code(), e.to_string())).expect("refused");
    let (code, text) = refusal(bench.join("w=30", "a"));
    assert_eq!((code, text.contains("variants.max_per_caller")), (Code::TooManyTranscodes, true), "{text}");
    let b = (bench.join("w=10", "b").expect("shared"), bench.join("w=30", "b").expect("room"));
    let (code, text) = refusal(bench.join("w=40", "c"));
    assert_eq!((code, text.contains("variants.max)")), (Code::TooManyTranscodes, true), "{text}");
    bench.join("w=20", "c").expect("a variant that others watch is always available");
    bench.join("rotate=360", "c").expect("a transform that changes nothing is no variant");
    assert_eq!(bench.variants.refused(), 2);
    drop((a, b));
    tokio::task::yield_now().await;
    assert_eq!(bench.stream.stats().watchers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_variant_ends_with_its_last_watcher_and_its_stream() {
    let bench = Bench::new(VariantSettings::default());
    bench.push(1);
    let mut watching = bench.join("w=40", "a").expect("room");
    next(&mut watching).await;
    drop(watching);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut again = bench.join("w=40", "a").expect("room");
    next(&mut again).await;
    assert_eq!((bench.variants.len(), bench.encoded()), (1, 1), "the watcher returned in time");
    drop(again);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(bench.variants.len(), 0);
    assert!(bench.variants.stats().is_empty());

    let mut watching = bench.join("w=40&fps=0.01", "a").expect("room");
    next(&mut watching).await;
    bench.registry.remove(&name(), "it was removed");
    let ended = timeout(Duration::from_secs(3), watching.watch.next()).await.expect("the end is passed on at once");
    assert!(ended.is_err(), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_requested_rate_is_kept_and_the_last_picture_always_arrives() {
    let bench = Bench::new(VariantSettings::default());
    bench.push(0);
    let mut watching = bench.join("fps=4", "a").expect("room");
    let began = Instant::now();
    let pushing = async {
        for number in 1..=20 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            bench.push(number);
        }
    };
    let watch = async {
        let mut came = vec![];
        loop {
            let frame = next(&mut watching).await;
            came.push(began.elapsed().as_millis());
            if frame.captured_at == SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_020) {
                return came;
            }
        }
    };
    let ((), came) = tokio::join!(pushing, watch);
    assert!((5..=6).contains(&came.len()), "{came:?}");
    // Each can be a quarter of the interval early, and the rhythm stays.
    assert!(came.windows(2).all(|pair| pair[1] - pair[0] >= 187), "{came:?}");
    assert!((0_u128..).zip(&came).all(|(n, at)| *at + 63 >= n * 250), "{came:?}");
    assert_eq!(bench.stream.stats().dropped, 0, "frames skipped on purpose do not count as dropped");
}

#[tokio::test(start_paused = true)]
async fn the_reason_for_a_missing_picture_is_passed_on() {
    let bench = Bench::with(VariantSettings::default(), Idle { fails: true });
    let watching = bench.join("w=40", "a").expect("room");
    let mut states = watching.watch.states();
    let told = async { while !states.next().await.1.contains("the lens cap is on") {} };
    timeout(Duration::from_secs(5), told).await.expect("told");
    assert!(!matches!(watching.watch.stream().state().0, State::Failing { .. }), "a variant waits for its parent");
    assert!(watching.watch.placeholder().placeholder);
}

#[tokio::test]
async fn a_broken_picture_is_an_error_and_the_next_picture_arrives() {
    let bench = Bench::new(VariantSettings::default());
    let mut watching = bench.join("w=40", "a").expect("room");
    let whole = testing::photo(160, 120);
    let broken = Picture {
        jpeg: [&whole[..320], &[0xFF, 0xD9]].concat().into(),
        width: 160,
        height: 120,
        captured_at: SystemTime::now(),
    };
    let frame = bench.stream.push(&broken).expect("room").expect("not closed");
    assert_eq!(bench.still(&frame, "w=40").await.expect_err("broken").code(), Code::BrokenPicture);
    let _ = bench.still(&frame, "w=40").await;
    assert_eq!(
        bench.variants.conversions().counters().failed.load(Ordering::Relaxed),
        1,
        "the second request shares the failure"
    );
    bench.push(1);
    assert_eq!(next(&mut watching).await.width, 40);
}
