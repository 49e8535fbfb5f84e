//! Keccak-f[1600] (FIPS 202, section 3), written once over vectors of words.

use std::fmt::Debug;

use super::{RATE_WORDS, STATE_WORDS};

/// The states of N messages: for each word, the lanes.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct States<const N: usize>(pub(super) [[u64; N]; STATE_WORDS]);

/// The next blocks of N messages: for each word, the lanes.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct Blocks<const N: usize>(pub(super) [[u64; N]; RATE_WORDS]);

/// An instruction set that permutes N states at once.
pub(crate) trait Permute<const N: usize>: Copy + Debug {
    /// Zeroes the states where `fresh` is all ones, adds the blocks to the states, and permutes.
    fn absorb(self, states: &mut States<N>, blocks: &Blocks<N>, fresh: &[u64; N]);
}

/// Vectors of 64-bit words.
pub(crate) trait Words: Copy {
    type Word: Copy;

    fn splat(self, value: u64) -> Self::Word;
    fn xor(self, a: Self::Word, b: Self::Word) -> Self::Word;
    /// a ^ b ^ c.
    fn xor3(self, a: Self::Word, b: Self::Word, c: Self::Word) -> Self::Word;
    /// a ^ (!b & c).
    fn chi(self, a: Self::Word, b: Self::Word, c: Self::Word) -> Self::Word;
    fn rotate_left<const BY: i32>(self, a: Self::Word) -> Self::Word;
}

/// What is added to the first word in each round (FIPS 202, section 3.2.5).
pub(crate) const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Permutes states that lie in vectors.
#[inline(always)]
pub(super) fn permute<W: Words>(words: W, state: &mut [W::Word; STATE_WORDS]) {
    for constant in ROUND_CONSTANTS {
        theta(words, state);
        *state = chi(words, &rho_and_pi(words, state));
        state[0] = words.xor(state[0], words.splat(constant));
    }
}

#[inline(always)]
fn theta<W: Words>(words: W, state: &mut [W::Word; STATE_WORDS]) {
    let mut columns = [state[0]; 5];
    for (x, column) in columns.iter_mut().enumerate() {
        let upper = words.xor3(state[x], state[x + 5], state[x + 10]);
        *column = words.xor3(upper, state[x + 15], state[x + 20]);
    }
    for x in 0..5 {
        let (left, right) = (columns[(x + 4) % 5], words.rotate_left::<1>(columns[(x + 1) % 5]));
        for y in 0..5 {
            state[x + 5 * y] = words.xor3(state[x + 5 * y], left, right);
        }
    }
}

#[inline(always)]
fn chi<W: Words>(words: W, state: &[W::Word; STATE_WORDS]) -> [W::Word; STATE_WORDS] {
    let mut mixed = *state;
    for y in 0..5 {
        for x in 0..5 {
            let [a, b, c] = [x, (x + 1) % 5, (x + 2) % 5];
            mixed[x + 5 * y] = words.chi(state[a + 5 * y], state[b + 5 * y], state[c + 5 * y]);
        }
    }
    mixed
}

/// From each place, rotated by so much, to the places in order.
macro_rules! moved {
    ($words:expr, $state:expr, [$(($from:literal, $by:literal)),* $(,)?]) => {
        [$($words.rotate_left::<$by>($state[$from])),*]
    };
}

#[inline(always)]
fn rho_and_pi<W: Words>(words: W, state: &[W::Word; STATE_WORDS]) -> [W::Word; STATE_WORDS] {
    moved!(
        words,
        state,
        [
            (0, 0),
            (6, 44),
            (12, 43),
            (18, 21),
            (24, 14),
            (3, 28),
            (9, 20),
            (10, 3),
            (16, 45),
            (22, 61),
            (1, 1),
            (7, 6),
            (13, 25),
            (19, 8),
            (20, 18),
            (4, 27),
            (5, 36),
            (11, 10),
            (17, 15),
            (23, 56),
            (2, 62),
            (8, 55),
            (14, 39),
            (15, 41),
            (21, 2),
        ]
    )
}

/// One lane after the other, for the tests: what the instruction sets must equal.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable<const N: usize>;

#[cfg(test)]
impl<const N: usize> Permute<N> for Portable<N> {
    fn absorb(self, states: &mut States<N>, blocks: &Blocks<N>, fresh: &[u64; N]) {
        for word in 0..STATE_WORDS {
            for lane in 0..N {
                let block = blocks.0.get(word).map_or(0, |word| word[lane]);
                states.0[word][lane] = states.0[word][lane] & !fresh[lane] ^ block;
            }
        }
        permute(self, &mut states.0);
    }
}

#[cfg(test)]
impl<const N: usize> Words for Portable<N> {
    type Word = [u64; N];

    fn splat(self, value: u64) -> [u64; N] {
        [value; N]
    }

    fn xor(self, a: [u64; N], b: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane] ^ b[lane])
    }

    fn xor3(self, a: [u64; N], b: [u64; N], c: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane] ^ b[lane] ^ c[lane])
    }

    fn chi(self, a: [u64; N], b: [u64; N], c: [u64; N]) -> [u64; N] {
        std::array::from_fn(|lane| a[lane] ^ (!b[lane] & c[lane]))
    }

    fn rotate_left<const BY: i32>(self, a: [u64; N]) -> [u64; N] {
        a.map(|word| word.rotate_left(BY as u32))
    }
}
