//! How much a machine gives when more of its threads are used, whatever the engine does.
//!
//! A shared machine may not have the cores that it shows. Serial executions that share nothing are
//! the most that any engine can scale with, so every speed-up is read beside theirs.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use alloy_rlp::Encodable;
use pleach_engine::{BlockError, ChainSpec, RecoveredBlock, execute_serial};
use pleach_state::FlatState;

use super::stats::{median, milliseconds, timed};

/// A round lasts at least this long, so that the threads run side by side and not one after
/// another.
const ROUND_MS: f64 = 5.0;
/// Short blocks are executed at most this often a round.
const MAX_RUNS: f64 = 200.0;
/// Rounds per block; blocks of more than [`LONG_MS`] get one.
const ROUNDS: usize = 3;
const LONG_MS: f64 = 100.0;
/// The share of the ideal scaling below which a speed-up says more of the machine than of us.
const TRUSTED_SHARE: f64 = 0.9;

/// Whether a machine that scales so far lets a speed-up on this many threads be trusted.
pub(crate) fn is_trusted(scaling: f64, threads: usize) -> bool {
    scaling >= TRUSTED_SHARE * threads as f64
}

/// The throughput of `threads` threads that each execute the block serially on their own copy, over
/// that of one. `serial_ms` is about what one execution takes.
///
/// # Errors
/// [`BlockError`] if the block cannot be copied, which takes encoding and decoding it.
pub(crate) fn measure(
    chain: &ChainSpec,
    block: &RecoveredBlock,
    prestate: &FlatState,
    threads: usize,
    serial_ms: f64,
) -> Result<f64, BlockError> {
    if threads == 1 {
        return Ok(1.0);
    }
    let rounds = if serial_ms > LONG_MS { 1 } else { ROUNDS };
    let runs = (ROUND_MS / serial_ms).ceil().clamp(1.0, MAX_RUNS) as usize;
    // Copies are made before any thread starts: one that failed alone would leave the others
    // waiting.
    let copies = (0..threads).map(|_| Copy::of(chain, block, prestate));
    let copies = copies.collect::<Result<Vec<_>, _>>()?;
    let barrier = Barrier::new(threads);
    let times: Vec<Vec<Round>> = thread::scope(|scope| {
        let barrier = &barrier;
        let start = |(index, copy): (usize, Copy)| {
            scope.spawn(move || copy.run_rounds(index == 0, rounds, runs, barrier))
        };
        let workers: Vec<_> = copies.into_iter().enumerate().map(start).collect();
        workers.into_iter().map(|worker| worker.join().expect("no execution panics")).collect()
    });
    let ratios = (0..rounds).map(|round| {
        let alone = milliseconds(times[0][round].alone);
        times.iter().map(|worker| alone / milliseconds(worker[round].together)).sum()
    });
    Ok(median(ratios.collect()).expect("there is at least one round"))
}

/// What one thread took in a round.
struct Round {
    /// With all other threads asleep; zero but on the first thread.
    alone: Duration,
    /// With all threads at work.
    together: Duration,
}

/// All that an execution reads, shared with nobody: not even a reference count.
struct Copy {
    chain: Arc<ChainSpec>,
    block: RecoveredBlock,
    prestate: Arc<FlatState>,
}

impl Copy {
    fn of(
        chain: &ChainSpec,
        block: &RecoveredBlock,
        prestate: &FlatState,
    ) -> Result<Self, BlockError> {
        let mut rlp = Vec::new();
        block.block().encode(&mut rlp);
        let decoded = RecoveredBlock::decode(&rlp)?;
        let block = RecoveredBlock::with_senders(decoded, block.senders().to_vec())?;
        let prestate = Arc::new(prestate.deep_clone());
        Ok(Self { chain: Arc::new(chain.clone()), block, prestate })
    }

    fn run_rounds(&self, first: bool, rounds: usize, runs: usize, barrier: &Barrier) -> Vec<Round> {
        self.run(1);
        let round = || {
            barrier.wait();
            let alone = if first { timed(|| self.run(runs)).1 } else { Duration::ZERO };
            barrier.wait();
            let together = timed(|| self.run(runs)).1;
            Round { alone, together }
        };
        (0..rounds).map(|_| round()).collect()
    }

    fn run(&self, runs: usize) {
        for _ in 0..runs {
            // The block was executed before, with success: here only the time counts.
            let output = execute_serial(&self.chain, &self.block, &self.prestate, false);
            std::hint::black_box(&output);
        }
    }
}
