//! What a decoder must know of a track before its first frame: the sample entry of each codec, and its name (RFC 6381).

use std::fmt::Write;

use bytes::Bytes;
use h264_reader::{
    nal::sps::{ChromaFormat, PicOrderCntType, SeqParameterSet},
    rbsp::BitReader,
};

use super::{Track, VIDEO_CLOCK, boxes::Boxes};
use crate::{
    aac::AudioConfig,
    h264::{bits::Reader, nal},
};

/// H.264 profiles (Baseline, Main, Extended) whose record does not name the format of the samples (ISO/IEC 14496-15, 5.3.3.1.2).
const LOW_PROFILES: [u8; 3] = [66, 77, 88];

/// A video track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Its codec, such as `avc1.42C01E`.
    pub codec: String,
    /// Frames that can come before one that is shown earlier; 0 if the coding order is the display order, or if the parameter sets do
    /// not say.
    pub reorder: u8,
    entry: Bytes,
}

/// An audio track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Ticks a second.
    pub clock: u32,
    /// Its codec: `mp4a.40.2` or `opus`.
    pub codec: String,
    /// Ticks of each frame; none if each frame says it itself (Opus).
    samples: Option<u32>,
    entry: Bytes,
}

impl Video {
    /// H.264, from its parameter sets. None if the sequence parameter set is not understood.
    pub fn h264(sps: &[u8], pps: &[u8]) -> Option<Self> {
        let [_, profile, constraints, level, ..] = *sps else { return None };
        let payload = nal::unescape(sps.get(1..)?);
        let parsed = SeqParameterSet::from_bits(BitReader::new(&payload[..])).ok()?;
        let (width, height) = parsed.pixel_dimensions().ok()?;
        let (width, height) = (u16::try_from(width).ok()?, u16::try_from(height).ok()?);
        let (sps_length, pps_length) = (u16::try_from(sps.len()).ok()?, u16::try_from(pps.len()).ok()?);
        let entry = visual(b"avc1", width, height, |out| {
            out.boxed(b"avcC", |out| {
                // Lengths of four bytes; one parameter set of each kind.
                out.bytes(&[1, profile, constraints, level, 0xFF, 0xE1]).u16(sps_length).bytes(sps);
                out.u8(1).u16(pps_length).bytes(pps);
                if !LOW_PROFILES.contains(&profile) {
                    let chroma = &parsed.chroma_info;
                    out.u8(0xFC | chroma_format_idc(chroma.chroma_format));
                    out.u8(0xF8 | chroma.bit_depth_luma_minus8).u8(0xF8 | chroma.bit_depth_chroma_minus8).u8(0);
                }
            });
        });
        let restrictions = parsed.vui_parameters.as_ref().and_then(|vui| vui.bitstream_restrictions.as_ref());
        let reorder = match (&parsed.pic_order_cnt, restrictions) {
            (PicOrderCntType::TypeTwo, _) | (_, None) => 0,
            (_, Some(restrictions)) => u8::try_from(restrictions.max_num_reorder_frames).unwrap_or(u8::MAX),
        };
        Some(Video { width, height, codec: format!("avc1.{profile:02X}{constraints:02X}{level:02X}"), reorder, entry })
    }

    /// H.265, from its parameter sets. None if the sequence parameter set is not understood.
    pub fn h265(vps: &[u8], sps: &[u8], pps: &[u8]) -> Option<Self> {
        let read = HevcSps::read(sps)?;
        let lengths = [vps, sps, pps].map(|set| u16::try_from(set.len()).ok());
        let entry = visual(b"hvc1", read.width, read.height, |out| {
            out.boxed(b"hvcC", |out| {
                out.u8(1).bytes(&read.profile).u8(read.level);
                // No spatial segmentation, parallelism unknown, the format of the samples, frame rate unknown (8.3.3.1.2).
                out.u16(0xF000).u8(0xFC).u8(0xFC | read.chroma).u8(0xF8 | read.luma_bits).u8(0xF8 | read.chroma_bits);
                out.u16(0).u8(read.layers << 3 | u8::from(read.is_nested) << 2 | 3).u8(3);
                for ((kind, set), length) in [(32, vps), (33, sps), (34, pps)].into_iter().zip(lengths) {
                    out.u8(0x80 | kind).u16(1).u16(length.unwrap_or(0)).bytes(set);
                }
            });
        });
        lengths.iter().all(Option::is_some).then(|| Video {
            width: read.width,
            height: read.height,
            codec: read.codec(),
            reorder: read.reorder,
            entry,
        })
    }

    pub(super) fn trak(&self, out: &mut Boxes) {
        let size = (self.width, self.height);
        trak(out, Track::Video, VIDEO_CLOCK, size, &self.entry);
    }
}

impl Audio {
    /// AAC, from its `AudioSpecificConfig` (ISO/IEC 14496-3, 1.6.2.1). None if it is too short or not understood.
    pub fn aac(config: &[u8]) -> Option<Self> {
        let AudioConfig { object, rate: clock, channels, samples, .. } = AudioConfig::read(config)?;
        let length = u8::try_from(config.len()).ok().filter(|length| *length < 64)?;
        // The sizes of the descriptors have seven bits a byte (ISO/IEC 14496-1, 8.3.3): all are less than 128 here.
        let entry = sound(b"mp4a", channels.into(), clock, |out| {
            out.full(b"esds", 0, 0, |out| {
                out.u8(3).u8(23 + length).u16(0).u8(0);
                // MPEG-4 audio, an audio stream, unknown buffer and rates.
                out.u8(4).u8(15 + length).u8(0x40).u8(0x15).zeros(11);
                out.u8(5).u8(length).bytes(config);
                out.u8(6).u8(1).u8(2);
            });
        });
        Some(Audio { clock, codec: format!("mp4a.40.{object}"), samples: Some(samples), entry })
    }

    /// Opus of one or two channels, as it is in RTP (RFC 7587). Its clock is 48 kHz, whatever was recorded.
    pub fn opus(channels: u8) -> Self {
        let channels = channels.clamp(1, 2);
        let entry = sound(b"Opus", channels.into(), 48_000, |out| {
            out.boxed(b"dOps", |out| {
                // Version, channels, samples to skip at the beginning, the rate of the recording, gain, mapping family.
                out.u8(0).u8(channels).u16(0).u32(48_000).u16(0).u8(0);
            });
        });
        Audio { clock: 48_000, codec: "opus".into(), samples: None, entry }
    }

    /// The length of a frame in ticks.
    pub fn length(&self, frame: &[u8]) -> u32 {
        self.samples.unwrap_or_else(|| opus_length(frame))
    }

    pub(super) fn trak(&self, out: &mut Boxes) {
        trak(out, Track::Audio, self.clock, (0, 0), &self.entry);
    }
}

/// H.264, table 6-1.
fn chroma_format_idc(format: ChromaFormat) -> u8 {
    match format {
        ChromaFormat::Monochrome => 0,
        ChromaFormat::YUV420 | ChromaFormat::Invalid(_) => 1,
        ChromaFormat::YUV422 => 2,
        ChromaFormat::YUV444 => 3,
    }
}

/// The length of a packet of Opus at 48 kHz, from its first bytes (RFC 6716, section 3.1); at most 120 ms.
fn opus_length(packet: &[u8]) -> u32 {
    let Some(&first) = packet.first() else { return 0 };
    let part = match (first >> 3, first >> 3 & 3) {
        (0..=11, size) => [480, 960, 1920, 2880][usize::from(size)],
        (12..=15, size) => [480, 960][usize::from(size & 1)],
        (_, size) => [120, 240, 480, 960][usize::from(size)],
    };
    let parts = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => packet.get(1).map_or(1, |count| u32::from(count & 63)),
    };
    (part * parts).min(5760)
}

/// The parts of a sequence parameter set of H.265 (7.3.2.2) that its record repeats.
struct HevcSps {
    /// Profile space, tier and profile; compatibility flags; constraint flags: eleven bytes.
    profile: [u8; 11],
    level: u8,
    layers: u8,
    is_nested: bool,
    width: u16,
    height: u16,
    chroma: u8,
    luma_bits: u8,
    chroma_bits: u8,
    reorder: u8,
}

impl HevcSps {
    fn read(sps: &[u8]) -> Option<Self> {
        let payload = nal::unescape(sps.get(2..)?);
        let mut bits = Reader::new(&payload);
        bits.bits(4)?;
        let more_layers = bits.bits(3)?;
        let is_nested = bits.bit()?;
        let mut profile = [0; 11];
        for byte in &mut profile {
            *byte = bits.bits(8)? as u8;
        }
        let level = bits.bits(8)? as u8;
        if more_layers > 0 {
            let mut present = vec![];
            for _ in 0..more_layers {
                present.push((bits.bit()?, bits.bit()?));
            }
            bits.bits(2 * (8 - more_layers))?;
            for (has_profile, has_level) in present {
                let length = 88 * u32::from(has_profile) + 8 * u32::from(has_level);
                for _ in 0..length {
                    bits.bit()?;
                }
            }
        }
        bits.ue()?;
        let chroma = u8::try_from(bits.ue()?).ok().filter(|chroma| *chroma <= 3)?;
        if chroma == 3 {
            bits.bit()?;
        }
        let (mut width, mut height) = (bits.ue()?, bits.ue()?);
        if bits.bit()? {
            // The conformance window, in units of chroma samples (table 6-1).
            let (x, y) = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
            let [left, right, top, bottom] = [bits.ue()?, bits.ue()?, bits.ue()?, bits.ue()?];
            width = width.checked_sub(left.checked_add(right)?.checked_mul(x)?)?;
            height = height.checked_sub(top.checked_add(bottom)?.checked_mul(y)?)?;
        }
        let depth = |value: u32| u8::try_from(value).ok().filter(|depth| *depth <= 7);
        let (luma_bits, chroma_bits) = (depth(bits.ue()?)?, depth(bits.ue()?)?);
        // log2_max_pic_order_cnt_lsb; then for each layer, or for the highest one: pictures to store, to reorder, and the latency.
        bits.ue()?;
        let described = if bits.bit()? { more_layers + 1 } else { 1 };
        let mut reorder = 0;
        for _ in 0..described {
            bits.ue()?;
            reorder = u8::try_from(bits.ue()?).unwrap_or(u8::MAX);
            bits.ue()?;
        }
        Some(HevcSps {
            profile,
            level,
            layers: more_layers as u8 + 1,
            is_nested,
            width: u16::try_from(width).ok().filter(|width| *width > 0)?,
            height: u16::try_from(height).ok().filter(|height| *height > 0)?,
            chroma,
            luma_bits,
            chroma_bits,
            reorder,
        })
    }

    /// ISO/IEC 14496-15, annex E.3.
    fn codec(&self) -> String {
        let [head, a, b, c, d, constraints @ ..] = self.profile;
        let space = ["", "A", "B", "C"][usize::from(head >> 6)];
        let tier = if head & 0x20 == 0 { 'L' } else { 'H' };
        let compatible = u32::from_be_bytes([a, b, c, d]).reverse_bits();
        let mut codec = format!("hvc1.{space}{}.{compatible:X}.{tier}{}", head & 0x1F, self.level);
        let used = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for byte in &constraints[..used] {
            // Writing to a string cannot fail.
            let _ = write!(codec, ".{byte:X}");
        }
        codec
    }
}

/// A sample entry of video (ISO/IEC 14496-12, 12.1.3).
fn visual(kind: &[u8; 4], width: u16, height: u16, configuration: impl FnOnce(&mut Boxes)) -> Bytes {
    let mut out = Boxes::default();
    out.boxed(kind, |out| {
        out.zeros(6).u16(1).zeros(16).u16(width).u16(height);
        // 72 dpi, one frame in each sample, no name of a compressor, 24 bits of depth, no palette.
        out.u32(0x0048_0000).u32(0x0048_0000).u32(0).u16(1).zeros(32).u16(0x18).u16(0xFFFF);
        configuration(out);
    });
    out.finish()
}

/// A sample entry of audio (12.2.3).
fn sound(kind: &[u8; 4], channels: u16, clock: u32, configuration: impl FnOnce(&mut Boxes)) -> Bytes {
    let mut out = Boxes::default();
    out.boxed(kind, |out| {
        // 16.16 bits for the rate; 96 kHz does not fit, and decoders read the configuration.
        let rate = if clock <= 0xFFFF { clock << 16 } else { 0 };
        out.zeros(6).u16(1).zeros(8).u16(channels).u16(16).zeros(4).u32(rate);
        configuration(out);
    });
    out.finish()
}

fn trak(out: &mut Boxes, track: Track, clock: u32, size: (u16, u16), entry: &[u8]) {
    let is_audio = track == Track::Audio;
    out.boxed(b"trak", |out| {
        // The track is enabled, and used in the presentation and in previews.
        out.full(b"tkhd", 0, 7, |out| {
            out.u32(0).u32(0).u32(track.number()).u32(0).u32(0).zeros(8).u16(0);
            out.u16(u16::from(is_audio)).u16(if is_audio { 0x0100 } else { 0 }).u16(0).matrix();
            out.u32(u32::from(size.0) << 16).u32(u32::from(size.1) << 16);
        });
        out.boxed(b"mdia", |out| {
            out.full(b"mdhd", 0, 0, |out| {
                // The language "und", in three letters of five bits.
                out.u32(0).u32(0).u32(clock).u32(0).u16(0x55C4).u16(0);
            });
            out.full(b"hdlr", 0, 0, |out| {
                out.u32(0).bytes(if is_audio { b"soun" } else { b"vide" }).zeros(12).bytes(b"\0");
            });
            out.boxed(b"minf", |out| {
                if is_audio {
                    out.full(b"smhd", 0, 0, |out| {
                        out.u32(0);
                    });
                } else {
                    out.full(b"vmhd", 0, 1, |out| {
                        out.zeros(8);
                    });
                }
                out.boxed(b"dinf", |out| {
                    out.full(b"dref", 0, 0, |out| {
                        // The data is in the same file.
                        out.u32(1).full(b"url ", 0, 1, |_| {});
                    });
                });
                out.boxed(b"stbl", |out| {
                    out.full(b"stsd", 0, 0, |out| {
                        out.u32(1).bytes(entry);
                    });
                    for kind in [b"stts", b"stsc"] {
                        out.full(kind, 0, 0, |out| {
                            out.u32(0);
                        });
                    }
                    out.full(b"stsz", 0, 0, |out| {
                        out.u32(0).u32(0);
                    });
                    out.full(b"stco", 0, 0, |out| {
                        out.u32(0);
                    });
                });
            });
        });
    });
}
