//! [`Boxes`]: writes boxes (ISO/IEC 14496-12, 4.2), each with its size in front.

use bytes::Bytes;

/// The boxes written so far.
#[derive(Debug, Default)]
pub(super) struct Boxes(Vec<u8>);

impl Boxes {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Boxes(Vec::with_capacity(bytes))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn finish(self) -> Bytes {
        self.0.into()
    }

    /// A box, whose content `write` adds.
    pub(super) fn boxed(&mut self, kind: &[u8; 4], write: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.placeholder();
        self.bytes(kind);
        write(self);
        let size = self.len() - at;
        self.fill(at, size);
        self
    }

    /// A box with version and flags (a "full box").
    pub(super) fn full(&mut self, kind: &[u8; 4], version: u8, flags: u32, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.boxed(kind, |out| {
            out.u32(u32::from(version) << 24 | flags);
            write(out);
        })
    }

    /// Four bytes that [`Boxes::fill`] writes later; returns their position.
    pub(super) fn placeholder(&mut self) -> usize {
        let at = self.len();
        self.u32(0);
        at
    }

    /// Writes a number of 32 bits at a position.
    pub(super) fn fill(&mut self, at: usize, value: usize) {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    pub(super) fn bytes(&mut self, data: &[u8]) -> &mut Self {
        self.0.extend_from_slice(data);
        self
    }

    pub(super) fn zeros(&mut self, count: usize) -> &mut Self {
        self.0.resize(self.0.len() + count, 0);
        self
    }

    pub(super) fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// The matrix that leaves the picture as it is (8.2.2.1).
    pub(super) fn matrix(&mut self) -> &mut Self {
        for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
            self.u32(value);
        }
        self
    }
}
