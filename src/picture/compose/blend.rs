//! Blends one colour or a small picture into planes, through a mask.

use crate::picture::{raster::Raster, text::Mask};

/// A colour as planes have it, with its opacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ink {
    /// Y, U, V in the colour encoding of JPEG.
    pub(super) yuv: [u8; 3],
    /// From 0 (invisible) to 255.
    pub(super) opacity: u8,
}

/// A mask at its place, for luma and for chroma, so that neither is computed again for each picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamp {
    /// Left upper corner in pixels, even; can be outside of the picture.
    left: i32,
    top: i32,
    /// Chroma samples in a row; luma has twice as many.
    columns: usize,
    /// How much of each pixel is covered.
    luma: Vec<u8>,
    /// How much of each four pixels is covered.
    chroma: Vec<u8>,
}

impl Stamp {
    /// A mask whose left upper corner lies on this pixel.
    pub(super) fn new(mask: &Mask, left: i32, top: i32) -> Self {
        let (odd_x, odd_y) = (left.rem_euclid(2) as usize, top.rem_euclid(2) as usize);
        let columns = (mask.width + odd_x).div_ceil(2);
        let rows = (mask.height + odd_y).div_ceil(2);
        let mut luma = vec![0; 4 * columns * rows];
        for (to, from) in luma.chunks_mut((2 * columns).max(1)).skip(odd_y).zip(mask.alpha.chunks(mask.width.max(1))) {
            to[odd_x..odd_x + from.len()].copy_from_slice(from);
        }
        let chroma = halved(&luma, columns);
        Stamp { left: left - odd_x as i32, top: top - odd_y as i32, columns, luma, chroma }
    }

    /// Blends one colour through the mask.
    pub(super) fn draw(&self, on: &mut Raster, ink: Ink) {
        for i in 0..3 {
            let (alpha, columns) = self.alpha(i);
            let Some(area) = Area::of(on, i, self.left, self.top, columns, alpha.len()) else { continue };
            area.each_row(on, |to, row, from| {
                let alpha = &alpha[row * columns + from..][..to.len()];
                to.iter_mut().zip(alpha).for_each(|(to, alpha)| *to = mix(*to, ink.yuv[i], scale(*alpha, ink.opacity)));
            });
        }
    }

    /// Blends a picture of the mask's size, given as planes in rows of the mask's, through the mask.
    pub(super) fn draw_picture(&self, on: &mut Raster, planes: &[Vec<u8>; 3], opacity: u8) {
        for (i, plane) in planes.iter().enumerate() {
            let (alpha, columns) = self.alpha(i);
            let Some(area) = Area::of(on, i, self.left, self.top, columns, alpha.len().min(plane.len())) else {
                continue;
            };
            area.each_row(on, |to, row, from| {
                let at = row * columns + from;
                let (alpha, ink) = (&alpha[at..][..to.len()], &plane[at..][..to.len()]);
                for ((to, alpha), ink) in to.iter_mut().zip(alpha).zip(ink) {
                    *to = mix(*to, *ink, scale(*alpha, opacity));
                }
            });
        }
    }

    fn alpha(&self, i: usize) -> (&[u8], usize) {
        if i == 0 { (&self.luma, 2 * self.columns) } else { (&self.chroma, self.columns) }
    }
}

/// The averages of four samples each, of rows of `2 * columns`.
pub(super) fn halved(samples: &[u8], columns: usize) -> Vec<u8> {
    let mut made = Vec::with_capacity(samples.len() / 4);
    for rows in samples.chunks_exact((4 * columns).max(1)) {
        let (upper, lower) = rows.split_at(2 * columns);
        for (upper, lower) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
            let sum = u16::from(upper[0]) + u16::from(upper[1]) + u16::from(lower[0]) + u16::from(lower[1]);
            made.push(((sum + 2) / 4) as u8);
        }
    }
    made
}

/// Fills a rectangle: columns and rows of pixels, moved outwards to even numbers.
pub(super) fn fill(on: &mut Raster, (left, top): (i32, i32), (width, height): (u32, u32), ink: Ink) {
    let mask = Mask { width: width as usize, height: height as usize, ..Mask::default() };
    let (right, bottom) = (left.saturating_add_unsigned(width), top.saturating_add_unsigned(height));
    for i in 0..3 {
        let shift = u32::from(i > 0);
        // Chroma samples that the rectangle touches have its colour: the edge of a box is a pixel wide at most.
        let (x0, y0) = (left >> shift, top >> shift);
        let (x1, y1) = ((right + shift as i32) >> shift, (bottom + shift as i32) >> shift);
        let columns = usize::try_from(x1 - x0).unwrap_or(0).min(mask.width.max(1));
        let rows = usize::try_from(y1 - y0).unwrap_or(0).min(mask.height.max(1));
        let Some(area) = Area::in_plane(on, i, x0, y0, columns, rows) else { continue };
        area.each_row(on, |to, _, _| match ink.opacity {
            255 => to.fill(ink.yuv[i]),
            opacity => to.iter_mut().for_each(|to| *to = mix(*to, ink.yuv[i], opacity)),
        });
    }
}

/// The part of a plane that something covers.
struct Area {
    plane: usize,
    /// First row and column of the plane.
    row: usize,
    column: usize,
    columns: usize,
    rows: usize,
    /// First row and column of the thing that is inside of the plane.
    skipped_rows: usize,
    skipped_columns: usize,
}

impl Area {
    /// A thing at a pixel, with rows of `columns` samples, `samples` in all.
    fn of(on: &Raster, plane: usize, left: i32, top: i32, columns: usize, samples: usize) -> Option<Self> {
        let shift = u32::from(plane > 0);
        let rows = samples.checked_div(columns)?;
        Area::in_plane(on, plane, left >> shift, top >> shift, columns, rows)
    }

    fn in_plane(on: &Raster, plane: usize, x: i32, y: i32, columns: usize, rows: usize) -> Option<Self> {
        let (stride, height) = (on.stride(plane), on.rows(plane));
        let outside = |at: i32| usize::try_from(-i64::from(at)).unwrap_or(0);
        let (skipped_columns, skipped_rows) = (outside(x), outside(y));
        let (column, row) = (usize::try_from(x).unwrap_or(0), usize::try_from(y).unwrap_or(0));
        let columns = columns.checked_sub(skipped_columns)?.min(stride.checked_sub(column)?);
        let rows = rows.checked_sub(skipped_rows)?.min(height.checked_sub(row)?);
        Some(Area { plane, row, column, columns, rows, skipped_rows, skipped_columns })
    }

    /// Calls `draw` with each row of the plane, and with the row and the first column of the thing.
    fn each_row(&self, on: &mut Raster, mut draw: impl FnMut(&mut [u8], usize, usize)) {
        let stride = on.stride(self.plane);
        let rows = on.plane_mut(self.plane).chunks_exact_mut(stride).skip(self.row).take(self.rows);
        for (n, to) in rows.enumerate() {
            draw(&mut to[self.column..self.column + self.columns], self.skipped_rows + n, self.skipped_columns);
        }
    }
}

/// `to` and `ink`, weighed by 255 - `alpha` and `alpha`. Calculates in 16 bits, so that the code vectorises.
fn mix(to: u8, ink: u8, alpha: u8) -> u8 {
    by_255(u16::from(to) * u16::from(255 - alpha) + u16::from(ink) * u16::from(alpha))
}

fn scale(alpha: u8, by: u8) -> u8 {
    by_255(u16::from(alpha) * u16::from(by))
}

/// A number up to 65 025, divided by 255 and rounded.
fn by_255(number: u16) -> u8 {
    let rounded = number + 128;
    ((rounded + (rounded >> 8)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const RED: Ink = Ink { yuv: [76, 85, 255], opacity: 255 };

    fn ground() -> Raster {
        Raster::filled(16, 12, [100, 128, 128])
    }

    #[test]
    fn a_stamp_covers_what_its_mask_covers_at_every_position() {
        let mask = Mask { width: 3, height: 2, alpha: vec![255, 0, 128, 255, 255, 0], ..Mask::default() };
        for (left, top) in [(4, 4), (5, 3), (-1, -1), (15, 11), (14, 10), (-2, 5), (400, -400)] {
            let mut on = ground();
            Stamp::new(&mask, left, top).draw(&mut on, RED);
            for y in 0..12 {
                for x in 0..16 {
                    let (dx, dy) = (x - left, y - top);
                    let inside = (0..3).contains(&dx) && (0..2).contains(&dy);
                    let alpha = if inside { mask.alpha[(dy * 3 + dx) as usize] } else { 0 };
                    let expected = match alpha {
                        255 => 76,
                        128 => 88,
                        _ => 100,
                    };
                    assert_eq!(on.at(x as u32, y as u32)[0], expected, "{x},{y} of a stamp at {left},{top}");
                }
            }
        }
        let mut on = ground();
        Stamp::new(&Mask { width: 2, height: 2, alpha: vec![255; 4], ..Mask::default() }, 6, 6).draw(&mut on, RED);
        assert_eq!((on.at(6, 6), on.at(8, 6)), ([76, 85, 255], [100, 128, 128]));
        Stamp::new(&Mask::default(), 3, 3).draw(&mut on, RED);
    }

    #[test]
    fn a_box_has_exact_edges_and_its_opacity() {
        for (left, top, width, height) in [(3, 2, 5, 4), (-4, -4, 6, 6), (12, 8, 100, 100), (0, 0, 1, 1), (5, 5, 0, 3)]
        {
            let mut on = ground();
            fill(&mut on, (left, top), (width, height), RED);
            for y in 0..12_i32 {
                for x in 0..16_i32 {
                    let inside = (left..left + width as i32).contains(&x) && (top..top + height as i32).contains(&y);
                    assert_eq!(on.at(x as u32, y as u32)[0] == 76, inside, "{x},{y} of {left},{top} {width}x{height}");
                }
            }
        }
        let mut on = ground();
        fill(&mut on, (0, 0), (16, 12), Ink { opacity: 128, ..RED });
        assert_eq!(on.at(5, 5), [88, 106, 192]);
    }

    #[test]
    fn mixing_is_exact_at_both_ends_and_monotonous() {
        for to in 0..=255 {
            for ink in [0, 1, 127, 255] {
                assert_eq!((mix(to, ink, 0), mix(to, ink, 255)), (to, ink));
                let exact = (u32::from(to) * 100 + u32::from(ink) * 155 + 127) / 255;
                assert!(u32::from(mix(to, ink, 155)).abs_diff(exact) <= 1);
            }
        }
    }
}
