//! Video of a source, with a producer that hands units over.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use mp4_atom::{Any, Decode};
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, advance};

use super::*;
use crate::{
    output::h264::{Encodings, H264Settings, Want},
    picture::{Picture, PictureLimits, testing},
    stream::{
        Demand, Ended, FrameSink, Origin, Producer, ProducerFuture, Registry, Run, Stream, StreamLimits, StreamName,
        StreamSettings, VideoCodec, VideoUnit,
    },
};

/// Parameter sets of x264's baseline profile, for 320 x 180 and for 640 x 360 pixels; and of its high profile, with B-frames.
const SMALL: [&str; 2] = ["6742c00bd901419f9f011000000300100000030140f142a480", "68cb83cb20"];
const LARGE: [&str; 2] = ["6742c016d900a02ff97011000003000100000300140f162e48", "68cb83cb20"];
const REORDERED: [&str; 2] = ["6764000cacd941519e69b011000003000100000300140f142996", "68ebe3cb22c0"];

/// A camera whose units the test sends.
#[derive(Default)]
struct Camera(Mutex<Option<FrameSink>>);

impl Producer for Camera {
    fn kind(&self) -> &'static str {
        "rtsp"
    }

    fn passes_video(&self) -> bool {
        true
    }

    fn run(&self, run: Run) -> ProducerFuture {
        run.sink.pass_anew();
        *self.0.lock() = Some(run.sink);
        Box::pin(async move {
            run.stop.cancelled().await;
            Ok(())
        })
    }
}

struct Bench {
    registry: Registry,
    stream: Arc<Stream>,
    camera: Arc<Camera>,
    encodings: Encodings,
    /// The RTP time of the next unit, just before it wraps.
    timestamp: u32,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
        let name = StreamName::parse("cam").expect("a name");
        let camera = Arc::new(Camera::default());
        let stream = registry.define(&name, Origin::Api, camera.clone()).expect("room");
        let encodings = Encodings::new(H264Settings::default(), Duration::from_millis(700), PictureLimits::default());
        Bench { registry, stream, camera, encodings, timestamp: u32::MAX - 10_000 }
    }

    fn sink(&self) -> FrameSink {
        self.camera.0.lock().clone().expect("runs")
    }

    /// Sends a unit 33 ms after the last one.
    async fn send(&mut self, sets: Option<[&str; 2]>) {
        advance(Duration::from_millis(33)).await;
        self.timestamp = self.timestamp.wrapping_add(3000);
        self.send_at(sets, self.timestamp);
    }

    fn send_at(&self, sets: Option<[&str; 2]>, timestamp: u32) {
        let hex = |text: &str| -> Bytes {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
        };
        let slice = if sets.is_some() { &b"\x65key"[..] } else { b"\x41delta" };
        let mut nals: Vec<_> = sets.iter().flatten().map(|set| hex(set)).collect();
        nals.push(Bytes::from_static(slice));
        let unit = VideoUnit {
            codec: VideoCodec::H264,
            nals,
            is_key: sets.is_some(),
            has_loss: false,
            timestamp,
            received_at: Instant::now(),
        };
        self.sink().pass(unit);
    }

    async fn feed(&self) -> Feed {
        feeds(self.encodings.clone(), self.stream.clone(), Want::default())().await.expect("opens")
    }
}

/// Begin, duration, whether it is a keyframe, and the data.
async fn next(feed: &mut Feed) -> (u64, u32, bool, Vec<u8>) {
    let piece = tokio::time::timeout(Duration::from_secs(1), feed.next()).await.expect("in time").expect("goes on");
    let mut rest = &piece.data[..];
    let (Any::Moof(moof), Any::Mdat(mdat)) =
        (Any::decode(&mut rest).expect("a box"), Any::decode(&mut rest).expect("a box"))
    else {
        panic!("no fragment")
    };
    let sample = moof.traf[0].trun[0].samples.get(0).expect("one");
    let at = moof.traf[0].tfdt.as_ref().expect("a time").base_media_decode_time;
    (at, sample.duration.expect("one"), piece.is_keyframe, mdat.data)
}

#[tokio::test(start_paused = true)]
async fn units_are_passed_on_without_decoding_and_a_newcomer_is_at_the_newest_one_at_once() {
    let mut bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    for _ in 0..30 {
        bench.send(None).await;
    }
    let mut feed = bench.feed().await;
    assert_eq!(feed.tracks().content_type(), "video/mp4; codecs=\"avc1.42C00B\"");
    assert_eq!((feed.tracks().video.width, feed.tracks().video.height), (320, 180));
    let (at, _, is_key, data) = next(&mut feed).await;
    assert_eq!((at, is_key, data.as_slice()), (0, true, &b"\0\0\0\x04\x65key"[..]), "the sets are in the init segment");
    let mut end = 90;
    for _ in 0..30 {
        let (at, duration, is_key, data) = next(&mut feed).await;
        assert_eq!((at, is_key, data.as_slice()), (end, false, &b"\0\0\0\x06\x41delta"[..]));
        end = at + u64::from(duration);
    }
    assert!(end < 90 * 250, "a second of the past takes {end} ticks");
    // From now on with the times of the source, over the end of their 32 bits.
    for n in 0..30 {
        bench.send((n == 10).then_some(SMALL)).await;
        let (at, duration, is_key, _) = next(&mut feed).await;
        assert_eq!((at, duration, is_key), (end, 3000, n == 10));
        end = at + 3000;
    }
    assert_eq!((bench.stream.stats().watchers, bench.encodings.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_size_ends_the_feed_with_the_reason() {
    let mut bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    let mut feed = bench.feed().await;
    next(&mut feed).await;
    bench.send(Some(LARGE)).await;
    assert_eq!(feed.next().await, Err(Ended("the size or the codec of the video has changed")));
    let again = bench.feed().await;
    assert_eq!((again.tracks().video.width, again.tracks().video.height), (640, 360), "a player connects again");
}

#[tokio::test(start_paused = true)]
async fn another_connection_of_the_source_continues_without_a_gap() {
    let mut bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    let mut feed = bench.feed().await;
    let (at, duration, ..) = next(&mut feed).await;
    bench.sink().pass_anew();
    bench.send(None).await;
    advance(Duration::from_millis(300)).await;
    bench.timestamp = 2_000_000_000;
    bench.send(Some(SMALL)).await;
    let (then, duration_then, is_key, _) = next(&mut feed).await;
    assert_eq!((then, is_key), (at + u64::from(duration), true), "the unit before the keyframe is left out");
    assert_eq!(duration_then, 90 * 366, "times of the clock");
}

#[tokio::test(start_paused = true)]
async fn video_with_b_frames_ends_with_the_reason_or_is_encoded() {
    let mut bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    let mut feed = bench.feed().await;
    // Display order, in coding order.
    for picture in [0, 3, 1, 2, 6, 4, 5, 9, 7, 8] {
        advance(Duration::from_millis(33)).await;
        bench.send_at(None, 500_000 + 3000 * picture);
    }
    let why = loop {
        if let Err(why) = feed.next().await {
            break why;
        }
    };
    assert!(why.0.contains("B-frames"), "{why:?}");

    // The parameter sets say it before.
    bench.send(Some(REORDERED)).await;
    let jpeg = testing::photo_numbered(64, 48, 1).into();
    bench.sink().publish(&Picture { jpeg, width: 64, height: 48, captured_at: SystemTime::now() }).expect("room");
    let feed = bench.feed().await;
    assert_eq!((feed.tracks().video.width, bench.encodings.len()), (64, 1), "its pictures");
}

#[tokio::test(start_paused = true)]
async fn a_source_without_video_that_can_be_passed_on_is_encoded_and_a_silent_one_is_an_error() {
    let bench = Bench::new();
    let open = feeds(bench.encodings.clone(), bench.stream.clone(), Want::default());
    let (feed, ()) = tokio::join!(open(), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let jpeg = testing::photo_numbered(64, 48, 1).into();
        bench.sink().publish(&Picture { jpeg, width: 64, height: 48, captured_at: SystemTime::now() }).expect("room");
    });
    assert_eq!(feed.expect("opens").tracks().video.width, 64);

    let silent = Bench::new();
    let refused = feeds(silent.encodings.clone(), silent.stream.clone(), Want::default())().await;
    let refused = refused.err().expect("refused").to_string();
    assert!(refused.contains("gives no video"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_wanted_size_is_encoded_and_the_end_of_the_stream_ends_the_feed() {
    let mut bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    let jpeg = testing::photo_numbered(320, 180, 1).into();
    bench.sink().publish(&Picture { jpeg, width: 320, height: 180, captured_at: SystemTime::now() }).expect("room");
    let want = Want::parse(Some("64"), None, None).expect("valid");
    let encoded = feeds(bench.encodings.clone(), bench.stream.clone(), want)().await.expect("opens");
    assert_eq!(encoded.tracks().video.width, 64);
    let mut feed = bench.feed().await;
    next(&mut feed).await;
    bench.registry.remove(bench.stream.name(), "removed by a test");
    assert_eq!(feed.next().await, Err(Ended("removed by a test")));
}
