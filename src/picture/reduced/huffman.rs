//! Huffman codes (T.81, annexes C and F.2.2), as tables that give several things at once.

/// Bits of the index of the fast tables. Most codes of AC coefficients have their values within 11 bits, and such a table is half of
/// the first-level cache.
pub(super) const AC_BITS: u32 = 11;
pub(super) const DC_BITS: u32 = 9;

/// How far the end of a block (EOB) advances in it, so that it is told from every sum of runs.
pub(super) const END: usize = 128;

/// In entries of [`Ac`]: not all is in the index.
pub(super) const SLOW: u64 = 1 << 7;

/// The codes of a DHT segment.
pub(super) struct Codes {
    /// For each length, the first value of 16 bits behind its codes.
    limits: [u32; 17],
    /// Added to a code of each length, it gives the index of its symbol.
    offsets: [i32; 17],
    counts: [u8; 17],
    symbols: [u8; 256],
}

impl Codes {
    /// `counts` has the number of codes of 1 to 16 bits. None if there are more than the bits allow, or the code of only ones is used
    /// (T.81, annex C).
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut codes = Codes { limits: [0; 17], offsets: [0; 17], counts: [0; 17], symbols: [0; 256] };
        codes.symbols.get_mut(..symbols.len())?.copy_from_slice(symbols);
        let (mut code, mut index) = (0, 0);
        for (length, count) in (1..).zip(counts) {
            codes.counts[length] = *count;
            codes.offsets[length] = index - code;
            code += i32::from(*count);
            index += i32::from(*count);
            if *count > 0 && code >= 1 << length {
                return None;
            }
            codes.limits[length] = (code as u32) << (16 - length);
            code <<= 1;
        }
        Some(codes)
    }

    /// Length and symbol of the code at the beginning of 16 bits.
    #[cold]
    pub(super) fn find(&self, bits: usize) -> Option<(u32, u8)> {
        let length = (1..17).find(|length| bits < self.limits[*length] as usize)?;
        let index = (bits >> (16 - length)) as i32 + self.offsets[length];
        Some((length as u32, *self.symbols.get(usize::try_from(index).ok()?)?))
    }

    /// Calls `with` for each code of up to `bits` bits, with the range of indices of so many bits that begin with it, its length and its symbol.
    fn each(&self, bits: u32, mut with: impl FnMut(std::ops::Range<usize>, u32, u8)) {
        let (mut code, mut symbols) = (0, self.symbols.iter());
        for length in 1..=bits {
            for symbol in symbols.by_ref().take(usize::from(self.counts[length as usize])) {
                let indices = 1 << (bits - length);
                with(code * indices..(code + 1) * indices, length, *symbol);
                code += 1;
            }
            code <<= 1;
        }
    }

    fn all_symbols(&self) -> &[u8] {
        &self.symbols[..self.counts.iter().map(|count| usize::from(*count)).sum::<usize>().min(256)]
    }
}

/// Codes of DC coefficients: the symbol is the number of bits of the difference (T.81, F.1.2.1).
pub(super) struct Dc {
    pub(super) codes: Codes,
    /// The bits of code and difference, and from bit 8 on those of the difference; 0 for longer codes.
    pub(super) fast: Box<[u16; 1 << DC_BITS]>,
}

impl Dc {
    /// None for symbols that are not in T.81, table F.1.
    pub(super) fn new(codes: Codes) -> Option<Self> {
        let mut fast = Box::new([0; 1 << DC_BITS]);
        if codes.all_symbols().iter().any(|size| *size > 11) {
            return None;
        }
        codes.each(DC_BITS, |indices, length, size| {
            fast[indices].fill((length as u16 + u16::from(size)) | (u16::from(size) << 8));
        });
        Some(Dc { codes, fast })
    }
}

/// Codes of AC coefficients: the symbol is a run of zeros and the number of bits of the value behind it (T.81, F.1.2.2).
pub(super) struct Ac {
    pub(super) codes: Codes,
    /// One or two coefficients that begin with the bits of the index. From the lowest bit: the bits of codes and values (6), [`SLOW`], how
    /// far the position advances to the first coefficient (8), and from there to the second (8), the bits of the first value (8), and
    /// both values (16 each).
    ///
    /// [`SLOW`] means that the value has bits behind the index, or, if nothing else is set, that the code has.
    pub(super) fast: Box<[u64; 1 << AC_BITS]>,
}

impl Ac {
    /// None for symbols that are not in T.81, table F.2.
    pub(super) fn new(codes: Codes) -> Option<Self> {
        // EOB and ZRL are the only symbols without a value.
        let is_known = |symbol: &u8| matches!((symbol & 15, symbol), (0, 0 | 0xF0) | (1..=10, _));
        if !codes.all_symbols().iter().all(is_known) {
            return None;
        }
        // Length and symbol for each index.
        let mut single = [(0, 0); 1 << AC_BITS];
        codes.each(AC_BITS, |indices, length, symbol| single[indices].fill((length, symbol)));
        let mut fast = Box::new([SLOW; 1 << AC_BITS]);
        for (index, entry) in fast.iter_mut().enumerate() {
            let (length, symbol) = single[index];
            if length == 0 {
                continue;
            }
            let size = u32::from(symbol & 15);
            let total = length + size;
            *entry = u64::from(total) | advance(symbol) << 8 | u64::from(size) << 24;
            let Some(left) = AC_BITS.checked_sub(total) else {
                *entry |= SLOW;
                continue;
            };
            let value = |index: usize, left: u32, size: u32| {
                u64::from(extend((index >> left) as u32 & ((1 << size) - 1), size) as u16)
            };
            let first = value(index, left, size);
            // Without a second one, the first one is stored twice.
            *entry |= first << 32 | first << 48;
            let index = index << total & ((1 << AC_BITS) - 1);
            let (length, second) = single[index];
            let size = u32::from(second & 15);
            if symbol != 0 && length > 0 && length + size <= left {
                *entry &= u64::MAX >> 16;
                *entry |= advance(second) << 16 | value(index, AC_BITS - length - size, size) << 48;
                *entry += u64::from(length + size);
            }
        }
        Some(Ac { codes, fast })
    }
}

/// How far a symbol of an AC coefficient advances the position in the block.
pub(super) fn advance(symbol: u8) -> u64 {
    if symbol == 0 { END as u64 } else { u64::from(symbol >> 4) + 1 }
}

/// The value of so many bits (T.81, F.2.2.1: EXTEND).
#[inline(always)]
pub(super) fn extend(bits: u32, size: u32) -> i32 {
    // Without its first bit it is negative.
    let is_negative = (bits >> (size.wrapping_sub(1) & 31) & 1) as i32 - 1;
    bits as i32 - (((1 << size) - 1) & is_negative)
}
