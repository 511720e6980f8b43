//! [`SoundFormat`] and [`Sounds`]: frames of sound out of the payloads of RTP packets: AAC (RFC 3640, RFC 6416) and Opus (RFC 7587).
//! Other sound is not read, because browsers play no other in MP4.

use bytes::{Buf, Bytes, BytesMut};

use super::{Start, Unit, rtp::Packet, track::Track};
use crate::{aac::AudioConfig, h264::bits::Reader};

/// Most bytes of a frame: AAC has at most 768 bytes for each of 8 channels, Opus 1275 for each of 48 parts.
const MAX_FRAME: usize = 64 << 10;

/// Most frames in a packet. Senders pack some tens of milliseconds.
const MAX_FRAMES: usize = 64;

/// Ticks of Opus in RTP a second, whatever was recorded (RFC 7587, section 4.1).
pub(super) const OPUS_CLOCK: u32 = 48_000;

/// A format of sound that is read here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SoundFormat {
    /// AAC.
    Aac {
        /// Its `AudioSpecificConfig`.
        config: Bytes,
    },
    /// Opus.
    Opus {
        /// 1 or 2.
        channels: u8,
    },
}

/// How the payloads of a track have their frames.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Packing {
    /// Headers with the size of each frame, and then the frames (RFC 3640, section 3.2.1).
    Headers(Fields),
    /// The length before each frame, in bytes of which 255 continues (ISO/IEC 14496-3, 1.7.3.1); the number of frames.
    Latm(usize),
    /// The same behind a bit, which says whether the configuration comes first (`cpresent=1`); the configuration that is expected.
    InBand(AudioConfig),
    /// One frame.
    Plain,
}

/// The beginning of a `StreamMuxConfig` of version 0 (ISO/IEC 14496-3, 1.7.3.2): one program with one layer, whose frames have the same
/// time base.
struct Mux {
    /// Frames in an element.
    frames: usize,
    audio: AudioConfig,
    /// Position of the `AudioSpecificConfig`, in bits.
    begin: usize,
}

impl Mux {
    /// None for other ones.
    fn read(bits: &mut Reader<'_>) -> Option<Self> {
        let (version, is_same_time) = (bits.bit()?, bits.bit()?);
        let (more_frames, programs, layers) = (bits.bits(6)?, bits.bits(4)?, bits.bits(3)?);
        if version || !is_same_time || programs > 0 || layers > 0 {
            return None;
        }
        let begin = bits.position();
        let audio = AudioConfig::read_from(bits)?;
        // Frames of a length that is written before each.
        (bits.bits(3)? == 0).then_some(Mux { frames: more_frames as usize + 1, audio, begin })
    }

    /// Passes over the rest: the fullness of a buffer, the length of other data, and a checksum.
    fn pass_rest(bits: &mut Reader<'_>) -> Option<()> {
        bits.bits(8)?;
        if bits.bit()? {
            while bits.bit()? {
                bits.bits(8)?;
            }
            bits.bits(8)?;
        }
        if bits.bit()? {
            bits.bits(8)?;
        }
        Some(())
    }
}

/// The sizes of the fields of a header in bits (RFC 3640, section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fields {
    size: u32,
    index: u32,
    index_delta: u32,
    composition: u32,
    decoding: u32,
    random_access: u32,
    state: u32,
    auxiliary: u32,
    /// The size of every frame in bytes, where the headers have none; 0 for a frame in each packet.
    constant: usize,
}

/// An audio track that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SoundTrack {
    pub(super) format: SoundFormat,
    /// Ticks of its RTP time a second.
    pub(super) clock: u32,
    packing: Packing,
    /// Ticks of a frame.
    frame: u32,
}

impl SoundTrack {
    /// The sound of a track, if it can be read here.
    pub(super) fn of(track: &Track) -> Option<Self> {
        match track.encoding.to_ascii_uppercase().as_str() {
            "MPEG4-GENERIC" => Self::generic(track),
            "MP4A-LATM" => Self::latm(track),
            "OPUS" => Some(SoundTrack {
                // What is sent says the number of channels for each packet; one that decodes two plays both (RFC 7587, section 7).
                format: SoundFormat::Opus { channels: 2 },
                clock: OPUS_CLOCK,
                packing: Packing::Plain,
                frame: OPUS_CLOCK / 50,
            }),
            _ => None,
        }
    }

    fn generic(track: &Track) -> Option<Self> {
        let number = |name: &str| track.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(0_u32);
        let given = track.parameter("config").and_then(hex);
        let config =
            given.or_else(|| AudioConfig::write(track.clock_rate, track.channels.max(1)).map(|c| c.to_vec()))?;
        let mut fields = Fields {
            size: number("sizelength"),
            index: number("indexlength"),
            index_delta: number("indexdeltalength"),
            composition: number("ctsdeltalength"),
            decoding: number("dtsdeltalength"),
            random_access: u32::from(number("randomaccessindication") > 0),
            state: number("streamstateindication"),
            auxiliary: number("auxiliarydatasizelength"),
            constant: usize::try_from(number("constantsize")).unwrap_or(0).min(MAX_FRAME),
        };
        if fields.size == 0 && fields.constant == 0 {
            // Firmware leaves the sizes to the mode (RFC 3640, sections 3.3.5 and 3.3.6), or leaves out both.
            let is_low = track.parameter("mode").is_some_and(|mode| mode.eq_ignore_ascii_case("AAC-lbr"));
            (fields.size, fields.index, fields.index_delta) = if is_low { (6, 2, 2) } else { (13, 3, 3) };
        }
        let all = [fields.size, fields.index, fields.index_delta, fields.composition, fields.decoding, fields.state];
        if all.iter().chain([&fields.auxiliary]).any(|bits| *bits > 32) {
            return None;
        }
        Self::aac(track, config, Packing::Headers(fields))
    }

    /// With the configuration in the description, or in the stream itself. A description of the latter kind tells the rate and the
    /// channels alone, which is enough for AAC-LC.
    fn latm(track: &Track) -> Option<Self> {
        let given = track.parameter("config").and_then(hex);
        let is_in_band = track.parameter("cpresent").map_or(given.is_none(), |present| present.trim() != "0");
        if is_in_band {
            let config = AudioConfig::write(track.clock_rate, track.channels.max(1))?;
            return Self::aac(track, config.to_vec(), Packing::InBand(AudioConfig::read(&config)?));
        }
        let mux = given?;
        let Mux { frames, audio, begin } = Mux::read(&mut Reader::new(&mux))?;
        let mut from = Reader::new(&mux);
        for _ in 0..begin {
            from.bit()?;
        }
        let mut config = vec![0; audio.bits.div_ceil(8)];
        for at in 0..audio.bits {
            config[at / 8] |= u8::from(from.bit()?) << (7 - at % 8);
        }
        Self::aac(track, config, Packing::Latm(frames))
    }

    fn aac(track: &Track, config: Vec<u8>, packing: Packing) -> Option<Self> {
        let read = AudioConfig::read(&config)?;
        let clock = if track.clock_rate > 0 { track.clock_rate } else { read.rate };
        // The clock of HE-AAC counts all samples, the configuration those without SBR.
        let usual = u64::from(read.samples) * u64::from(clock) / u64::from(read.rate);
        let constant =
            track.parameter("constantduration").and_then(|text| text.parse().ok()).filter(|ticks| *ticks > 0);
        let frame = constant.unwrap_or(u32::try_from(usual).ok()?);
        Some(SoundTrack { format: SoundFormat::Aac { config: config.into() }, clock, packing, frame })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text.trim().chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<_> = digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect();
    (!bytes.is_empty() && bytes.len() <= 64 && digits.len().is_multiple_of(2)).then_some(bytes)
}

/// Takes packets in the order of sending.
#[derive(Debug)]
pub(super) struct Sounds {
    packing: Packing,
    frame: u32,
    /// The beginning of a frame in several packets: the RTP time, and the size that its header says.
    partial: Option<(u32, Option<usize>, BytesMut)>,
    has_loss: bool,
    /// Frames in an element, as the configuration in the stream has said last.
    in_band: Option<usize>,
}

impl Sounds {
    pub(super) fn new(track: &SoundTrack) -> Self {
        Sounds { packing: track.packing.clone(), frame: track.frame, partial: None, has_loss: false, in_band: None }
    }

    /// The sender begins anew.
    pub(super) fn begin_anew(&mut self) {
        (self.partial, self.has_loss, self.in_band) = (None, true, None);
    }

    /// Takes a packet; `has_gap` if packets before it were lost. Passes its frames on, which are whole: a damaged frame is left out.
    pub(super) fn push(&mut self, packet: &Packet, has_gap: bool, out: &mut impl Extend<Unit>) {
        if has_gap || self.partial.as_ref().is_some_and(|(timestamp, ..)| *timestamp != packet.timestamp) {
            self.has_loss |= has_gap || self.partial.is_some();
            self.partial = None;
        }
        match self.packing.clone() {
            Packing::Plain => self.pass(packet.payload.clone(), packet.timestamp, out),
            Packing::Headers(fields) => self.with_headers(&fields, packet, out),
            Packing::Latm(frames) => {
                if let Some(data) = self.element(packet) {
                    self.latm(frames, data, packet.timestamp, out);
                }
            }
            Packing::InBand(expected) => {
                if let Some(data) = self.element(packet)
                    && self.in_band(&expected, &data, packet.timestamp, out).is_none()
                {
                    self.has_loss = true;
                }
            }
        }
    }

    fn pass(&mut self, data: Bytes, timestamp: u32, out: &mut impl Extend<Unit>) {
        if !data.is_empty() && data.len() <= MAX_FRAME {
            let has_loss = std::mem::take(&mut self.has_loss);
            out.extend([Unit { data, start: Start::Key, has_loss, timestamp }]);
        }
    }

    fn with_headers(&mut self, fields: &Fields, packet: &Packet, out: &mut impl Extend<Unit>) {
        let mut rest = packet.payload.clone();
        if let Some((timestamp, Some(size), mut data)) = self.partial.take() {
            let Some((_, behind)) = fields.read(&rest) else { return };
            data.extend_from_slice(&behind);
            if data.len() >= size || packet.marker {
                self.has_loss |= data.len() != size;
                if data.len() == size {
                    self.pass(data.freeze(), timestamp, out);
                }
            } else if data.len() <= MAX_FRAME {
                self.partial = Some((timestamp, Some(size), data));
            }
            return;
        }
        let Some((sizes, behind)) = fields.read(&rest) else { return };
        rest = behind;
        let mut timestamp = packet.timestamp;
        for size in sizes {
            if size > rest.len() {
                // The first part of a frame, which is alone in its packets (RFC 3640, section 3.2.3.1).
                if size <= MAX_FRAME && !packet.marker {
                    self.partial = Some((timestamp, Some(size), BytesMut::from(&rest[..])));
                }
                return;
            }
            self.pass(rest.split_to(size), timestamp, out);
            timestamp = timestamp.wrapping_add(self.frame);
        }
    }

    /// A whole element of LATM, which can have several packets. All of them have the same time.
    fn element(&mut self, packet: &Packet) -> Option<Bytes> {
        let (timestamp, _, mut data) = self.partial.take().unwrap_or_else(|| (packet.timestamp, None, BytesMut::new()));
        data.extend_from_slice(&packet.payload);
        if !packet.marker {
            if data.len() <= MAX_FRAME {
                self.partial = Some((timestamp, None, data));
            }
            return None;
        }
        Some(data.freeze())
    }

    /// An element with its configuration, or that of an earlier one (ISO/IEC 14496-3, 1.7.3, AudioMuxElement). Its frames need not begin
    /// at a byte. None if it cannot be read, or is of another kind than expected.
    fn in_band(
        &mut self,
        expected: &AudioConfig,
        data: &[u8],
        mut timestamp: u32,
        out: &mut impl Extend<Unit>,
    ) -> Option<()> {
        let mut bits = Reader::new(data);
        if !bits.bit()? {
            self.in_band = None;
            let mux = Mux::read(&mut bits)?;
            Mux::pass_rest(&mut bits)?;
            if mux.audio != *expected {
                return None;
            }
            self.in_band = Some(mux.frames);
        }
        for _ in 0..self.in_band? {
            let mut size = 0;
            loop {
                let byte = bits.bits(8)? as usize;
                size += byte;
                if byte != 255 {
                    break;
                }
            }
            if size > data.len() {
                return None;
            }
            let frame = (0..size).map(|_| bits.bits(8).map(|byte| byte as u8)).collect::<Option<Vec<_>>>()?;
            self.pass(frame.into(), timestamp, out);
            timestamp = timestamp.wrapping_add(self.frame);
        }
        Some(())
    }

    fn latm(&mut self, frames: usize, mut rest: Bytes, mut timestamp: u32, out: &mut impl Extend<Unit>) {
        for _ in 0..frames {
            let mut size = 0;
            loop {
                if rest.is_empty() {
                    return;
                }
                let byte = rest.get_u8();
                size += usize::from(byte);
                if byte != 255 {
                    break;
                }
            }
            if size > rest.len() {
                self.has_loss = true;
                return;
            }
            self.pass(rest.split_to(size), timestamp, out);
            timestamp = timestamp.wrapping_add(self.frame);
        }
    }
}

impl Fields {
    /// The sizes of the frames in a payload, and the bytes of the frames. None if the payload is damaged, or its frames are not in their
    /// order, which only senders of music over bad networks do.
    fn read(&self, payload: &Bytes) -> Option<(Vec<usize>, Bytes)> {
        let header = self.size + self.index.max(self.index_delta) + self.composition + self.decoding;
        let mut rest = payload.clone();
        let mut sizes = vec![];
        if header + self.random_access + self.state > 0 {
            if rest.len() < 2 {
                return None;
            }
            let bits = usize::from(rest.get_u16());
            let bytes = bits.div_ceil(8);
            if bytes > rest.len() {
                return None;
            }
            let headers = rest.split_to(bytes);
            let mut reader = Reader::new(&headers);
            while reader.position() < bits && sizes.len() < MAX_FRAMES {
                let begin = reader.position();
                let is_first = sizes.is_empty();
                let size = reader.bits(self.size)?;
                let index = reader.bits(if is_first { self.index } else { self.index_delta })?;
                if !is_first && index > 0 {
                    return None;
                }
                for length in [self.composition, self.decoding] {
                    // A first header has no difference of composition times; its flag is 0 then.
                    if length > 0 && reader.bit()? {
                        reader.bits(length)?;
                    }
                }
                reader.bits(self.random_access)?;
                reader.bits(self.state)?;
                if reader.position() == begin {
                    return None;
                }
                sizes.push(if self.size > 0 { usize::try_from(size).ok()? } else { self.constant });
            }
        }
        if self.auxiliary > 0 {
            let skipped = {
                let mut reader = Reader::new(&rest);
                let bits = usize::try_from(reader.bits(self.auxiliary)?).ok()?;
                reader.position().checked_add(bits)?.div_ceil(8)
            };
            if skipped > rest.len() {
                return None;
            }
            rest.advance(skipped);
        }
        if sizes.is_empty() {
            let size = if self.constant > 0 { self.constant } else { rest.len() };
            sizes = vec![size; rest.len().checked_div(size).unwrap_or(0).min(MAX_FRAMES)];
        }
        Some((sizes, rest))
    }
}

#[cfg(test)]
mod tests;
