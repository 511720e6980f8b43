//! Masks: areas whose content is made unrecognizable.
//!
//! An area is a set of cells of 2 × 2 pixels, one for each chroma sample, and has each cell that it touches. What is taken away
//! cannot be calculated back: pixelated and blurred areas are both made of the averages of large blocks.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::picture::raster::Raster;

/// How the content of a mask is hidden.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MaskStyle {
    /// Black.
    #[default]
    Black,
    /// Blocks of one colour each.
    Pixelate,
    /// The same blocks with soft transitions.
    Blur,
}

/// Blocks in the height of a picture: at 1080 lines, a block has 45 pixels, more than the features of a face or the characters of a
/// number plate.
const BLOCKS: u32 = 24;

/// Smallest block, in cells: 16 pixels.
const SMALLEST_BLOCK: usize = 8;

/// The cells of a mask on a picture of one size: row, first column, and the column behind the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cells(Vec<(usize, usize, usize)>);

impl Cells {
    /// The cells of a polygon, whose points are in percent of the width and the height.
    pub(super) fn of(points: &[[f64; 2]], width: u32, height: u32) -> Self {
        let (columns, rows) = (width.div_ceil(2) as usize, height.div_ceil(2) as usize);
        // In cells: an odd picture ends within its last cell.
        let points: Vec<[f64; 2]> = points
            .iter()
            .map(|[x, y]| [x / 100.0 * f64::from(width) / 2.0, y / 100.0 * f64::from(height) / 2.0])
            .collect();
        let mut cells = vec![];
        for row in 0..rows {
            let mut spans: Vec<(usize, usize)> = vec![];
            // Also where the polygon has a corner within the row: it touches cells that no line through the row shows.
            let corners = points.iter().map(|point| point[1]).filter(|y| (row as f64..(row + 1) as f64).contains(y));
            let lines = [0.001, 0.25, 0.5, 0.75, 0.999].map(|part| row as f64 + part);
            for y in lines.into_iter().chain(corners) {
                spans.extend(crossings(&points, y).into_iter().filter_map(|(from, to)| {
                    let (from, to) = (from.max(0.0).floor() as usize, to.max(0.0).ceil() as usize);
                    let to = to.min(columns);
                    (from < to).then_some((from, to))
                }));
            }
            spans.sort_unstable();
            for (from, to) in spans {
                match cells.last_mut() {
                    Some((last, _, end)) if *last == row && from <= *end => *end = to.max(*end),
                    _ => cells.push((row, from, to)),
                }
            }
        }
        Cells(cells)
    }

    /// Hides the content of the cells.
    pub(super) fn hide(&self, on: &mut Raster, style: MaskStyle) {
        match style {
            MaskStyle::Black => self.each_row(on, |row, plane, _, _| row.fill(if plane == 0 { 0 } else { 128 })),
            MaskStyle::Pixelate | MaskStyle::Blur => {
                let Some(blocks) = Blocks::of(on, self) else { return };
                let is_soft = style == MaskStyle::Blur;
                self.each_row(on, |row, plane, x, y| {
                    for (i, sample) in row.iter_mut().enumerate() {
                        *sample = blocks.at(plane, x + i, y, is_soft);
                    }
                });
            }
        }
    }

    /// Calls `change` with the samples of each row of each plane, the plane, and the position of the first sample in the plane.
    fn each_row(&self, on: &mut Raster, mut change: impl FnMut(&mut [u8], usize, usize, usize)) {
        for plane in 0..3 {
            let by = if plane == 0 { 2 } else { 1 };
            let stride = on.stride(plane);
            let samples = on.plane_mut(plane);
            for &(row, from, to) in &self.0 {
                for y in by * row..by * (row + 1) {
                    if let Some(samples) = samples.get_mut(y * stride + by * from..y * stride + by * to) {
                        change(samples, plane, by * from, y);
                    }
                }
            }
        }
    }
}

/// The parts of a horizontal line inside of a polygon (even-odd).
fn crossings(points: &[[f64; 2]], y: f64) -> Vec<(f64, f64)> {
    let mut at: Vec<f64> = vec![];
    for (i, a) in points.iter().enumerate() {
        let b = points[(i + 1) % points.len()];
        if (a[1] <= y) != (b[1] <= y) {
            at.push(a[0] + (y - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
        }
    }
    at.sort_by(f64::total_cmp);
    at.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The averages of the blocks of a picture that a mask touches.
struct Blocks {
    /// Side of a block in cells.
    side: usize,
    first_column: usize,
    first_row: usize,
    columns: usize,
    rows: usize,
    /// For Y, U and V.
    averages: [Vec<u8>; 3],
}

impl Blocks {
    fn of(on: &Raster, cells: &Cells) -> Option<Self> {
        let side = (on.height().div_ceil(2 * BLOCKS) as usize).max(SMALLEST_BLOCK);
        let first_row = cells.0.first()?.0 / side;
        let last_row = cells.0.last()?.0 / side;
        let first_column = cells.0.iter().map(|(_, from, _)| from / side).min()?;
        let last_column = cells.0.iter().map(|(_, _, to)| (to - 1) / side).max()?;
        let (columns, rows) = (last_column - first_column + 1, last_row - first_row + 1);
        let averages = [0, 1, 2].map(|plane| {
            let by = if plane == 0 { 2 * side } else { side };
            let (stride, height) = (on.stride(plane), on.rows(plane));
            let average = |column: usize, row: usize| {
                let (left, top) = ((first_column + column) * by, (first_row + row) * by);
                let (right, bottom) = ((left + by).min(stride), (top + by).min(height));
                let sum: u64 = (top..bottom)
                    .map(|y| {
                        on.plane(plane)[y * stride + left..y * stride + right]
                            .iter()
                            .map(|s| u64::from(*s))
                            .sum::<u64>()
                    })
                    .sum();
                (sum / ((right - left) * (bottom - top)).max(1) as u64) as u8
            };
            (0..rows)
                .flat_map(|row| (0..columns).map(move |column| (column, row)))
                .map(|(c, r)| average(c, r))
                .collect()
        });
        Some(Blocks { side, first_column, first_row, columns, rows, averages })
    }

    /// The sample at a position of a plane.
    fn at(&self, plane: usize, x: usize, y: usize, is_soft: bool) -> u8 {
        let by = if plane == 0 { 2 * self.side } else { self.side };
        let block = |column: usize, row: usize| f32::from(self.averages[plane][row * self.columns + column]);
        if !is_soft {
            return block(x / by - self.first_column, y / by - self.first_row) as u8;
        }
        // Between the centers of the blocks.
        let place = |at: usize, first: usize, count: usize| {
            let at = ((at as f32 + 0.5) / by as f32 - first as f32 - 0.5).clamp(0.0, (count - 1) as f32);
            (at as usize, (at as usize + 1).min(count - 1), at.fract())
        };
        let (left, right, over) = place(x, self.first_column, self.columns);
        let (upper, lower, down) = place(y, self.first_row, self.rows);
        let row = |row: usize| block(left, row) * (1.0 - over) + block(right, row) * over;
        (row(upper) * (1.0 - down) + row(lower) * down).round() as u8
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noisy(width: u32, height: u32) -> Raster {
        let mut on = Raster::filled(width, height, [0, 128, 128]);
        for plane in 0..3 {
            let mut state = 12345_u32;
            for sample in on.plane_mut(plane) {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *sample = (state >> 24) as u8;
            }
        }
        on
    }

    fn rectangle(x: f64, y: f64, w: f64, h: f64) -> [[f64; 2]; 4] {
        [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
    }

    /// The largest difference between neighbours in the middle of the picture.
    fn roughness(on: &Raster, from: u32, to: u32) -> u8 {
        (from..to)
            .flat_map(|y| (from..to - 1).map(move |x| (x, y)))
            .map(|(x, y)| on.at(x, y)[0].abs_diff(on.at(x + 1, y)[0]))
            .max()
            .expect("some")
    }

    #[test]
    fn each_style_hides_the_area_and_nothing_else() {
        let original = noisy(200, 100);
        for style in [MaskStyle::Black, MaskStyle::Pixelate, MaskStyle::Blur] {
            let mut on = original.clone();
            Cells::of(&rectangle(20.0, 20.0, 50.0, 50.0), 200, 100).hide(&mut on, style);
            let differs = |x: u32, y: u32| on.at(x, y) != original.at(x, y);
            let inside = (40..140).flat_map(|x| (20..70).map(move |y| (x, y))).filter(|(x, y)| differs(*x, *y)).count();
            assert!(inside > 4900, "{style:?}: {inside} of 5000 pixels");
            for (x, y) in [(39, 40), (140, 40), (60, 19), (60, 70), (0, 0), (199, 99)] {
                assert!(!differs(x, y), "{style:?}: {x},{y}");
            }
            if style == MaskStyle::Black {
                assert_eq!(on.at(40, 20), [0, 128, 128]);
            }
            if style == MaskStyle::Blur {
                assert!(roughness(&on, 45, 68) < 12, "{}", roughness(&on, 45, 68));
            }
        }
    }

    #[test]
    fn what_is_hidden_does_not_depend_on_details() {
        // A checkerboard and its negative have the same averages: they cannot be told apart afterwards.
        let board = |phase: usize| {
            let mut on = Raster::filled(192, 192, [0, 128, 128]);
            let stride = on.stride(0);
            for (i, sample) in on.plane_mut(0).iter_mut().enumerate() {
                *sample = if (i / stride + i % stride + phase).is_multiple_of(2) { 255 } else { 0 };
            }
            on
        };
        for style in [MaskStyle::Black, MaskStyle::Pixelate, MaskStyle::Blur] {
            let [one, other] = [0, 1].map(|phase| {
                let mut on = board(phase);
                Cells::of(&rectangle(0.0, 0.0, 100.0, 100.0), 192, 192).hide(&mut on, style);
                on
            });
            assert!(one == other, "{style:?}");
        }
    }

    #[test]
    fn a_polygon_has_its_own_shape() {
        let triangle = [[50.0, 0.0], [100.0, 100.0], [0.0, 100.0]];
        let mut on = noisy(100, 100);
        let original = on.clone();
        Cells::of(&triangle, 100, 100).hide(&mut on, MaskStyle::Black);
        for (x, y, hidden) in [(50, 10, true), (50, 99, true), (3, 98, true), (10, 10, false), (90, 40, false)] {
            assert_eq!(on.at(x, y) == [0, 128, 128], hidden, "{x},{y}");
            assert!(hidden || on.at(x, y) == original.at(x, y));
        }
    }

    proptest! {
        #[test]
        fn no_pixel_of_a_rectangle_stays_visible_whatever_its_size(
            size in (2_u32..80, 2_u32..80),
            at in (0.0..95.0_f64, 0.0..95.0_f64),
            part in (0.5..100.0_f64, 0.5..100.0_f64),
        ) {
            let mut on = Raster::filled(size.0, size.1, [200, 50, 60]);
            let (w, h) = (part.0.min(100.0 - at.0), part.1.min(100.0 - at.1));
            Cells::of(&rectangle(at.0, at.1, w, h), size.0, size.1).hide(&mut on, MaskStyle::Black);
            let (left, top) = (at.0 / 100.0 * f64::from(size.0), at.1 / 100.0 * f64::from(size.1));
            let (right, bottom) = (left + w / 100.0 * f64::from(size.0), top + h / 100.0 * f64::from(size.1));
            for y in 0..size.1 {
                for x in 0..size.0 {
                    let (fx, fy) = (f64::from(x), f64::from(y));
                    let touched = fx + 1.0 > left + 0.01 && fx < right - 0.01 && fy + 1.0 > top + 0.01 && fy < bottom - 0.01;
                    if touched {
                        prop_assert_eq!(on.at(x, y), [0, 128, 128], "{},{}", x, y);
                    }
                }
            }
        }

        #[test]
        fn every_polygon_stays_within_the_picture(
            points in prop::collection::vec((-50.0..150.0_f64, -50.0..150.0_f64), 3..9),
            size in (1_u32..70, 1_u32..70),
        ) {
            let points: Vec<_> = points.into_iter().map(|(x, y)| [x, y]).collect();
            let mut on = Raster::filled(size.0, size.1, [200, 50, 60]);
            for style in [MaskStyle::Black, MaskStyle::Pixelate, MaskStyle::Blur] {
                Cells::of(&points, size.0, size.1).hide(&mut on, style);
            }
        }
    }
}
