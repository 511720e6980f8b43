//! The Huffman tables of a JPEG: those of its DHT segments, and the standard ones.

use std::sync::{Arc, LazyLock};

use super::{
    huffman::{Ac, Codes, Dc},
    segment::next_segment,
};
use crate::picture::jpeg::STANDARD_TABLES;

/// A table as a DHT segment has it: the number of codes of each length, and the symbols.
type Table<'a> = (&'a [u8; 16], &'a [u8]);

/// Tables by their number, and the decoding tables that were made of them.
#[derive(Clone, Default)]
pub(super) struct Tables<'a> {
    /// DC and AC, four of each.
    by_number: [[Option<Table<'a>>; 4]; 2],
    dc: Vec<(Table<'a>, Arc<Dc>)>,
    ac: Vec<(Table<'a>, Arc<Ac>)>,
}

impl<'a> Tables<'a> {
    /// The tables of T.81, annex K.3. libjpeg-turbo takes them, too, for a JPEG without tables, as USB cameras send it. Most cameras use
    /// them, so their decoding tables are made once.
    pub(super) fn standard() -> Self {
        static STANDARD: LazyLock<Tables<'static>> = LazyLock::new(|| {
            let (mut tables, mut segments) = (Tables::default(), &STANDARD_TABLES[..]);
            while let Some((_, segment)) = next_segment(&mut segments) {
                let _ = tables.read(segment);
            }
            for number in 0..2 {
                let _ = (tables.dc(number), tables.ac(number));
            }
            tables
        });
        STANDARD.clone()
    }

    /// Reads a DHT segment (T.81, B.2.4.2). None if it is damaged.
    pub(super) fn read(&mut self, mut segment: &'a [u8]) -> Option<()> {
        while let Some((kind, rest)) = segment.split_first() {
            let (counts, rest) = rest.split_first_chunk()?;
            let (symbols, rest) = rest.split_at_checked(counts.iter().map(|count| usize::from(*count)).sum())?;
            let of_class = self.by_number.get_mut(usize::from(kind >> 4))?;
            *of_class.get_mut(usize::from(kind & 15))? = Some((counts, symbols));
            segment = rest;
        }
        Some(())
    }

    /// The codes of DC coefficients of this number. None if there are none, or they are invalid.
    pub(super) fn dc(&mut self, number: usize) -> Option<Arc<Dc>> {
        let table = (*self.by_number[0].get(number)?)?;
        made(&mut self.dc, table, Dc::new)
    }

    /// As [`Tables::dc`], of AC coefficients.
    pub(super) fn ac(&mut self, number: usize) -> Option<Arc<Ac>> {
        let table = (*self.by_number[1].get(number)?)?;
        made(&mut self.ac, table, Ac::new)
    }
}

/// The decoding table of a table. It is made if it is not known.
fn made<'a, T>(
    known: &mut Vec<(Table<'a>, Arc<T>)>,
    table: Table<'a>,
    make: impl FnOnce(Codes) -> Option<T>,
) -> Option<Arc<T>> {
    if let Some((_, made)) = known.iter().find(|(known, _)| *known == table) {
        return Some(made.clone());
    }
    let made = Arc::new(make(Codes::new(table.0, table.1)?)?);
    known.push((table, made.clone()));
    Some(made)
}
