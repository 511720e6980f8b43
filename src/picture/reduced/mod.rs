//! Decodes JPEGs at a half, a quarter or an eighth of their size, in about half of libjpeg-turbo's time.
//!
//! Only what cameras send: sequential, one scan, gray or YCbCr. For each other JPEG, and for damaged data, there is no result, and
//! libjpeg-turbo decides. The samples are those of libjpeg-turbo. This module knows neither streams nor [`Picture`](super::Picture).
//!
//! Most of the time goes into Huffman codes. Each step needs the result of the one before, so there are few steps: data is unstuffed
//! before (`bits`), and one look into a table gives up to two coefficients with their values (`huffman`).
//!
//! References are to ITU-T T.81 (JPEG).

mod bits;
mod header;
mod huffman;
mod idct;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod segment;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bits::{Bits, Data};
use header::{Component, Header};
use huffman::{Ac, Dc};

/// Blocks that are read before they are transformed. A block that is transformed at once waits until the processor has written its
/// coefficients, because it reads them in larger pieces than they were written.
const BATCH: usize = 8;

/// The coefficients of a block, and places for what is outside.
type Coefficients = [i16; 256];

/// Where the coefficient of each position in zigzag order is stored (T.81, figure A.6). Positions behind the block have a place of their own,
/// so that no position needs a comparison.
static PLACES: [u8; 256] = {
    let mut places = [64; 256];
    let (mut position, mut row, mut column) = (0, 0_usize, 0_usize);
    while position < 64 {
        places[position] = idct::place(row, column);
        position += 1;
        (row, column) = match ((row + column) % 2, row, column) {
            (0, _, 7) => (row + 1, column),
            (0, 0, _) => (row, column + 1),
            (0, ..) => (row - 1, column + 1),
            (_, 7, _) => (row, column + 1),
            (_, _, 0) => (row + 1, column),
            _ => (row + 1, column - 1),
        };
    }
    places
};

/// A decoded picture.
pub(super) struct Reduced {
    /// Width and height in pixels, rounded up.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Pixels for each chroma sample, horizontally and vertically.
    pub(super) per_chroma: (usize, usize),
    /// Gray, or Y, U and V.
    pub(super) planes: Vec<Plane>,
}

/// Samples of full range without padding, except that luma has all pixels of the last chroma samples.
pub(super) struct Plane {
    pub(super) samples: Vec<u8>,
    pub(super) stride: usize,
    pub(super) rows: usize,
}

/// Decodes at a half, a quarter or an eighth (`by` is 2, 4 or 8). None for data that is damaged in any way, for a JPEG of another kind, and
/// for another `by`. The caller has checked the number of pixels.
pub(super) fn decode(jpeg: &[u8], by: usize) -> Option<Reduced> {
    let header = Header::read(jpeg)?;
    match by {
        2 => scan::<4, 16>(header, idct::to_4x4),
        4 => scan::<2, 4>(header, idct::to_2x2),
        8 => scan::<1, 1>(header, |_, _, _| ()),
        _ => None,
    }
}

/// Transforms coefficients, with their quantization, to the `S` samples of a block.
trait Transform<const S: usize>: Fn(&idct::Block, &idct::Block, &mut [u8; S]) {}

impl<const S: usize, F: Fn(&idct::Block, &idct::Block, &mut [u8; S])> Transform<S> for F {}

/// A block of a batch.
struct Unit {
    channel: usize,
    /// Its number in the band, in the first batch of a row.
    block: usize,
    /// Blocks from one batch to the next.
    step: usize,
}

/// Decodes the scan. A block becomes N × N samples, which are S.
fn scan<const N: usize, const S: usize>(mut header: Header<'_>, transform: impl Transform<S>) -> Option<Reduced> {
    let (luma, chroma) = (header.components.first()?, header.components.last()?);
    let (across, down) = (header.width.div_ceil(8 * luma.across), header.height.div_ceil(8 * luma.down));
    let per_chroma = (luma.across / chroma.across, luma.down / chroma.down);
    let (width, height) = ((header.width * N).div_ceil(8), (header.height * N).div_ceil(8));
    let components = std::mem::take(&mut header.components);
    let in_mcu: usize = components.iter().map(|component| component.across * component.down).sum();
    let mut channels = vec![];
    for (i, component) in components.iter().enumerate() {
        let (x, y) = if i == 0 { per_chroma } else { (1, 1) };
        let size = (width.div_ceil(per_chroma.0) * x, height.div_ceil(per_chroma.1) * y);
        channels.push(Channel::<S>::new(&mut header, component, across, size)?);
    }
    let batch = (BATCH / in_mcu).max(1);
    let units = units(&components, across, batch);

    let mut data = Data::new(header.scan);
    let mut blocks: [Coefficients; BATCH] = [[0; _]; _];
    let mut lasts = [0; BATCH];
    let mut until_restart = header.interval.unwrap_or(usize::MAX);
    let mut restarts = 0_u8;
    for y in 0..down {
        for (i, x) in (0..across).step_by(batch).enumerate() {
            let in_batch = batch.min(across - x);
            for mcu in 0..in_batch {
                if until_restart == 0 {
                    // RST0 to RST7, in turn (T.81, B.1.1.3).
                    if data.end_interval()? != 0xD0 + restarts % 8 {
                        return None;
                    }
                    restarts = restarts.wrapping_add(1);
                    until_restart = header.interval?;
                    channels.iter_mut().for_each(|channel| channel.prediction = 0);
                }
                until_restart -= 1;
                let of_mcu = mcu * in_mcu..(mcu + 1) * in_mcu;
                let mut bits = data.bits()?;
                let blocks = blocks.get_mut(of_mcu.clone())?.iter_mut().zip(lasts.get_mut(of_mcu.clone())?);
                for (unit, (block, last)) in units.get(of_mcu)?.iter().zip(blocks) {
                    *last = channels.get_mut(unit.channel)?.read(&mut bits, block)?;
                }
                let position = bits.position();
                data.continue_at(position)?;
            }
            for ((unit, block), last) in units.iter().zip(&mut blocks).zip(&lasts).take(in_batch * in_mcu) {
                let number = unit.block + i * unit.step;
                channels.get_mut(unit.channel)?.transform(number, block, *last, &transform)?;
            }
        }
        channels.iter_mut().for_each(|channel| channel.end_row::<N>(y));
    }
    let is_whole = data.end_interval()? == 0xD9;
    let planes = channels.into_iter().map(|channel| channel.plane).collect();
    is_whole.then_some(Reduced { width, height, per_chroma, planes })
}

/// The blocks of a batch of MCUs (T.81, A.2.3), of which there are so many in a row.
fn units(components: &[Component], across: usize, batch: usize) -> Vec<Unit> {
    let mut units = vec![];
    for mcu in 0..batch {
        for (channel, component) in components.iter().enumerate() {
            for v in 0..component.down {
                let first = (v * across + mcu) * component.across;
                let step = batch * component.across;
                units.extend((first..first + component.across).map(|block| Unit { channel, block, step }));
            }
        }
    }
    units
}

/// A component while it is decoded. A block has S samples.
struct Channel<const S: usize> {
    dc: Arc<Dc>,
    ac: Arc<Ac>,
    quantization: idct::Block,
    /// The last DC coefficient (T.81, F.1.1.5.1).
    prediction: i32,
    /// The samples of one row of MCUs, block by block.
    band: Vec<u8>,
    blocks_across: usize,
    plane: Plane,
}

impl<const S: usize> Channel<S> {
    fn new(
        header: &mut Header<'_>,
        component: &Component,
        mcus: usize,
        (stride, rows): (usize, usize),
    ) -> Option<Self> {
        let mut quantization = [0; 64];
        for (by, place) in header.quantization(component)?.iter().zip(PLACES) {
            quantization[usize::from(place)] = i16::from(*by);
        }
        let blocks_across = mcus * component.across;
        Some(Channel {
            dc: header.tables.dc(component.dc)?,
            ac: header.tables.ac(component.ac)?,
            quantization,
            prediction: 0,
            band: vec![0; S * blocks_across * component.down],
            blocks_across,
            plane: Plane { samples: vec![0; stride * rows], stride, rows },
        })
    }

    /// Reads a block into zeros. Returns the position of its last coefficient, or 0.
    #[inline(always)]
    fn read(&mut self, bits: &mut Bits<'_>, block: &mut Coefficients) -> Option<usize> {
        self.prediction += bits.dc(&self.dc)?;
        block[0] = i16::try_from(self.prediction).ok()?;
        if S == 1 {
            return bits.ac(&self.ac, |_, _| ());
        }
        bits.ac(&self.ac, |position, value| block[usize::from(PLACES[usize::from(position)])] = value)
    }

    /// Transforms a block to samples, and makes it zero.
    #[inline(always)]
    fn transform(
        &mut self,
        number: usize,
        block: &mut Coefficients,
        last: usize,
        with: &impl Transform<S>,
    ) -> Option<()> {
        let samples = self.band.as_chunks_mut::<S>().0.get_mut(number)?;
        if S == 1 || last == 0 {
            *samples = [idct::flat(block[0], &self.quantization); S];
            return Some(());
        }
        let block = block.first_chunk_mut()?;
        with(block, &self.quantization, samples);
        *block = [0; 64];
        Some(())
    }

    /// Copies a row of MCUs to the plane, without the samples beside and below the picture.
    fn end_row<const N: usize>(&mut self, y: usize) {
        let (stride, in_row) = (self.plane.stride, self.blocks_across * S);
        let rows_of_blocks = self.band.chunks_exact(in_row);
        let to = self.plane.samples.chunks_mut(stride * N).skip(y * rows_of_blocks.len());
        for (blocks, rows) in rows_of_blocks.zip(to) {
            let done = if N == 4 { join(blocks, rows, stride) } else { 0 };
            for (i, row) in rows.chunks_exact_mut(stride).enumerate() {
                let blocks = blocks.as_chunks::<S>().0.iter().skip(done / N);
                let from = blocks.flat_map(|block| block.as_chunks::<N>().0[i]);
                row.iter_mut().skip(done).zip(from).for_each(|(to, from)| *to = from);
            }
        }
    }
}

/// Joins blocks of 4 × 4 samples to four rows, four blocks at a time. Returns how many samples of each row it has written: none if
/// there are fewer rows.
fn join(blocks: &[u8], rows: &mut [u8], stride: usize) -> usize {
    let Some((upper, lower)) = rows.split_at_mut_checked(2 * stride) else { return 0 };
    let (a, b) = upper.split_at_mut(stride);
    let Some((c, d)) = lower.split_at_mut_checked(stride).filter(|(_, d)| d.len() == stride) else { return 0 };
    let rows = a.as_chunks_mut().0.iter_mut().zip(b.as_chunks_mut().0).zip(c.as_chunks_mut().0);
    let mut done = 0;
    for ((((a, b), c), d), blocks) in rows.zip(d.as_chunks_mut().0).zip(blocks.as_chunks().0) {
        [*a, *b, *c, *d] = idct::joined(blocks);
        done += 16;
    }
    done
}
