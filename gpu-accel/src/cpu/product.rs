//! Products and squares of field elements, folded to columns: where the time goes.
//!
//! A field element is five limbs of 52 bits. A product's ten columns are folded with
//! 2^260 ≡ [`FOLD_260`] (mod p) to five, and one that is left over.
//!
//! # Bounds
//!
//! Factors' limbs are below 2^52, so a product is below 2^520 and its upper half, once carried,
//! has five limbs below 2^52 again. A column sums at most twelve halves of products, each below
//! 2^52, and a lift below 2^57; it stays below 2^58. The lift is a multiple of p that keeps
//! every column above 2^56, so that up to 16 limbs may be subtracted afterwards, and low
//! halves may be negative.

use super::lanes::{Columns, Factors, LIMBS, Lanes};

/// 2^256 mod p.
pub(crate) const FOLD_256: u64 = 0x1_0000_03d1;
/// 2^260 mod p.
pub(crate) const FOLD_260: u64 = FOLD_256 << 4;
/// The bits of a limb.
pub(crate) const LIMB_MASK: u64 = (1 << 52) - 1;

/// 2^9·p in columns that are each near 2^57.
const LIFT: [u64; LIMBS] = [
    (1 << 57) - (FOLD_256 << 9),
    (1 << 57) - (1 << 5),
    (1 << 57) - (1 << 5),
    (1 << 57) - (1 << 5),
    (1 << 57) - (1 << 5),
];
/// Zero in columns that are each near 2^57, but for the last, which a carry brings back above zero.
const LIFT_HIGH: [u64; LIMBS] = [
    1 << 57,
    (1 << 57) - (1 << 5),
    (1 << 57) - (1 << 5),
    (1 << 57) - (1 << 5),
    (1_u64 << 5).wrapping_neg(),
];

/// The columns of a·b.
#[inline(always)]
pub(crate) fn product<L: Lanes>(lanes: L, a: &Factors<L>, b: &Factors<L>) -> Columns<L> {
    let starts = const { starts::<L>() };
    let mut columns = [lanes.splat(0); 10];
    for (column, start) in columns.iter_mut().zip(starts) {
        *column = lanes.splat(start);
    }
    // Diagonal by diagonal, so that neighbours add to different columns.
    for (i, &a) in a.iter().enumerate() {
        for (j, &b) in b.iter().enumerate() {
            accumulate(lanes, &mut columns, i + j, a, b);
        }
    }
    fold(lanes, columns)
}

/// The columns of a².
#[inline(always)]
pub(crate) fn square<L: Lanes>(lanes: L, a: &Factors<L>) -> Columns<L> {
    // Every start is even, so half of it doubles to it; a mixed product's bias doubles with it, as
    // in the product of the element with itself.
    let starts = const { starts::<L>() };
    let mut columns = [lanes.splat(0); 10];
    for (column, start) in columns.iter_mut().zip(starts) {
        *column = lanes.splat(start / 2);
    }
    for i in 0..LIMBS {
        for j in i + 1..LIMBS {
            accumulate(lanes, &mut columns, i + j, a[i], a[j]);
        }
    }
    for column in &mut columns {
        *column = lanes.add(*column, *column);
    }
    for (i, &a) in a.iter().enumerate() {
        accumulate(lanes, &mut columns, 2 * i, a, a);
    }
    fold(lanes, columns)
}

#[inline(always)]
fn accumulate<L: Lanes>(
    lanes: L,
    columns: &mut [L::Word; 10],
    at: usize,
    a: L::Factor,
    b: L::Factor,
) {
    (columns[at], columns[at + 1]) = lanes.mul_add(columns[at], columns[at + 1], a, b);
}

/// Carries the upper columns and folds them into the lower.
#[inline(always)]
fn fold<L: Lanes>(lanes: L, mut columns: [L::Word; 10]) -> Columns<L> {
    let mask = lanes.splat(LIMB_MASK);
    for at in LIMBS..9 {
        let carry = lanes.shr::<52>(columns[at]);
        columns[at] = lanes.and(columns[at], mask);
        columns[at + 1] = lanes.add(columns[at + 1], carry);
    }
    let [c0, c1, c2, c3, c4, upper @ ..] = columns;
    let mut folded = [c0, c1, c2, c3, c4, lanes.splat(L::HIGH_BIAS.wrapping_neg())];
    let by = lanes.factor(lanes.splat(FOLD_260));
    for (at, upper) in upper.into_iter().enumerate() {
        let upper = lanes.factor(upper);
        (folded[at], folded[at + 1]) = lanes.mul_add(folded[at], folded[at + 1], upper, by);
    }
    folded
}

/// What the columns of a product start with: the lift, less the biases of all that is added.
const fn starts<L: Lanes>() -> [u64; 10] {
    let mut starts = lifts();
    let (mut i, mut j) = (0, 0);
    while i < LIMBS {
        starts[i + j] = starts[i + j].wrapping_sub(L::LOW_BIAS);
        starts[i + j + 1] = starts[i + j + 1].wrapping_sub(L::HIGH_BIAS);
        (i, j) = if j + 1 < LIMBS { (i, j + 1) } else { (i + 1, 0) };
    }
    without_fold_biases::<L>(starts)
}

const fn lifts() -> [u64; 10] {
    let [a, b, c, d, e] = LIFT;
    let [f, g, h, i, j] = LIFT_HIGH;
    [a, b, c, d, e, f, g, h, i, j]
}

/// The fold adds to columns 0 to 4 a low half, and to 1 to 4 a high half.
const fn without_fold_biases<L: Lanes>(mut starts: [u64; 10]) -> [u64; 10] {
    let mut at = 0;
    while at < LIMBS {
        starts[at] = starts[at].wrapping_sub(L::LOW_BIAS);
        if at > 0 {
            starts[at] = starts[at].wrapping_sub(L::HIGH_BIAS);
        }
        at += 1;
    }
    starts
}
