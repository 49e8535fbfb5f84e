//! Who follows a block hears of every key that it changes, and changes nothing.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::Address;
use parking_lot::{Condvar, Mutex};
use pleach_engine::{BlockOutput, Engine, EngineConfig, ExecuteOptions, Follower, execute_serial};
use pleach_state::mpt::TouchedKey;

use crate::{
    differential::number,
    support::{
        blocks::{Tx, case, funded, header, signer},
        compare::{Case, Engines},
        forks::Fork,
        generate::generate,
    },
};

/// Notes all it is told, and takes every moment that it is offered.
#[derive(Debug, Default)]
struct Listener {
    told: Mutex<Vec<TouchedKey>>,
    moments: AtomicU64,
    /// Whether it claims to have been busy each time.
    insatiable: bool,
}

impl Follower for Listener {
    fn committed(&self, writes: &mut dyn Iterator<Item = TouchedKey>) {
        self.told.lock().extend(writes);
    }

    fn idle(&self) -> bool {
        self.moments.fetch_add(1, Ordering::Relaxed);
        self.insatiable
    }
}

/// The keys that a block changed.
fn changed(output: &BlockOutput) -> BTreeSet<TouchedKey> {
    let accounts = output.bundle.state.iter().flat_map(|(address, account)| {
        let is_changed = account.info != account.original_info;
        let slots = account.storage.iter().filter(|(_, slot)| slot.is_changed());
        // What a destroyed account held is gone with it.
        let slots = slots.filter(|_| !account.was_destroyed());
        let slots = slots.map(|(slot, _)| TouchedKey::Slot(*address, *slot));
        slots.chain(is_changed.then_some(TouchedKey::Account(*address)))
    });
    accounts.collect()
}

fn follow(engine: &Engine, case: &Case, seed: u64) -> u64 {
    let serial = execute_serial(&case.chain, &case.block, &case.prestate, false);
    let listener = Arc::new(Listener { insatiable: seed % 2 == 1, ..Listener::default() });
    let options = ExecuteOptions {
        force_parallel: !seed.is_multiple_of(3),
        rehearse: seed.is_multiple_of(5),
        ..ExecuteOptions::default()
    };
    let follower = Arc::clone(&listener) as Arc<dyn Follower>;
    let (chain, prestate) = (&case.chain, &case.prestate);
    let followed = engine.execute_followed(chain, &case.block, prestate, options, follower);
    match (serial, followed) {
        (Ok(serial), Ok((output, metrics))) => {
            let difference = serial.difference(&output);
            assert_eq!(difference, None, "PLEACH_SEED={seed} replays this");
            let told: BTreeSet<_> = listener.told.lock().iter().copied().collect();
            let missed: Vec<_> = changed(&output).difference(&told).copied().collect();
            // Where nobody has time for a follower, it is not told.
            let is_told = metrics.decision.runs_ahead();
            assert!(!is_told || missed.is_empty(), "{missed:?}; PLEACH_SEED={seed} replays this");
            u64::from(is_told)
        }
        // A block that stops early has told of what it did until then, and that is all.
        (Err(serial), Err(followed)) => {
            assert_eq!(serial.to_string(), followed.to_string(), "PLEACH_SEED={seed}");
            0
        }
        (serial, followed) => panic!("{serial:?}, {followed:?}; PLEACH_SEED={seed}"),
    }
}

#[test]
fn a_follower_hears_of_all_that_a_block_changes() {
    let engines = [1, 2, 8].map(|threads| Engine::new(EngineConfig { threads }).expect("threads"));
    let seeds = match number("PLEACH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..400,
    };
    let mut told = 0;
    for seed in seeds {
        let case = generate(seed);
        told += engines.iter().map(|engine| follow(engine, &case, seed)).sum::<u64>();
    }
    assert!(told > 300 || number("PLEACH_SEED").is_some(), "told of {told}");
}

/// A block that is a chain is executed serially, with a follower beside it.
#[test]
fn a_chain_has_its_follower_too() {
    let fork = Fork::Cancun;
    let txs: Vec<_> =
        (0..150).map(|nonce| Tx::call(signer(1), nonce, signer(2)).value(1_u64)).collect();
    let case = case(fork, header(fork), &txs, funded(3));
    let engine = Engine::new(EngineConfig { threads: 2 }).expect("threads start");
    let listener = Arc::new(Listener::default());
    let follower = Arc::clone(&listener) as Arc<dyn Follower>;
    let options = ExecuteOptions::default();
    let executed =
        engine.execute_followed(&case.chain, &case.block, &case.prestate, options, follower);
    let (output, metrics) = executed.expect("the block is valid");
    assert_eq!(metrics.decision.name(), "chain");
    let told: BTreeSet<_> = listener.told.lock().iter().copied().collect();
    assert_eq!(changed(&output).difference(&told).count(), 0);
    let serial = Engines::check_valid(&case);
    assert_eq!(serial.receipts, output.receipts);
}

/// Holds up the first commit until it has been told of what comes after that.
#[derive(Debug)]
struct Obstacle {
    /// Whom the first transaction is sent by.
    first: Address,
    ahead: Mutex<BTreeSet<TouchedKey>>,
    told: Condvar,
}

impl Follower for Obstacle {
    fn committed(&self, writes: &mut dyn Iterator<Item = TouchedKey>) {
        let writes: Vec<_> = writes.collect();
        if writes.contains(&TouchedKey::Account(self.first)) {
            let mut ahead = self.ahead.lock();
            let wait = |ahead: &mut BTreeSet<_>| ahead.is_empty();
            let waited = self.told.wait_while_for(&mut ahead, wait, Duration::from_secs(60));
            assert!(!waited.timed_out(), "told of nothing that was executed");
        }
    }

    fn executed(&self, writes: &mut dyn Iterator<Item = TouchedKey>) {
        self.ahead.lock().extend(writes);
        self.told.notify_all();
    }

    fn idle(&self) -> bool {
        false
    }
}

#[test]
fn a_follower_hears_of_transactions_that_wait_for_their_commit() {
    let fork = Fork::Cancun;
    let txs: Vec<_> =
        (1..20).map(|sender| Tx::call(signer(sender), 0, signer(50)).value(1_u64)).collect();
    let case = case(fork, header(fork), &txs, funded(20));
    let engine = Engine::new(EngineConfig { threads: 2 }).expect("threads start");
    let first = case.block.senders()[0];
    let (ahead, told) = (Mutex::default(), Condvar::new());
    let obstacle = Arc::new(Obstacle { first, ahead, told });
    let follower = Arc::clone(&obstacle) as Arc<dyn Follower>;
    let options = ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() };
    let executed =
        engine.execute_followed(&case.chain, &case.block, &case.prestate, options, follower);
    let (output, _) = executed.expect("the block is valid");
    let serial = execute_serial(&case.chain, &case.block, &case.prestate, false);
    assert_eq!(serial.expect("the block is valid").difference(&output), None);
    let changed = changed(&output);
    let ahead = obstacle.ahead.lock();
    assert!(ahead.is_subset(&changed), "{ahead:?} of {changed:?}");
}
