//! [`Receiver`]: the packets of one track, from the transport to access units.
//!
//! What an answer announces (payload type, SSRC, first sequence number) is not believed against the packets. Packets by TCP are in
//! order, so a sequence number tells only what the sender left out. Packets by UDP wait for those before them, within bounds.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tokio::time::{Duration, Instant};

use super::{
    Unit,
    assemble::Assembler,
    jpeg::Jpegs,
    rtp::Packet,
    sdp::{Codec, Track},
    sound::{SoundTrack, Sounds},
};

/// Most units that wait to be taken. Some come with the answer to PLAY.
const MAX_UNITS: usize = 256;

/// Most packets by UDP that wait for an earlier one: a keyframe of 180 kB.
const MAX_WAITING: usize = 128;

/// How long packets by UDP wait for an earlier one. Networks reorder within milliseconds.
const MAX_WAIT: Duration = Duration::from_millis(100);

/// Consecutive gaps after which the sequence numbers of a TCP session are not believed: firmware counts in other steps.
const MAX_GAPS: u32 = 16;

/// Packets of another payload type, while none of the announced one has come, after which that type is taken.
const OTHER_TYPE: u32 = 8;

/// Distance of sequence numbers that no network causes: the sender has begun anew.
const JUMP: u16 = 3000;

/// Receives one track.
#[derive(Debug)]
pub(super) struct Receiver {
    payload_type: u8,
    /// Packets of the announced type, and of other types before the first of them.
    taken: u32,
    others: u32,
    /// By UDP: packets that wait.
    order: Option<Order>,
    last: Option<Packet>,
    gaps: u32,
    is_sequence_wrong: bool,
    media: Media,
    units: VecDeque<Unit>,
}

#[derive(Debug)]
enum Media {
    Video(Box<Assembler>),
    Jpeg(Box<Jpegs>),
    Sound(Box<Sounds>),
}

impl Media {
    fn begin_anew(&mut self) {
        match self {
            Media::Video(assembler) => assembler.begin_anew(),
            Media::Jpeg(jpegs) => jpegs.begin_anew(),
            Media::Sound(sounds) => sounds.begin_anew(),
        }
    }
}

/// Packets by their distance from the next one.
#[derive(Debug, Default)]
struct Order {
    waiting: BTreeMap<u16, Packet>,
    /// The sequence number of the next packet.
    next: Option<u16>,
    since: Option<Instant>,
}

impl Receiver {
    /// For one track of video. `is_udp` if packets can come in another order.
    pub(super) fn new(codec: Codec, track: &Track, is_udp: bool) -> Self {
        let media = match codec {
            Codec::Jpeg => Media::Jpeg(Box::new(Jpegs::new(track.size))),
            _ => Media::Video(Box::new(Assembler::new(codec, track))),
        };
        Self::of(media, track.payload_type, is_udp)
    }

    /// For a track of sound.
    pub(super) fn sound(sound: &SoundTrack, payload_type: u8, is_udp: bool) -> Self {
        Self::of(Media::Sound(Box::new(Sounds::new(sound))), payload_type, is_udp)
    }

    fn of(media: Media, payload_type: u8, is_udp: bool) -> Self {
        Receiver {
            payload_type,
            taken: 0,
            others: 0,
            order: is_udp.then(Order::default),
            last: None,
            gaps: 0,
            is_sequence_wrong: false,
            media,
            units: VecDeque::new(),
        }
    }

    /// The next unit.
    pub(super) fn pop(&mut self) -> Option<Unit> {
        self.units.pop_front()
    }

    /// Takes the bytes of a packet, which came on the agreed channel or port, or on another one. Returns whether it belongs to the
    /// track.
    pub(super) fn push(&mut self, data: Bytes, is_agreed: bool, now: Instant) -> bool {
        let Some(packet) = Packet::read(data) else { return false };
        if packet.payload_type != self.payload_type {
            self.others += u32::from(is_agreed);
            if !is_agreed || self.taken > 0 || self.others < OTHER_TYPE {
                return false;
            }
            self.payload_type = packet.payload_type;
        }
        self.taken += 1;
        let has_begun_anew = self.last.as_ref().is_some_and(|last| last.ssrc != packet.ssrc);
        if has_begun_anew {
            self.release_all();
            self.last = None;
            self.media.begin_anew();
            if let Some(order) = &mut self.order {
                *order = Order::default();
            }
        }
        match &mut self.order {
            None => self.in_order(packet),
            Some(order) => {
                order.push(packet, now);
                self.release(now);
            }
        }
        true
    }

    /// When [`Receiver::release`] must be called, if packets wait.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.order.as_ref()?.since.map(|since| since + MAX_WAIT)
    }

    /// Passes on the packets that need not wait.
    pub(super) fn release(&mut self, now: Instant) {
        while let Some(packet) = self.order.as_mut().and_then(|order| order.pop(now)) {
            self.in_order(packet);
        }
    }

    fn release_all(&mut self) {
        let waiting = self.order.as_mut().map(|order| std::mem::take(&mut order.waiting)).unwrap_or_default();
        waiting.into_values().for_each(|packet| self.in_order(packet));
    }

    fn in_order(&mut self, packet: Packet) {
        let mut has_gap = false;
        if let Some(last) = &self.last {
            if *last == packet {
                // Sent twice.
                return;
            }
            let step = packet.sequence.wrapping_sub(last.sequence);
            // A step back by TCP loses nothing; by UDP such a packet does not come here.
            let is_gap = step != 1 && (step < 0x8000 || self.order.is_some());
            self.gaps = if is_gap || step == 0 { self.gaps + 1 } else { 0 };
            self.is_sequence_wrong |= self.order.is_none() && self.gaps >= MAX_GAPS;
            has_gap = is_gap && step != 0 && !self.is_sequence_wrong;
        }
        match &mut self.media {
            Media::Video(assembler) => assembler.push(&packet, has_gap, &mut self.units),
            Media::Jpeg(jpegs) => jpegs.push(&packet, has_gap, &mut self.units),
            Media::Sound(sounds) => sounds.push(&packet, has_gap, &mut self.units),
        }
        self.last = Some(packet);
        while self.units.len() > MAX_UNITS {
            self.units.pop_front();
            if let Some(next) = self.units.front_mut() {
                next.has_loss = true;
            }
        }
    }
}

impl Order {
    fn push(&mut self, packet: Packet, now: Instant) {
        let next = *self.next.get_or_insert(packet.sequence);
        let ahead = packet.sequence.wrapping_sub(next);
        if (JUMP..=u16::MAX - JUMP).contains(&ahead) {
            // The sender has begun anew.
            self.waiting.clear();
            self.next = Some(packet.sequence);
            self.waiting.insert(0, packet);
        } else if ahead < 0x8000 {
            self.waiting.insert(ahead, packet);
        }
        // Otherwise it is late: the packets behind it have gone on.
        if self.since.is_none() && !self.waiting.is_empty() {
            self.since = Some(now);
        }
    }

    /// The next packet, or the one behind a gap that has waited long enough.
    fn pop(&mut self, now: Instant) -> Option<Packet> {
        let Some((&ahead, _)) = self.waiting.first_key_value() else {
            self.since = None;
            return None;
        };
        let has_waited = self.since.is_some_and(|since| now >= since + MAX_WAIT);
        if ahead > 0 && !has_waited && self.waiting.len() <= MAX_WAITING {
            return None;
        }
        let (_, packet) = self.waiting.pop_first()?;
        // The others are nearer by the packets that were passed on or given up.
        let passed = ahead + 1;
        self.waiting =
            std::mem::take(&mut self.waiting).into_iter().map(|(key, packet)| (key - passed, packet)).collect();
        self.next = Some(packet.sequence.wrapping_add(1));
        self.since = if self.waiting.is_empty() { None } else { self.since.filter(|_| ahead == 0).or(Some(now)) };
        Some(packet)
    }
}

#[cfg(test)]
mod tests;
