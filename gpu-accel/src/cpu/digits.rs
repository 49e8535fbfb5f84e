//! Multipliers as signed odd digits, which no addition has to skip.
//!
//! An odd k with |k| < 2^b is the sum of ±2^j over all j < b, and the signs are the bits of
//! (k + 2^b - 1) / 2. So w neighbouring bits, read as a number v, are the digit 2v - (2^w - 1).

use super::{
    lanes::Lanes,
    scalar::{Scalar, add, multiply, subtract},
};

/// Bits of a digit of the multiplier of R.
pub(crate) const WINDOW: u32 = 5;
/// Digits of each half of the multiplier of R.
pub(crate) const DIGITS: usize = 26;
/// Bits of a digit of the multiplier of G.
pub(crate) const BASE_WINDOW: u32 = 13;
/// Digits of the multiplier of G: the upper half belongs to the table of 2^130·G.
pub(crate) const BASE_DIGITS: usize = 20;

/// The lattice of all (a, b) with a + b·λ ≡ 0 (mod n) has the basis (A1, -B1), (A2, A1).
const A1: [u64; 2] = [0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd];
const A2: [u64; 3] = [0x57c1_108d_9d44_cfd8, 0x14ca_50f7_a8e2_f3f6, 1];
const B1: [u64; 2] = [0x6f54_7fa9_0abf_e4c3, 0xe443_7ed6_010e_8828];
/// 2^384·A1 / n and 2^384·B1 / n, rounded.
const A1_SCALED: [u64; 4] =
    [0xe893_209a_45db_b031, 0x3daa_8a14_71e8_ca7f, 0xe86c_90e4_9284_eb15, 0x3086_d221_a7d4_6bcd];
const B1_SCALED: [u64; 4] =
    [0x1571_b4ae_8ac4_7f71, 0x2212_08ac_9df5_06c6, 0x6f54_7fa9_0abf_e4c4, 0xe443_7ed6_010e_8828];

/// In each lane, a digit's place in a table of odd multiples, and its sign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digit<L: Lanes> {
    /// i for ±(2i + 1).
    pub(crate) index: L::Word,
    /// All ones for a negative digit, else zero.
    pub(crate) negative: L::Word,
}

/// The digit of `window` bits at a place, counted in digits, of the signs in each lane.
#[inline(always)]
pub(crate) fn digit<L: Lanes, const WORDS: usize>(
    lanes: L,
    signs: &[L::Word; WORDS],
    place: usize,
    window: u32,
) -> Digit<L> {
    let bit = place as u32 * window;
    let (word, shift) = ((bit / 64) as usize, bit % 64);
    let mut value = lanes.shr_by(signs[word], shift);
    if shift + window > 64 && word + 1 < WORDS {
        value = lanes.or(value, lanes.shl_by(signs[word + 1], 64 - shift));
    }
    let half = 1 << (window - 1);
    let negative = lanes.is_zero(lanes.and(value, lanes.splat(half)));
    let index = lanes.and(lanes.xor(value, negative), lanes.splat(half - 1));
    Digit { index, negative }
}

/// The signs of an odd number's digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signs<const WORDS: usize>(pub(crate) [u64; WORDS]);

impl<const WORDS: usize> Signs<WORDS> {
    /// Of a number in two's complement, odd, and in absolute value below 2^bits.
    fn new(number: [u64; WORDS], bits: usize) -> Self {
        let mut ones = [0; WORDS];
        ones[bits / 64] = 1 << (bits % 64);
        let (sum, _) = add(number, ones);
        // The sum is odd, so the 1 that is to be taken away drops out of the halving.
        Self(std::array::from_fn(|i| sum[i] >> 1 | sum.get(i + 1).map_or(0, |next| next << 63)))
    }
}

/// Both halves of a multiplier of R: k ≡ first + second·λ (mod n).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Halves {
    pub(crate) first: Signs<3>,
    pub(crate) second: Signs<3>,
}

/// Splits k in two odd numbers below 2^130 in absolute value.
pub(crate) fn split(k: &Scalar) -> Halves {
    let [first, second] = split_odd(k);
    let bits = DIGITS * WINDOW as usize;
    Halves { first: Signs::new(first, bits), second: Signs::new(second, bits) }
}

/// The numbers in two's complement: k less the nearest point of the lattice, and where a half is
/// even, an odd one of the basis more.
fn split_odd(k: &Scalar) -> [[u64; 3]; 2] {
    let nearest = |scaled: &[u64; 4]| {
        let product: [u64; 8] = multiply(&k.0, scaled);
        let rounded = u128::from(product[6]) + (u128::from(product[7]) << 64);
        let rounded = rounded + u128::from(product[5] >> 63);
        [rounded as u64, (rounded >> 64) as u64]
    };
    let (c1, c2) = (nearest(&A1_SCALED), nearest(&B1_SCALED));
    let [k0, k1, k2, _] = k.0;
    let (first, _) = subtract([k0, k1, k2], low(multiply::<2, 2, 4>(&c1, &A1)));
    let (mut first, _) = subtract(first, low(multiply::<2, 3, 5>(&c2, &A2)));
    let second = low(multiply::<2, 2, 4>(&c1, &B1));
    let (mut second, _) = subtract(second, low(multiply::<2, 2, 4>(&c2, &A1)));
    let ([a1, b1], a1_high) = ([A1, B1].map(|[low, high]| [low, high, 0]), A2);
    if first[0] & 1 == 0 {
        (first, second) = (add(first, a1).0, subtract(second, b1).0);
    }
    if second[0] & 1 == 0 {
        (first, second) = (add(first, a1_high).0, add(second, a1).0);
    }
    [first, second]
}

fn low<const N: usize>(number: [u64; N]) -> [u64; 3] {
    [number[0], number[1], number[2]]
}

/// A multiplier of G, made odd: a negative one stands for n less it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaseDigits {
    pub(crate) signs: Signs<5>,
    /// All ones where each digit's sign is to be turned.
    pub(crate) negative: u64,
}

impl BaseDigits {
    /// Of any number modulo n; 0 becomes n, which is odd.
    pub(crate) fn new(k: &Scalar) -> Self {
        let even = k.0[0] & 1 == 0;
        let [a, b, c, d] = if even { k.negated() } else { k.0 };
        let bits = BASE_DIGITS * BASE_WINDOW as usize;
        let signs = Signs::new([a, b, c, d, 0], bits);
        Self { signs, negative: u64::from(even).wrapping_neg() }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;
    use crate::cpu::{
        lanes::Emulated,
        scalar::{ORDER, invert_all},
        testing::Rng,
    };

    const N: U256 = U256::from_limbs(ORDER);
    const LAMBDA: U256 = U256::from_limbs([
        0xdf02_967c_1b23_bd72,
        0x122e_22ea_2081_6678,
        0xa526_1c02_8812_645a,
        0x5363_ad4c_c05c_30e0,
    ]);

    /// The number modulo n that digits stand for.
    fn value<const WORDS: usize>(signs: &Signs<WORDS>, digits: usize, window: u32) -> U256 {
        let mut weight = U256::from(1);
        let mut sum = U256::ZERO;
        for place in 0..digits {
            let digit = digit(Emulated::<1>, &signs.0.map(|word| [word]), place, window);
            let term = U256::from(2 * digit.index[0] + 1).mul_mod(weight, N);
            let term = if digit.negative == [0] { term } else { N - term };
            sum = sum.add_mod(term, N);
            weight = weight.mul_mod(U256::from(1_u64 << window), N);
        }
        sum
    }

    /// Numbers near the ends and anywhere between.
    fn scalars(rng: &mut Rng) -> Vec<Scalar> {
        let near = |at: U256| (0..40).map(move |step| at.wrapping_add(U256::from(step)));
        let ends = [U256::ZERO, N - U256::from(40), N / U256::from(2), U256::from(1) << 128];
        let lambdas = [LAMBDA - U256::from(20), N - LAMBDA - U256::from(20)];
        let random = (0..20_000).map(|_| U256::from_limbs(std::array::from_fn(|_| rng.word())));
        let edges = ends.into_iter().chain(lambdas).flat_map(near);
        edges.chain(random).map(|number| Scalar::reduced((number % N).into_limbs())).collect()
    }

    #[test]
    fn digits_stand_for_their_numbers() {
        for k in scalars(&mut Rng::from_env()) {
            let number = U256::from_limbs(k.0);
            let halves = split(&k);
            let half = |signs: &Signs<3>| value(signs, DIGITS, WINDOW);
            let (first, second) = (half(&halves.first), half(&halves.second));
            assert_eq!(first.add_mod(second.mul_mod(LAMBDA, N), N), number, "{number}");
            let base = BaseDigits::new(&k);
            let magnitude = value(&base.signs, BASE_DIGITS, BASE_WINDOW);
            let signed = if base.negative == 0 { magnitude } else { N - magnitude };
            assert_eq!(signed % N, number, "{number}");
        }
    }

    #[test]
    fn halves_are_odd_and_leave_a_bit_to_spare() {
        for k in scalars(&mut Rng::from_env()) {
            for half in split_odd(&k) {
                assert_eq!(half[0] & 1, 1);
                // In two's complement, |half| < 2^129.
                let top = (half[2] as i64) >> 1;
                assert!(top == 0 || top == -1, "{half:x?} of {k:x?}");
            }
        }
    }

    #[test]
    fn scalars_equal_big_integers() {
        let mut rng = Rng::from_env();
        let scalars = scalars(&mut rng);
        for pair in scalars.windows(2) {
            let [a, b] = [pair[0], pair[1]].map(|scalar| U256::from_limbs(scalar.0));
            assert_eq!(U256::from_limbs(pair[0].mul(&pair[1]).0), a.mul_mod(b, N));
        }
        let nonzero: Vec<_> = scalars.into_iter().filter(|scalar| scalar.0 != [0; 4]).collect();
        let mut inverses = nonzero.clone();
        invert_all(&mut inverses);
        assert!(nonzero.iter().zip(&inverses).all(|(a, b)| a.mul(b) == Scalar::ONE));
    }
}
