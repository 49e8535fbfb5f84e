//! Random histories of commits and unwinds, on each backend, against the model.

use std::{env, fmt::Debug};

use alloy_primitives::{B256, U256};
use pleach_state::store::{MemoryBackend, Snapshot, Store, StoreConfig, StoreError};
use revm::DatabaseRef;

use crate::{
    chain::{Chain, Model, address},
    rng::Rng,
};

/// Blocks that can be taken back: few, so that histories get past them.
const CONFIG: StoreConfig = StoreConfig { unwindable: 6 };
const STEPS: usize = 14;

/// Tables that can be closed and opened again.
trait Rig: Debug {
    fn store(&self) -> &Store;
    fn reopen(&mut self);
}

#[derive(Debug)]
struct Memory(Store);

impl Rig for Memory {
    fn store(&self) -> &Store {
        &self.0
    }

    /// What lies in memory does not outlive its store.
    fn reopen(&mut self) {}
}

#[cfg(feature = "mdbx")]
#[derive(Debug)]
struct OnDisk(Option<Store>, crate::folder::Folder);

#[cfg(feature = "mdbx")]
impl Rig for OnDisk {
    fn store(&self) -> &Store {
        self.0.as_ref().expect("it is open")
    }

    fn reopen(&mut self) {
        drop(self.0.take());
        self.0 = Some(self.1.open_with(CONFIG).expect("it opens again"));
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

fn seeds(default: u64) -> impl Iterator<Item = u64> {
    match number("PLEACH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLEACH_CASES").unwrap_or(default),
    }
}

#[test]
fn histories_in_memory_are_the_models() {
    for seed in seeds(150) {
        let store = Store::open(MemoryBackend::new(), CONFIG).expect("it is empty");
        history(seed, &mut Memory(store));
    }
}

#[cfg(feature = "mdbx")]
#[test]
fn histories_on_disk_are_the_models() {
    for seed in seeds(40) {
        let folder = crate::folder::Folder::new("conformance");
        let store = folder.open_with(CONFIG).expect("it is new");
        history(seed, &mut OnDisk(Some(store), folder));
    }
}

fn history(seed: u64, rig: &mut dyn Rig) {
    println!("PLEACH_SEED={seed}");
    let mut chain = Chain::new(seed);
    let mut rng = Rng(seed ^ 0x5707_e5ee);
    chain.init(rig.store()).expect("the genesis state has the header's root");
    // How far back blocks can be taken: what was committed when.
    let mut oldest = 0;
    for _ in 0..STEPS {
        match rng.below(10) {
            0..=5 => {
                let count = 1 + rng.below(4) as usize;
                chain.commit(rig.store(), count).unwrap_or_else(|error| panic!("{error}"));
                let head = chain.head().0.number;
                oldest = oldest.max(head.saturating_sub(CONFIG.unwindable));
            }
            6..=7 => unwind(&mut chain, rig.store(), &mut rng, oldest),
            _ => rig.reopen(),
        }
        check(rig.store(), &chain, oldest);
    }
}

fn unwind(chain: &mut Chain, store: &Store, rng: &mut Rng, oldest: u64) {
    let head = chain.head().0.number;
    let to = rng.below(head + 2);
    match store.unwind(to) {
        Ok(reached) => {
            assert!(to >= oldest && to <= head, "unwound to {to}, oldest {oldest}, head {head}");
            chain.blocks.truncate(to as usize + 1);
            assert_eq!(reached.hash, chain.head().0.hash_slow());
        }
        Err(StoreError::UnwindAhead { .. }) => assert!(to > head),
        Err(StoreError::UnwindTooFar { oldest: named, .. }) => {
            assert!(to < oldest, "{to} is not too far: {oldest}");
            assert_eq!(named, oldest);
        }
        Err(error) => panic!("{error}"),
    }
}

/// Everything that the store says, compared with the model.
fn check(store: &Store, chain: &Chain, oldest: u64) {
    let (header, model) = chain.head();
    let snapshot = store.snapshot().expect("there is a chain");
    assert_eq!(snapshot.head().hash, header.hash_slow());
    assert_eq!(snapshot.head().state_root, header.state_root);
    check_blocks(&snapshot, chain);
    check_state(&snapshot, model, chain.addresses);
    let verified = store.verify(&mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(verified.blocks, chain.blocks.len() as u64);
    assert_eq!(verified.accounts, model.len() as u64);
    assert_eq!(verified.slots, model.values().map(|held| held.slots.len() as u64).sum::<u64>());
    let stats = store.stats().expect("it is readable");
    assert_eq!(stats.head.as_ref(), Some(snapshot.head()));
    assert_eq!(stats.genesis, Some(chain.blocks[0].0.hash_slow()));
    assert_eq!(stats.oldest_unwind, Some(oldest));
    assert_eq!(verified.diffs, header.number - oldest);
}

fn check_blocks(snapshot: &Snapshot, chain: &Chain) {
    for (number, (header, _)) in (0..).zip(&chain.blocks) {
        let hash = header.hash_slow();
        assert_eq!(snapshot.header(number).expect("readable").as_ref(), Some(header));
        assert_eq!(snapshot.block_number(&hash).expect("readable"), Some(number));
        assert_eq!(snapshot.block_hash_ref(number).expect("it is there"), hash);
        let total = snapshot.total_difficulty(number).expect("readable");
        assert_eq!(total, Some(U256::from(number * 7)));
        assert!(snapshot.body(number).expect("readable").is_some());
        let receipts = snapshot.receipts(number).expect("readable").expect("there");
        assert!(number == 0 || receipts[..] == number.to_be_bytes());
    }
    let next = chain.blocks.len() as u64;
    assert_eq!(snapshot.header(next).expect("readable"), None);
    assert_eq!(snapshot.body(next).expect("readable"), None);
    assert_eq!(snapshot.block_number(&B256::repeat_byte(7)).expect("readable"), None);
    let missing = snapshot.block_hash_ref(next).expect_err("there is no such block");
    assert!(missing.to_string().contains(&format!("block {next} is not in the store")));
}

fn check_state(snapshot: &Snapshot, model: &Model, addresses: u64) {
    for at in (0..addresses).map(address) {
        let info = snapshot.basic_ref(at).expect("readable");
        let held = model.get(&at);
        let fields = info.as_ref().map(|info| (info.nonce, info.balance, info.code_hash));
        assert_eq!(fields, held.map(|held| (held.nonce, held.balance, held.code_hash())));
        if let Some(held) = held {
            let code = snapshot.code_by_hash_ref(held.code_hash()).expect("readable");
            assert_eq!(code.original_byte_slice(), &held.code[..]);
        }
        for slot in (0..12).map(U256::from) {
            let value = snapshot.storage_ref(at, slot).expect("readable");
            let expected = held.and_then(|held| held.slots.get(&slot)).copied();
            assert_eq!(value, expected.unwrap_or_default(), "slot {slot} of {at}");
        }
    }
}
