//! The field of secp256k1, p = 2^256 - 2^32 - 977, in lanes.
//!
//! An [`Element`] is *normal*: limbs below 2^52, the highest below 2^49, the value below 2^257 and
//! not unique. What a sum or a difference gives goes straight into the next product, or is taken
//! along by the carry that ends a product, so that most additions need no carry of their own.

use super::{
    inverse::invert_each,
    lanes::{Columns, Factors, LIMBS, Lanes, MAX_LANES},
    product::{FOLD_256, LIMB_MASK},
};

/// A normal field element in each lane.
pub(crate) type Element<L> = [<L as Lanes>::Word; LIMBS];

const TOP_MASK: u64 = (1 << 48) - 1;

/// 2^3·p in limbs that are each above twice those of a normal element.
const ABOVE: [u64; LIMBS] =
    [(1 << 54) - (FOLD_256 << 3), (1 << 54) - 4, (1 << 54) - 4, (1 << 54) - 4, (1 << 51) - 4];

/// The arithmetic of an instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<L>(pub(crate) L);

impl<L: Lanes> Field<L> {
    /// One small number in all lanes.
    #[inline(always)]
    pub(crate) fn small(self, value: u64) -> Element<L> {
        self.constant([value, 0, 0, 0])
    }

    /// One number below p in all lanes, given in words of 64 bits, the lowest first.
    #[inline(always)]
    pub(crate) fn constant(self, words: [u64; 4]) -> Element<L> {
        let limbs = limbs(words);
        limbwise(|i| self.0.splat(limbs[i]))
    }

    /// Ready to be multiplied.
    #[inline(always)]
    pub(crate) fn factors(self, a: &Element<L>) -> Factors<L> {
        limbwise(|i| self.0.factor(a[i]))
    }

    /// a + b, ready to be multiplied.
    #[inline(always)]
    pub(crate) fn sum(self, a: &Element<L>, b: &Element<L>) -> Factors<L> {
        let columns = limbwise(|i| self.0.add(a[i], b[i]));
        self.factors(&self.carried(columns))
    }

    /// a - b, ready to be multiplied.
    #[inline(always)]
    pub(crate) fn difference(self, a: &Element<L>, b: &Element<L>) -> Factors<L> {
        let raised: Element<L> = limbwise(|i| self.0.add(a[i], self.0.splat(ABOVE[i])));
        let columns = limbwise(|i| self.0.sub(raised[i], b[i]));
        self.factors(&self.carried(columns))
    }

    /// a - b where the mask is zero, b - a where it is all ones; ready to be multiplied.
    #[inline(always)]
    pub(crate) fn signed_difference(
        self,
        a: &Element<L>,
        b: &Element<L>,
        negative: L::Word,
    ) -> Factors<L> {
        let difference = limbwise(|i| self.0.sub(a[i], b[i]));
        let signed = self.negate_where(&difference, negative);
        let columns = limbwise(|i| self.0.add(signed[i], self.0.splat(ABOVE[i])));
        self.factors(&self.carried(columns))
    }

    /// ±a - b, with the sign that the mask tells; ready to be multiplied.
    #[inline(always)]
    pub(crate) fn signed_rise(
        self,
        a: &Element<L>,
        negative: L::Word,
        b: &Element<L>,
    ) -> Factors<L> {
        let signed = self.negate_where(a, negative);
        let raised: Element<L> = limbwise(|i| self.0.add(signed[i], self.0.splat(ABOVE[i])));
        let columns = limbwise(|i| self.0.sub(raised[i], b[i]));
        self.factors(&self.carried(columns))
    }

    /// Each limb, negated modulo 2^64 where the mask is all ones. No element, but good to be
    /// subtracted from columns.
    #[inline(always)]
    pub(crate) fn negate_where(self, a: &Element<L>, negative: L::Word) -> Element<L> {
        limbwise(|i| self.0.sub(self.0.xor(a[i], negative), negative))
    }

    #[inline(always)]
    pub(crate) fn mul(self, a: &Factors<L>, b: &Factors<L>) -> Element<L> {
        self.finish(self.0.product(a, b))
    }

    #[inline(always)]
    pub(crate) fn square(self, a: &Factors<L>) -> Element<L> {
        self.finish(self.0.square(a))
    }

    /// Columns less an element's limbs.
    #[inline(always)]
    pub(crate) fn less(self, mut columns: Columns<L>, a: &Element<L>) -> Columns<L> {
        for (column, a) in columns.iter_mut().zip(a) {
            *column = self.0.sub(*column, *a);
        }
        columns
    }

    /// Columns times 2^BY, which is at most 8.
    #[inline(always)]
    pub(crate) fn doubled<const BY: u32>(self, mut columns: Columns<L>) -> Columns<L> {
        for column in &mut columns {
            *column = self.0.shl::<BY>(*column);
        }
        columns
    }

    /// Columns times 3.
    #[inline(always)]
    pub(crate) fn tripled(self, mut columns: Columns<L>) -> Columns<L> {
        for column in &mut columns {
            *column = self.0.add(*column, self.0.add(*column, *column));
        }
        columns
    }

    /// Folds what is above 2^256 and carries once, which gives a normal element.
    #[inline(always)]
    pub(crate) fn finish(self, columns: Columns<L>) -> Element<L> {
        let lanes = self.0;
        let [c0, c1, c2, c3, c4, c5] = columns;
        let over = lanes.add(lanes.shr::<48>(c4), lanes.shl::<4>(c5));
        let c4 = lanes.and(c4, lanes.splat(TOP_MASK));
        let c0 = lanes.add(c0, lanes.splat(L::LOW_BIAS.wrapping_neg()));
        let c1 = lanes.add(c1, lanes.splat(L::HIGH_BIAS.wrapping_neg()));
        let fold = lanes.factor(lanes.splat(FOLD_256));
        let (c0, c1) = lanes.mul_add(c0, c1, lanes.factor(over), fold);
        self.carried([c0, c1, c2, c3, c4])
    }

    /// Carries from limb to limb; the highest keeps what is over.
    #[inline(always)]
    fn carried(self, mut limbs: Element<L>) -> Element<L> {
        for at in 0..LIMBS - 1 {
            let carry = self.0.shr::<52>(limbs[at]);
            limbs[at] = self.0.and(limbs[at], self.0.splat(LIMB_MASK));
            limbs[at + 1] = self.0.add(limbs[at + 1], carry);
        }
        limbs
    }

    /// The one representative below p.
    #[inline(always)]
    pub(crate) fn canonical(self, a: &Element<L>) -> Element<L> {
        let lanes = self.0;
        let folded = self.plus_fold(*a);
        // Adding 2^256 - p carries out of bit 256 exactly where the value is not below p.
        let mut reduced = folded;
        reduced[0] = lanes.add(reduced[0], lanes.splat(FOLD_256));
        let mut reduced = self.carried(reduced);
        let over = lanes.sub(lanes.splat(0), lanes.shr::<48>(reduced[4]));
        reduced[4] = lanes.and(reduced[4], lanes.splat(TOP_MASK));
        limbwise(|i| lanes.select(over, reduced[i], folded[i]))
    }

    /// The same value modulo p, below 2^256: a normal element is over it by one bit at most, and
    /// is then near 2^256.
    #[inline(always)]
    fn plus_fold(self, mut a: Element<L>) -> Element<L> {
        let lanes = self.0;
        let over = lanes.sub(lanes.splat(0), lanes.shr::<48>(a[4]));
        a[4] = lanes.and(a[4], lanes.splat(TOP_MASK));
        a[0] = lanes.add(a[0], lanes.and(over, lanes.splat(FOLD_256)));
        self.carried(a)
    }

    /// All ones where the element is zero modulo p.
    #[inline(always)]
    pub(crate) fn is_zero(self, a: &Element<L>) -> L::Word {
        let [a, b, c, d, e] = self.canonical(a);
        let lanes = self.0;
        lanes.is_zero(lanes.or(lanes.or(lanes.or(a, b), lanes.or(c, d)), e))
    }

    /// `a` where the mask is all ones, `b` where it is zero.
    #[inline(always)]
    pub(crate) fn select(self, mask: L::Word, a: &Element<L>, b: &Element<L>) -> Element<L> {
        limbwise(|i| self.0.select(mask, a[i], b[i]))
    }

    /// Each a^(2^count); several at a time, since each square waits for the one before.
    #[inline(always)]
    fn square_times<const N: usize>(self, mut a: [Element<L>; N], count: u32) -> [Element<L>; N] {
        for _ in 0..count {
            for a in &mut a {
                *a = self.square(&self.factors(a));
            }
        }
        a
    }

    /// Each a^(2^count) · b.
    #[inline(always)]
    fn shifted_times<const N: usize>(
        self,
        a: &[Element<L>; N],
        count: u32,
        b: &[Element<L>; N],
    ) -> [Element<L>; N] {
        let mut a = self.square_times(*a, count);
        for (a, b) in a.iter_mut().zip(b) {
            *a = self.mul(&self.factors(a), &self.factors(b));
        }
        a
    }

    /// Each a^((p + 1) / 4): the square root, where there is one. The exponent is 223 ones, a zero,
    /// 22 ones, four zeros, two ones and two zeros.
    #[inline(always)]
    pub(crate) fn square_roots<const N: usize>(self, a: &[Element<L>; N]) -> [Element<L>; N] {
        let x2 = self.shifted_times(a, 1, a);
        let x3 = self.shifted_times(&x2, 1, a);
        let x6 = self.shifted_times(&x3, 3, &x3);
        let x9 = self.shifted_times(&x6, 3, &x3);
        let x11 = self.shifted_times(&x9, 2, &x2);
        let x22 = self.shifted_times(&x11, 11, &x11);
        let x44 = self.shifted_times(&x22, 22, &x22);
        let x88 = self.shifted_times(&x44, 44, &x44);
        let x176 = self.shifted_times(&x88, 88, &x88);
        let x220 = self.shifted_times(&x176, 44, &x44);
        let x223 = self.shifted_times(&x220, 3, &x3);
        let high = self.shifted_times(&x223, 23, &x22);
        let high = self.shifted_times(&high, 6, &x2);
        self.square_times(high, 2)
    }

    /// In each lane the inverse, and 0 for 0.
    ///
    /// The lanes are put together: one inversion in the CPU's own registers takes less time than
    /// the powers that a vector would take.
    #[inline(always)]
    pub(crate) fn inverse(self, a: &Element<L>) -> Element<L> {
        let a = self.canonical(a);
        let mut columns = [[0; MAX_LANES]; LIMBS];
        for (column, limb) in columns.iter_mut().zip(a) {
            self.0.store(limb, column);
        }
        let number = |lane: usize| words(limbwise(|limb| columns[limb][lane]));
        let mut numbers: [[u64; 4]; MAX_LANES] = std::array::from_fn(number);
        invert_each(&mut numbers[..L::COUNT]);
        for (lane, number) in numbers.iter().enumerate() {
            let limbs = limbs(*number);
            for (column, limb) in columns.iter_mut().zip(limbs) {
                column[lane] = limb;
            }
        }
        limbwise(|limb| self.0.load(&columns[limb]))
    }
}

/// Something for each limb. Written out, since a closure is compiled with an instruction set's
/// features only where it is inlined.
#[inline(always)]
pub(crate) fn limbwise<T>(each: impl Fn(usize) -> T) -> [T; LIMBS] {
    [each(0), each(1), each(2), each(3), each(4)]
}

/// A number of 256 bits in limbs.
pub(crate) const fn limbs(words: [u64; 4]) -> [u64; LIMBS] {
    let [a, b, c, d] = words;
    [
        a & LIMB_MASK,
        (a >> 52 | b << 12) & LIMB_MASK,
        (b >> 40 | c << 24) & LIMB_MASK,
        (c >> 28 | d << 36) & LIMB_MASK,
        d >> 16,
    ]
}

/// A number of 256 bits from its limbs.
pub(crate) const fn words(limbs: [u64; LIMBS]) -> [u64; 4] {
    let [a, b, c, d, e] = limbs;
    [a | b << 52, b >> 12 | c << 40, c >> 24 | d << 28, d >> 36 | e << 16]
}

#[cfg(test)]
#[path = "field_tests.rs"]
mod tests;
