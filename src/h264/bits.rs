//! Bit fields and Exp-Golomb codes (clauses 7.2 and 9.1 of the standard).

/// Reads bits, most significant first. Reading past the end gives none.
pub(crate) struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Reader { data, at: 0 }
    }

    /// Bits read so far.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn bit(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// `u(n)`, at most 32 bits.
    pub(crate) fn bits(&mut self, n: u32) -> Option<u32> {
        (0..n).try_fold(0, |value, _| Some(value << 1 | u32::from(self.bit()?)))
    }

    /// `ue(v)`.
    pub(crate) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.bit()? {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }
}

/// Writes bits, most significant first.
#[derive(Default)]
pub(super) struct Writer {
    data: Vec<u8>,
    /// Bits used in the last byte; 0 when it is full.
    taken: u32,
}

impl Writer {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Writer { data: Vec::with_capacity(bytes), taken: 0 }
    }

    pub(super) fn bit(&mut self, bit: bool) {
        if self.taken == 0 {
            self.data.push(0);
        }
        if let Some(last) = self.data.last_mut() {
            *last |= u8::from(bit) << (7 - self.taken);
        }
        self.taken = (self.taken + 1) % 8;
    }

    pub(super) fn bits(&mut self, value: u32, n: u32) {
        for i in (0..n).rev() {
            self.bit(value >> i & 1 == 1);
        }
    }

    /// `ue(v)`; values below `u32::MAX`.
    pub(super) fn ue(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.bits(0, length);
        self.bits(value + 1, length + 1);
    }

    /// Copies all bits of `data` from bit `from` on. Copies whole bytes where possible, because a slice is most of
    /// a NAL.
    pub(super) fn rest(&mut self, data: &[u8], from: usize) {
        let mut at = from;
        while !at.is_multiple_of(8) && at < 8 * data.len() {
            self.bit(data[at / 8] >> (7 - at % 8) & 1 == 1);
            at += 1;
        }
        let Some(whole) = data.get(at / 8..) else { return };
        if self.taken == 0 {
            self.data.extend_from_slice(whole);
            return;
        }
        let (taken, mut carry) = (self.taken, self.data.pop().unwrap_or_default());
        for byte in whole {
            self.data.push(carry | byte >> taken);
            carry = byte << (8 - taken);
        }
        self.data.push(carry);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_reader_reads_what_a_writer_wrote(values in prop::collection::vec((0..u32::MAX, 1..32_u32), 0..20), tail in prop::collection::vec(any::<u8>(), 0..9), from in 0..9_usize) {
            let mut writer = Writer::default();
            for (value, width) in &values {
                writer.ue(*value);
                writer.bits(value & ((1 << width) - 1), *width);
            }
            writer.rest(&tail, from);
            let data = writer.into_bytes();
            let mut reader = Reader::new(&data);
            for (value, width) in &values {
                prop_assert_eq!(reader.ue(), Some(*value));
                prop_assert_eq!(reader.bits(*width), Some(value & ((1 << width) - 1)));
            }
            for at in from..8 * tail.len() {
                prop_assert_eq!(reader.bit(), Some(tail[at / 8] >> (7 - at % 8) & 1 == 1));
            }
            // Only the padding of the last byte is left.
            prop_assert!(8 * data.len() - reader.position() < 8 + 8 * usize::from(tail.is_empty()));
        }
    }
}
