//! What the tests of this crate share: a seeded generator and the way to the fixtures.

use std::io::Write as _;
use std::{
    fs::File,
    hash::{BuildHasher, RandomState},
    io::Read,
    path::{Path, PathBuf},
};

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

    /// That many random bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }

    /// 32 random bytes.
    pub(crate) fn b256(&mut self) -> [u8; 32] {
        self.bytes(32).try_into().expect("32 bytes were asked for")
    }
}

/// The text of a file among the vectors, unpacked if gzipped; None, and a line on stderr, where
/// `PLEACH_FIXTURES` is not set.
pub(crate) fn vectors(path: &str, cases: usize) -> Option<String> {
    let Some(root) = std::env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {cases} cases of {path} (PLEACH_FIXTURES is not set)"
        );
        return None;
    };
    let path = root.join("vectors").join(path);
    Some(read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn read(path: &Path) -> std::io::Result<String> {
    let (mut file, mut text) = (File::open(path)?, String::new());
    if path.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text)?;
    } else {
        file.read_to_string(&mut text)?;
    }
    Ok(text)
}
