//! Random blocks, executed serially and in parallel: every output must agree.
//!
//! `PLEACH_CASES=N` sets how many blocks are tried; `PLEACH_SEED=S` replays the one whose seed a
//! failure has printed, many times over, since some failures need a rare interleaving.

use std::env;

use crate::support::{compare::Engines, generate::generate};

/// Tried unless the environment says otherwise: about a minute on two cores.
const DEFAULT_CASES: u64 = 4_000;
const REPEATS: usize = 3;
const REPLAY_REPEATS: usize = 100;

pub(crate) fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

/// Any block of transactions that collide executes in parallel as it does serially.
#[test]
fn random_blocks_agree_with_serial_execution() {
    let engines = Engines::new();
    if let Some(seed) = number("PLEACH_SEED") {
        let compared = engines.compare(&generate(seed), REPLAY_REPEATS);
        let outcome = compared.unwrap_or_else(|difference| panic!("{difference}"));
        eprintln!("seed {seed}: no difference; serial outcome {outcome:?}");
        return;
    }
    let cases = number("PLEACH_CASES").unwrap_or(DEFAULT_CASES);
    let (mut valid, mut transactions) = (0, 0);
    for seed in 0..cases {
        let case = generate(seed);
        match engines.compare(&case, REPEATS) {
            Ok(outcome) => valid += u64::from(outcome.is_ok()),
            Err(difference) => panic!("PLEACH_SEED={seed} replays this:\n{difference}"),
        }
        transactions += case.block.transactions().len();
    }
    eprintln!("{cases} blocks, {valid} of them valid, {transactions} transactions");
    assert!(valid * 4 >= cases * 3, "blocks that stop early test little");
}
