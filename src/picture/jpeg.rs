//! Reads the markers of a JPEG without decoding it: size, coding, orientation, completeness.
//!
//! References are to ITU-T T.81 (JPEG) and to CIPA DC-008 (EXIF).

use std::{ops::Range, sync::LazyLock};

use bytes::Bytes;

/// The end-of-image marker.
pub const EOI: [u8; 2] = [0xFF, 0xD9];

/// How the scan data is coded. Browsers and ffmpeg show the first two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// SOF0 or SOF1: sequential, Huffman.
    Sequential,
    /// SOF2: progressive, Huffman.
    Progressive,
    /// Lossless, hierarchical or arithmetic, which hardly any program reads.
    Exotic,
}

/// The contents of the markers before the scan data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Components: 1 gray, 3 colour, 4 CMYK or YCCK.
    pub components: u8,
    /// Bits per sample.
    pub precision: u8,
    /// How the scans are coded.
    pub coding: Coding,
    /// Whether the data contains Huffman tables. USB cameras leave them out, because their MJPEG payload relies on
    /// the tables of T.81 annex K. Browsers show nothing without them.
    pub has_huffman_tables: bool,
    /// EXIF orientation, 1 to 8; 1 is upright.
    pub orientation: u8,
    /// Offset of the two bytes of the EXIF orientation, and whether they are little-endian.
    pub orientation_at: Option<(usize, bool)>,
    /// Offset of the first start-of-scan marker.
    pub scan_at: usize,
}

/// Why data is not a usable JPEG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The data does not begin with SOI.
    NotJpeg,
    /// The data at this offset is not a valid marker.
    Malformed(usize),
    /// The data ends before the picture ends.
    Truncated,
    /// No frame header (SOF) before the scan, or one without a size.
    NoSize,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::NotJpeg => f.write_str("the data does not begin with a JPEG start-of-image marker"),
            Fault::Malformed(at) => write!(f, "the JPEG markers are damaged at byte {at}"),
            Fault::Truncated => f.write_str("the JPEG ends before its end-of-image marker; was the transfer cut off?"),
            Fault::NoSize => f.write_str("the JPEG does not say its width and height"),
        }
    }
}

/// Reads the markers and checks that an end-of-image follows the scan.
pub fn inspect(data: &[u8]) -> Result<Header, Fault> {
    if !data.starts_with(&[0xFF, 0xD8]) {
        return Err(Fault::NotJpeg);
    }
    let mut header = Header {
        width: 0,
        height: 0,
        components: 0,
        precision: 0,
        coding: Coding::Exotic,
        has_huffman_tables: false,
        orientation: 1,
        orientation_at: None,
        scan_at: 0,
    };
    let mut at = 2;
    loop {
        if at >= data.len() {
            return Err(Fault::Truncated);
        }
        if data[at] != 0xFF {
            return Err(Fault::Malformed(at));
        }
        // Any number of fill bytes may stand before a marker (T.81 B.1.1.2).
        let fill = data[at..].iter().take_while(|b| **b == 0xFF).count();
        let marker_at = at + fill - 1;
        let Some(&marker) = data.get(marker_at + 1) else { return Err(Fault::Truncated) };
        let body = marker_at + 2;
        match marker {
            0xD8 | 0x01 | 0xD0..=0xD7 => {
                at = body;
                continue;
            }
            0xD9 => return Err(Fault::NoSize),
            0x00 | 0x02..=0xBF => return Err(Fault::Malformed(marker_at)),
            _ => {}
        }
        let Some(length) = data.get(body..body + 2) else { return Err(Fault::Truncated) };
        let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
        if length < 2 {
            return Err(Fault::Malformed(body));
        }
        let Some(segment) = data.get(body + 2..body + length) else { return Err(Fault::Truncated) };
        match marker {
            // SOFn; C4, C8 and CC are DHT, JPG and DAC.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let [precision, h1, h0, w1, w0, components, ..] = *segment else {
                    return Err(Fault::Malformed(body));
                };
                header.precision = precision;
                header.height = u32::from(u16::from_be_bytes([h1, h0]));
                header.width = u32::from(u16::from_be_bytes([w1, w0]));
                header.components = components;
                header.coding = match marker {
                    0xC0 | 0xC1 => Coding::Sequential,
                    0xC2 => Coding::Progressive,
                    _ => Coding::Exotic,
                };
            }
            0xC4 => header.has_huffman_tables = true,
            0xE1 if header.orientation_at.is_none() => {
                if let Some((value, offset, little)) = exif_orientation(segment) {
                    header.orientation = value;
                    header.orientation_at = Some((body + 2 + offset, little));
                }
            }
            0xDA => {
                // A height of 0 means that a DNL marker follows with it (T.81 B.2.5). Decoders do not support that.
                if header.width == 0 || header.height == 0 || header.components == 0 {
                    return Err(Fault::NoSize);
                }
                header.scan_at = marker_at;
                let scan = &data[body + length..];
                let complete = memchr::memmem::rfind(scan, &[0xFF, 0xD9]).is_some();
                return if complete { Ok(header) } else { Err(Fault::Truncated) };
            }
            _ => {}
        }
        at = body + length;
    }
}

/// The orientation (tag 0x0112) in the first directory of an APP1 segment: its value, its offset in the segment,
/// and whether it is little-endian.
fn exif_orientation(segment: &[u8]) -> Option<(u8, usize, bool)> {
    let tiff = segment.strip_prefix(b"Exif\0\0")?;
    let little = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let entries = usize::from(u16_at(directory)?);
    for entry in (0..entries).map(|i| directory + 2 + 12 * i) {
        // Type 3 is SHORT, whose value is in the first two bytes of the value field.
        if u16_at(entry)? == 0x0112 && u16_at(entry + 2)? == 3 {
            let value = u16_at(entry + 8)?;
            return (1..=8).contains(&value).then_some((value as u8, b"Exif\0\0".len() + entry + 8, little));
        }
    }
    None
}

/// The data with an end-of-image marker behind it, if it is a JPEG that has none after the beginning of its scan: some
/// encoders leave the marker out. None for any other data.
pub fn with_end(data: &[u8]) -> Option<Bytes> {
    if inspect(data) != Err(Fault::Truncated) {
        return None;
    }
    let mut finder = EndFinder::default();
    let is_in_scan = finder.find(data) == Ok(None) && finder.scan_at().is_some_and(|at| at < data.len());
    is_in_scan.then(|| [data, &EOI].concat().into())
}

/// The data with its EXIF orientation set to upright, for pixels that were turned.
pub fn with_upright_exif(data: &[u8], header: &Header) -> Vec<u8> {
    let mut data = data.to_vec();
    if let Some((at, little)) = header.orientation_at {
        data[at..at + 2].copy_from_slice(&if little { [1, 0] } else { [0, 1] });
    }
    data
}

/// The data with the standard Huffman tables (T.81 annex K.3) before its first scan.
pub fn with_huffman_tables(data: &[u8], header: &Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + STANDARD_TABLES.len());
    out.extend_from_slice(&data[..header.scan_at]);
    out.extend_from_slice(&STANDARD_TABLES);
    out.extend_from_slice(&data[header.scan_at..]);
    out
}

/// The four standard tables as DHT segments. They are taken from a colour picture that libjpeg-turbo encoded
/// without optimisation, because its default tables are those of annex K.
#[expect(clippy::expect_used, reason = "8 × 8 gray pixels can be encoded, and tests use the tables")]
pub(super) static STANDARD_TABLES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let sample = super::encode_rgb(&[128; 3 * 8 * 8], 8, 8, 75).expect("8 × 8 gray pixels can be encoded");
    let mut tables = Vec::new();
    for segment in segments(&sample) {
        if sample[segment.start + 1] == 0xC4 {
            tables.extend_from_slice(&sample[segment]);
        }
    }
    tables
});

/// The marker segments before the first scan, each including its 0xFF.
pub(super) fn segments(data: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 2;
    while let Some(&[0xFF, marker, high, low]) = data.get(at..at + 4).and_then(|b| b.first_chunk::<4>()) {
        if marker == 0xDA {
            break;
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        found.push(at..end);
        at = end;
    }
    found
}

/// Finds the end of a JPEG in a byte stream that does not tell the length.
///
/// Follows markers and entropy-coded data. A search for FF D9 would also find the end of a thumbnail in an EXIF segment.
/// The caller passes the same, growing buffer again and again; every byte is read once.
#[derive(Clone, Debug, Default)]
pub struct EndFinder {
    at: usize,
    in_scan: bool,
    scan_at: Option<usize>,
}

impl EndFinder {
    /// Where the data of the first scan begins, if it has been read up to there.
    pub fn scan_at(&self) -> Option<usize> {
        self.scan_at
    }

    /// Continues where the last call stopped. The buffer begins with the picture's SOI.
    ///
    /// Returns the length of the picture when its end-of-image has arrived, none when more data is needed, and an error with
    /// the offset when the data is not a JPEG: after a picture that was cut off follows another SOI, or data that is no
    /// marker.
    pub fn find(&mut self, data: &[u8]) -> Result<Option<usize>, usize> {
        if self.at == 0 {
            match data {
                [0xFF, 0xD8, ..] => self.at = 2,
                [] | [0xFF] => return Ok(None),
                _ => return Err(0),
            }
        }
        loop {
            if self.in_scan {
                let Some(skip) = memchr::memchr(0xFF, &data[self.at.min(data.len())..]) else {
                    self.at = data.len();
                    return Ok(None);
                };
                self.at += skip;
                match data.get(self.at + 1) {
                    None => return Ok(None),
                    // A stuffed byte, a restart marker, or fill bytes before a marker.
                    Some(0x00 | 0xD0..=0xD7) => self.at += 2,
                    Some(0xFF) => self.at += 1,
                    Some(_) => self.in_scan = false,
                }
                continue;
            }
            let Some([first, marker]) = data.get(self.at..self.at + 2).and_then(|b| b.first_chunk::<2>()) else {
                return Ok(None);
            };
            match (first, marker) {
                (0xFF, 0xFF) => self.at += 1,
                (0xFF, 0xD9) => return Ok(Some(self.at + 2)),
                (0xFF, 0x01 | 0xD0..=0xD7) => self.at += 2,
                (0xFF, 0xC0..=0xFE) if *marker != 0xD8 => {
                    let Some([high, low]) = data.get(self.at + 2..self.at + 4).and_then(|b| b.first_chunk::<2>())
                    else {
                        return Ok(None);
                    };
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if length < 2 {
                        return Err(self.at);
                    }
                    // The segment is not complete: the next call reads it again.
                    if data.len() < self.at + 2 + length {
                        return Ok(None);
                    }
                    self.in_scan = *marker == 0xDA;
                    self.at += 2 + length;
                    if self.in_scan && self.scan_at.is_none() {
                        self.scan_at = Some(self.at);
                    }
                }
                _ => return Err(self.at),
            }
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod properties;

#[cfg(test)]
mod tests;
