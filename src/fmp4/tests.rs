//! What is written, read by another implementation.

use mp4_atom::{Any, Codec, Decode, Encode, Moof, Moov};
use proptest::prelude::{any, prop, prop_assert, proptest};

use super::*;

/// Parameter sets of x264 and of x265 for 326 x 182 pixels, which need a cropping window.
const HIGH_SPS: &str = "6764000cacd941519e69b011000003000100000300140f142996";
const HIGH_PPS: &str = "68ebe3cb22c0";
const HEVC_VPS: &str = "40010c01ffff01600000030090000003000003003c959809";
const HEVC_SPS: &str = "42010101600000030090000003000003003ca00a480b9d565959a4932bc05a020000030002000003001410";
const HEVC_PPS: &str = "4401c172b46240";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn high() -> Video {
    Video::h264(&hex(HIGH_SPS), &hex(HIGH_PPS)).expect("valid")
}

fn hevc() -> Video {
    Video::h265(&hex(HEVC_VPS), &hex(HEVC_SPS), &hex(HEVC_PPS)).expect("valid")
}

/// The boxes. Nothing is left over, and the other implementation understands all: what it writes reads the same.
fn read(data: &[u8]) -> Vec<Any> {
    let parse = |mut rest: &[u8]| {
        let mut boxes = vec![];
        while !rest.is_empty() {
            boxes.push(Any::decode(&mut rest).expect("a box"));
        }
        boxes
    };
    let (boxes, mut again) = (parse(data), vec![]);
    boxes.iter().for_each(|one| one.encode(&mut again).expect("can be written"));
    assert_eq!(parse(&again), boxes);
    boxes
}

fn moov(tracks: &Tracks) -> Moov {
    let init = tracks.init();
    let [Any::Ftyp(_), Any::Moov(moov)] = <[Any; 2]>::try_from(read(&init)).expect("two boxes") else {
        panic!("other boxes")
    };
    for trak in &moov.trak {
        let mut entry = vec![];
        trak.mdia.minf.stbl.stsd.encode(&mut entry).expect("can be written");
        assert!(memchr::memmem::find(&init, &entry).is_some(), "the other implementation writes {trak:?} differently");
    }
    moov
}

fn moof(data: &[u8]) -> (Moof, Vec<u8>) {
    match <[Any; 2]>::try_from(read(data)).expect("two boxes") {
        [Any::Moof(moof), Any::Mdat(mdat)] => (moof, mdat.data),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_init_segment_describes_h264_and_aac() {
    // AAC-LC, 44.1 kHz, two channels.
    let audio = Audio::aac(&[0x12, 0x10]).expect("valid");
    let tracks = Tracks { video: high(), audio: Some(audio) };
    assert_eq!(tracks.content_type(), "video/mp4; codecs=\"avc1.64000C,mp4a.40.2\"");
    let moov = moov(&tracks);
    let [video, audio] = &moov.trak[..] else { panic!("{moov:?}") };
    assert_eq!((video.tkhd.track_id, audio.tkhd.track_id), (1, 2));
    assert_eq!((video.mdia.mdhd.timescale, audio.mdia.mdhd.timescale), (90_000, 44_100));
    assert_eq!(moov.mvex.as_ref().map(|mvex| mvex.trex.len()), Some(2));
    let [Codec::Avc1(avc1)] = &video.mdia.minf.stbl.stsd.codecs[..] else { panic!("{video:?}") };
    assert_eq!((avc1.visual.width, avc1.visual.height), (326, 182));
    assert_eq!(avc1.avcc.sequence_parameter_sets, [hex(HIGH_SPS)]);
    assert_eq!(avc1.avcc.picture_parameter_sets, [hex(HIGH_PPS)]);
    let ext = avc1.avcc.ext.as_ref().expect("a high profile names its samples");
    assert_eq!((ext.chroma_format, ext.bit_depth_luma, ext.bit_depth_chroma), (1, 8, 8));
    let [Codec::Mp4a(mp4a)] = &audio.mdia.minf.stbl.stsd.codecs[..] else { panic!("{audio:?}") };
    assert_eq!(mp4a.audio.channel_count, 2);
    let described = format!("{:?}", mp4a.esds);
    assert!(described.contains("object_type_indication: 64"), "{described}");
}

#[test]
fn an_init_segment_describes_h265_and_opus() {
    let tracks = Tracks { video: hevc(), audio: Some(Audio::opus(2)) };
    assert_eq!(tracks.content_type(), "video/mp4; codecs=\"hvc1.1.6.L60.90,opus\"");
    let moov = moov(&tracks);
    let [Codec::Hvc1(hvc1)] = &moov.trak[0].mdia.minf.stbl.stsd.codecs[..] else { panic!("{moov:?}") };
    assert_eq!((hvc1.visual.width, hvc1.visual.height), (326, 182));
    assert_eq!((hvc1.hvcc.general_profile_idc, hvc1.hvcc.general_level_idc), (1, 60));
    assert_eq!(
        (hvc1.hvcc.chroma_format_idc, hvc1.hvcc.bit_depth_luma_minus8, hvc1.hvcc.num_temporal_layers),
        (1, 0, 1)
    );
    let sets: Vec<_> = hvc1.hvcc.arrays.iter().map(|array| (array.nal_unit_type, array.nalus.concat())).collect();
    assert_eq!(sets, [(32, hex(HEVC_VPS)), (33, hex(HEVC_SPS)), (34, hex(HEVC_PPS))]);
    let [Codec::Opus(opus)] = &moov.trak[1].mdia.minf.stbl.stsd.codecs[..] else { panic!("{moov:?}") };
    assert_eq!(opus.audio.channel_count, 2);
}

#[test]
fn a_track_says_how_far_its_frames_are_reordered() {
    assert_eq!((high().reorder, hevc().reorder), (2, 2), "x264 and x265 make B-frames in a pyramid");
    let baseline = ["6742c00bd901419f9f011000000300100000030140f142a480", "68cb83cb20"].map(hex);
    assert_eq!(Video::h264(&baseline[0], &baseline[1]).expect("valid").reorder, 0);
}

#[test]
fn a_track_without_sound_announces_none() {
    let tracks = Tracks { video: high(), audio: None };
    assert_eq!(tracks.content_type(), "video/mp4; codecs=\"avc1.64000C\"");
    let moov = moov(&tracks);
    assert_eq!((moov.trak.len(), moov.mvex.map(|mvex| mvex.trex.len())), (1, Some(1)));
}

#[test]
fn a_fragment_has_one_frame_with_its_time() {
    let nals = [Bytes::from_static(b"\x65abc"), Bytes::from_static(b"\x41de")];
    let timing = Timing { decode_time: 1 << 40, offset: 0, duration: 3000, is_sync: true };
    let frame = crate::stream::framed(&nals);
    let fragment =
        |sequence, track, timing, frame: &[u8]| [&fragment_head(sequence, track, timing, frame.len()), frame].concat();
    let data = fragment(7, Track::Video, timing, &frame);
    let (first, mdat) = moof(&data);
    assert_eq!(mdat, b"\0\0\0\x04\x65abc\0\0\0\x03\x41de");
    assert_eq!((first.mfhd.sequence_number, first.traf.len()), (7, 1));
    let traf = &first.traf[0];
    assert!(traf.tfhd.track_id == 1 && traf.tfhd.default_base_is_moof, "{traf:?}");
    assert_eq!(traf.tfdt.as_ref().map(|tfdt| tfdt.base_media_decode_time), Some(1 << 40));
    let at = traf.trun[0].data_offset.and_then(|at| usize::try_from(at).ok()).expect("an offset");
    assert_eq!(&data[at..], mdat, "the offset leads to the frame");
    let sample = traf.trun[0].samples.get(0).expect("one");
    assert_eq!((traf.trun[0].samples.len(), sample.duration, sample.size), (1, Some(3000), Some(15)));
    assert_eq!(sample.flags, Some(0x0200_0000));

    let timing = Timing { decode_time: 5, offset: -7, duration: 1024, is_sync: false };
    let (second, mdat) = moof(&fragment(8, Track::Audio, timing, b"sound"));
    assert_eq!((second.traf[0].tfhd.track_id, mdat.as_slice()), (2, &b"sound"[..]));
    assert_eq!(second.traf[0].trun[0].samples.get(0).and_then(|sample| sample.flags), Some(0x0101_0000));
    assert_eq!(second.traf[0].trun[0].samples.get(0).and_then(|sample| sample.cts), Some(-7));
}

#[test]
fn parameter_sets_that_are_not_understood_give_no_track() {
    assert_eq!(Video::h264(b"", b""), None);
    assert_eq!(Video::h264(&hex(HIGH_SPS)[..6], &hex(HIGH_PPS)), None);
    let sps = hex(HEVC_SPS);
    for length in 0..20 {
        assert_eq!(Video::h265(&hex(HEVC_VPS), &sps[..length], &hex(HEVC_PPS)), None, "{length} bytes");
    }
    assert_eq!(Video::h264(&hex(HIGH_SPS), &vec![0; 70_000]), None, "a length of 16 bits");
    assert_eq!(Audio::aac(&[]), None);
    assert_eq!(Audio::aac(&[0x17, 0x10]), None, "a reserved sampling rate");
}

proptest! {
    /// Parameter sets come from cameras.
    #[test]
    fn any_bytes_are_refused_or_give_a_track_that_can_be_written(
        data in prop::collection::vec(any::<u8>(), 0..60),
        at in 0usize..40,
    ) {
        // Random bytes, and valid sets with random ends.
        let damaged = |valid: &str| [&hex(valid)[..at.min(valid.len() / 2)], &data[..]].concat();
        let pps = hex(HIGH_PPS);
        let h264 = [data.clone(), damaged(HIGH_SPS)].map(|sps| Video::h264(&sps, &pps));
        let h265 = [data.clone(), damaged(HEVC_SPS)].map(|sps| Video::h265(&hex(HEVC_VPS), &sps, &pps));
        for video in h264.into_iter().chain(h265).flatten() {
            let tracks = Tracks { video, audio: Audio::aac(&data) };
            prop_assert!(tracks.init().len() > 500 && tracks.content_type().starts_with("video/mp4; codecs="));
        }
    }
}

#[test]
fn codecs_of_audio_have_their_object_type_and_clock() {
    for (config, codec, clock) in [
        (&[0x11, 0x90][..], "mp4a.40.2", 48_000),
        // HE-AAC, 24 kHz.
        (&[0x2B, 0x11, 0x88, 0x00], "mp4a.40.5", 24_000),
        // The rate in 24 bits.
        (&[0x17, 0x80, 0x3E, 0x80, 0x08], "mp4a.40.2", 32_000),
    ] {
        let audio = Audio::aac(config).expect("valid");
        assert_eq!((audio.codec.as_str(), audio.clock), (codec, clock), "{config:02x?}");
    }
}

#[test]
fn frames_of_sound_have_their_length() {
    let opus = Audio::opus(2);
    for (packet, length) in [
        // Table 2 of RFC 6716: 20 ms and 60 ms of SILK, 10 ms of the hybrid, 2.5 ms and 20 ms of CELT.
        (&[0b0000_1000][..], 960),
        (&[0b0001_1000], 2880),
        (&[0b0110_0000], 480),
        (&[0b1000_0000], 120),
        (&[0b1111_1100], 960),
        // Two frames, six frames, and more than a packet can have.
        (&[0b1111_1101], 1920),
        (&[0b1111_1111, 6], 5760),
        (&[0b0001_1011, 63], 5760),
        (&[], 0),
    ] {
        assert_eq!(opus.length(packet), length, "{packet:x?}");
    }
    assert_eq!(Audio::aac(&[0x11, 0x90]).expect("valid").length(b"any"), 1024);
    assert_eq!(Audio::aac(&[0x11, 0x94]).expect("valid").length(b"any"), 960);
}
