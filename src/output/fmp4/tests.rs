use std::{sync::Arc, time::SystemTime};

use mp4_atom::{Any, Decode};
use tokio::{
    io::{AsyncReadExt, duplex},
    time::{Duration, Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    fmp4::Track,
    h264::nal,
    output::{
        DisconnectReason,
        h264::{Encodings, H264Settings, Want},
    },
    picture::{Picture, PictureLimits, testing},
    stream::{Ended, Mode, Origin, Registry, Stream, StreamLimits, StreamName, StreamSettings, testing::Idle},
};

struct Bench {
    registry: Registry,
    stream: Arc<Stream>,
    encodings: Encodings,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
        let name = StreamName::parse("cam").expect("a name");
        let stream = registry.define(&name, Origin::Upload, Arc::new(Idle(Mode::Pushed))).expect("room");
        let encodings = Encodings::new(H264Settings::default(), Duration::from_millis(700), PictureLimits::default());
        Bench { registry, stream, encodings }
    }

    fn push(&self, number: u32) {
        let jpeg = testing::photo_numbered(64, 48, number).into();
        let picture = Picture { jpeg, width: 64, height: 48, captured_at: SystemTime::now() };
        self.stream.push(&picture).expect("room").expect("not closed");
    }

    async fn feed(&self) -> Feed {
        feeds(self.encodings.clone(), self.stream.clone(), Want::default())(Accepts::default()).await.expect("encodes")
    }
}

/// A fragment as another implementation reads it.
#[derive(Debug)]
struct Read {
    sequence: u32,
    at: u64,
    duration: u64,
    is_sync: bool,
    kinds: Vec<Option<nal::Kind>>,
}

fn whole(piece: &Piece) -> Vec<u8> {
    [&piece.head[..], &piece.data].concat()
}

fn read(mut data: &[u8]) -> Read {
    let (Any::Moof(moof), Any::Mdat(mdat)) =
        (Any::decode(&mut data).expect("a box"), Any::decode(&mut data).expect("a box"))
    else {
        panic!("no fragment")
    };
    let [traf] = &moof.traf[..] else { panic!("{moof:?}") };
    let sample = traf.trun[0].samples.get(0).expect("a sample");
    let (mut rest, mut kinds) = (&mdat.data[..], vec![]);
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (nal, behind) = behind.split_at(u32::from_be_bytes(*length) as usize);
        kinds.push(nal::Kind::of(nal));
        rest = behind;
    }
    assert!(rest.is_empty() && data.is_empty());
    Read {
        sequence: moof.mfhd.sequence_number,
        at: traf.tfdt.as_ref().expect("a time").base_media_decode_time,
        duration: sample.duration.expect("a duration").into(),
        is_sync: sample.flags == Some(0x0200_0000),
        kinds,
    }
}

/// Reads for the given time; each fragment with the time at which it came.
async fn read_for(feed: &mut Feed, time: Duration) -> Vec<(Instant, Read)> {
    let end = Instant::now() + time;
    let mut out = vec![];
    while let Ok(piece) = timeout_at(end, feed.next()).await {
        out.push((Instant::now(), read(&whole(&piece.expect("goes on")))));
    }
    out
}

/// What a `MediaSource` needs, whatever the pictures do.
fn assert_playable(fragments: &[(Instant, Read)]) {
    let (began, first) = &fragments[0];
    assert!(first.is_sync && first.at == 0 && first.sequence == 1, "{first:?}");
    for pair in fragments.windows(2) {
        let (before, after) = (&pair[0].1, &pair[1].1);
        assert_eq!(after.at, before.at + before.duration, "no gap, in which a browser would drop frames");
        assert_eq!(after.sequence, before.sequence + 1);
    }
    for (at, fragment) in fragments {
        let clock = at.duration_since(*began).as_millis() as u64;
        let end = (fragment.at + fragment.duration) / 90;
        // Within the repetition that was due before, at the very beginning.
        assert!(end <= clock + 45, "the end {end} ms is never ahead of the clock, {clock} ms");
    }
    let is_slice = |kind: &Option<nal::Kind>| matches!(kind, Some(nal::Kind::Idr | nal::Kind::Slice));
    for (_, fragment) in fragments {
        assert!(fragment.kinds.len() == 1 && is_slice(&fragment.kinds[0]), "parameter sets are in the init segment");
        assert_eq!(fragment.is_sync, fragment.kinds[0] == Some(nal::Kind::Idr));
    }
}

#[tokio::test(start_paused = true)]
async fn a_still_is_steady_and_no_new_picture_is_left_out() {
    let bench = Bench::new();
    bench.push(1);
    let mut feed = bench.feed().await;
    assert_eq!((feed.tracks().video.width, feed.tracks().video.height), (64, 48));
    let mut all = read_for(&mut feed, Duration::from_millis(3330)).await;
    let keyframes = |all: &[(Instant, Read)]| all.iter().filter(|(_, fragment)| fragment.is_sync).count();
    assert!(all.len() > 60 && keyframes(&all) > 10, "{} with {} keyframes", all.len(), keyframes(&all));
    // New pictures between repetitions, at odd times.
    for number in 2..8 {
        bench.push(number);
        let pushed = Instant::now();
        let (at, fragment) = {
            let piece = feed.next().await.expect("goes on");
            (Instant::now(), read(&whole(&piece)))
        };
        assert!(fragment.is_sync && at.duration_since(pushed) < Duration::from_millis(20), "{fragment:?}");
        all.push((at, fragment));
        all.extend(read_for(&mut feed, Duration::from_millis(1290)).await);
    }
    assert_playable(&all);
}

#[tokio::test(start_paused = true)]
async fn a_moving_stream_that_stops_and_moves_again_keeps_its_init_segment() {
    let bench = Bench::new();
    bench.push(0);
    let mut feed = bench.feed().await;
    let mut all = vec![];
    for round in 0..2 {
        for number in 0..45 {
            bench.push(100 * round + number);
            all.extend(read_for(&mut feed, Duration::from_millis(66)).await);
        }
        all.extend(read_for(&mut feed, Duration::from_millis(3000)).await);
    }
    assert_playable(&all);
    let shown = all.iter().filter(|(_, fragment)| !fragment.is_sync).count();
    assert!(shown > 40, "{shown}");
    assert_eq!(feed.dropped(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_was_slow_continues_with_a_keyframe_and_without_a_gap() {
    let bench = Bench::new();
    bench.push(0);
    let mut feed = bench.feed().await;
    let mut other = bench.feed().await;
    let mut all = read_for(&mut feed, Duration::from_millis(500)).await;
    for number in 1..90 {
        bench.push(number);
        read_for(&mut other, Duration::from_millis(66)).await;
    }
    let late = read_for(&mut feed, Duration::from_millis(200)).await;
    assert!(late[0].1.is_sync, "{late:?}");
    all.extend(late);
    assert_playable(&all);
    assert!(feed.dropped() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_feed_ends_with_its_stream_and_one_of_a_stream_that_is_gone_is_refused() {
    let bench = Bench::new();
    bench.push(1);
    let mut feed = bench.feed().await;
    bench.registry.remove(bench.stream.name(), "removed by a test");
    let why = loop {
        if let Err(why) = feed.next().await {
            break why;
        }
    };
    assert_eq!(why, Ended("removed by a test"));
    let refused = feeds(bench.encodings.clone(), bench.stream.clone(), Want::default())(Accepts::default()).await;
    assert!(refused.err().expect("refused").to_string().contains("removed by a test"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_picture_shows_waiting_and_then_the_picture() {
    let bench = Bench::new();
    let mut feed = bench.feed().await;
    let mut all = read_for(&mut feed, Duration::from_millis(1500)).await;
    bench.push(1);
    all.extend(read_for(&mut feed, Duration::from_millis(1500)).await);
    assert_playable(&all);
    assert_eq!((feed.tracks().video.width, feed.tracks().video.height), (1280, 720));
}

/// A source of frames whose pauses are those of a bad network, and of a track that the init segment does not have.
struct Odd(Vec<u64>, crate::fmp4::Tracks);

impl Coded for Odd {
    fn tracks(&self) -> &crate::fmp4::Tracks {
        &self.1
    }

    fn next(&mut self) -> futures_util::future::BoxFuture<'_, Result<Frame, Ended>> {
        let frame = self.0.pop().map(|at| {
            let track = if at % 2 == 1 { Track::Audio } else { Track::Video };
            Frame {
                track,
                is_sync: true,
                is_repeated: false,
                at,
                offset: None,
                data: crate::stream::framed(&[bytes::Bytes::from_static(b"\x65")]),
            }
        });
        Box::pin(async move { frame.ok_or(Ended("no further frame")) })
    }

    fn dropped(&self) -> u64 {
        3
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_ends_when_the_video_has_its_length() {
    let bench = Bench::new();
    bench.push(1);
    let tracks = bench.feed().await.tracks().clone();
    let ends = async |duration: Option<u64>, times: &[u64]| {
        let feed = Feed::new(Box::new(Odd(times.iter().rev().copied().collect(), tracks.clone())));
        let (mut ours, theirs) = duplex(1 << 20);
        let duration = duration.map(Duration::from_millis);
        let report = serve(theirs, feed, duration, Duration::from_secs(9), CancellationToken::new()).await;
        let mut sent = vec![];
        ours.read_to_end(&mut sent).await.expect("ends");
        assert_eq!(sent.len() as u64, report.bytes);
        (report.left, report.parts, report.dropped)
    };
    let times = [90_000, 99_001, 99_000, 108_000, 117_000, 126_000];
    assert_eq!(ends(None, &times).await, (DisconnectReason::StreamEnded, 6, 3), "the init segment, and all video");
    assert_eq!(ends(Some(200), &times).await, (DisconnectReason::Complete, 4, 3), "1 ms, 100 ms and 100 ms");
}
