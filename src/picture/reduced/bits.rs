//! The data of a scan: without its stuffed bytes (T.81, F.1.2.3), as bits, and as coefficients.

use super::huffman::{AC_BITS, Ac, DC_BITS, Dc, END, SLOW, advance, extend};

/// Bytes that are unstuffed at a time: little enough for the second-level cache, and many for each call.
const CHUNK: usize = 16 << 10;

/// More than an MCU has: 8 blocks of 27 bits (DC) and 63 times 26 bits (AC), and the buffer.
const MOST_OF_AN_MCU: usize = 1 << 11;

/// The data of a scan, up to the marker behind it.
pub(super) struct Data<'a> {
    raw: &'a [u8],
    /// Unstuffed bytes. The last ones are not read yet.
    chunk: Vec<u8>,
    /// The marker that ends the present interval, if it has been reached.
    marker: Option<u8>,
    position: Position,
}

/// Where reading continues.
#[derive(Clone, Copy, Default)]
pub(super) struct Position {
    /// Bytes of the chunk that are not in the buffer.
    unread: usize,
    /// Bytes that were read behind the end.
    behind: usize,
    buffer: u64,
    left: u32,
}

impl Position {
    /// Bits that were read behind the end; negative if some are left.
    fn overrun(&self) -> isize {
        8 * (self.behind as isize - self.unread as isize) - (self.left & 63) as isize
    }
}

impl<'a> Data<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Data { raw, chunk: Vec::with_capacity(2 * CHUNK), marker: None, position: Position::default() }
    }

    /// The next bits, at least those of an MCU or up to the end of the interval. None if the data ends without a marker.
    pub(super) fn bits(&mut self) -> Option<Bits<'_>> {
        if self.position.unread < MOST_OF_AN_MCU && self.marker.is_none() {
            self.unstuff()?;
        }
        let Position { unread, behind, buffer, left } = self.position;
        Some(Bits { rest: self.chunk.get(self.chunk.len() - unread..)?, behind, buffer, left })
    }

    /// Continues there. None if that is behind the end of the interval.
    pub(super) fn continue_at(&mut self, position: Position) -> Option<()> {
        self.position = position;
        (position.overrun() <= 0).then_some(())
    }

    /// Ends an interval, and returns the marker behind it. None if data is left.
    pub(super) fn end_interval(&mut self) -> Option<u8> {
        if self.marker.is_none() {
            self.unstuff()?;
        }
        // Padding has less than a byte (T.81, F.1.2.3).
        if !(-7..=0).contains(&self.position.overrun()) {
            return None;
        }
        self.position = Position::default();
        self.marker.take()
    }

    /// Adds bytes to those that are not read.
    fn unstuff(&mut self) -> Option<()> {
        self.chunk.drain(..self.chunk.len() - self.position.unread);
        while self.chunk.len() < CHUNK && self.marker.is_none() {
            let run = &self.raw[..self.raw.len().min(CHUNK)];
            let length = memchr::memchr(0xFF, run).unwrap_or(run.len());
            self.chunk.extend_from_slice(&run[..length]);
            self.raw = &self.raw[length..];
            match self.raw {
                [0xFF, 0, rest @ ..] => {
                    self.chunk.push(0xFF);
                    self.raw = rest;
                }
                // Fill bytes before a marker (T.81, B.1.1.2).
                [0xFF, 0xFF, ..] => self.raw = &self.raw[1..],
                [0xFF, marker, rest @ ..] => {
                    self.marker = Some(*marker);
                    self.raw = rest;
                }
                [] | [0xFF] => return None,
                _ => {}
            }
        }
        self.position.unread = self.chunk.len();
        Some(())
    }
}

/// Bits of a scan. Behind the end of an interval there are zeros.
pub(super) struct Bits<'a> {
    /// Bytes that are not in the buffer.
    rest: &'a [u8],
    behind: usize,
    /// The next bits, from the highest one.
    buffer: u64,
    /// How many of them count, in the lowest six bits. There can be more in the buffer.
    left: u32,
}

impl Bits<'_> {
    pub(super) fn position(&self) -> Position {
        Position { unread: self.rest.len(), behind: self.behind, buffer: self.buffer, left: self.left }
    }

    /// Makes at least 56 bits available. (Variant 4 of Fabian Giesen's "Reading bits in far too many ways": there is no branch that
    /// depends on the data.)
    #[inline(always)]
    fn refill(&mut self) {
        let bytes = (!self.left >> 3 & 7) as usize;
        match self.rest.first_chunk::<8>() {
            Some(next) => {
                self.buffer |= u64::from_be_bytes(*next) >> (self.left & 63);
                self.rest = &self.rest[bytes..];
            }
            None => self.refill_at_end(bytes),
        }
        self.left |= 56;
    }

    #[cold]
    fn refill_at_end(&mut self, bytes: usize) {
        let next = self.rest.iter().rev().fold(0, |next, byte| next >> 8 | u64::from(*byte) << 56);
        self.buffer |= next >> (self.left & 63);
        let taken = bytes.min(self.rest.len());
        self.rest = &self.rest[taken..];
        self.behind += bytes - taken;
    }

    #[inline(always)]
    fn peek<const BITS: u32>(&self) -> usize {
        (self.buffer >> (64 - BITS)) as usize
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) {
        self.buffer <<= bits & 63;
        self.left = self.left.wrapping_sub(bits);
    }

    /// Skips a code and its value, `total` bits, of which the value has the last ones.
    #[inline(always)]
    fn value(&mut self, total: u32, size: u32) -> i32 {
        let bits = self.buffer.rotate_left(total) as u32 & ((1 << size) - 1);
        self.skip(total);
        extend(bits, size)
    }

    /// The difference of a DC coefficient (T.81, F.2.2.1), without another refill behind it. None if there is no such code.
    #[inline(always)]
    pub(super) fn dc(&mut self, table: &Dc) -> Option<i32> {
        self.refill();
        let entry = u32::from(table.fast[self.peek::<DC_BITS>()]);
        if entry == 0 {
            let (length, size) = table.codes.find(self.peek::<16>())?;
            let value = self.value(length + u32::from(size), u32::from(size));
            self.refill();
            return Some(value);
        }
        Some(self.value(entry & 31, entry >> 8))
    }

    /// Reads the AC coefficients of a block (T.81, F.2.2.2), behind [`Bits::dc`]. Gives `store` the position in zigzag order and the value;
    /// positions from 64 to 255 mean nothing. Returns the position of the last coefficient, or 0. None if the data is corrupt.
    #[inline(always)]
    pub(super) fn ac(&mut self, table: &Ac, mut store: impl FnMut(u8, i16)) -> Option<usize> {
        let fast = &*table.fast;
        let mut position = 0;
        // 56 bits less a DC coefficient are at least twice the bits of an index, and 56 bits are five times as many.
        let mut lookups = 2;
        loop {
            for _ in 0..lookups {
                let index = self.peek::<AC_BITS>();
                let entry = fast[index];
                if entry & SLOW != 0 {
                    position = self.slow(table, entry, position, &mut store)?;
                    break;
                }
                // The lowest bits are the length.
                self.buffer <<= entry & 63;
                self.left = self.left.wrapping_sub(entry as u32);
                let (first, second) = ((entry >> 8 & 255) as usize, (entry >> 16 & 255) as usize);
                position += first;
                store(position as u8, (entry >> 32) as i16);
                position += second;
                store(position as u8, (entry >> 48) as i16);
                if position >= 63 {
                    if position.wrapping_sub(END) < 63 || position == 63 {
                        return Some(position & 63);
                    }
                    // The second code is of the next block, or the data is corrupt.
                    let length = entry as u32 & 63;
                    self.buffer = self.buffer >> length | (index as u64) << (64 - AC_BITS);
                    self.left = self.left.wrapping_add(length);
                    position = self.slow(table, SLOW, position - first - second, &mut store)?;
                    break;
                }
            }
            if position >= 63 {
                return (position.wrapping_sub(END) < 63 || position == 63).then_some(position & 63);
            }
            self.refill();
            lookups = 5;
        }
    }

    /// One coefficient whose bits are not all in the index.
    #[inline(always)]
    fn slow(&mut self, table: &Ac, entry: u64, position: usize, store: &mut impl FnMut(u8, i16)) -> Option<usize> {
        self.refill();
        let (total, size, ahead) = if entry == SLOW {
            let (length, symbol) = table.codes.find(self.peek::<16>())?;
            let size = u32::from(symbol & 15);
            (length + size, size, advance(symbol) as usize)
        } else {
            (entry as u32 & 63, (entry >> 24) as u32 & 31, (entry >> 8 & 255) as usize)
        };
        let value = self.value(total, size);
        store((position + ahead) as u8, value as i16);
        Some(position + ahead)
    }
}
