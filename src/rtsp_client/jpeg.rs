//! [`Jpegs`]: JPEGs out of packets in order (RFC 2435). The packets have the entropy-coded data; the headers are made here.

use bytes::{Bytes, BytesMut};

use super::{Start, Unit, rtp::Packet};

/// Most bytes of a picture.
const MAX_PICTURE: usize = 16 << 20;

/// Quantization tables of RFC 2435, appendix A, in zigzag order.
#[rustfmt::skip]
const LUMA: [u8; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40,
    26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51,
    56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87,
    95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99,
];
#[rustfmt::skip]
const CHROMA: [u8; 64] = [
    17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
];

/// Collects packets.
#[derive(Debug)]
pub(super) struct Jpegs {
    /// Width and height of the description, for pictures that are too large for the packets' fields.
    size: Option<(u32, u32)>,
    /// Tables of qualities from 128 on, which are sent once (section 4.2).
    tables: Vec<(u8, Bytes)>,
    picture: Option<Picture>,
    has_loss: bool,
}

#[derive(Debug)]
struct Picture {
    timestamp: u32,
    data: BytesMut,
    /// Bytes of headers before the entropy-coded data.
    headers: usize,
}

impl Jpegs {
    pub(super) fn new(size: Option<(u32, u32)>) -> Self {
        Jpegs { size, tables: vec![], picture: None, has_loss: false }
    }

    /// The sender begins anew: the current picture is lost.
    pub(super) fn begin_anew(&mut self) {
        self.picture = None;
        self.has_loss = true;
    }

    /// Takes a packet; `has_gap` if packets before it were lost.
    pub(super) fn push(&mut self, packet: &Packet, has_gap: bool, out: &mut impl Extend<Unit>) {
        if has_gap || self.picture.as_ref().is_some_and(|picture| picture.timestamp != packet.timestamp) {
            self.has_loss |= self.picture.take().is_some() || has_gap;
        }
        if self.take(packet).is_none() {
            self.has_loss |= self.picture.take().is_some();
            return;
        }
        if !packet.marker {
            return;
        }
        if let Some(Picture { timestamp, mut data, .. }) = self.picture.take() {
            if !data.ends_with(&[0xFF, 0xD9]) {
                data.extend_from_slice(&[0xFF, 0xD9]);
            }
            let has_loss = std::mem::take(&mut self.has_loss);
            out.extend([Unit { data: data.freeze(), start: Start::Key, has_loss, timestamp }]);
        }
    }

    fn take(&mut self, packet: &Packet) -> Option<()> {
        let payload = &packet.payload;
        let &[_, o2, o1, o0, kind, quality, width, height] = payload.get(..8)?.first_chunk::<8>()?;
        let offset = u32::from_be_bytes([0, o2, o1, o0]) as usize;
        let mut rest = payload.slice(8..);
        let mut restart = None;
        if (64..128).contains(&kind) {
            let &[high, low, ..] = rest.get(..4)?.first_chunk::<4>()?;
            restart = Some(u16::from_be_bytes([high, low]));
            rest = rest.slice(4..);
        }
        if offset == 0 {
            let mut own = None;
            if quality >= 128 {
                let &[_, _, high, low] = rest.get(..4)?.first_chunk::<4>()?;
                let length = usize::from(u16::from_be_bytes([high, low]));
                let tables = rest.slice(4..(4 + length).min(rest.len()));
                rest = rest.slice((4 + length).min(rest.len())..);
                own = Some(self.tables_of(quality, tables)?);
            }
            let [width, height] = [width, height].map(|n| u16::from(n) * 8);
            let described = self.size.and_then(|(w, h)| Some((w.try_into().ok()?, h.try_into().ok()?)));
            let (width, height) = if width == 0 || height == 0 { described? } else { (width, height) };
            let mut data = BytesMut::new();
            // Firmware sends whole JPEGs as payloads.
            if !rest.starts_with(&[0xFF, 0xD8]) {
                headers(&mut data, kind, quality, own.as_deref(), restart, (width, height));
            }
            let headers = data.len();
            self.picture = Some(Picture { timestamp: packet.timestamp, data, headers });
        }
        let picture = self.picture.as_mut()?;
        let is_next = picture.data.len() - picture.headers == offset && offset + rest.len() <= MAX_PICTURE;
        is_next.then(|| picture.data.extend_from_slice(&rest))
    }

    /// The quantization tables: those of the packet, or those that were sent before for this quality.
    fn tables_of(&mut self, quality: u8, tables: Bytes) -> Option<Bytes> {
        let known = self.tables.iter().position(|(known, _)| *known == quality);
        if tables.is_empty() {
            return known.map(|at| self.tables[at].1.clone());
        }
        // One table or two, of 8 or of 16 bits: firmware also sends one for both.
        if !matches!(tables.len(), 64 | 128) {
            return None;
        }
        known.map(|at| self.tables.swap_remove(at));
        self.tables.push((quality, tables.clone()));
        Some(tables)
    }
}

/// The headers of a JPEG (appendix B), without the Huffman tables: they are those of T.81 annex K.3, which `Picture` inserts
/// as it does for USB cameras.
fn headers(out: &mut BytesMut, kind: u8, quality: u8, own: Option<&[u8]>, restart: Option<u16>, size: (u16, u16)) {
    let scaled: Vec<u8>;
    let tables = match own {
        Some(tables) => tables,
        None => {
            let quality = i32::from(quality.clamp(1, 99));
            let factor = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
            let scale = |value: &u8| ((i32::from(*value) * factor + 50) / 100).clamp(1, 255) as u8;
            scaled = LUMA.iter().chain(&CHROMA).map(scale).collect();
            &scaled
        }
    };
    out.extend_from_slice(&[0xFF, 0xD8]);
    let halves = tables.chunks(64).cycle().take(2);
    for (number, table) in (0..).zip(halves) {
        out.extend_from_slice(&[0xFF, 0xDB, 0, 67, number]);
        out.extend_from_slice(table);
    }
    if let Some(interval) = restart.filter(|interval| *interval > 0) {
        out.extend_from_slice(&[0xFF, 0xDD, 0, 4]);
        out.extend_from_slice(&interval.to_be_bytes());
    }
    // Type 0 is 4:2:2, type 1 is 4:2:0 (section 4.1).
    let sampling = if kind & 1 == 0 { 0x21 } else { 0x22 };
    out.extend_from_slice(&[0xFF, 0xC0, 0, 17, 8]);
    out.extend_from_slice(&size.1.to_be_bytes());
    out.extend_from_slice(&size.0.to_be_bytes());
    out.extend_from_slice(&[3, 0, sampling, 0, 1, 0x11, 1, 2, 0x11, 1]);
    out.extend_from_slice(&[0xFF, 0xDA, 0, 12, 3, 0, 0x00, 1, 0x11, 2, 0x11, 0, 63, 0]);
}

#[cfg(test)]
mod tests;
