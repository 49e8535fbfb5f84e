//! Eight lanes in AVX-512: with the 52-bit multiply of IFMA, and with fused multiply-adds of
//! doubles, which give the same halves of a product where IFMA is missing.

use std::arch::x86_64::*;

use super::{enabled, proven};
use crate::cpu::{
    lanes::{Columns, Factors, Kernel, Lanes},
    product,
};

/// AVX-512 F and DQ: the halves of a product come from two fused multiply-adds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512(());

/// AVX-512 F, DQ and IFMA: an instruction for each half of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512Ifma(());

impl Avx512 {
    /// None where the CPU lacks the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
        has.then_some(Self(()))
    }
}

impl Avx512Ifma {
    /// None where the CPU lacks the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512ifma");
        Avx512::detect().filter(|_| has).map(|_| Self(()))
    }
}

/// What both share: all but the multiply.
macro_rules! integer_lanes {
    () => {
        const COUNT: usize = 8;
        type Word = __m512i;

        #[inline(always)]
        fn splat(self, value: u64) -> __m512i {
            proven!(_mm512_set1_epi64(value as i64))
        }

        #[inline(always)]
        fn load(self, values: &[u64]) -> __m512i {
            let values: &[u64; 8] = values.first_chunk().expect("a vector has eight lanes");
            // SAFETY: the features are there as everywhere here, and eight numbers are read from
            // an array of eight; the load needs no alignment.
            unsafe { _mm512_loadu_epi64(values.as_ptr().cast()) }
        }

        #[inline(always)]
        fn store(self, word: __m512i, values: &mut [u64]) {
            let values: &mut [u64; 8] = values.first_chunk_mut().expect("eight lanes");
            // SAFETY: the features are there as everywhere here, and eight numbers are written to
            // an array of eight; the store needs no alignment.
            unsafe { _mm512_storeu_epi64(values.as_mut_ptr().cast(), word) }
        }

        /// Lane by lane, which was measured to be faster than the gather instruction.
        #[inline(always)]
        fn gather<const N: usize>(
            self,
            table: &[u64],
            start: __m512i,
            stride: usize,
        ) -> [__m512i; N] {
            let mut starts = [0; 8];
            self.store(start, &mut starts);
            let ends = table.len().checked_sub((N - 1) * stride).expect("an entry fits the table");
            assert!(starts.iter().all(|start| *start < ends as u64), "an index is outside");
            let mut words = [start; N];
            for (k, word) in words.iter_mut().enumerate() {
                for (lane, start) in starts.iter().enumerate() {
                    // SAFETY: the features are there as everywhere here. Every start is below the
                    // table's length less (N - 1) · stride, and k is at most N - 1.
                    *word = unsafe {
                        let value = *table.get_unchecked(*start as usize + k * stride);
                        _mm512_mask_set1_epi64(*word, 1 << lane, value as i64)
                    };
                }
            }
            words
        }

        #[inline(always)]
        fn add(self, a: __m512i, b: __m512i) -> __m512i {
            proven!(_mm512_add_epi64(a, b))
        }

        #[inline(always)]
        fn sub(self, a: __m512i, b: __m512i) -> __m512i {
            proven!(_mm512_sub_epi64(a, b))
        }

        #[inline(always)]
        fn and(self, a: __m512i, b: __m512i) -> __m512i {
            proven!(_mm512_and_epi64(a, b))
        }

        #[inline(always)]
        fn or(self, a: __m512i, b: __m512i) -> __m512i {
            proven!(_mm512_or_epi64(a, b))
        }

        #[inline(always)]
        fn xor(self, a: __m512i, b: __m512i) -> __m512i {
            proven!(_mm512_xor_epi64(a, b))
        }

        #[inline(always)]
        fn shr<const BY: u32>(self, a: __m512i) -> __m512i {
            proven!(_mm512_srli_epi64::<BY>(a))
        }

        #[inline(always)]
        fn shl<const BY: u32>(self, a: __m512i) -> __m512i {
            proven!(_mm512_slli_epi64::<BY>(a))
        }

        #[inline(always)]
        fn shr_by(self, a: __m512i, by: u32) -> __m512i {
            proven!(_mm512_srl_epi64(a, _mm_cvtsi32_si128(by as i32)))
        }

        #[inline(always)]
        fn shl_by(self, a: __m512i, by: u32) -> __m512i {
            proven!(_mm512_sll_epi64(a, _mm_cvtsi32_si128(by as i32)))
        }

        #[inline(always)]
        fn is_zero(self, a: __m512i) -> __m512i {
            proven!(_mm512_movm_epi64(_mm512_testn_epi64_mask(a, a)))
        }
    };
}

/// 2^104: the doubles from here to its double are 2^52 apart.
const HIGH: f64 = f64::from_bits(0x4670_0000_0000_0000);
/// 2^104 + 2^52.
const HIGH_AND_LOW: f64 = f64::from_bits(0x4670_0000_0000_0001);

impl Lanes for Avx512 {
    integer_lanes!();
    enabled!("avx512f,avx512dq");
    const INTEGER_FACTORS: bool = false;
    /// The bits of 2^52, to whose mantissa the low half is added.
    const LOW_BIAS: u64 = 0x4330_0000_0000_0000;
    /// The bits of 2^104, to whose mantissa the high half is added.
    const HIGH_BIAS: u64 = HIGH.to_bits();
    type Factor = __m512d;

    #[inline(always)]
    fn factor(self, a: __m512i) -> __m512d {
        proven!(_mm512_cvtepu64_pd(a))
    }

    #[inline(always)]
    fn factor_bits(self, a: __m512d) -> __m512i {
        proven!(_mm512_castpd_si512(a))
    }

    #[inline(always)]
    fn factor_from_bits(self, bits: __m512i) -> __m512d {
        proven!(_mm512_castsi512_pd(bits))
    }

    /// a·b + 2^104, rounded towards zero, is 2^104 + 2^52·⌊a·b / 2^52⌋; less it, a·b + 2^104 + 2^52
    /// is 2^52 and the low half. The second is exact, since it is below 2^53.
    #[inline(always)]
    fn mul_add(self, low: __m512i, high: __m512i, a: __m512d, b: __m512d) -> (__m512i, __m512i) {
        const TOWARDS_ZERO: i32 = _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC;
        proven!({
            let high_half = _mm512_fmadd_round_pd::<TOWARDS_ZERO>(a, b, _mm512_set1_pd(HIGH));
            let rest = _mm512_sub_pd(_mm512_set1_pd(HIGH_AND_LOW), high_half);
            let low_half = _mm512_fmadd_pd(a, b, rest);
            let low = _mm512_add_epi64(low, _mm512_castpd_si512(low_half));
            (low, _mm512_add_epi64(high, _mm512_castpd_si512(high_half)))
        })
    }
}

impl Lanes for Avx512Ifma {
    integer_lanes!();
    enabled!("avx512f,avx512dq,avx512ifma");
    const INTEGER_FACTORS: bool = true;
    const LOW_BIAS: u64 = 0;
    const HIGH_BIAS: u64 = 0;
    type Factor = __m512i;

    #[inline(always)]
    fn factor(self, a: __m512i) -> __m512i {
        a
    }

    #[inline(always)]
    fn factor_bits(self, a: __m512i) -> __m512i {
        a
    }

    #[inline(always)]
    fn factor_from_bits(self, bits: __m512i) -> __m512i {
        bits
    }

    #[inline(always)]
    fn mul_add(self, low: __m512i, high: __m512i, a: __m512i, b: __m512i) -> (__m512i, __m512i) {
        proven!((_mm512_madd52lo_epu64(low, a, b), _mm512_madd52hi_epu64(high, a, b)))
    }
}
