use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use super::*;
use crate::{
    error::Code,
    h264::AccessUnit,
    picture::{Picture, PictureLimits, testing},
    stream::{Ended, Mode, Origin, Registry, Stream, StreamLimits, StreamName, StreamSettings, Watch, testing::Idle},
    units::HumanDuration,
};

struct Bench {
    registry: Registry,
    stream: Arc<Stream>,
    encodings: Encodings,
}

impl Bench {
    fn new(mode: Mode) -> Self {
        let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
        let name = StreamName::parse("cam").expect("a name");
        let stream = registry.define(&name, Origin::Upload, Arc::new(Idle(mode))).expect("room");
        let encodings = Encodings::new(H264Settings::default(), Duration::from_millis(700), PictureLimits::default());
        Bench { registry, stream, encodings }
    }

    fn push(&self, number: u32) {
        self.push_sized(64, 48, number);
    }

    fn push_sized(&self, width: u32, height: u32, number: u32) {
        let jpeg = Bytes::from(testing::photo_numbered(width, height, number));
        let picture = Picture { jpeg, width, height, captured_at: SystemTime::now() };
        self.stream.push(&picture).expect("room").expect("not closed");
    }

    fn watch(&self) -> Watch {
        self.registry.watch(|| Ok(self.stream.clone())).expect("there")
    }

    fn pacer(&self) -> Pacer {
        self.pacer_of(Want::default())
    }

    fn pacer_of(&self, want: Want) -> Pacer {
        Pacer::new(self.encodings.join(self.watch(), want), self.encodings.settings(), want)
    }

    fn stats(&self) -> Vec<Stats> {
        self.encodings.stats().remove(self.stream.name()).unwrap_or_default()
    }

    fn counted(&self) -> [u64; 4] {
        let c = self.encodings.counters();
        [&c.stills, &c.keys, &c.deltas, &c.identical].map(|n| n.load(std::sync::atomic::Ordering::Relaxed))
    }
}

fn slice(access_unit: &AccessUnit, alternate: bool) -> Bytes {
    access_unit.nals(alternate).last().expect("a slice").clone()
}

/// Reads for the given time.
async fn read_for(pacer: &mut Pacer, time: Duration) -> Vec<Sample> {
    let end = Instant::now() + time;
    let mut out = vec![];
    while let Ok(sample) = tokio::time::timeout_at(end, pacer.next()).await {
        out.push(sample.expect("goes on"));
    }
    out
}

fn assert_in_order(samples: &[Sample]) {
    for pair in samples.windows(2) {
        assert!(pair[0].at < pair[1].at, "time goes forward");
    }
    let idrs: Vec<_> = samples.iter().filter(|s| s.is_keyframe()).collect();
    for pair in idrs.windows(2) {
        assert_ne!(pair[0].form, pair[1].form, "two IDR pictures in a row have different numbers");
    }
    for pair in samples.windows(2) {
        if matches!(pair[1].form, Form::Coded { .. }) && !pair[1].is_keyframe() {
            assert!(matches!(pair[0].form, Form::Coded { .. }), "a picture refers to the coded one before it");
        }
        if let Form::Skip(number) = pair[1].form {
            let before = match pair[0].form {
                Form::Skip(before) => before,
                Form::Coded { .. } => 0,
            };
            assert!(number == before + 1 && Arc::ptr_eq(&pair[0].picture, &pair[1].picture), "no reference is missing");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_still_is_encoded_once_and_is_steady_with_more_keyframes_at_first() {
    let bench = Bench::new(Mode::Pushed);
    bench.push(1);
    // The video begins now, however old the picture is.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let mut pacer = bench.pacer();
    let samples = read_for(&mut pacer, Duration::from_millis(6900)).await;
    let began = samples[0].at;
    let times: Vec<_> = samples.iter().map(|s| s.at.duration_since(began).as_millis()).collect();
    let keyframes: Vec<_> =
        samples.iter().filter(|s| s.is_keyframe()).map(|s| s.at.duration_since(began).as_millis()).collect();
    let between = |times: &[u128], from, to| times.iter().filter(|at| (from..to).contains(*at)).count();
    // 25 pictures a second for two seconds, then 15.
    assert!((48..=52).contains(&between(&times, 0, 2000)), "{times:?}");
    assert!((58..=62).contains(&between(&times, 2500, 6500)), "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 101), "{times:?}");
    // Keyframes every 80 ms for 0.6 seconds, then every 200 ms, then every second.
    assert!((7..=9).contains(&between(&keyframes, 0, 600)), "{keyframes:?}");
    assert!((6..=8).contains(&between(&keyframes, 600, 2000)), "{keyframes:?}");
    assert!((4..=5).contains(&between(&keyframes, 2000, 6900)), "{keyframes:?}");
    assert!(keyframes.windows(2).all(|pair| pair[1] - pair[0] <= 1034), "{keyframes:?}");
    assert!(samples[1..].iter().all(|s| s.repeated) && !samples[0].repeated);
    assert_in_order(&samples);
    assert_ne!(slice(&samples[0].picture.access_unit, false), slice(&samples[0].picture.access_unit, true));
    assert_eq!(bench.counted(), [1, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn repetitions_of_all_streams_are_due_together() {
    let bench = Bench::new(Mode::Pushed);
    bench.push(1);
    let mut first = bench.pacer();
    tokio::time::sleep(Duration::from_micros(12_345)).await;
    let mut second = bench.pacer();
    let (first, second) =
        tokio::join!(read_for(&mut first, Duration::from_secs(5)), read_for(&mut second, Duration::from_secs(5)));
    let late = |samples: &[Sample]| samples.iter().rev().take(20).map(|s| s.at).collect::<Vec<_>>();
    assert_eq!(late(&first), late(&second));
}

#[tokio::test(start_paused = true)]
async fn a_new_picture_is_sent_at_once_and_an_identical_one_is_not_encoded() {
    let bench = Bench::new(Mode::Pushed);
    bench.push(1);
    let mut pacer = bench.pacer();
    read_for(&mut pacer, Duration::from_millis(4300)).await;
    bench.push(2);
    let before = Instant::now();
    let sample = pacer.next().await.expect("goes on");
    assert!(!sample.repeated);
    assert!(before.elapsed() < Duration::from_millis(50), "{:?}", before.elapsed());
    bench.push(2);
    read_for(&mut pacer, Duration::from_millis(1500)).await;
    assert_eq!(bench.counted(), [2, 0, 0, 1]);
}

/// A stream slower than the repetitions of a still: `frame_num` of the pictures after a keyframe counts no repetition of it.
#[tokio::test(start_paused = true)]
async fn a_keyframe_of_a_slowly_moving_stream_is_not_repeated() {
    let bench = Bench::new(Mode::Pushed);
    let mut pacer = bench.pacer();
    let mut samples = vec![];
    for number in 0..60 {
        bench.push(number);
        samples.extend(read_for(&mut pacer, Duration::from_millis(150)).await);
    }
    assert_in_order(&samples);
    assert!(bench.counted()[2] > 40, "{:?}", bench.counted());
}

#[tokio::test(start_paused = true)]
async fn a_moving_stream_is_video_and_becomes_a_still_when_it_stops() {
    let bench = Bench::new(Mode::Pushed);
    let mut pacer = bench.pacer();
    let mut samples = vec![];
    for number in 0..45 {
        bench.push(number);
        samples.extend(read_for(&mut pacer, Duration::from_millis(66)).await);
    }
    let [stills, keys, deltas, _] = bench.counted();
    assert_eq!(stills, 3, "the first three pictures may be stills");
    assert!((2..=4).contains(&keys), "a keyframe every second: {keys}");
    assert_eq!(stills + keys + deltas, 45);
    assert_eq!(bench.stats()[0].mode, "video");
    samples.extend(read_for(&mut pacer, Duration::from_millis(3500)).await);
    assert_eq!(bench.counted()[0], 4, "the last picture is encoded once more, as a still");
    assert_eq!(bench.stats()[0].mode, "still");
    assert!(samples.last().is_some_and(|s| s.repeated), "and that is repeated");
    assert_in_order(&samples);
    let sizes: std::collections::HashSet<_> = samples.iter().map(|s| s.picture.access_unit.sps.clone()).collect();
    assert_eq!(sizes.len(), 1, "parameter sets stay the same");
}

/// A camera that sends the same picture again and again. MediaMTX ends a session that is silent.
#[tokio::test(start_paused = true)]
async fn identical_pictures_are_a_still() {
    let bench = Bench::new(Mode::Pushed);
    let mut pacer = bench.pacer();
    (0..8).for_each(|number| bench.push(number));
    for number in 0..8 {
        bench.push(number);
        read_for(&mut pacer, Duration::from_millis(66)).await;
    }
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        bench.push(7);
        let samples = read_for(&mut pacer, Duration::from_millis(66)).await;
        longest = if samples.is_empty() { longest + Duration::from_millis(66) } else { Duration::ZERO };
        assert!(longest < Duration::from_millis(2500), "something is sent");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_joins_a_moving_stream_begins_with_its_last_keyframe() {
    let bench = Bench::new(Mode::Pushed);
    let mut first = bench.pacer();
    for number in 0..25 {
        bench.push(number);
        read_for(&mut first, Duration::from_millis(66)).await;
    }
    let mut second = bench.pacer();
    let samples = read_for(&mut second, Duration::from_millis(5)).await;
    assert!(samples[0].picture.access_unit.is_idr());
    assert!(samples.len() > 1 && samples[1..].iter().all(|s| !s.picture.access_unit.is_idr()));
    let stats = bench.stats();
    assert_eq!((stats.len(), stats[0].readers), (1, 2), "one encoding for both");
    assert_in_order(&samples);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_goes_on_with_the_latest_keyframe() {
    let bench = Bench::new(Mode::Pushed);
    let (mut quick, mut slow) = (bench.pacer(), bench.pacer());
    bench.push(0);
    slow.next().await.expect("the first");
    for number in 1..60 {
        bench.push(number);
        read_for(&mut quick, Duration::from_millis(66)).await;
    }
    let sample = slow.next().await.expect("goes on");
    assert!(sample.picture.access_unit.is_idr(), "the reader gets no picture whose reference it missed");
    assert!(slow.dropped() > 20, "{}", slow.dropped());
    assert_eq!(quick.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn waiting_is_shown_until_the_first_picture_on_the_same_canvas() {
    for (mode, after) in [(Mode::Pushed, 700), (Mode::Pulled, 3000)] {
        let bench = Bench::new(mode);
        let began = Instant::now();
        let mut pacer = bench.pacer();
        let first = pacer.next().await.expect("goes on");
        assert!(first.picture.placeholder);
        assert!(began.elapsed().as_millis().abs_diff(after) < 100, "{:?}", began.elapsed());
        let mut samples = vec![first];
        samples.extend(read_for(&mut pacer, Duration::from_millis(2500)).await);
        bench.push_sized(640, 480, 1);
        samples.extend(read_for(&mut pacer, Duration::from_millis(2500)).await);
        assert!(!samples.last().expect("some").picture.placeholder);
        assert_in_order(&samples);
        let stats = &bench.stats()[0];
        assert_eq!((stats.width, stats.height), (1280, 720));
    }
}

#[tokio::test(start_paused = true)]
async fn the_canvas_has_the_size_of_the_first_picture_unless_the_request_sets_one() {
    let bench = Bench::new(Mode::Pushed);
    bench.push_sized(321, 241, 1);
    let want = |w, h| Want::parse(w, h, None).expect("valid");
    for (want, size) in [
        (Want::default(), (320, 240)),
        (want(Some("160"), None), (160, 120)),
        (want(None, Some("60")), (80, 60)),
        (want(Some("64"), Some("64")), (64, 64)),
    ] {
        let mut pacer = bench.pacer_of(want);
        pacer.next().await.expect("a picture");
        // A picture of another size does not change the canvas.
        bench.push_sized(100, 300, 2);
        read_for(&mut pacer, Duration::from_millis(300)).await;
        let stats = &bench.stats()[0];
        assert_eq!((stats.width, stats.height), size);
        bench.push_sized(321, 241, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_encoding_ends_with_its_last_reader_and_with_its_stream() {
    let bench = Bench::new(Mode::Pushed);
    bench.push(1);
    let (mut a, b) = (bench.pacer(), bench.pacer());
    a.next().await.expect("a picture");
    drop(b);
    assert_eq!((bench.encodings.len(), bench.stream.stats().watchers), (1, 1));
    bench.registry.remove(bench.stream.name(), "removed by a test");
    let ended = loop {
        if let Err(ended) = a.next().await {
            break ended;
        }
    };
    assert_eq!(ended, Ended("removed by a test"));
    drop(a);
    assert!(bench.encodings.is_empty());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.stream.stats().watchers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_requested_rate_is_the_repeat_interval_and_the_limit() {
    let bench = Bench::new(Mode::Pushed);
    let want = Want::parse(None, None, Some("2")).expect("valid");
    let mut pacer = bench.pacer_of(want);
    let mut samples = vec![];
    for number in 0..60 {
        bench.push(number);
        samples.extend(read_for(&mut pacer, Duration::from_millis(66)).await);
    }
    let fresh = samples.iter().filter(|s| !s.repeated).count();
    assert!((7..=10).contains(&fresh), "{fresh} pictures in 4 s");
}

#[test]
fn parameters_are_checked_and_named() {
    for (w, h, fps, field) in [
        (Some("31"), None, None, "w"),
        (Some("641"), None, None, "w"),
        (None, Some("99999"), None, "h"),
        (None, Some("-2"), None, "h"),
        (Some("3840"), Some("3840"), None, "h"),
        (None, None, Some("0"), "fps"),
        (None, None, Some("NaN"), "fps"),
        (None, None, Some("31"), "fps"),
        (None, None, Some("fast"), "fps"),
    ] {
        let error = Want::parse(w, h, fps).expect_err("refused");
        assert_eq!((error.code(), error.field()), (Code::InvalidParameter, Some(field)), "{w:?} {h:?} {fps:?}");
    }
}

#[test]
fn invalid_settings_are_named() {
    for (text, right) in [("auto", true), ("1280x720", true), ("1281x720", false), ("big", false), ("", false)] {
        assert_eq!(text.parse::<CanvasSetting>().is_ok(), right, "{text:?}");
    }
    let bad = H264Settings {
        repeat: 0,
        keyframe: HumanDuration::millis(1),
        first_frame_timeout: HumanDuration::secs(60),
        cpu_percent: 0,
        ..H264Settings::default()
    };
    let keys: Vec<_> = bad.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["repeat", "keyframe", "first_frame_timeout", "cpu_percent"]);
}
