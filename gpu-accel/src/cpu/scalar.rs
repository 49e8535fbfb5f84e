//! Numbers modulo the group order n: one at a time, since each signature needs only a few.

use super::inverse::Modulus;

/// The group order n, the lowest word first.
pub(crate) const ORDER: [u64; 4] =
    [0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, u64::MAX];
/// 2^256 - n.
const COMPLEMENT: [u64; 3] = [0x402d_a173_2fc9_bebf, 0x4551_2319_50b7_5fc4, 1];

/// A number below n.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) [u64; 4]);

impl Scalar {
    pub(crate) const ONE: Self = Self([1, 0, 0, 0]);

    /// Any number of 256 bits, modulo n.
    pub(crate) fn reduced(words: [u64; 4]) -> Self {
        let (less, borrow) = subtract(words, ORDER);
        Self(if borrow { words } else { less })
    }

    /// A number from 1 to n - 1, or None.
    pub(crate) fn nonzero(words: [u64; 4]) -> Option<Self> {
        let (_, below) = subtract(words, ORDER);
        (below && words != [0; 4]).then_some(Self(words))
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        reduce(multiply(&self.0, &other.0))
    }

    /// n - self, in 1 to n.
    pub(crate) fn negated(&self) -> [u64; 4] {
        subtract(ORDER, self.0).0
    }

    /// The inverse of a number that is not 0.
    pub(crate) fn inverse(&self) -> Self {
        static MODULUS: Modulus = Modulus::new(ORDER);
        Self(MODULUS.invert(self.0))
    }
}

/// Inverts all, none of which may be 0, at the price of one inversion and three products each.
pub(crate) fn invert_all(scalars: &mut [Scalar]) {
    let mut product = Scalar::ONE;
    let mut before = Vec::with_capacity(scalars.len());
    for scalar in scalars.iter() {
        before.push(product);
        product = product.mul(scalar);
    }
    let mut inverse = product.inverse();
    for (scalar, before) in scalars.iter_mut().zip(before).rev() {
        let own = inverse.mul(&before);
        inverse = inverse.mul(scalar);
        *scalar = own;
    }
}

/// a + b·c + carry, in two words.
#[inline(always)]
const fn multiply_add(a: u64, b: u64, c: u64, carry: u64) -> (u64, u64) {
    let sum = a as u128 + b as u128 * c as u128 + carry as u128;
    (sum as u64, (sum >> 64) as u64)
}

/// The product of numbers of any lengths, which has theirs together.
#[inline(always)]
pub(crate) fn multiply<const A: usize, const B: usize, const C: usize>(
    a: &[u64; A],
    b: &[u64; B],
) -> [u64; C] {
    let mut product = [0; C];
    for (i, &a) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, &b) in b.iter().enumerate() {
            (product[i + j], carry) = multiply_add(product[i + j], a, b, carry);
        }
        product[i + B] = carry;
    }
    product
}

/// a - b modulo 2^(64·N), and whether it is below zero.
#[inline(always)]
pub(crate) fn subtract<const N: usize>(a: [u64; N], b: [u64; N]) -> ([u64; N], bool) {
    let mut borrow = false;
    let difference = std::array::from_fn(|i| {
        let (first, under) = a[i].overflowing_sub(b[i]);
        let (second, under_too) = first.overflowing_sub(u64::from(borrow));
        borrow = under | under_too;
        second
    });
    (difference, borrow)
}

/// a + b modulo 2^(64·N), and whether it is over.
#[inline(always)]
pub(crate) fn add<const N: usize>(a: [u64; N], b: [u64; N]) -> ([u64; N], bool) {
    let mut carry = false;
    let sum = std::array::from_fn(|i| {
        let (first, over) = a[i].overflowing_add(b[i]);
        let (second, over_too) = first.overflowing_add(u64::from(carry));
        carry = over | over_too;
        second
    });
    (sum, carry)
}

/// A number of 512 bits modulo n: twice its upper part is folded by 2^256 ≡ 2^256 - n.
fn reduce(wide: [u64; 8]) -> Scalar {
    let [a, b, c, d, upper @ ..] = wide;
    // Below 2^386.
    let [e, f, g, h, i, j, k]: [u64; 7] = multiply(&upper, &COMPLEMENT);
    let ([a, b, c, d, e, f, g], _) = add([a, b, c, d, 0, 0, 0], [e, f, g, h, i, j, k]);
    // Below 2^256 + 2^260, as the upper part is below 2^130.
    let [h, i, j, k, l, _]: [u64; 6] = multiply(&[e, f, g], &COMPLEMENT);
    let ([a, b, c, d, e], _) = add([a, b, c, d, 0], [h, i, j, k, l]);
    let [f, g, h, i]: [u64; 4] = multiply(&[e], &COMPLEMENT);
    let (folded, over) = add([a, b, c, d], [f, g, h, i]);
    // What went over 2^256 left little behind, so that this fold is the last.
    let (folded, _) = if over { add(folded, widened(COMPLEMENT)) } else { (folded, false) };
    Scalar::reduced(folded)
}

fn widened([a, b, c]: [u64; 3]) -> [u64; 4] {
    [a, b, c, 0]
}
