//! Inverse DCT to fewer samples: averages of the samples of a block.
//!
//! The one-dimensional transforms of jidctred.c of libjpeg, with its constants (in 1/8192) and its rounding, so that the samples are
//! the same ones. Two coefficients are multiplied and added at once (`pmaddwd` of SSE2), which is why rows and columns are in pairs.

use wide::{
    bytemuck::{cast, cast_ref},
    f32x4, i16x8, i32x4, i32x8, u8x16,
};

/// The coefficients of a block, or their quantization, in the order of [`place`].
pub(super) type Block = [i16; 64];

/// Where a coefficient is stored: rows in pairs (0, 4), (2, 6), (1, 3), (5, 7), the columns in the order of these pairs, and the two of a
/// pair of rows beside each other.
pub(super) const fn place(row: usize, column: usize) -> u8 {
    const ORDER: [usize; 8] = [0, 4, 2, 5, 1, 6, 3, 7];
    let (row, column) = (ORDER[row], ORDER[column]);
    (row / 2 * 16 + column * 2 + row % 2) as u8
}

/// The average of a block's samples, which are all the same if it has a DC coefficient alone.
#[inline(always)]
pub(super) fn flat(dc: i16, quantization: &Block) -> u8 {
    let dc = i32::from(dc.wrapping_mul(quantization[0]));
    (((dc + 4) >> 3) + 128).clamp(0, 255) as u8
}

/// Rows of averages of 2 × 2 samples.
#[inline(never)]
pub(super) fn to_4x4(block: &Block, quantization: &Block, to: &mut [u8; 16]) {
    let at = dequantized(block, quantization);
    // Columns, 4 and 4, in order of their pairs.
    let low = four([at[0], at[2], at[4], at[6]], 12);
    let high = four([at[1], at[3], at[5], at[7]], 12);
    let rows = [0, 1, 2, 3].map(|row| pack(low[row], high[row]));
    let columns = four(cast(f32x4::transpose(cast(rows))), 19);
    let rows: [i32x4; 4] = cast(f32x4::transpose(cast(columns)));
    let centre = i16x8::splat(128);
    *to = u8x16::narrow_i16x8(pack(rows[0], rows[1]) + centre, pack(rows[2], rows[3]) + centre).to_array();
}

/// Rows of averages of 4 × 4 samples.
#[inline(never)]
pub(super) fn to_2x2(block: &Block, quantization: &Block, to: &mut [u8; 4]) {
    let at = dequantized(block, quantization);
    let low = two([at[0], at[4], at[6]], 13);
    let high = two([at[1], at[5], at[7]], 13);
    for row in [0, 1] {
        let [even, _, _, _, one, three, five, seven] = pack(low[row], high[row]).to_array().map(i32::from);
        let odd = one * 29692 - three * 10426 + five * 6967 - seven * 5906;
        let even = (even << 15) + (1 << 19);
        // Coefficients that no encoder writes exceed 32 bits.
        let sums = [even.wrapping_add(odd), even.wrapping_sub(odd)];
        to[2 * row..][..2].copy_from_slice(&sums.map(|sum| ((sum >> 20) + 128).clamp(0, 255) as u8));
    }
}

#[inline(always)]
fn dequantized(block: &Block, quantization: &Block) -> [i16x8; 8] {
    let (block, quantization): (&[[i16; 8]; 8], &[[i16; 8]; 8]) = (cast_ref(block), cast_ref(quantization));
    std::array::from_fn(|i| i16x8::new(block[i]) * i16x8::new(quantization[i]))
}

/// The sums of both values of each pair, multiplied.
#[inline(always)]
fn weighed(pairs: i16x8, a: i16, b: i16) -> i32x4 {
    pairs.dot(i16x8::new([a, b, a, b, a, b, a, b]))
}

/// Eight coefficients to four averages, for four columns or rows at once.
#[inline(always)]
fn four([even, two_six, one_three, five_seven]: [i16x8; 4], shift: i32) -> [i32x4; 4] {
    let even = weighed(even, 1 << 14, 0) + i32x4::splat(1 << (shift - 1));
    let two_six = weighed(two_six, 15137, -6270);
    let inner = weighed(one_three, 8697, -17799) + weighed(five_seven, 11893, -1730);
    let outer = weighed(one_three, 20995, 7373) + weighed(five_seven, -4926, -4176);
    let (a, b) = (even + two_six, even - two_six);
    [(a + outer) >> shift, (b + inner) >> shift, (b - inner) >> shift, (a - outer) >> shift]
}

/// Eight coefficients to two averages. Even ones beside the first have no part in them.
#[inline(always)]
fn two([even, one_three, five_seven]: [i16x8; 3], shift: i32) -> [i32x4; 2] {
    let even = (weighed(even, 1 << 14, 0) << 1) + i32x4::splat(1 << (shift - 1));
    let odd = weighed(one_three, 29692, -10426) + weighed(five_seven, 6967, -5906);
    [(even + odd) >> shift, (even - odd) >> shift]
}

/// With saturation.
#[inline(always)]
fn pack(a: i32x4, b: i32x4) -> i16x8 {
    i16x8::from_i32x8_saturate(cast::<[i32x4; 2], i32x8>([a, b]))
}

/// The rows of four blocks beside each other.
#[inline(always)]
pub(super) fn joined(blocks: &[u8; 64]) -> [[u8; 16]; 4] {
    let rows: [f32x4; 4] = cast(*blocks);
    cast(f32x4::transpose(rows))
}
