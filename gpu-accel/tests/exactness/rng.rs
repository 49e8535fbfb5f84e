//! A seeded generator, for this crate's unit tests as well.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64: small, and the same on every machine.
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator from `PLEACH_SEED`, or from a fresh seed; either way the seed is printed.
    pub(crate) fn from_env() -> Self {
        let fresh = || RandomState::new().hash_one(0);
        let seed = std::env::var("PLEACH_SEED").ok().map(|seed| seed.parse().expect("a number"));
        let seed = seed.unwrap_or_else(fresh);
        eprintln!("seed: PLEACH_SEED={seed} replays this run");
        Self(seed)
    }

    /// 64 random bits.
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }
}
