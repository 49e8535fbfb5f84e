//! Points and scalars on the host, by the textbook: the comb's table and the crafted cases are
//! made with it. It is slow, and takes no secrets.

use alloy_primitives::{U256, uint};

/// A point that is not the one at infinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AffinePoint {
    /// x, below the prime.
    pub x: U256,
    /// y, below the prime.
    pub y: U256,
}

/// y² = x³ + ax + b over a prime field, with a generator of prime order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostCurve {
    /// The field's prime.
    pub prime: U256,
    /// a.
    pub a: U256,
    /// b.
    pub b: U256,
    /// The generator's order.
    pub order: U256,
    /// The generator.
    pub generator: AffinePoint,
}

/// secp256k1 (SEC 2, section 2.4.1).
pub const SECP256K1: HostCurve = HostCurve {
    prime: uint!(0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f_U256),
    a: U256::ZERO,
    b: uint!(7_U256),
    order: uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256),
    generator: AffinePoint {
        x: uint!(0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798_U256),
        y: uint!(0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8_U256),
    },
};

/// P-256, also called secp256r1 (SEC 2, section 2.4.2).
pub const P256: HostCurve = HostCurve {
    prime: uint!(0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff_U256),
    a: uint!(0xffffffff00000001000000000000000000000000fffffffffffffffffffffffc_U256),
    b: uint!(0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b_U256),
    order: uint!(0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551_U256),
    generator: AffinePoint {
        x: uint!(0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296_U256),
        y: uint!(0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5_U256),
    },
};

impl HostCurve {
    /// P + Q, either of which may be infinity (`None`).
    pub fn add(&self, p: Option<AffinePoint>, q: Option<AffinePoint>) -> Option<AffinePoint> {
        let (Some(p), Some(q)) = (p, q) else { return p.or(q) };
        let (above, below) = self.slope(p, q)?;
        Some(self.chord(p, q, above.mul_mod(inverse(below, self.prime), self.prime)))
    }

    /// -P.
    pub fn negate(&self, p: AffinePoint) -> AffinePoint {
        AffinePoint { x: p.x, y: if p.y.is_zero() { p.y } else { self.prime - p.y } }
    }

    /// k·P.
    pub fn mul(&self, scalar: U256, p: AffinePoint) -> Option<AffinePoint> {
        let mut sum = None;
        for bit in (0..scalar.bit_len()).rev() {
            sum = self.add(sum, sum);
            if scalar.bit(bit) {
                sum = self.add(sum, Some(p));
            }
        }
        sum
    }

    /// The numerator and denominator of the slope through P and Q; none where they are opposite.
    fn slope(&self, p: AffinePoint, q: AffinePoint) -> Option<(U256, U256)> {
        let prime = self.prime;
        if p.x != q.x {
            return Some((minus(q.y, p.y, prime), minus(q.x, p.x, prime)));
        }
        if p.y != q.y || p.y.is_zero() {
            return None;
        }
        let xx = p.x.mul_mod(p.x, prime);
        let three = xx.add_mod(xx, prime).add_mod(xx, prime);
        Some((three.add_mod(self.a, prime), p.y.add_mod(p.y, prime)))
    }

    /// The third point of the line through P and Q, mirrored.
    fn chord(&self, p: AffinePoint, q: AffinePoint, slope: U256) -> AffinePoint {
        let prime = self.prime;
        let x = minus(minus(slope.mul_mod(slope, prime), p.x, prime), q.x, prime);
        let y = minus(slope.mul_mod(minus(p.x, x, prime), prime), p.y, prime);
        AffinePoint { x, y }
    }

    /// The odd multiples (2m + 1)·2^(bits·w)·G, for m up to `entries`, window after window.
    ///
    /// The additions of one m share an inversion across all windows.
    pub(crate) fn comb(&self, bits: u32, windows: u32, entries: u32) -> Vec<AffinePoint> {
        let mut base = self.generator;
        let mut bases = Vec::new();
        for _ in 0..windows {
            bases.push(base);
            for _ in 0..bits {
                base = self.add(Some(base), Some(base)).expect("the order is odd");
            }
        }
        let twice = |p: &AffinePoint| self.add(Some(*p), Some(*p)).expect("the order is odd");
        let steps: Vec<AffinePoint> = bases.iter().map(twice).collect();
        let mut rows = vec![bases];
        for _ in 1..entries {
            let next = self.add_all(rows.last().expect("there is a first row"), &steps);
            rows.push(next);
        }
        (0..windows as usize).flat_map(|w| rows.iter().map(move |row| row[w])).collect()
    }

    /// P + Q for each pair, of which none may be opposite, by one inversion.
    fn add_all(&self, ps: &[AffinePoint], qs: &[AffinePoint]) -> Vec<AffinePoint> {
        let slopes: Vec<(U256, U256)> = ps
            .iter()
            .zip(qs)
            .map(|(p, q)| self.slope(*p, *q).expect("small odd multiples are never opposite"))
            .collect();
        let mut prefixes = Vec::new();
        let mut product = U256::from(1);
        for (_, below) in &slopes {
            prefixes.push(product);
            product = product.mul_mod(*below, self.prime);
        }
        let mut rest = inverse(product, self.prime);
        let mut sums = Vec::new();
        for index in (0..slopes.len()).rev() {
            let (above, below) = slopes[index];
            let inverted = rest.mul_mod(prefixes[index], self.prime);
            rest = rest.mul_mod(below, self.prime);
            let slope = above.mul_mod(inverted, self.prime);
            sums.push(self.chord(ps[index], qs[index], slope));
        }
        sums.reverse();
        sums
    }
}

/// a - b.
pub(crate) fn minus(a: U256, b: U256, modulus: U256) -> U256 {
    a.add_mod(modulus - b % modulus, modulus)
}

/// 1/a modulo a prime; 0 for 0.
pub(crate) fn inverse(a: U256, prime: U256) -> U256 {
    a.inv_mod(prime).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generators_have_the_order() {
        for curve in [SECP256K1, P256] {
            let last = curve.mul(curve.order - U256::from(1), curve.generator).unwrap();
            assert_eq!(last, curve.negate(curve.generator));
            assert_eq!(curve.mul(curve.order, curve.generator), None);
        }
    }

    #[test]
    fn the_comb_holds_multiples() {
        let curve = SECP256K1;
        let comb = curve.comb(8, 32, 128);
        for (window, m) in [(0usize, 0usize), (0, 127), (1, 3), (17, 64), (31, 127)] {
            let scalar = U256::from(2 * m + 1) << (8 * window);
            let expected = curve.mul(scalar.reduce_mod(curve.order), curve.generator);
            assert_eq!(Some(comb[window * 128 + m]), expected, "window {window}, entry {m}");
        }
    }
}
