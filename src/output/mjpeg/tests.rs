use std::{sync::Arc, time::SystemTime};

use tokio::io::AsyncReadExt;

use super::*;
use crate::{
    picture::{BOUNDARY, Picture, testing},
    stream::{Mode, Origin, Registry, Stream, StreamLimits, StreamName, StreamSettings, testing::Idle},
};

fn stream() -> (Registry, Arc<Stream>) {
    let registry = Registry::new(StreamSettings::default(), StreamLimits::default());
    let name = StreamName::parse("cam").expect("a name");
    let stream = registry.define(&name, Origin::Upload, Arc::new(Idle(Mode::Pushed))).expect("room");
    (registry, stream)
}

fn picture(number: u32) -> Picture {
    let jpeg = Bytes::from(testing::photo_numbered(32, 24, number));
    Picture { jpeg, width: 32, height: 24, captured_at: SystemTime::now() }
}

fn options(for_decoder: bool) -> Options {
    Options {
        interval: Duration::from_secs(5),
        for_decoder,
        keeps_fresh: false,
        reads_at_once: None,
        form: Form::default(),
        placeholder_after: Duration::from_millis(700),
        stall_timeout: Duration::from_secs(30),
    }
}

/// The parts, each with the milliseconds since the start.
async fn timeline(pacer: &mut Pacer, parts: usize) -> Vec<(u128, Bytes)> {
    let began = Instant::now();
    let mut out = vec![];
    for _ in 0..parts {
        let part = pacer.next().await.expect("goes on");
        out.push((began.elapsed().as_millis(), part));
    }
    out
}

#[tokio::test(start_paused = true)]
async fn a_browser_gets_the_first_picture_twice_and_then_at_the_interval() {
    let (_registry, stream) = stream();
    let frame = stream.push(&picture(1)).expect("room").expect("open");
    let mut pacer = Pacer::new(stream.watch().expect("open"), options(false));
    let times: Vec<_> =
        timeline(&mut pacer, 5).await.into_iter().map(|(at, part)| (at, part == frame.part())).collect();
    assert_eq!(times, [(0, false), (0, true), (0, true), (5000, true), (10_000, true)]);
}

#[tokio::test(start_paused = true)]
async fn a_decoder_is_warmed_up_for_ten_seconds() {
    let (_registry, stream) = stream();
    stream.push(&picture(1)).expect("room");
    let mut pacer = Pacer::new(stream.watch().expect("open"), options(true));
    let times: Vec<_> = timeline(&mut pacer, 26).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times[..6], [0, 0, 0, 0, 500, 1000]);
    assert_eq!(times[22..], [9500, 10_000, 15_000, 20_000]);
}

#[tokio::test(start_paused = true)]
async fn a_decoder_by_name_gets_the_picture_each_second_for_as_long_as_it_watches() {
    let (_registry, stream) = stream();
    stream.push(&picture(1)).expect("room");
    let options = Options { keeps_fresh: true, ..options(true) };
    let mut pacer = Pacer::new(stream.watch().expect("open"), options);
    let times: Vec<_> = timeline(&mut pacer, 40).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times[22..26], [9500, 10_000, 11_000, 12_000]);
    assert_eq!(times[39], 26_000);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_portion_before_it_looks_gets_one_at_once() {
    let (_registry, stream) = stream();
    let frame = stream.push(&picture(1)).expect("room").expect("open");
    let options = Options { reads_at_once: Some(102_400), ..options(false) };
    let mut pacer = Pacer::new(stream.watch().expect("open"), options);
    let parts = 2 + 102_400_usize.div_ceil(frame.size());
    let all = timeline(&mut pacer, parts).await;
    assert!(all.iter().all(|(at, _)| *at == 0));
    let bytes: usize = all.iter().map(|(_, part)| part.len()).sum();
    assert!(bytes >= 102_400 + frame.size(), "{bytes}");
    assert_eq!(timeline(&mut pacer, 1).await[0].0, 5000, "and then the interval");
}

#[tokio::test(start_paused = true)]
async fn a_new_picture_is_sent_at_once() {
    let (_registry, stream) = stream();
    stream.push(&picture(1)).expect("room");
    let mut pacer = Pacer::new(stream.watch().expect("open"), options(false));
    timeline(&mut pacer, 3).await;
    let began = Instant::now();
    let push = async {
        tokio::time::sleep(Duration::from_millis(1234)).await;
        stream.push(&picture(2)).expect("room").expect("open").part()
    };
    let (pushed, got) = tokio::join!(push, pacer.next());
    assert_eq!(got.expect("goes on"), pushed);
    assert_eq!(began.elapsed().as_millis(), 1234);
}

#[tokio::test(start_paused = true)]
async fn the_head_of_the_next_part_is_sent_early_on_request() {
    let (_registry, stream) = stream();
    let frame = stream.push(&picture(1)).expect("room").expect("open");
    let options = Options { form: Form { advance_heads: true, ..Form::default() }, ..options(false) };
    let mut pacer = Pacer::new(stream.watch().expect("open"), options);
    let parts: Vec<_> = timeline(&mut pacer, 3).await.into_iter().map(|(_, part)| part).collect();
    assert_eq!(
        parts,
        [Bytes::from_static(PREAMBLE_WITH_HEAD), frame.part_with_next_head(), frame.part_with_next_head()]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_picture_a_waiting_one_is_sent_and_then_the_first() {
    let (_registry, stream) = stream();
    let mut pacer = Pacer::new(stream.watch().expect("open"), options(false));
    let parts = timeline(&mut pacer, 4).await;
    assert_eq!(parts.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 700, 700, 5700]);
    assert!(String::from_utf8_lossy(&parts[1].1[..200]).contains("X-Mtx-Placeholder: waiting"));
    let first = stream.push(&picture(1)).expect("room").expect("open");
    assert_eq!(pacer.next().await.expect("goes on"), first.part());
}

#[tokio::test(start_paused = true)]
async fn huge_pictures_are_sent_without_copies() {
    let (_registry, stream) = stream();
    let jpeg = Bytes::from([testing::photo(16, 16), vec![0; MAX_COPIED_BYTES]].concat());
    let huge = Picture { jpeg, width: 16, height: 16, captured_at: SystemTime::now() };
    stream.push(&huge).expect("room");
    let mut pacer = Pacer::new(stream.watch().expect("open"), options(true));
    let times: Vec<_> = timeline(&mut pacer, 3).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [0, 0, 500], "sent once, and again when it is due");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_disconnected_and_holds_one_frame() {
    let (registry, stream) = stream();
    let (ours, theirs) = tokio::io::duplex(64);
    let watch = stream.watch().expect("open");
    let serving = tokio::spawn(serve(ours, watch, options(false), CancellationToken::new()));
    for n in 0..100 {
        stream.push(&picture(n)).expect("room");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let held = registry.memory().used();
    assert!(held <= 2 * picture(0).jpeg.len() + 400, "{held} bytes are held for a client that takes nothing");
    let report = serving.await.expect("ends");
    assert_eq!(report.left, DisconnectReason::Stalled);
    drop(theirs);
}

#[tokio::test(start_paused = true)]
async fn the_report_names_the_reason_of_the_end() {
    let end = |how: &'static str| async move {
        let (registry, stream) = stream();
        stream.push(&picture(1)).expect("room");
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(ours, stream.watch().expect("open"), options(false), stop.clone()));
        let mut start = vec![0; BOUNDARY.len() + 4];
        theirs.read_exact(&mut start).await.expect("the preamble");
        assert_eq!(start, PREAMBLE);
        match how {
            "close" => drop(theirs),
            "remove" => drop(registry.remove(stream.name(), "deleted")),
            _ => stop.cancel(),
        }
        let report = serving.await.expect("ends");
        assert_eq!(stream.stats().watchers, 0);
        report.left
    };
    assert_eq!(end("close").await, DisconnectReason::Closed);
    assert_eq!(end("remove").await, DisconnectReason::StreamEnded);
    assert_eq!(end("stop").await, DisconnectReason::ToldToEnd);
}
