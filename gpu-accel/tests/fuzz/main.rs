//! What the fuzz targets check, over bytes from a seed: `PLEACH_FUZZ_ROUNDS` says how many times.

#[path = "../exactness/reference.rs"]
mod reference;
#[path = "../exactness/rng.rs"]
mod rng;

mod check;

use rng::Rng;

/// Rounds without `PLEACH_FUZZ_ROUNDS`: a second or two.
const ROUNDS: u64 = 300;

/// Calls a check with random bytes of random lengths, of which some are 0 or 255 for a while.
fn rounds(check: fn(&[u8]), most: u64) {
    let rounds = std::env::var("PLEACH_FUZZ_ROUNDS").ok();
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let mut rng = Rng::from_env();
    for _ in 0..rounds {
        let mut bytes = Vec::new();
        for _ in 0..rng.below(most) {
            let run = rng.below(32) as usize;
            match rng.below(4) {
                0 => bytes.resize(bytes.len() + run, 0),
                1 => bytes.resize(bytes.len() + run, 255),
                _ => bytes.extend((0..run).map(|_| rng.word() as u8)),
            }
        }
        check(&bytes);
    }
}

#[test]
fn recoveries() {
    rounds(check::recover, 60);
}

#[test]
fn hashes() {
    rounds(check::keccak, 200);
}
