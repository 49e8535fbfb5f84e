//! Keccak-f on the vectors of x86-64.
#![expect(
    unsafe_code,
    reason = "intrinsics need the CPU's features, of which each value here is the proof"
)]

use std::arch::x86_64::*;

use super::permutation::{Blocks, Permute, States, Words, permute};

/// Eight states in AVX-512.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512Keccak(());

/// Four states in vectors of half the width of AVX-512's, with its instructions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512VlKeccak(());

/// Four states in AVX2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2Keccak(());

impl Avx512Keccak {
    /// None where the CPU lacks the instructions.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Avx512VlKeccak {
    /// None where the CPU lacks the instructions.
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
        has.then_some(Self(()))
    }
}

impl Avx2Keccak {
    /// None where the CPU lacks the instructions.
    pub(crate) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

/// Calls an intrinsic of a feature that the `self` in scope proves to be there.
macro_rules! proven {
    ($call:expr) => {{
        // SAFETY: values of this type are only made after the CPU was seen to have the feature
        // that it names, and the intrinsic needs no other and touches no memory but what its
        // arguments refer to.
        unsafe { $call }
    }};
}

impl Permute<8> for Avx512Keccak {
    #[inline(always)]
    fn absorb(self, states: &mut States<8>, blocks: &Blocks<8>, fresh: &[u64; 8]) {
        proven!(absorb_avx512(self, states, blocks, fresh));
    }
}

#[target_feature(enable = "avx512f")]
fn absorb_avx512(
    words: Avx512Keccak,
    states: &mut States<8>,
    blocks: &Blocks<8>,
    fresh: &[u64; 8],
) {
    let fresh = load512(fresh);
    let mut state = [fresh; 25];
    for (word, stored) in state.iter_mut().zip(&states.0) {
        *word = _mm512_andnot_si512(fresh, load512(stored));
    }
    for (word, block) in state.iter_mut().zip(&blocks.0) {
        *word = _mm512_xor_si512(*word, load512(block));
    }
    permute(words, &mut state);
    for (word, stored) in state.into_iter().zip(&mut states.0) {
        // SAFETY: eight numbers are written to an array of eight, without need of alignment.
        unsafe { _mm512_storeu_si512(stored.as_mut_ptr().cast(), word) };
    }
}

#[target_feature(enable = "avx512f")]
fn load512(words: &[u64; 8]) -> __m512i {
    // SAFETY: eight numbers are read from an array of eight, without need of alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// The truth tables of a ^ b ^ c and of a ^ (!b & c).
const XOR3: i32 = 0x96;
const CHI: i32 = 0xd2;

/// Words of a width of AVX-512, by the names of that width's intrinsics.
macro_rules! ternary_words {
    ($keccak:ty: $word:ty, $splat:ident, $xor:ident, $ternary:ident, $rotate:ident,) => {
        impl Words for $keccak {
            type Word = $word;

            #[inline(always)]
            fn splat(self, value: u64) -> $word {
                proven!($splat(value as i64))
            }

            #[inline(always)]
            fn xor(self, a: $word, b: $word) -> $word {
                proven!($xor(a, b))
            }

            #[inline(always)]
            fn xor3(self, a: $word, b: $word, c: $word) -> $word {
                proven!($ternary::<XOR3>(a, b, c))
            }

            #[inline(always)]
            fn chi(self, a: $word, b: $word, c: $word) -> $word {
                proven!($ternary::<CHI>(a, b, c))
            }

            #[inline(always)]
            fn rotate_left<const BY: i32>(self, a: $word) -> $word {
                proven!($rotate::<BY>(a))
            }
        }
    };
}

ternary_words!(
    Avx512Keccak: __m512i,
    _mm512_set1_epi64,
    _mm512_xor_si512,
    _mm512_ternarylogic_epi64,
    _mm512_rol_epi64,
);
ternary_words!(
    Avx512VlKeccak: __m256i,
    _mm256_set1_epi64x,
    _mm256_xor_si256,
    _mm256_ternarylogic_epi64,
    _mm256_rol_epi64,
);

impl Permute<4> for Avx512VlKeccak {
    #[inline(always)]
    fn absorb(self, states: &mut States<4>, blocks: &Blocks<4>, fresh: &[u64; 4]) {
        proven!(absorb_avx512vl(self, states, blocks, fresh));
    }
}

#[target_feature(enable = "avx2,avx512f,avx512vl")]
fn absorb_avx512vl(
    words: Avx512VlKeccak,
    states: &mut States<4>,
    blocks: &Blocks<4>,
    fresh: &[u64; 4],
) {
    absorb256(words, states, blocks, fresh);
}

impl Permute<4> for Avx2Keccak {
    #[inline(always)]
    fn absorb(self, states: &mut States<4>, blocks: &Blocks<4>, fresh: &[u64; 4]) {
        proven!(absorb_avx2(self, states, blocks, fresh));
    }
}

#[target_feature(enable = "avx2")]
fn absorb_avx2(words: Avx2Keccak, states: &mut States<4>, blocks: &Blocks<4>, fresh: &[u64; 4]) {
    absorb256(words, states, blocks, fresh);
}

/// What both sets of four lanes share; compiled with the features of either.
#[inline]
#[target_feature(enable = "avx2")]
fn absorb256<W: Words<Word = __m256i>>(
    words: W,
    states: &mut States<4>,
    blocks: &Blocks<4>,
    fresh: &[u64; 4],
) {
    let fresh = load256(fresh);
    let mut state = [fresh; 25];
    for (word, stored) in state.iter_mut().zip(&states.0) {
        *word = _mm256_andnot_si256(fresh, load256(stored));
    }
    for (word, block) in state.iter_mut().zip(&blocks.0) {
        *word = _mm256_xor_si256(*word, load256(block));
    }
    permute(words, &mut state);
    for (word, stored) in state.into_iter().zip(&mut states.0) {
        // SAFETY: four numbers are written to an array of four, without need of alignment.
        unsafe { _mm256_storeu_si256(stored.as_mut_ptr().cast(), word) };
    }
}

#[target_feature(enable = "avx2")]
fn load256(words: &[u64; 4]) -> __m256i {
    // SAFETY: four numbers are read from an array of four, without need of alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

impl Words for Avx2Keccak {
    type Word = __m256i;

    #[inline(always)]
    fn splat(self, value: u64) -> __m256i {
        proven!(_mm256_set1_epi64x(value as i64))
    }

    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        proven!(_mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn xor3(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        self.xor(self.xor(a, b), c)
    }

    #[inline(always)]
    fn chi(self, a: __m256i, b: __m256i, c: __m256i) -> __m256i {
        proven!(_mm256_xor_si256(a, _mm256_andnot_si256(b, c)))
    }

    #[inline(always)]
    fn rotate_left<const BY: i32>(self, a: __m256i) -> __m256i {
        proven!({
            let left = _mm256_sll_epi64(a, _mm_cvtsi32_si128(BY));
            _mm256_or_si256(left, _mm256_srl_epi64(a, _mm_cvtsi32_si128(64 - BY)))
        })
    }
}
