//! The multiply of AVX-512 IFMA in plain integers: runs anywhere, and defines the others.

use super::{Columns, Factors, Kernel, Lanes};
use crate::cpu::product;

const MASK: u64 = (1 << 52) - 1;

/// As many lanes as one likes, one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Emulated<const N: usize>;

impl<const N: usize> Lanes for Emulated<N> {
    const COUNT: usize = N;
    const INTEGER_FACTORS: bool = true;
    const LOW_BIAS: u64 = 0;
    const HIGH_BIAS: u64 = 0;
    type Word = [u64; N];
    type Factor = [u64; N];

    #[inline(always)]
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(never)]
    fn product(self, a: &Factors<Self>, b: &Factors<Self>) -> Columns<Self> {
        product::product(self, a, b)
    }

    #[inline(never)]
    fn square(self, a: &Factors<Self>) -> Columns<Self> {
        product::square(self, a)
    }

    #[inline(always)]
    fn splat(self, value: u64) -> [u64; N] {
        [value; N]
    }

    #[inline(always)]
    fn load(self, values: &[u64]) -> [u64; N] {
        std::array::from_fn(|lane| values[lane])
    }

    #[inline(always)]
    fn store(self, word: [u64; N], values: &mut [u64]) {
        values[..N].copy_from_slice(&word);
    }

    #[inline(always)]
    fn gather<const M: usize>(
        self,
        table: &[u64],
        start: [u64; N],
        stride: usize,
    ) -> [[u64; N]; M] {
        std::array::from_fn(|k| start.map(|start| table[start as usize + k * stride]))
    }

    #[inline(always)]
    fn add(self, a: [u64; N], b: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    fn sub(self, a: [u64; N], b: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane].wrapping_sub(b[lane]))
    }

    #[inline(always)]
    fn and(self, a: [u64; N], b: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane] & b[lane])
    }

    #[inline(always)]
    fn or(self, a: [u64; N], b: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane] | b[lane])
    }

    #[inline(always)]
    fn xor(self, a: [u64; N], b: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane] ^ b[lane])
    }

    #[inline(always)]
    fn shr<const BY: u32>(self, a: [u64; N]) -> [u64; N] {
        a.map(|a| a >> BY)
    }

    #[inline(always)]
    fn shl<const BY: u32>(self, a: [u64; N]) -> [u64; N] {
        a.map(|a| a << BY)
    }

    #[inline(always)]
    fn shr_by(self, a: [u64; N], by: u32) -> [u64; N] {
        a.map(|a| a >> by)
    }

    #[inline(always)]
    fn shl_by(self, a: [u64; N], by: u32) -> [u64; N] {
        a.map(|a| a << by)
    }

    #[inline(always)]
    fn is_zero(self, a: [u64; N]) -> [u64; N] {
        a.map(|a| if a == 0 { u64::MAX } else { 0 })
    }

    #[inline(always)]
    fn factor(self, a: [u64; N]) -> [u64; N] {
        a
    }

    #[inline(always)]
    fn factor_bits(self, a: [u64; N]) -> [u64; N] {
        a
    }

    #[inline(always)]
    fn factor_from_bits(self, bits: [u64; N]) -> [u64; N] {
        bits
    }

    #[inline(always)]
    fn mul_add(
        self,
        low: [u64; N],
        high: [u64; N],
        a: [u64; N],
        b: [u64; N],
    ) -> ([u64; N], [u64; N]) {
        // As vpmadd52luq and vpmadd52huq do, bits above the 52nd of a factor are ignored.
        let product = |lane: usize| u128::from(a[lane] & MASK) * u128::from(b[lane] & MASK);
        let low = std::array::from_fn(|lane| low[lane].wrapping_add(product(lane) as u64 & MASK));
        let shifted = |lane: usize| (product(lane) >> 52) as u64;
        (low, std::array::from_fn(|lane| high[lane].wrapping_add(shifted(lane))))
    }
}
