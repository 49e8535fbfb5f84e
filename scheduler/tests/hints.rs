//! Hints on what to start when, wrong ones above all, change no more than the order of starts.
#![cfg(not(loom))]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use pleach_scheduler::{EarlyStart, Frontier, Run, Scheduler};

/// A small generator of numbers that only have to be unlike one another.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

const TRANSACTIONS: usize = 60;

/// Early starts that say anything: of transactions that are past, twice, or not in the block.
fn wrong_hints(numbers: &mut Numbers) -> Vec<EarlyStart> {
    let mut hint = || EarlyStart {
        before: numbers.below(TRANSACTIONS + 5),
        index: numbers.below(TRANSACTIONS + 5),
    };
    let mut hints: Vec<_> = (0..20).map(|_| hint()).collect();
    hints.sort();
    hints
}

/// Works like the engine's workers. Now and then an incarnation aborts, or waits for a lower one.
fn work(scheduler: &Scheduler, runs: &[AtomicU32], mut numbers: Numbers) {
    let mut run = Run::default();
    while !scheduler.is_halted() {
        let most = 1 + numbers.below(9);
        let Some(version) = scheduler.claim_in_run(&mut run, |_| most) else {
            thread::yield_now();
            continue;
        };
        runs[version.index].fetch_add(1, Ordering::Relaxed);
        match numbers.below(8) {
            0 => scheduler.abort(version),
            1 if version.index > 0 => scheduler.wait_for(version, numbers.below(version.index)),
            _ => scheduler.finish(version),
        }
    }
}

#[test]
fn wrong_early_starts_and_long_runs_lose_nothing() {
    for seed in 0..200 {
        let mut numbers = Numbers(seed);
        let scheduler =
            Scheduler::new(TRANSACTIONS, 3).with_early_starts(wrong_hints(&mut numbers));
        let runs: Vec<_> = (0..TRANSACTIONS).map(|_| AtomicU32::new(0)).collect();
        thread::scope(|scope| {
            for worker in 0..3 {
                let (scheduler, runs) = (&scheduler, &runs);
                scope.spawn(move || work(scheduler, runs, Numbers(seed * 31 + worker)));
            }
            for index in 0..TRANSACTIONS {
                loop {
                    match scheduler.at_frontier() {
                        Frontier::Executed(_) | Frontier::Claimed(_) => break,
                        Frontier::Busy => thread::yield_now(),
                    }
                }
                assert_eq!(scheduler.frontier(), index, "seed {seed}");
                assert!(scheduler.commit(index), "seed {seed}");
            }
        });
        let most = runs.iter().map(|runs| runs.load(Ordering::Relaxed)).max();
        assert!(most <= Some(3), "seed {seed}: an incarnation too many");
    }
}
