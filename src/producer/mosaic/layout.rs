//! [`Layout`]: where the tiles of a mosaic are.

use std::str::FromStr;

/// How tiles are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As many columns as rows, or one more.
    Auto,
    /// This many columns and rows.
    Grid(usize, usize),
    /// The first tile large, the others on its right and below it.
    Focus,
}

/// A tile's place in pixels; all values are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) width: u32,
    pub(super) height: u32,
}

impl FromStr for Layout {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || format!("must be auto, focus or COLUMNSxROWS such as 3x3 (at most 6x6), not {text:?}");
        match text {
            "auto" => Ok(Layout::Auto),
            "focus" => Ok(Layout::Focus),
            text => {
                let (columns, rows) = text.split_once('x').ok_or_else(rule)?;
                let side = |text: &str| text.parse().ok().filter(|n| (1..=6).contains(n)).ok_or_else(rule);
                Ok(Layout::Grid(side(columns)?, side(rows)?))
            }
        }
    }
}

impl Layout {
    /// The number of places; none if there are as many as tiles.
    pub(super) fn places(self) -> Option<usize> {
        match self {
            Layout::Grid(columns, rows) => Some(columns * rows),
            Layout::Auto | Layout::Focus => None,
        }
    }

    /// The places of this many tiles on a picture of this size, with a gap in pixels between them.
    pub(super) fn arrange(self, tiles: usize, (width, height): (u32, u32), gap: u32) -> Vec<Rect> {
        let cell = |columns: usize, rows: usize, column: usize, row: usize, span: usize| {
            let (left, right) = edges(width, gap, columns, column, span);
            let (top, bottom) = edges(height, gap, rows, row, span);
            Rect { left, top, width: right - left, height: bottom - top }
        };
        match self {
            Layout::Auto => {
                let columns = (1..).find(|n| n * n >= tiles.max(1)).unwrap_or(1);
                let rows = tiles.max(1).div_ceil(columns);
                (0..tiles).map(|i| cell(columns, rows, i % columns, i / columns, 1)).collect()
            }
            Layout::Grid(columns, rows) => {
                let shown = tiles.min(columns * rows);
                (0..shown).map(|i| cell(columns, rows, i % columns, i / columns, 1)).collect()
            }
            Layout::Focus if tiles <= 1 => (0..tiles).map(|_| cell(1, 1, 0, 0, 1)).collect(),
            Layout::Focus => {
                // The large tile has all but the last column and row, which have 2 × side - 1 places.
                let side = tiles.div_ceil(2).max(2);
                let large = cell(side, side, 0, 0, side - 1);
                let right = (0..side).map(|row| (side - 1, row));
                let below = (0..side - 1).rev().map(|column| (column, side - 1));
                let others = right.chain(below).map(|(column, row)| cell(side, side, column, row, 1));
                std::iter::once(large).chain(others).take(tiles).collect()
            }
        }
    }
}

/// The first pixel of a cell, and the pixel behind it: even numbers, within the side.
fn edges(side: u32, gap: u32, cells: usize, at: usize, span: usize) -> (u32, u32) {
    let (side, gap, cells) = (f64::from(side), f64::from(gap), cells as f64);
    // A gap takes at most half of a cell.
    let gap = gap.min(side / cells / 2.0);
    let step = (side + gap) / cells;
    let even = |at: f64| (at / 2.0).round() as u32 * 2;
    let begin = even(step * at as f64);
    let end = even(step * (at + span) as f64 - gap).min(side as u32 & !1);
    (begin, end.max(begin + 2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_layouts_have_their_places() {
        let rect = |left, top, width, height| Rect { left, top, width, height };
        let size = (1920, 1080);
        assert_eq!(Layout::Auto.arrange(1, size, 0), [rect(0, 0, 1920, 1080)]);
        assert_eq!(Layout::Auto.arrange(2, size, 0), [rect(0, 0, 960, 1080), rect(960, 0, 960, 1080)]);
        let nine = Layout::Grid(3, 3).arrange(9, size, 0);
        assert_eq!((nine.len(), nine[4], nine[8]), (9, rect(640, 360, 640, 360), rect(1280, 720, 640, 360)));
        assert_eq!(Layout::Grid(2, 2).arrange(9, size, 0).len(), 4);
        let six = Layout::Focus.arrange(6, size, 0);
        assert_eq!((six[0], six[1], six.len()), (rect(0, 0, 1280, 720), rect(1280, 0, 640, 360), 6));
        assert!(Layout::Auto.arrange(0, size, 4).is_empty() && Layout::Focus.arrange(0, size, 4).is_empty());
        for (text, layout) in [("auto", Layout::Auto), ("focus", Layout::Focus), ("2x3", Layout::Grid(2, 3))] {
            assert_eq!(text.parse(), Ok(layout));
        }
        for wrong in ["", "x", "3", "0x2", "7x1", "2x-2", "axb"] {
            assert!(wrong.parse::<Layout>().expect_err(wrong).contains("COLUMNSxROWS"));
        }
    }

    proptest! {
        #[test]
        fn tiles_are_even_within_the_picture_and_do_not_overlap(
            tiles in 1_usize..37,
            size in (64_u32..2000, 64_u32..2000),
            gap in 0_u32..64,
            layout in prop::sample::select(vec![Layout::Auto, Layout::Focus, Layout::Grid(3, 3), Layout::Grid(6, 6)]),
        ) {
            let size = (size.0 & !1, size.1 & !1);
            let rects = layout.arrange(tiles, size, gap);
            prop_assert_eq!(rects.len(), layout.places().map_or(tiles, |places| places.min(tiles)));
            for (i, a) in rects.iter().enumerate() {
                prop_assert!([a.left, a.top, a.width, a.height].iter().all(|n| n % 2 == 0), "{:?}", a);
                prop_assert!(a.width >= 2 && a.height >= 2 && a.left + a.width <= size.0 && a.top + a.height <= size.1, "{:?}", a);
                for b in &rects[i + 1..] {
                    let apart = a.left + a.width <= b.left || b.left + b.width <= a.left
                        || a.top + a.height <= b.top || b.top + b.height <= a.top;
                    prop_assert!(apart, "{:?} {:?}", a, b);
                }
            }
        }
    }
}
