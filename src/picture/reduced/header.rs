//! The markers before the scan (T.81, annex B). All that this decoder does not know is refused here.

use super::{segment::next_segment, tables::Tables};

/// The longest side that libjpeg accepts.
const LONGEST: usize = 65_500;

/// A component of the frame.
pub(super) struct Component {
    id: u8,
    /// Blocks in an MCU, horizontally and vertically: 1 or 2.
    pub(super) across: usize,
    pub(super) down: usize,
    /// Numbers of its tables.
    quantization: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// What the markers tell.
#[derive(Default)]
pub(super) struct Header<'a> {
    /// Width and height in pixels.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Gray, or Y, U and V. The first one has the most blocks in an MCU.
    pub(super) components: Vec<Component>,
    /// MCUs from one restart marker to the next.
    pub(super) interval: Option<usize>,
    /// The data from the scan on.
    pub(super) scan: &'a [u8],
    pub(super) tables: Tables<'a>,
    /// By number, in zigzag order.
    quantizations: [Option<&'a [u8; 64]>; 4],
    has_jfif: bool,
    /// The colour transform in an Adobe segment.
    adobe: Option<u8>,
}

impl<'a> Header<'a> {
    /// None for damaged markers, and for each JPEG that is not sequential with Huffman codes and 8 bits, of one scan, gray or YCbCr, with
    /// chroma of the resolution of luma or half of it in a direction.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let mut header = Header { tables: Tables::standard(), ..Header::default() };
        let mut rest = data.strip_prefix(&[0xFF, 0xD8])?;
        loop {
            let (marker, segment) = next_segment(&mut rest)?;
            match marker {
                // SOF0 and SOF1: baseline and extended sequential.
                0xC0 | 0xC1 => header.read_frame(segment)?,
                0xC4 => header.tables.read(segment)?,
                0xDB => header.read_quantizations(segment)?,
                0xDD => {
                    let interval = u16::from_be_bytes(segment.try_into().ok()?);
                    header.interval = Some(usize::from(interval)).filter(|interval| *interval > 0);
                }
                0xDA => {
                    header.read_scan(segment)?;
                    header.scan = rest;
                    return header.is_gray_or_ycbcr().then_some(header);
                }
                0xE0 if segment.starts_with(b"JFIF\0") => {
                    // libjpeg warns of another version than 1.
                    let [_, _, _, _, _, 1, _, _, _, _, _, _, _, _, ..] = segment else { return None };
                    header.has_jfif = true;
                }
                0xEE if segment.starts_with(b"Adobe") => header.adobe = Some(*segment.get(11)?),
                0xE0..=0xEF | 0xFE => {}
                _ => return None,
            }
        }
    }

    /// The rules of libjpeg (jdapimin.c, default_decompress_parms).
    fn is_gray_or_ycbcr(&self) -> bool {
        match (&self.components[..], self.adobe) {
            ([_], _) => true,
            _ if self.has_jfif => true,
            (_, Some(transform)) => transform == 1,
            ([y, u, v], None) => [y.id, u.id, v.id] != *b"RGB",
            _ => false,
        }
    }

    /// A frame header (T.81, B.2.2).
    fn read_frame(&mut self, segment: &[u8]) -> Option<()> {
        let (&[precision, h1, h0, w1, w0, count], rest) = segment.split_first_chunk()?;
        self.height = usize::from(u16::from_be_bytes([h1, h0]));
        self.width = usize::from(u16::from_be_bytes([w1, w0]));
        let sides = 1..=LONGEST;
        let (of_components, &[]) = rest.as_chunks() else { return None };
        if precision != 8 || usize::from(count) != of_components.len() || !self.components.is_empty() {
            return None;
        }
        if !sides.contains(&self.width) || !sides.contains(&self.height) {
            return None;
        }
        for &[id, sampling, quantization] in of_components {
            let (across, down) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            let quantization = usize::from(quantization);
            self.components.push(Component { id, across, down, quantization, dc: 0, ac: 0 });
        }
        let sampling = |of: &Component| (of.across, of.down);
        let is_known = match &self.components[..] {
            [gray] => sampling(gray) == (1, 1),
            [y, u, v] => {
                let are_different = y.id != u.id && u.id != v.id && v.id != y.id;
                let (y, u, v) = (sampling(y), sampling(u), sampling(v));
                // ffmpeg has 2 × 2 blocks of luma and 1 × 2 of chroma for 4:2:2.
                let fits = |luma: usize, chroma: usize| matches!((luma, chroma), (1 | 2, 1) | (2, 2));
                are_different && u == v && fits(y.0, u.0) && fits(y.1, u.1) && u != (2, 2)
            }
            _ => false,
        };
        is_known.then_some(())
    }

    /// Quantization tables of 8 bits (T.81, B.2.4.1).
    fn read_quantizations(&mut self, segment: &'a [u8]) -> Option<()> {
        let (tables, &[]) = segment.as_chunks::<65>() else { return None };
        for table in tables {
            let (number, values) = table.split_first()?;
            *self.quantizations.get_mut(usize::from(*number))? = Some(values.try_into().ok()?);
        }
        Some(())
    }

    /// A scan header (T.81, B.2.3) with all components, in the order of the frame.
    fn read_scan(&mut self, segment: &[u8]) -> Option<()> {
        let (&[count, ref rest @ ..], &[0, 63, 0]) = segment.split_last_chunk()? else { return None };
        let (of_components, &[]) = rest.as_chunks() else { return None };
        let is_whole = usize::from(count) == self.components.len() && of_components.len() == self.components.len();
        if !is_whole || count == 0 {
            return None;
        }
        for (component, &[id, tables]) in self.components.iter_mut().zip(of_components) {
            if component.id != id {
                return None;
            }
            (component.dc, component.ac) = (usize::from(tables >> 4), usize::from(tables & 15));
        }
        Some(())
    }

    /// The quantization of a component, in zigzag order.
    pub(super) fn quantization(&self, component: &Component) -> Option<&'a [u8; 64]> {
        *self.quantizations.get(component.quantization)?
    }
}
