use futures_util::FutureExt;

use super::*;

fn unit(number: u8, is_key: bool) -> VideoUnit {
    VideoUnit {
        codec: VideoCodec::H264,
        nals: vec![Bytes::copy_from_slice(&[number])],
        is_key,
        has_loss: false,
        at: Instant::now(),
        received_at: Instant::now(),
        shared: SharedFraming::default(),
    }
}

fn read(reader: &mut VideoReader) -> Vec<u8> {
    std::iter::from_fn(|| reader.next().now_or_never()?.ok()).map(|unit| number(&unit)).collect()
}

/// The number of a unit; of sound, 100 more.
fn number(unit: &CodedUnit) -> u8 {
    match unit {
        CodedUnit::Video(unit) => unit.nals[0][0],
        CodedUnit::Sound(unit) => 100 + unit.data[0],
    }
}

fn sound(number: u8) -> SoundUnit {
    SoundUnit { data: Bytes::copy_from_slice(&[number]), at: Instant::now(), received_at: Instant::now() }
}

#[tokio::test(start_paused = true)]
async fn a_new_reader_begins_with_the_last_keyframe_and_a_slow_one_continues_there() {
    let passing = Passing::default();
    let mut early = passing.reader(false);
    passing.push(unit(1, false));
    assert_eq!((read(&mut early), early.has_any()), (vec![], false), "a unit that refers to unknown ones");
    for (number, is_key) in [(2, true), (3, false), (4, false)] {
        passing.push(unit(number, is_key));
    }
    assert_eq!(read(&mut early), [2, 3, 4]);
    assert_eq!(read(&mut passing.reader(false)), [2, 3, 4]);
    let mut slow = passing.reader(false);
    assert_eq!(number(&slow.next().await.expect("goes on")), 2);
    tokio::time::advance(2 * BEHIND).await;
    for (number, is_key) in [(5, false), (6, true), (7, false)] {
        passing.push(unit(number, is_key));
    }
    assert_eq!(read(&mut slow), [6, 7]);
    assert_eq!(slow.dropped(), 3, "of 3, 4 and 5");
    assert_eq!((read(&mut early), early.dropped()), (vec![5, 6, 7], 0), "no longer behind than its keyframe");
}

#[tokio::test(start_paused = true)]
async fn units_that_arrive_together_with_a_keyframe_are_not_lost() {
    let passing = Passing::default();
    let (mut listener, mut viewer) = (passing.reader(true), passing.reader(false));
    passing.push(unit(1, true));
    passing.set_sound(Sound::Passed(SoundCodec::Opus { channels: 2 }));
    passing.push_sound(sound(2));
    assert_eq!((read(&mut listener), read(&mut viewer)), (vec![1, 102], vec![1]));
    passing.push_sound(sound(3));
    passing.push(unit(4, false));
    passing.push_sound(sound(5));
    assert_eq!(listener.waiting().len(), 1);
    passing.push(unit(6, true));
    passing.push_sound(sound(7));
    assert_eq!(listener.waiting().len(), 2, "one before the keyframe");
    assert_eq!((read(&mut listener), read(&mut viewer)), (vec![103, 4, 105, 6, 107], vec![4, 6]));
    assert_eq!(read(&mut passing.reader(true)), [6, 107], "a new reader begins with the keyframe");
    // Each picture is a keyframe.
    passing.push(unit(8, true));
    passing.push(unit(9, true));
    assert_eq!((read(&mut listener), read(&mut viewer)), (vec![8, 9], vec![8, 9]));
    for number in 10..16 {
        tokio::time::advance(BEHIND / 4).await;
        passing.push(unit(number, true));
    }
    assert_eq!((read(&mut listener), listener.dropped()), (vec![15], 5), "behind by more than a second");
}

#[tokio::test]
async fn units_behind_a_loss_wait_for_the_next_keyframe() {
    let passing = Passing::default();
    let mut reader = passing.reader(false);
    passing.push(unit(1, true));
    passing.push(VideoUnit { has_loss: true, ..unit(2, false) });
    passing.push(unit(3, false));
    assert_eq!(read(&mut reader), [1]);
    passing.push(VideoUnit { has_loss: true, ..unit(4, true) });
    passing.push(unit(5, false));
    assert_eq!(read(&mut reader), [4, 5]);
    passing.clear(Sound::Unknown);
    passing.push(unit(6, false));
    assert_eq!((read(&mut reader), read(&mut passing.reader(false))), (vec![], vec![]), "another connection");
    passing.push(unit(7, true));
    assert_eq!((read(&mut reader), read(&mut passing.reader(false))), (vec![7], vec![7]));
}

#[tokio::test]
async fn a_source_without_keyframes_takes_a_bounded_memory_and_its_readers_go_on() {
    let passing = Passing::default();
    let mut reader = passing.reader(false);
    passing.push(unit(0, true));
    assert_eq!(read(&mut reader), [0]);
    for number in 0..3 * MAX_UNITS {
        passing.push(unit(number as u8, false));
        assert_eq!(read(&mut reader), [number as u8]);
    }
    assert_eq!(passing.group.borrow().units.len(), MAX_UNITS);
    assert!(read(&mut passing.reader(false)).is_empty(), "its keyframe is no longer kept");
    let large = VideoUnit { nals: vec![Bytes::from(vec![0; 5 << 20])], ..unit(0, false) };
    for _ in 0..10 {
        passing.push(large.clone());
    }
    assert!(passing.group.borrow().bytes <= MAX_BYTES);
}

#[tokio::test]
async fn listeners_get_the_sound_since_the_last_keyframe_and_are_counted() {
    let passing = Passing::default();
    let passed = Sound::Passed(SoundCodec::Opus { channels: 2 });
    let count = passing.listeners();
    let (mut listener, mut viewer) = (passing.reader(true), passing.reader(false));
    assert_eq!((*count.borrow(), listener.sound(), viewer.sound()), (1, Sound::Unknown, Sound::None(None)));
    assert!(listener.sound_is_known().now_or_never().is_none() && viewer.sound_is_known().now_or_never().is_some());
    passing.push_sound(sound(1));
    passing.push(unit(2, true));
    passing.push_sound(sound(3));
    passing.set_sound(passed.clone());
    listener.sound_is_known().await;
    passing.push_sound(sound(4));
    passing.push(VideoUnit { has_loss: true, ..unit(5, false) });
    passing.push_sound(sound(6));
    assert_eq!((read(&mut listener), read(&mut viewer)), (vec![2, 104, 106], vec![2]), "sound goes on");
    assert_eq!(passing.reader(true).waiting().len(), 1, "video only");
    passing.push(unit(7, true));
    passing.push_sound(sound(8));
    assert_eq!(read(&mut passing.reader(true)), [7, 108]);
    passing.clear(passed);
    passing.push_sound(sound(9));
    assert_eq!(read(&mut passing.reader(true)), [] as [u8; 0], "a keyframe is first");
    assert_eq!(*count.borrow(), 1);
    drop(listener);
    assert_eq!(*count.borrow(), 0);
}

#[test]
fn framed_nals_leave_out_the_sets_of_each_reader() {
    let nals = [&b"sps"[..], b"pps", b"slice"].map(Bytes::from_static);
    let unit = VideoUnit { nals: nals.to_vec(), ..unit(0, true) };
    let first = unit.framed(&nals[..2]);
    assert_eq!(first, &b"\0\0\0\x05slice"[..]);
    assert_eq!(first.as_ptr(), unit.framed(&nals[..2]).as_ptr(), "it is made once");
    assert_eq!(unit.framed(&nals[..1]), &b"\0\0\0\x03pps\0\0\0\x05slice"[..], "a reader with other sets");
    assert!(unit.framed(&nals).is_empty());
}
