//! RTP packets of H.264 (RFC 3550, RFC 6184 packetization mode 1), framed for one RTSP connection.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, Bytes, BytesMut};

/// The dynamic payload type in the session description.
pub const PAYLOAD_TYPE: u8 = 96;

/// Ticks a second (RFC 6184 section 8.2.1).
pub const CLOCK_RATE: u32 = 90_000;

/// Most bytes of a packet's payload. MediaMTX forwards packets of up to 1440 bytes as they are, and packetizes larger ones
/// again.
pub const MAX_PAYLOAD: usize = 1400;

/// `$`, channel, length; the RTP header; the two bytes of a fragmentation unit.
const HEADERS: usize = 4 + 12 + 2;

/// Bytes of a NAL that is copied behind its header.
const SMALL: usize = 64;

/// FU-A (RFC 6184 section 5.8).
const FU_A: u8 = 28;

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;

/// Packetizes one RTP stream, and makes its RTCP sender reports.
#[derive(Debug)]
pub struct Packetizer {
    channel: u8,
    ssrc: u32,
    sequence: u16,
    /// RTP time of the first sample; none before it.
    first: u32,
    packets: u32,
    octets: u32,
}

impl Packetizer {
    /// A stream on an interleaved channel; RTCP uses the next channel. The other arguments are random start values (RFC 3550
    /// section 5.1).
    pub fn new(channel: u8, ssrc: u32, sequence: u16, first: u32) -> Self {
        Packetizer { channel, ssrc, sequence, first, packets: 0, octets: 0 }
    }

    /// The synchronisation source.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The sequence number of the next packet.
    pub fn sequence(&self) -> u16 {
        self.sequence
    }

    /// RTP time at this distance from the first sample. It wraps after 13 hours.
    pub fn time(&self, since_first: Duration) -> u32 {
        let ticks = since_first.as_micros() * u128::from(CLOCK_RATE) / 1_000_000;
        self.first.wrapping_add(ticks as u32)
    }

    /// The packets of one access unit as buffers to be written in order. NAL units are not copied.
    pub fn packetize<'a>(&mut self, nals: impl Iterator<Item = &'a Bytes>, time: u32, out: &mut Vec<Bytes>) {
        let mut nals = nals.filter(|nal| !nal.is_empty());
        let (first, second) = (nals.next(), nals.next());
        if let (Some(only), None) = (first, second)
            && only.len() <= SMALL
        {
            // A repetition of a still: one piece is cheaper than two.
            let mut packet = BytesMut::with_capacity(HEADERS + only.len());
            self.header(&mut packet, only.len(), true, time);
            packet.put_slice(only);
            out.push(packet.freeze());
            return;
        }
        let mut headers = BytesMut::new();
        // All headers share one buffer, which is sliced when it is complete.
        let mut payloads: Vec<(usize, Bytes)> = vec![];
        let mut nals = first.into_iter().chain(second).chain(nals).peekable();
        while let Some(nal) = nals.next() {
            let is_last_nal = nals.peek().is_none();
            if nal.len() <= MAX_PAYLOAD {
                self.header(&mut headers, nal.len(), is_last_nal, time);
                payloads.push((headers.len(), nal.clone()));
                continue;
            }
            let (indicator, kind) = (nal[0] & 0xE0 | FU_A, nal[0] & 0x1F);
            let body = nal.slice(1..);
            let pieces = body.len().div_ceil(MAX_PAYLOAD - 2);
            for i in 0..pieces {
                let from = i * (MAX_PAYLOAD - 2);
                let piece = body.slice(from..body.len().min(from + MAX_PAYLOAD - 2));
                let is_last = i + 1 == pieces;
                self.header(&mut headers, piece.len() + 2, is_last && is_last_nal, time);
                headers.put_u8(indicator);
                headers.put_u8(u8::from(i == 0) << 7 | u8::from(is_last) << 6 | kind);
                payloads.push((headers.len(), piece));
            }
        }
        let headers = headers.freeze();
        let mut from = 0;
        for (to, payload) in payloads {
            out.push(headers.slice(from..to));
            out.push(payload);
            from = to;
        }
    }

    fn header(&mut self, out: &mut BytesMut, payload: usize, marker: bool, time: u32) {
        out.reserve(HEADERS);
        out.put_u8(b'$');
        out.put_u8(self.channel);
        out.put_u16((12 + payload) as u16);
        out.put_u8(0x80);
        // The marker ends an access unit. Without it MediaMTX holds the picture until the next one.
        out.put_u8(u8::from(marker) << 7 | PAYLOAD_TYPE);
        out.put_u16(self.sequence);
        out.put_u32(time);
        out.put_u32(self.ssrc);
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload as u32);
    }

    /// A sender report (RFC 3550 section 6.4.1) with the canonical name that a compound packet needs (6.1).
    /// RTP time `time` corresponds to wall-clock time `now`.
    pub fn report(&self, time: u32, now: SystemTime) -> Bytes {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut out = BytesMut::with_capacity(4 + 28 + 20);
        out.put_u8(b'$');
        out.put_u8(self.channel + 1);
        out.put_u16(28 + 20);
        out.put_slice(&[0x80, 200, 0, 6]);
        out.put_u32(self.ssrc);
        out.put_u32((since.as_secs() + NTP_OFFSET) as u32);
        out.put_u32(((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000) as u32);
        out.put_u32(time);
        out.put_u32(self.packets);
        out.put_u32(self.octets);
        out.put_slice(&[0x81, 202, 0, 4]);
        out.put_u32(self.ssrc);
        out.put_slice(b"\x01\x07sidecar\0\0\0");
        out.freeze()
    }
}

#[cfg(test)]
mod tests;
