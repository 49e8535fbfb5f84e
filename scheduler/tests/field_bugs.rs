//! Bugs that other engines' schedulers had, each as a stress test with real threads. Every
//! interleaving of a few transactions is what the loom models are for.
#![cfg(not(loom))]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use pleach_scheduler::{Frontier, Scheduler, TxIdx, Version};

const TRANSACTIONS: usize = 200;
const WORKERS: usize = 4;
const ROUNDS: u64 = 60;
const MAX_INCARNATIONS: u32 = 3;

/// A block whose transactions do nothing but keep account of how they are scheduled.
struct Block {
    scheduler: Scheduler,
    seed: u64,
    /// Who runs a transaction now; more than one at a time is an error.
    running: Vec<AtomicU32>,
    /// The versions that were run, in the order in which they ended.
    ran: Vec<Mutex<Vec<Version>>>,
    /// The result that the latest incarnation left, as one more than its number.
    result: Vec<AtomicU32>,
    committed: AtomicUsize,
}

impl Block {
    fn new(seed: u64) -> Self {
        let zeros = || (0..TRANSACTIONS).map(|_| AtomicU32::new(0)).collect();
        Self {
            scheduler: Scheduler::new(TRANSACTIONS, MAX_INCARNATIONS),
            seed,
            running: zeros(),
            ran: (0..TRANSACTIONS).map(|_| Mutex::default()).collect(),
            result: zeros(),
            committed: AtomicUsize::new(0),
        }
    }

    /// A number that depends on the round, the version and nothing else.
    fn roll(&self, version: Version, salt: u64) -> u64 {
        let mut word = self.seed ^ (version.index as u64) << 32 ^ u64::from(version.incarnation);
        word = (word ^ salt << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word ^ (word >> 32)
    }

    fn enter(&self, version: Version) {
        let before = self.running[version.index].fetch_add(1, Ordering::SeqCst);
        assert_eq!(before, 0, "{version:?} runs while another incarnation does");
        if self.roll(version, 1).is_multiple_of(4) {
            thread::yield_now();
        }
    }

    fn leave(&self, version: Version) {
        self.ran[version.index].lock().expect("no test thread panicked").push(version);
        self.running[version.index].fetch_sub(1, Ordering::SeqCst);
    }

    /// Runs one incarnation: most finish, some abort, some wait for a lower transaction.
    fn run(&self, version: Version) {
        self.enter(version);
        let chance = self.roll(version, 2) % 10;
        self.leave(version);
        match (chance, self.dependency(version)) {
            (0..=2, Some(dependency)) => self.scheduler.wait_for(version, dependency),
            (3, Some(dependency)) => self.scheduler.postpone(version, dependency),
            (4, _) => self.scheduler.abort(version),
            _ => {
                self.result[version.index].store(version.incarnation + 1, Ordering::Relaxed);
                self.scheduler.finish(version);
            }
        }
    }

    /// A lower transaction that has not executed, if one is found.
    fn dependency(&self, version: Version) -> Option<TxIdx> {
        let span = version.index.min(6) as u64;
        let back = 1 + self.roll(version, 3).checked_rem(span)? as usize;
        let dependency = version.index - back;
        self.scheduler.is_estimate(dependency).then_some(dependency)
    }

    fn work(&self) {
        while !self.scheduler.is_halted() {
            match self.scheduler.claim() {
                Some(version) => self.run(version),
                None => self.scheduler.sleep_until_work(),
            }
        }
    }

    fn commit_all(&self) {
        for index in 0..TRANSACTIONS {
            self.settle(index);
            self.committed.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn settle(&self, index: TxIdx) {
        loop {
            assert_eq!(self.scheduler.frontier(), index);
            match self.scheduler.at_frontier() {
                Frontier::Claimed(version) => return self.run_committed(version),
                Frontier::Executed(version) => {
                    let result = self.result[index].load(Ordering::Relaxed);
                    assert_eq!(result, version.incarnation + 1, "the result is this incarnation's");
                    if self.roll(version, 4).is_multiple_of(5) {
                        assert!(self.scheduler.reclaim(version));
                        let incarnation = version.incarnation + 1;
                        return self.run_committed(Version { index, incarnation });
                    }
                    assert!(self.scheduler.commit(index));
                    return;
                }
                Frontier::Busy => match self.scheduler.claim() {
                    Some(version) => self.run(version),
                    None => self.scheduler.sleep_until_frontier(),
                },
            }
        }
    }

    fn run_committed(&self, version: Version) {
        self.enter(version);
        self.leave(version);
        assert!(self.scheduler.commit(version.index));
    }
}

/// Runs a block with workers and a committer; panics if it does not end, or if any thread does.
fn run_block(seed: u64) -> Arc<Block> {
    let block = Arc::new(Block::new(seed));
    let mut threads = Vec::new();
    for _ in 0..WORKERS {
        let block = Arc::clone(&block);
        threads.push(thread::spawn(move || block.work()));
    }
    let committer = Arc::clone(&block);
    threads.push(thread::spawn(move || committer.commit_all()));
    let deadline = Instant::now() + Duration::from_secs(60);
    while threads.iter().any(|thread| !thread.is_finished()) {
        let failed = block.committed.load(Ordering::SeqCst);
        assert!(Instant::now() < deadline, "seed {seed}: stuck after {failed} commits");
        thread::sleep(Duration::from_micros(200));
    }
    for thread in threads {
        if let Err(panic) = thread.join() {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
    block
}

/// A validation index that advanced before the count of active tasks ended the block early, and
/// stale reads were committed: here a block ends when, and only when, its last transaction commits.
#[test]
fn a_block_ends_with_its_last_commit_and_not_before() {
    for seed in 0..ROUNDS {
        let block = run_block(seed);
        assert_eq!(block.committed.load(Ordering::SeqCst), TRANSACTIONS);
        assert_eq!(block.scheduler.frontier(), TRANSACTIONS);
        assert!(block.scheduler.is_halted());
    }
}

/// A torn pair of status and incarnation let one incarnation run twice, or an older one after a
/// newer one: each number is run at most once, in ascending order. A postponed version has not
/// begun and keeps its number.
#[test]
fn no_incarnation_runs_twice_and_none_goes_back() {
    for seed in 1_000..1_000 + ROUNDS {
        let block = run_block(seed);
        for versions in &block.ran {
            let versions = versions.lock().expect("no test thread panicked");
            assert!(!versions.is_empty(), "every transaction runs");
            for pair in versions.windows(2) {
                let postponed = block.roll(pair[0], 2) % 10 == 3;
                let ascending = pair[0].incarnation < pair[1].incarnation;
                assert!(ascending || (postponed && pair[0] == pair[1]), "seed {seed}: {pair:?}");
            }
        }
    }
}

/// A dependency set that returned to its pool twice woke the wrong waiters, or the same ones
/// twice: a waiter becomes ready exactly once, when what it waits for has executed.
#[test]
fn a_waiter_is_released_once() {
    let scheduler = Scheduler::new(3, MAX_INCARNATIONS);
    let versions: Vec<_> = (0..3).map(|_| scheduler.claim().expect("all are ready")).collect();
    scheduler.wait_for(versions[2], 0);
    assert_eq!(scheduler.claim(), None, "it waits");
    scheduler.finish(versions[1]);
    assert_eq!(scheduler.claim(), None, "it waits for another");
    scheduler.finish(versions[0]);
    assert_eq!(scheduler.claim(), Some(Version { index: 2, incarnation: 1 }));
    assert_eq!(scheduler.claim(), None, "it was released once");
}

/// A dependency that is aborted instead of finished must not be waited for in vain.
#[test]
fn a_waiter_survives_its_dependencys_abort() {
    let scheduler = Scheduler::new(2, MAX_INCARNATIONS);
    let (first, second) = (scheduler.claim().expect("ready"), scheduler.claim().expect("ready"));
    scheduler.wait_for(second, 0);
    scheduler.abort(first);
    let again = scheduler.claim().expect("the aborted one is ready again");
    let other = scheduler.claim();
    scheduler.finish(again);
    let other = other.or_else(|| scheduler.claim());
    assert_eq!(other.map(|version| version.index), Some(1));
}

/// Waiting for a transaction that has executed in the meantime must not block.
#[test]
fn waiting_for_what_is_done_does_not_block() {
    let scheduler = Scheduler::new(2, MAX_INCARNATIONS);
    let (first, second) = (scheduler.claim().expect("ready"), scheduler.claim().expect("ready"));
    scheduler.finish(first);
    scheduler.wait_for(second, 0);
    assert_eq!(scheduler.claim(), Some(Version { index: 1, incarnation: 1 }));
}

/// Idle workers spun at full CPU on dependent blocks: a worker that finds nothing sleeps, and is
/// woken by work and by the end of the block. That it spends no time is not asserted, only that
/// it is not asleep for ever.
#[test]
fn sleepers_are_woken_by_work_and_by_the_end() {
    let scheduler = Arc::new(Scheduler::new(1, MAX_INCARNATIONS));
    let version = scheduler.claim().expect("ready");
    let woken = Arc::new(AtomicBool::new(false));
    let sleeper = {
        let (scheduler, woken) = (Arc::clone(&scheduler), Arc::clone(&woken));
        thread::spawn(move || {
            let mut claims = 0;
            while !scheduler.is_halted() {
                claims += u32::from(scheduler.claim().is_some());
                woken.store(claims > 0, Ordering::SeqCst);
                scheduler.sleep_until_work();
            }
            claims
        })
    };
    thread::sleep(Duration::from_millis(20));
    scheduler.abort(version);
    let deadline = Instant::now() + Duration::from_secs(60);
    while !woken.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the sleeper missed the work");
        thread::yield_now();
    }
    scheduler.halt();
    assert_eq!(sleeper.join().expect("the sleeper ends"), 1);
}
