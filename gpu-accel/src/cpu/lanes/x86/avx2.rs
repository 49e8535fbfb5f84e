//! Four lanes in AVX2, whose fused multiply-adds round to nearest.

use std::arch::x86_64::*;

use super::{enabled, proven};
use crate::cpu::{
    lanes::{Columns, Factors, Kernel, Lanes},
    product,
};

/// AVX2 and FMA: the halves of a product come from two fused multiply-adds, the low one signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// None where the CPU lacks the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

/// 2^52, whose bits take a number below 2^52 as they are.
const EXACT: f64 = f64::from_bits(0x4330_0000_0000_0000);
/// 1.5·2^52, whose bits take a signed number of 52 bits as they are.
const SIGNED: f64 = f64::from_bits(0x4338_0000_0000_0000);
/// 2^104: the doubles from here to its double are 2^52 apart.
const HIGH: f64 = f64::from_bits(0x4670_0000_0000_0000);
/// Two doubles whose product is 2^104 + 1.5·2^52, which is none: 5·2^51 and (2^53 + 3) / 5.
const HIGH_AND_SIGNED: [f64; 2] = [11_258_999_068_426_240.0, 1_801_439_850_948_199.0];

impl Lanes for Avx2 {
    enabled!("avx2,fma");
    const COUNT: usize = 4;
    const INTEGER_FACTORS: bool = false;
    const LOW_BIAS: u64 = SIGNED.to_bits();
    const HIGH_BIAS: u64 = HIGH.to_bits();
    type Word = __m256i;
    type Factor = __m256d;

    #[inline(always)]
    fn splat(self, value: u64) -> __m256i {
        proven!(_mm256_set1_epi64x(value as i64))
    }

    #[inline(always)]
    fn load(self, values: &[u64]) -> __m256i {
        let values: &[u64; 4] = values.first_chunk().expect("a vector has four lanes");
        // SAFETY: the features are there as everywhere here, and four numbers are read from an
        // array of four; the load needs no alignment.
        unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, word: __m256i, values: &mut [u64]) {
        let values: &mut [u64; 4] = values.first_chunk_mut().expect("a vector has four lanes");
        // SAFETY: the features are there as everywhere here, and four numbers are written to an
        // array of four; the store needs no alignment.
        unsafe { _mm256_storeu_si256(values.as_mut_ptr().cast(), word) }
    }

    /// Lane by lane, which was measured to be faster than the gather instruction.
    #[inline(always)]
    fn gather<const N: usize>(self, table: &[u64], start: __m256i, stride: usize) -> [__m256i; N] {
        let mut starts = [0; 4];
        self.store(start, &mut starts);
        let ends = table.len().checked_sub((N - 1) * stride).expect("an entry fits the table");
        assert!(starts.iter().all(|start| *start < ends as u64), "an index is outside");
        let mut words = [start; N];
        for (k, word) in words.iter_mut().enumerate() {
            // SAFETY: the features are there as everywhere here. Every start is below the table's
            // length less (N - 1) · stride, and k is at most N - 1.
            *word = unsafe {
                let value =
                    |lane: usize| *table.get_unchecked(starts[lane] as usize + k * stride) as i64;
                _mm256_set_epi64x(value(3), value(2), value(1), value(0))
            };
        }
        words
    }

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_add_epi64(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_sub_epi64(a, b))
    }

    #[inline(always)]
    fn and(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_and_si256(a, b))
    }

    #[inline(always)]
    fn or(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_or_si256(a, b))
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn shr<const BY: u32>(self, a: __m256i) -> __m256i {
        proven!(_mm256_srl_epi64(a, _mm_cvtsi32_si128(BY as i32)))
    }

    #[inline(always)]
    fn shl<const BY: u32>(self, a: __m256i) -> __m256i {
        proven!(_mm256_sll_epi64(a, _mm_cvtsi32_si128(BY as i32)))
    }

    #[inline(always)]
    fn shr_by(self, a: __m256i, by: u32) -> __m256i {
        proven!(_mm256_srl_epi64(a, _mm_cvtsi32_si128(by as i32)))
    }

    #[inline(always)]
    fn shl_by(self, a: __m256i, by: u32) -> __m256i {
        proven!(_mm256_sll_epi64(a, _mm_cvtsi32_si128(by as i32)))
    }

    #[inline(always)]
    fn is_zero(self, a: __m256i) -> __m256i {
        proven!(_mm256_cmpeq_epi64(a, _mm256_setzero_si256()))
    }

    #[inline(always)]
    fn factor(self, a: __m256i) -> __m256d {
        proven!({
            let exact = _mm256_set1_pd(EXACT);
            let bits = _mm256_or_si256(a, _mm256_castpd_si256(exact));
            _mm256_sub_pd(_mm256_castsi256_pd(bits), exact)
        })
    }

    #[inline(always)]
    fn factor_bits(self, a: __m256d) -> __m256i {
        proven!(_mm256_castpd_si256(a))
    }

    #[inline(always)]
    fn factor_from_bits(self, bits: __m256i) -> __m256d {
        proven!(_mm256_castsi256_pd(bits))
    }

    /// a·b + 2^104, rounded to nearest, is 2^104 and a multiple of 2^52; a·b less that multiple is
    /// a signed low half, which 1.5·2^52 is added to. Each but the first step is exact: what it
    /// gives has at most 53 bits.
    #[inline(always)]
    fn mul_add(self, low: __m256i, high: __m256i, a: __m256d, b: __m256d) -> (__m256i, __m256i) {
        proven!({
            let high_half = _mm256_fmadd_pd(a, b, _mm256_set1_pd(HIGH));
            let [x, y] = HIGH_AND_SIGNED;
            let rest = _mm256_fmsub_pd(_mm256_set1_pd(x), _mm256_set1_pd(y), high_half);
            let low_half = _mm256_fmadd_pd(a, b, rest);
            let low = _mm256_add_epi64(low, _mm256_castpd_si256(low_half));
            (low, _mm256_add_epi64(high, _mm256_castpd_si256(high_half)))
        })
    }
}
