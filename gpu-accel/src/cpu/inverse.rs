//! Inverses modulo an odd prime of 256 bits, one at a time: the "safegcd" of Bernstein and Yang
//! (2019), with steps in groups of 62 and branches on the number, which is no secret here.
//!
//! A group of steps looks at the lowest 62 bits of f and g alone, and gives a matrix t such that
//! t·(f, g) is 2^62 times what the steps make of them. The same t, and a multiple of the modulus
//! that makes the division by 2^62 exact, moves (d, e), for which d·x ≡ f and e·x ≡ g at all times.
//! When g is 0, f is ±1, and so ±d is the inverse.

use super::{
    lanes::MAX_LANES,
    product::FOLD_256,
    scalar::{add, multiply, subtract},
};

/// The prime p of the field, the lowest word first.
pub(crate) const PRIME: [u64; 4] = [FOLD_256.wrapping_neg(), u64::MAX, u64::MAX, u64::MAX];

/// Inverts all modulo p, at the price of one inversion and three products each. Each is below p;
/// 0 stays 0, whatever the others are.
pub(crate) fn invert_each(numbers: &mut [[u64; 4]]) {
    static MODULUS: Modulus = Modulus::new(PRIME);
    const ONE: [u64; 4] = [1, 0, 0, 0];
    let mut before = [ONE; MAX_LANES];
    let mut product = ONE;
    for (number, before) in numbers.iter().zip(&mut before) {
        *before = product;
        if *number != [0; 4] {
            product = times(&product, number);
        }
    }
    let mut inverse = MODULUS.invert(product);
    for (number, before) in numbers.iter_mut().zip(&before).rev() {
        if *number != [0; 4] {
            let own = times(&inverse, before);
            inverse = times(&inverse, number);
            *number = own;
        }
    }
}

/// a·b modulo p, below p: what is over 2^256 is folded twice.
fn times(a: &[u64; 4], b: &[u64; 4]) -> [u64; 4] {
    let [a, b, c, d, upper @ ..]: [u64; 8] = multiply(a, b);
    let [e, f, g, h, i]: [u64; 5] = multiply(&upper, &[FOLD_256]);
    let ([a, b, c, d, e], _) = add([a, b, c, d, 0], [e, f, g, h, i]);
    let [e, f]: [u64; 2] = multiply(&[e], &[FOLD_256]);
    let (folded, over) = add([a, b, c, d], [e, f, 0, 0]);
    // What went over 2^256 left little behind, so that this fold is the last.
    let (folded, _) = if over { add(folded, [FOLD_256, 0, 0, 0]) } else { (folded, false) };
    let (less, below) = subtract(folded, PRIME);
    if below { folded } else { less }
}

/// Bits of a limb.
const BITS: u32 = 62;
const MASK: i64 = i64::MAX >> 1;

/// A number in two's complement: limbs of 62 bits, the highest signed.
type Signed = [i64; 5];

/// A modulus and what goes with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Modulus {
    limbs: Signed,
    /// 1 / modulus modulo 2^62.
    inverse: i64,
}

/// The steps of a group: (f, g) becomes (u·f + v·g, q·f + r·g) / 2^62.
#[derive(Debug, Clone, Copy)]
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

impl Modulus {
    /// A modulus, which is odd; the lowest word first.
    pub(crate) const fn new(words: [u64; 4]) -> Self {
        let limbs = limbs(words);
        // Newton's iteration doubles the bits that are right; any odd number is its own inverse
        // modulo 8.
        let lowest = words[0];
        let (mut inverse, mut round) = (lowest, 0);
        while round < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(lowest.wrapping_mul(inverse)));
            round += 1;
        }
        Self { limbs, inverse: inverse as i64 & MASK }
    }

    /// The inverse of a number below the modulus, below it as well; 0 for 0.
    pub(crate) fn invert(&self, number: [u64; 4]) -> [u64; 4] {
        let (mut d, mut e) = ([0; 5], [1, 0, 0, 0, 0]);
        let (mut f, mut g) = (self.limbs, limbs(number));
        let mut eta = -1;
        while g != [0; 5] {
            let matrix = steps(&mut eta, f[0], g[0]);
            self.update(&mut d, &mut e, &matrix);
            matrix.apply(&mut f, &mut g);
        }
        self.reduced(d, f[4] < 0)
    }

    /// Applies the matrix to (d, e), which stay between minus twice the modulus and the modulus.
    fn update(&self, d: &mut Signed, e: &mut Signed, matrix: &Matrix) {
        let Matrix { u, v, q, r } = *matrix;
        let (negative_d, negative_e) = (d[4] >> 63, e[4] >> 63);
        // Multiples of the modulus: as many as make negative numbers positive …
        let mut more_d = (u & negative_d) + (v & negative_e);
        let mut more_e = (q & negative_d) + (r & negative_e);
        let mut sum_d = wide(u, d[0]) + wide(v, e[0]);
        let mut sum_e = wide(q, d[0]) + wide(r, e[0]);
        // … and as many as make the lowest 62 bits zero.
        let exact = |sum: i128, more: i64| {
            let low = self.inverse.wrapping_mul(sum as i64).wrapping_add(more) & MASK;
            more - low
        };
        more_d = exact(sum_d, more_d);
        more_e = exact(sum_e, more_e);
        sum_d += wide(self.limbs[0], more_d);
        sum_e += wide(self.limbs[0], more_e);
        for at in 1..5 {
            sum_d = (sum_d >> BITS) + wide(u, d[at]) + wide(v, e[at]);
            sum_e = (sum_e >> BITS) + wide(q, d[at]) + wide(r, e[at]);
            sum_d += wide(self.limbs[at], more_d);
            sum_e += wide(self.limbs[at], more_e);
            d[at - 1] = sum_d as i64 & MASK;
            e[at - 1] = sum_e as i64 & MASK;
        }
        d[4] = (sum_d >> BITS) as i64;
        e[4] = (sum_e >> BITS) as i64;
    }

    /// ±d in 0 to the modulus.
    fn reduced(&self, mut d: Signed, negate: bool) -> [u64; 4] {
        if d[4] < 0 {
            d = self.plus(d);
        }
        if negate {
            d = carried(d.map(i64::wrapping_neg));
        }
        if d[4] < 0 {
            d = self.plus(d);
        }
        let [a, b, c, d, e] = d.map(|limb| limb as u64);
        [a | b << 62, b >> 2 | c << 60, c >> 4 | d << 58, d >> 6 | e << 56]
    }

    fn plus(&self, d: Signed) -> Signed {
        carried(std::array::from_fn(|at| d[at] + self.limbs[at]))
    }
}

impl Matrix {
    /// Applies the steps to the numbers that they were made for.
    fn apply(&self, f: &mut Signed, g: &mut Signed) {
        let Self { u, v, q, r } = *self;
        let mut sum_f = wide(u, f[0]) + wide(v, g[0]);
        let mut sum_g = wide(q, f[0]) + wide(r, g[0]);
        for at in 1..5 {
            sum_f = (sum_f >> BITS) + wide(u, f[at]) + wide(v, g[at]);
            sum_g = (sum_g >> BITS) + wide(q, f[at]) + wide(r, g[at]);
            f[at - 1] = sum_f as i64 & MASK;
            g[at - 1] = sum_g as i64 & MASK;
        }
        f[4] = (sum_f >> BITS) as i64;
        g[4] = (sum_g >> BITS) as i64;
    }
}

/// 62 steps on the lowest bits of f, which is odd, and g. `eta` is less than zero where g is to
/// take f's place next.
#[inline]
fn steps(eta: &mut i64, f: i64, g: i64) -> Matrix {
    let (mut f, mut g) = (f as u64, g as u64);
    let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
    let mut left = BITS;
    loop {
        // A sentinel stops the count of zeros at the steps that are left.
        let zeros = (g | u64::MAX << left).trailing_zeros();
        (g, u, v) = (g >> zeros, u << zeros, v << zeros);
        *eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        if *eta < 0 {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
        }
        // Adding w·f clears as many low bits of g as may be, four at most, before f and g would
        // change places again or the group ends.
        let limit = (*eta + 1).min(i64::from(left)).min(4) as u32;
        let mask = (1 << limit) - 1;
        // -1 / f modulo 16.
        let negative_inverse = f.wrapping_add(((f.wrapping_add(1)) & 4) << 1).wrapping_neg();
        let w = g.wrapping_mul(negative_inverse) & mask;
        g = g.wrapping_add(f.wrapping_mul(w));
        q = q.wrapping_add(u.wrapping_mul(w));
        r = r.wrapping_add(v.wrapping_mul(w));
    }
    Matrix { u: u as i64, v: v as i64, q: q as i64, r: r as i64 }
}

#[inline(always)]
fn wide(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// Limbs within 62 bits again, but for the highest.
fn carried(mut limbs: Signed) -> Signed {
    for at in 0..4 {
        limbs[at + 1] += limbs[at] >> BITS;
        limbs[at] &= MASK;
    }
    limbs
}

const fn limbs([a, b, c, d]: [u64; 4]) -> Signed {
    [
        a as i64 & MASK,
        (a >> 62 | b << 2) as i64 & MASK,
        (b >> 60 | c << 4) as i64 & MASK,
        (c >> 58 | d << 6) as i64 & MASK,
        (d >> 56) as i64,
    ]
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;

    use super::*;
    use crate::cpu::{scalar::ORDER, testing::Rng};

    #[test]
    fn inverses_equal_those_of_another_implementation() {
        let mut rng = Rng::from_env();
        for words in [PRIME, ORDER] {
            let (modulus, number) = (Modulus::new(words), U256::from_limbs(words));
            let one = U256::from(1);
            let near = |at: U256| (0..200u64).map(move |step| at.wrapping_add(U256::from(step)));
            let powers = (0..256usize).flat_map(|bit| [one << bit, number - (one << bit) % number]);
            let edges = near(U256::ZERO).chain(near(number - U256::from(200))).chain(powers);
            // Of every length, since small numbers end early.
            let random = (0..100_000usize).map(|index| {
                U256::from_limbs(std::array::from_fn(|_| rng.word())) >> (index % 256)
            });
            for x in edges.chain(random) {
                let x = x % number;
                let expected = x.inv_mod(number).unwrap_or_default();
                let found = U256::from_limbs(modulus.invert(x.into_limbs()));
                assert_eq!(found, expected, "1 / {x} modulo {number}");
            }
        }
    }

    /// A number near the ends of a word, or any.
    fn number(rng: &mut Rng) -> U256 {
        let word = |rng: &mut Rng| match rng.below(4) {
            0 => 0,
            1 => u64::MAX - rng.below(3),
            2 => rng.below(3),
            _ => rng.word(),
        };
        U256::from_limbs(std::array::from_fn(|_| word(rng))) % U256::from_limbs(PRIME)
    }

    #[test]
    fn products_and_shared_inversions_are_those_of_big_integers() {
        let (mut rng, prime) = (Rng::from_env(), U256::from_limbs(PRIME));
        for round in 0..20_000 {
            let count = round % (MAX_LANES + 1);
            let numbers: Vec<U256> = (0..count).map(|_| number(&mut rng)).collect();
            let mut inverted: Vec<_> = numbers.iter().map(|number| number.into_limbs()).collect();
            invert_each(&mut inverted);
            for (number, inverted) in numbers.iter().zip(inverted) {
                let expected = number.inv_mod(prime).unwrap_or_default();
                assert_eq!(U256::from_limbs(inverted), expected, "of {numbers:?}");
            }
            if let [a, b, ..] = numbers.as_slice() {
                let product = times(a.as_limbs(), b.as_limbs());
                assert_eq!(U256::from_limbs(product), a.mul_mod(*b, prime), "{a} times {b}");
            }
        }
    }
}
