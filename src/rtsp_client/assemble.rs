//! [`Assembler`]: access units of H.264 and H.265 out of packets in order.
//!
//! A unit ends with the marker bit, or where the RTP time changes. Firmware sets the marker on each slice, or never, or sends one RTP
//! time for all pictures: what contradicts the slices is not believed from then on. A unit with lost packets is not passed on; the
//! next one says that data before it was lost.

use bytes::{Bytes, BytesMut};

use super::{
    Start, Unit,
    depacketize::Depacketizer,
    parameter_sets::ParameterSets,
    rtp::Packet,
    track::{Codec, Track},
};
use crate::h264::slice::{self, Nal};

/// Most bytes, and most NALs, of a unit. The largest keyframes of cameras have 2 MB, in some tens of slices.
const MAX_UNIT: usize = 16 << 20;
const MAX_NALS: usize = 2048;

/// Pictures of one RTP time, after which the time is not believed: an interlaced unit has two.
const MAX_FIELDS: u32 = 2;

/// Supplemental information that is added to an intra picture without a recovery point: the picture is correct at once, if not exactly
/// (H.264 D.2.8). Without it ffmpeg 5 and 6 begin at IDR pictures only.
const RECOVERY_POINT: [u8; 9] = [0, 0, 0, 1, 0x06, 6, 1, 0b1000_0100, 0x80];

/// Collects packets.
#[derive(Debug)]
pub(super) struct Assembler {
    codec: Codec,
    depacketizer: Depacketizer,
    sets: ParameterSets,
    current: Current,
    /// Data was lost before the current unit.
    has_loss: bool,
    /// There has been no unit yet: the session can begin in the middle of one.
    is_joining: bool,
    /// The RTP time of a unit that its marker ended.
    closed: Option<u32>,
    /// The marker is on packets that are not the last one of a picture.
    is_marker_wrong: bool,
    /// The RTP time is the same for several pictures.
    is_time_wrong: bool,
    /// Scratch for the NALs of a packet.
    nals: Vec<Bytes>,
}

/// The unit that is being received.
#[derive(Debug, Default)]
struct Current {
    timestamp: Option<u32>,
    nals: Vec<Bytes>,
    bytes: usize,
    /// Slices that begin a picture.
    pictures: u32,
    has_slices: bool,
    has_sets: bool,
    is_key: bool,
    /// Whether each slice is an intra slice.
    is_intra: bool,
    recovery: Option<u32>,
    /// Packets of it were lost.
    is_damaged: bool,
}

impl Assembler {
    pub(super) fn new(codec: Codec, track: &Track) -> Self {
        let has_order = track.parameter("sprop-max-don-diff").is_some_and(|n| n.parse().is_ok_and(|n: u32| n > 0));
        Assembler {
            codec,
            depacketizer: Depacketizer::new(codec, has_order),
            sets: ParameterSets::new(codec, &track.parameter_sets()),
            current: Current::default(),
            has_loss: false,
            is_joining: true,
            closed: None,
            is_marker_wrong: false,
            is_time_wrong: false,
            nals: vec![],
        }
    }

    /// Takes a packet; `has_gap` if packets before it were lost.
    pub(super) fn push(&mut self, packet: &Packet, has_gap: bool, out: &mut impl Extend<Unit>) {
        let is_new = self.current.timestamp != Some(packet.timestamp);
        if has_gap {
            self.depacketizer.gap();
            // Lost packets belong to this unit, or to the end of one that no marker has ended, or to units between. Without their
            // beginning the slices that follow are no whole picture (see below).
            self.current.is_damaged |= self.current.has_slices;
            self.has_loss = true;
        }
        if is_new {
            self.end_nal(out);
            self.finish(out);
            self.current.timestamp = Some(packet.timestamp);
        }
        let mut nals = std::mem::take(&mut self.nals);
        let is_given_up = self.depacketizer.push(packet.payload.clone(), &mut nals);
        self.current.is_damaged |= is_given_up;
        for nal in nals.drain(..) {
            self.add(nal, packet.timestamp, out);
        }
        self.nals = nals;
        // A marker in the middle of a NAL ends nothing: the next packet tells whether the NAL goes on.
        let is_end = packet.marker && !self.is_marker_wrong && !self.depacketizer.is_inside();
        if is_end && self.current.has_slices {
            self.finish(out);
            self.closed = Some(packet.timestamp);
            self.current.timestamp = Some(packet.timestamp);
        }
    }

    /// The sender begins anew: the current unit is lost.
    pub(super) fn begin_anew(&mut self) {
        self.depacketizer.gap();
        (self.current, self.closed, self.has_loss) = (Current::default(), None, true);
    }

    fn end_nal(&mut self, out: &mut impl Extend<Unit>) {
        let mut nals = std::mem::take(&mut self.nals);
        self.depacketizer.flush(&mut nals);
        let timestamp = self.current.timestamp.unwrap_or_default();
        for nal in nals.drain(..) {
            self.add(nal, timestamp, out);
        }
        self.nals = nals;
    }

    fn add(&mut self, nal: Bytes, timestamp: u32, out: &mut impl Extend<Unit>) {
        let kind = match self.codec {
            Codec::H265 => slice::h265(&nal),
            _ => slice::h264(&nal),
        };
        match kind {
            Nal::Unused => {}
            // A delimiter, or a set behind slices, begins the next unit (H.264, 7.4.1.2.3; H.265, 7.4.2.4.4).
            Nal::Delimiter => self.end_picture(timestamp, out),
            Nal::ParameterSet => {
                self.end_picture(timestamp, out);
                self.current.has_sets |= self.sets.take(&nal);
            }
            Nal::Recovery(frames) => {
                self.current.recovery = Some(frames);
                self.keep(nal);
            }
            Nal::Other => self.keep(nal),
            Nal::Slice { is_first, is_key, is_intra } => {
                if is_first && self.current.pictures > 0 {
                    self.is_time_wrong |= self.current.pictures >= MAX_FIELDS;
                    if self.is_time_wrong {
                        self.end_picture(timestamp, out);
                    }
                }
                if !self.current.has_slices {
                    if !is_first && self.closed == Some(timestamp) {
                        // A slice of the picture that the marker has ended.
                        self.is_marker_wrong = true;
                        self.has_loss = true;
                    }
                    // The beginning of this picture was lost.
                    self.current.is_damaged |= !is_first && (self.has_loss || self.is_joining);
                }
                self.current.is_intra = is_intra && (self.current.is_intra || !self.current.has_slices);
                self.current.has_slices = true;
                self.current.is_key |= is_key;
                self.current.pictures += u32::from(is_first);
                self.keep(nal);
            }
        }
    }

    fn keep(&mut self, nal: Bytes) {
        let current = &mut self.current;
        current.bytes += 4 + nal.len();
        if current.bytes > MAX_UNIT || current.nals.len() >= MAX_NALS {
            current.is_damaged = true;
            current.nals.clear();
            current.bytes = 0;
            return;
        }
        current.nals.push(nal);
    }

    fn end_picture(&mut self, timestamp: u32, out: &mut impl Extend<Unit>) {
        if self.current.has_slices {
            self.finish(out);
            self.current.timestamp = Some(timestamp);
        }
    }

    /// Passes the current unit on. Without slices its NALs belong to the next unit.
    fn finish(&mut self, out: &mut impl Extend<Unit>) {
        if !self.current.has_slices {
            self.current.timestamp = None;
            return;
        }
        let unit = std::mem::take(&mut self.current);
        self.is_joining = false;
        if unit.is_damaged {
            self.has_loss = true;
            return;
        }
        let start = match (unit.is_key, unit.recovery, unit.is_intra) {
            _ if !self.sets.are_complete() => Start::No,
            (true, ..) => Start::Key,
            (false, Some(frames), _) => Start::Recovery(frames),
            (false, None, true) => Start::Recovery(0),
            (false, None, false) => Start::No,
        };
        let has_sets = start != Start::No || unit.has_sets;
        let mut data = BytesMut::with_capacity(unit.bytes + if has_sets { self.sets.size() } else { 0 });
        if has_sets {
            self.sets.write(&mut data);
        }
        if start == Start::Recovery(0) && unit.recovery.is_none() {
            data.extend_from_slice(&RECOVERY_POINT);
        }
        for nal in &unit.nals {
            data.extend_from_slice(&[0, 0, 0, 1]);
            data.extend_from_slice(nal);
        }
        let timestamp = unit.timestamp.unwrap_or_default();
        let has_loss = std::mem::take(&mut self.has_loss);
        out.extend([Unit { data: data.freeze(), start, has_loss, timestamp }]);
    }
}

#[cfg(test)]
mod tests;
