//! Video of a source, with a producer that hands units over.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures_util::FutureExt;
use mp4_atom::{Any, Decode};
use parking_lot::Mutex;
use tokio::time::{Duration, Instant, advance};

use super::*;
use crate::{
    output::h264::{Encodings, H264Settings, Want},
    picture::{Picture, PictureLimits, testing},
    stream::{
        Demand, Ended, FrameSink, Origin, Producer, ProducerFuture, Registry, Run, SharedFraming, Sound, SoundCodec,
        SoundUnit, Stream, StreamLimits, StreamName, StreamSettings, VideoCodec, VideoUnit,
    },
};

/// Parameter sets of x264's baseline profile, for 320 x 180 and for 640 x 360 pixels; and of its high profile, with B-frames.
const SMALL: [&str; 2] = ["6742c00bd901419f9f011000000300100000030140f142a480", "68cb83cb20"];
const LARGE: [&str; 2] = ["6742c016d900a02ff97011000003000100000300140f162e48", "68cb83cb20"];
const REORDERED: [&str; 2] = ["6764000cacd941519e69b011000003000100000300140f142996", "68ebe3cb22c0"];

/// A camera whose units the test sends, with its sound.
#[derive(Default)]
struct Camera(Mutex<Option<FrameSink>>, Sound);

impl Producer for Camera {
    fn kind(&self) -> &'static str {
        "rtsp"
    }

    fn passes_video(&self) -> bool {
        true
    }

    fn run(&self, run: Run) -> ProducerFuture {
        run.sink.pass_anew(self.1.clone());
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
    /// The time of the last unit; none if the next one has the time of its arrival.
    at: Option<Instant>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Sound::None(None))
    }

    fn with(sound: Sound) -> Self {
        let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
        let name = StreamName::parse("cam").expect("a name");
        let camera = Arc::new(Camera(Mutex::default(), sound));
        let stream = registry.define(&name, Origin::Api, camera.clone()).expect("room");
        let encodings = Encodings::new(H264Settings::default(), Duration::from_millis(700), PictureLimits::default());
        Bench { registry, stream, camera, encodings, at: None }
    }

    fn sink(&self) -> FrameSink {
        self.camera.0.lock().clone().expect("runs")
    }

    /// Sends a unit 33 ms after the last one.
    async fn send(&mut self, sets: Option<[&str; 2]>) {
        advance(Duration::from_millis(33)).await;
        let at = self.at.map_or_else(Instant::now, |at| at + Duration::from_nanos(33_333_333));
        self.at = Some(at);
        self.send_at(sets, at);
    }

    /// Sends a frame of sound of 20 ms.
    fn say(&self, at: Instant) {
        let data = Bytes::from_static(b"\x08sound");
        self.sink().pass_sound(SoundUnit { data, at, received_at: Instant::now() });
    }

    fn send_at(&self, sets: Option<[&str; 2]>, at: Instant) {
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
            at,
            received_at: Instant::now(),
            shared: SharedFraming::default(),
        };
        self.sink().pass(unit);
    }

    async fn feed(&self) -> Feed {
        self.feed_for("").await
    }

    async fn feed_for(&self, codecs: &str) -> Feed {
        let open = feeds(self.encodings.clone(), self.stream.clone(), Want::default());
        open(Accepts::parse(codecs)).await.expect("opens")
    }
}

/// A fragment.
#[derive(Debug)]
struct Read {
    is_sound: bool,
    at: u64,
    offset: i64,
    duration: u32,
    is_key: bool,
    data: Vec<u8>,
}

async fn read(feed: &mut Feed) -> Read {
    let piece = tokio::time::timeout(Duration::from_secs(1), feed.next()).await.expect("in time").expect("goes on");
    let data = [piece.head, piece.data].concat();
    let mut rest = &data[..];
    let (Any::Moof(moof), Any::Mdat(mdat)) =
        (Any::decode(&mut rest).expect("a box"), Any::decode(&mut rest).expect("a box"))
    else {
        panic!("no fragment")
    };
    let sample = moof.traf[0].trun[0].samples.get(0).expect("one");
    Read {
        is_sound: moof.traf[0].tfhd.track_id == 2,
        at: moof.traf[0].tfdt.as_ref().expect("a time").base_media_decode_time,
        offset: sample.cts.unwrap_or_default(),
        duration: sample.duration.expect("one"),
        is_key: piece.is_keyframe,
        data: mdat.data,
    }
}

/// Begin, duration, whether it is a keyframe, and the data.
async fn next(feed: &mut Feed) -> (u64, u32, bool, Vec<u8>) {
    let read = read(feed).await;
    assert_eq!((read.is_sound, read.offset), (false, 0));
    (read.at, read.duration, read.is_key, read.data)
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
    // From now on with the times of the source.
    for n in 0..30 {
        bench.send((n == 10).then_some(SMALL)).await;
        let (at, duration, is_key, _) = next(&mut feed).await;
        assert_eq!((at, duration, is_key), (end, 3000, n == 10));
        end = at + 3000;
    }
    assert_eq!((bench.stream.stats().watchers, bench.encodings.len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn all_clients_get_a_frame_out_of_one_buffer() {
    let mut bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    bench.send(None).await;
    let (mut one, mut other) = (bench.feed().await, bench.feed().await);
    for _ in 0..2 {
        let (one, other) = (one.next().await.expect("goes on"), other.next().await.expect("goes on"));
        assert_eq!((one.data.as_ptr(), one.data.len()), (other.data.as_ptr(), other.data.len()));
        assert!(!one.data.is_empty());
    }
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
    bench.sink().pass_anew(Sound::None(None));
    bench.send(None).await;
    advance(Duration::from_millis(300)).await;
    bench.at = None;
    bench.send(Some(SMALL)).await;
    let (then, duration_then, is_key, _) = next(&mut feed).await;
    assert_eq!((then, is_key), (at + u64::from(duration), true), "the unit before the keyframe is left out");
    assert_eq!(duration_then, 90 * 366, "times of the clock");
}

#[tokio::test(start_paused = true)]
async fn b_frames_are_decoded_in_the_order_of_arrival_and_shown_in_theirs() {
    // Two of x264's parameter sets: they say that two frames can come before one that is shown earlier, or nothing.
    for sets in [REORDERED, SMALL] {
        let bench = Bench::new();
        let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
        tokio::time::sleep(Duration::from_millis(1)).await;
        let begin = Instant::now() + Duration::from_secs(1);
        let mut frames = vec![];
        let mut feed = None;
        for picture in [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11] {
            advance(Duration::from_millis(40)).await;
            bench.send_at((picture == 0).then_some(sets), begin + Duration::from_millis(40) * picture);
            if feed.is_none() {
                feed = Some(bench.feed().await);
            }
            let frame = read(feed.as_mut().expect("opened")).await;
            frames.push((picture, frame.at, frame.at.cast_signed() + frame.offset));
        }
        assert!(frames.is_sorted_by_key(|(_, decoded, _)| *decoded));
        // From where the reordering is known.
        let mut shown = frames.split_off(4);
        shown.sort_by_key(|(picture, ..)| *picture);
        let (first, _, begin) = shown[0];
        for (picture, decoded, shown) in &shown {
            assert_eq!(*shown, begin + i64::from(3600 * (picture - first)), "{frames:?}");
            assert!(sets == SMALL || *shown >= decoded.cast_signed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_to_b_frames_gets_the_past_fast_and_in_its_order() {
    let bench = Bench::new();
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let begin = Instant::now();
    let order: Vec<_> = [0].into_iter().chain((0..12).flat_map(|n| [4, 2, 1, 3].map(|at| 4 * n + at))).collect();
    for (n, picture) in order.iter().enumerate() {
        advance(Duration::from_millis(40)).await;
        bench.send_at((n == 0).then_some(REORDERED), begin + Duration::from_millis(40) * *picture);
    }
    let mut feed = bench.feed().await;
    let (mut frames, mut end) = (vec![], 0);
    for picture in order {
        let frame = read(&mut feed).await;
        assert_eq!(frame.at, end, "no gap");
        end = frame.at + u64::from(frame.duration);
        frames.push((picture, frame.at.cast_signed() + frame.offset));
    }
    frames.sort_unstable();
    assert!(frames.is_sorted_by(|a, b| a.1 < b.1), "{frames:?}");
    let last = frames.last().expect("some").1;
    assert!(last < 90 * 500, "two seconds of the past take {last} ticks");
}

fn opus() -> Sound {
    Sound::Passed(SoundCodec::Opus { channels: 2 })
}

#[tokio::test(start_paused = true)]
async fn sound_comes_with_the_video_and_without_a_gap() {
    let mut bench = Bench::with(opus());
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    let begin = Instant::now() + Duration::from_millis(33);
    // Two seconds of the past, and one of the present, in which a tenth of the sound is lost.
    let (mut said, mut feed, mut ends) = (0, None, [0, 0]);
    let mut texts = vec![];
    for n in 0..90_u32 {
        bench.send((n % 60 == 0).then_some(SMALL)).await;
        while begin + said * Duration::from_millis(20) <= Instant::now() {
            if !(n > 70 && said.is_multiple_of(10)) {
                bench.say(begin + said * Duration::from_millis(20));
            }
            said += 1;
        }
        if n < 59 {
            continue;
        }
        let feed = match &mut feed {
            Some(feed) => feed,
            none => none.insert(bench.feed().await),
        };
        assert_eq!(feed.tracks().content_type(), "video/mp4; codecs=\"avc1.42C00B,opus\"");
        while let Some(piece) = read(feed).now_or_never() {
            let (track, clock) = (usize::from(piece.is_sound), if piece.is_sound { 48 } else { 90 });
            assert_eq!(piece.at, ends[track], "no gap in track {track}");
            ends[track] = piece.at + u64::from(piece.duration);
            texts.push(format!("{track}:{}+{}", piece.at / clock, piece.duration / clock as u32));
        }
        let [video, sound] = [ends[0] / 90, ends[1] / 48];
        assert!(video.abs_diff(sound) <= 90, "video until {video} ms, sound until {sound} ms: {texts:?}");
    }
    assert!(ends[0] / 90 > 1000 && ends[0] / 90 < 1400, "{ends:?}: a second, and the moments before it");
    assert_eq!(*bench.sink().listeners().borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_ears_gets_the_video_alone_and_others_the_reason() {
    let mut bench = Bench::with(opus());
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    let deaf = bench.feed_for("avc1.640029,hvc1.1.6.L153.B0").await;
    assert_eq!((deaf.tracks().audio.as_ref(), deaf.note(), *bench.sink().listeners().borrow()), (None, None, 0));
    let other = bench.feed_for("avc1.640029,mp4a.40.2").await;
    assert_eq!((other.tracks().audio.as_ref(), *bench.sink().listeners().borrow()), (None, 1));
    assert_eq!(other.note().as_deref(), Some("the client does not play opus"));
    drop(other);
    let none = Bench::with(Sound::None(Some("PCMA is not passed on".into())));
    let _watch = none.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    none.send_at(Some(SMALL), Instant::now());
    assert_eq!(none.feed().await.note().as_deref(), Some("PCMA is not passed on"));
    // Sound that takes too long.
    let late = Bench::with(Sound::Unknown);
    let _watch = late.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    late.send_at(Some(SMALL), Instant::now());
    let feed = late.feed().await;
    assert!(feed.tracks().audio.is_none() && feed.note().is_some_and(|note| note.contains("in time")));
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_sound_that_is_being_connected_and_ends_when_it_changes() {
    let mut bench = Bench::with(Sound::Unknown);
    let _watch = bench.stream.watch_for(Demand::Single).expect("goes on");
    tokio::time::sleep(Duration::from_millis(1)).await;
    bench.send(Some(SMALL)).await;
    let sink = bench.sink();
    let (mut feed, ()) = tokio::join!(bench.feed(), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sink.set_sound(opus());
    });
    assert!(feed.tracks().audio.is_some());
    read(&mut feed).await;
    sink.set_sound(Sound::Passed(SoundCodec::Aac { config: Bytes::from_static(&[0x11, 0x90]) }));
    bench.send(None).await;
    read(&mut feed).await;
    bench.send(Some(SMALL)).await;
    assert_eq!(feed.next().await, Err(Ended("the sound of the video has changed")));
    let again = bench.feed().await;
    assert_eq!(again.tracks().content_type(), "video/mp4; codecs=\"avc1.42C00B,mp4a.40.2\"");
}

#[tokio::test(start_paused = true)]
async fn a_source_without_video_that_can_be_passed_on_is_encoded_and_a_silent_one_is_an_error() {
    let bench = Bench::new();
    let open = feeds(bench.encodings.clone(), bench.stream.clone(), Want::default());
    let (feed, ()) = tokio::join!(open(Accepts::default()), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let jpeg = testing::photo_numbered(64, 48, 1).into();
        bench.sink().publish(&Picture { jpeg, width: 64, height: 48, captured_at: SystemTime::now() }).expect("room");
    });
    assert_eq!(feed.expect("opens").tracks().video.width, 64);

    let silent = Bench::new();
    let refused = feeds(silent.encodings.clone(), silent.stream.clone(), Want::default())(Accepts::default()).await;
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
    let encoded = feeds(bench.encodings.clone(), bench.stream.clone(), want)(Accepts::default()).await.expect("opens");
    assert_eq!(encoded.tracks().video.width, 64);
    let mut feed = bench.feed().await;
    next(&mut feed).await;
    bench.registry.remove(bench.stream.name(), "removed by a test");
    assert_eq!(feed.next().await, Err(Ended("removed by a test")));
}
