//! [`Depacketizer`]: network abstraction layer units (NALs) out of the payloads of RTP packets (RFC 6184, RFC 7798).
//!
//! A payload of a kind that is not used in the negotiated mode, or that is damaged, is ignored; sequence numbers tell the caller what
//! was lost.

use bytes::{Buf, Bytes, BytesMut};

use super::track::Codec;
use crate::h264::nal;

/// Most bytes of a NAL in fragments. The largest keyframes of cameras have 2 MB.
const MAX_NAL: usize = 16 << 20;

/// Takes payloads in the order of sending.
#[derive(Debug)]
pub(super) struct Depacketizer {
    is_h265: bool,
    /// H.265: whether payloads have decoding order numbers (RFC 7798, section 4.4).
    has_order: bool,
    fragment: Option<BytesMut>,
}

impl Depacketizer {
    pub(super) fn new(codec: Codec, has_order: bool) -> Self {
        Depacketizer { is_h265: codec == Codec::H265, has_order, fragment: None }
    }

    /// Forgets a NAL whose next fragment was lost, and returns whether there was one.
    pub(super) fn gap(&mut self) -> bool {
        self.fragment.take().is_some()
    }

    /// Whether a NAL in fragments has no end yet.
    pub(super) fn is_inside(&self) -> bool {
        self.fragment.is_some()
    }

    /// Ends a NAL whose last fragment has no end bit, which some firmware never sets.
    pub(super) fn flush(&mut self, out: &mut Vec<Bytes>) {
        if let Some(fragment) = self.fragment.take() {
            whole(fragment.freeze(), out);
        }
    }

    /// Adds the NALs that a payload completes. Returns whether a NAL was given up, because it has too many bytes.
    pub(super) fn push(&mut self, mut payload: Bytes, out: &mut Vec<Bytes>) -> bool {
        let Some(&first) = payload.first() else { return false };
        // A payload in annex B form, which is no valid payload: its NALs are whole.
        if payload.starts_with(&[0, 0, 0, 1]) || payload.starts_with(&[0, 0, 1]) {
            self.flush(out);
            whole(payload, out);
            return false;
        }
        let kind = if self.is_h265 { first >> 1 & 63 } else { first & 31 };
        match (self.is_h265, kind) {
            (false, 1..=23) | (true, 0..=47) => {
                self.flush(out);
                if self.is_h265 && self.has_order && payload.len() > 4 {
                    let mut plain = BytesMut::from(&payload[..2]);
                    plain.extend_from_slice(&payload[4..]);
                    payload = plain.freeze();
                }
                whole(payload, out);
            }
            (false, 24) | (true, 48) => {
                self.flush(out);
                payload.advance(payload.len().min(if self.is_h265 { 2 } else { 1 }));
                self.aggregate(payload, out);
            }
            (false, 28) => {
                let (Some(&header), Some(data)) = (payload.get(1), payload.get(2..)) else { return false };
                return self.fragment(header, &[first & 0xE0 | header & 31], data, out);
            }
            (true, 49) => {
                let (Some(&second), Some(&header)) = (payload.get(1), payload.get(2)) else { return false };
                let data = payload.get(if self.has_order { 5 } else { 3 }..).unwrap_or_default();
                return self.fragment(header, &[first & 0x81 | (header & 63) << 1, second], data, out);
            }
            _ => {}
        }
        false
    }

    /// STAP-A and aggregation packets: lengths of two bytes, each with a NAL.
    fn aggregate(&self, mut rest: Bytes, out: &mut Vec<Bytes>) {
        let mut is_first = true;
        loop {
            if self.is_h265 && self.has_order {
                rest.advance(rest.len().min(if is_first { 2 } else { 1 }));
            }
            is_first = false;
            if rest.len() < 2 {
                return;
            }
            let length = usize::from(rest.get_u16());
            // The last NAL of a damaged packet is cut off.
            if length > rest.len() {
                return;
            }
            whole(rest.split_to(length), out);
        }
    }

    /// A fragment; `header` has the start bit and the end bit at its top.
    fn fragment(&mut self, header: u8, nal_header: &[u8], data: &[u8], out: &mut Vec<Bytes>) -> bool {
        let (is_start, is_end) = (header & 0x80 != 0, header & 0x40 != 0);
        if is_start {
            self.flush(out);
            self.fragment = Some(BytesMut::from(nal_header));
        }
        // Without its start a NAL is of no use: the sender was joined in its middle, or the start was lost.
        let Some(fragment) = &mut self.fragment else { return false };
        if fragment.len() + data.len() > MAX_NAL {
            self.fragment = None;
            return true;
        }
        fragment.extend_from_slice(data);
        if is_end {
            self.flush(out);
        }
        false
    }
}

/// Adds a NAL, or several ones if start codes separate them, as firmware sends whole byte streams as one NAL. A start code is never a
/// part of a NAL (H.264, 7.4.1).
fn whole(data: Bytes, out: &mut Vec<Bytes>) {
    if memchr::memmem::find(&data, &[0, 0, 1]).is_none() {
        if !data.is_empty() {
            out.push(data);
        }
        return;
    }
    let first = memchr::memmem::find(&data, &[0, 0, 1]).unwrap_or_default();
    let before = data[..first].iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    if before > 0 {
        out.push(data.slice(..before));
    }
    out.extend(nal::split(&data).map(|nal| data.slice_ref(nal)));
}

#[cfg(test)]
mod tests;
