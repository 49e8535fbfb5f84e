//! What a store refuses, and that it is none the worse for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use alloy_consensus::Header;
use alloy_primitives::B256;
use pleach_state::{
    FlatState,
    mpt::{NodeChanges, StateTrie},
    store::{
        Backend, BackendStats, Batch, BlockCommit, MemoryBackend, SCHEMA, Store, StoreConfig,
        StoreError, Table, Tables,
    },
};

use crate::chain::Chain;

fn store() -> Store {
    Store::open(MemoryBackend::new(), StoreConfig::default()).expect("it is empty")
}

/// A chain of five blocks in a store.
fn begun() -> (Chain, Store) {
    let mut chain = Chain::new(3);
    let store = store();
    chain.init(&store).expect("the genesis state has the header's root");
    chain.commit(&store, 5).expect("the blocks follow");
    (chain, store)
}

fn says(error: &StoreError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} should say {word:?}");
    }
}

#[test]
fn without_a_chain_there_is_nothing_to_read() {
    let store = store();
    assert_eq!(store.head().expect("readable"), None);
    assert_eq!(store.genesis().expect("readable"), None);
    let errors = [
        store.snapshot().map(drop),
        store.commit(&[], &NodeChanges::default()).map(drop),
        store.unwind(0).map(drop),
        store.verify(&mut |_| {}).map(drop),
        store.expect_chain(B256::ZERO),
    ];
    for error in errors {
        let error = error.expect_err("there is no chain");
        assert!(matches!(error, StoreError::Uninitialised), "{error}");
        says(&error, &["initialise it with a genesis block"]);
    }
}

#[test]
fn a_chain_begins_once_and_with_the_root_that_it_says() {
    let header = Header { state_root: B256::repeat_byte(1), ..Header::default() };
    let fresh = store();
    let error = fresh.init(&header, &FlatState::new()).expect_err("the root is another");
    assert!(matches!(error, StoreError::StateRoot { number: 0, .. }), "{error}");
    assert_eq!(fresh.head().expect("readable"), None, "nothing is written");

    let (chain, store) = begun();
    let error = chain.init(&store).expect_err("it has begun");
    let genesis = chain.blocks[0].0.hash_slow();
    says(&error, &["already holds", &genesis.to_string()]);
    store.expect_chain(genesis).expect("it is this chain");
    let error = store.expect_chain(B256::repeat_byte(2)).expect_err("it is another");
    assert!(matches!(error, StoreError::WrongChain { .. }));
    says(&error, &[&genesis.to_string(), &B256::repeat_byte(2).to_string()]);
}

#[test]
fn blocks_that_do_not_follow_are_refused() {
    let (mut chain, store) = begun();
    let (blocks, mut tries) = chain.execute(&store.snapshot().expect("there is a chain"), 3);
    let nodes = tries.take_node_changes();
    let mut orphan = blocks.clone();
    orphan[1].header.parent_hash = B256::repeat_byte(9);
    let mut skipping = blocks.clone();
    skipping[2].header.number += 1;
    let twice = [blocks[0].clone(), blocks[0].clone()];
    let wrong: [&[BlockCommit]; 4] = [&blocks[1..], &twice, &orphan, &skipping];
    for wrong in wrong {
        let error = store.commit(wrong, &nodes).expect_err("they do not follow");
        assert!(matches!(error, StoreError::NotNext { .. }), "{error}");
    }
    store.commit(&blocks, &nodes).expect("these do");
}

#[test]
fn nodes_of_another_state_are_refused() {
    let (mut chain, store) = begun();
    let snapshot = store.snapshot().expect("there is a chain");
    let (mut blocks, mut tries) = chain.execute(&snapshot, 4);
    let nodes = tries.take_node_changes();
    blocks[3].header.state_root = B256::repeat_byte(5);
    let error = store.commit(&blocks, &nodes).expect_err("the root is another");
    assert!(matches!(error, StoreError::StateRoot { number: 9, .. }), "{error}");
    says(&error, &[&B256::repeat_byte(5).to_string()]);
    let head = store.head().expect("readable").expect("there");
    assert_eq!(head.number, 5, "nothing is written");
    store.verify(&mut |_| {}).expect("all is in order");
}

#[test]
fn nothing_is_an_empty_commit() {
    let (_, store) = begun();
    let head = store.head().expect("readable").expect("there");
    assert_eq!(store.commit(&[], &NodeChanges::default()).expect("it is nothing"), head);
}

#[test]
fn a_snapshot_does_not_see_later_commits() {
    let (mut chain, store) = begun();
    let before = store.snapshot().expect("there is a chain");
    let root = before.head().state_root;
    chain.commit(&store, 3).expect("the blocks follow");
    assert_eq!(before.head().number, 5);
    assert_eq!(before.header(6).expect("readable"), None);
    // All nodes of its state are still there.
    let mut tries = StateTrie::new(root);
    for index in 0..chain.addresses {
        let hashed = alloy_primitives::keccak256(crate::chain::address(index));
        tries.account(&hashed, &before).expect("the snapshot's nodes are those of its root");
    }
}

/// A backend that fails when it is told to.
#[derive(Debug)]
struct Failing(Arc<(MemoryBackend, AtomicBool)>);

impl Backend for Failing {
    fn snapshot(&self) -> Result<Arc<dyn Tables>, StoreError> {
        self.0.0.snapshot()
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        match self.0.1.load(Ordering::Relaxed) {
            true => Err(StoreError::Backend { doing: "writing", source: "told to".into() }),
            false => self.0.0.write(batch),
        }
    }

    fn stats(&self) -> Result<BackendStats, StoreError> {
        self.0.0.stats()
    }
}

#[test]
fn blocks_that_could_not_be_written_can_be_committed_again() {
    let inner = Arc::new((MemoryBackend::new(), AtomicBool::new(false)));
    let store = Store::open(Failing(inner.clone()), StoreConfig::default()).expect("it is empty");
    let mut chain = Chain::new(8);
    chain.init(&store).expect("the genesis state has the header's root");
    let (blocks, mut tries) = chain.execute(&store.snapshot().expect("there is a chain"), 4);
    let nodes = tries.take_node_changes();
    inner.1.store(true, Ordering::Relaxed);
    says(&store.commit(&blocks, &nodes).expect_err("told to"), &["writing", "told to"]);
    assert_eq!(store.head().expect("readable").expect("there").number, 0);
    inner.1.store(false, Ordering::Relaxed);
    store.commit(&blocks, &nodes).expect("there is nothing in the way");
    store.verify(&mut |_| {}).expect("all is in order");
}

#[test]
fn another_schema_is_refused_with_what_to_do() {
    for (found, advice) in [(SCHEMA - 1, "import the chain anew"), (SCHEMA + 1, "newer program")] {
        let backend = MemoryBackend::new();
        let mut batch = Batch::new();
        batch.put(Table::Meta, *b"schema", found.to_le_bytes().to_vec());
        backend.write(&batch).expect("memory takes all");
        let error = Store::open(backend, StoreConfig::default()).expect_err("another schema");
        assert!(matches!(error, StoreError::Schema { .. }), "{error}");
        says(&error, &[&format!("schema {found}"), &format!("schema {SCHEMA}"), advice]);
    }
}
