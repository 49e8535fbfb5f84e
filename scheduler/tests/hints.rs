//! Hints on what to start when, wrong ones above all, change no more than the order of starts.
#![cfg(not(loom))]

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use pleach_scheduler::{EarlyStart, Frontier, Run, Scheduler, Version};

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
        after: Some(numbers.below(2 * TRANSACTIONS)).filter(|after| *after < TRANSACTIONS + 5),
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

/// Each link of a chain starts when the one before it has executed, and not before its time.
#[test]
fn a_chain_starts_link_by_link() {
    let link = |before, index, after| EarlyStart { before, index, after };
    let chain = vec![link(0, 4, None), link(0, 6, Some(4)), link(2, 8, Some(6))];
    let scheduler = Scheduler::new(10, 3).with_early_starts(chain);
    let (mut one, mut other) = (Run::default(), Run::default());
    let next = |run: &mut Run| scheduler.claim_in_run(run, |_| 1).map(|version| version.index);
    assert_eq!([next(&mut one), next(&mut other)], [Some(4), Some(0)]);
    scheduler.finish(Version { index: 4, incarnation: 0 });
    assert_eq!([next(&mut one), next(&mut other)], [Some(6), Some(1)]);
    assert_eq!(next(&mut other), Some(2), "6 is still running");
    scheduler.finish(Version { index: 6, incarnation: 0 });
    assert_eq!([next(&mut one), next(&mut other)], [Some(8), Some(3)]);
    assert_eq!([next(&mut one), next(&mut other)], [Some(5), Some(7)]);
}
