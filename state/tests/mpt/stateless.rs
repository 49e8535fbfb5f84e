//! Witnesses made of random states and blocks: each is enough, and nothing in it is too much.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use pleach_state::{
    StateError, WitnessState,
    mpt::{NoNodes, StateChanges, StateTrie, TouchedKey, TrieError},
    stateless::{ExecutionWitness, MadeWitness, Reads, WitnessError},
};
use revm::DatabaseRef;

use crate::{
    known::Known,
    model::{Filed, Nodes, Rng},
    properties::seeds,
};

const NUMBER: u64 = 1_000;

/// Why a witness was refused.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Missing {
    Account,
    Slot,
    ToUpdate,
    Sibling,
}

/// What a block that writes these keys read, one more account and slot among them.
fn reads(keys: &[TouchedKey], known: &Known, rng: &mut Rng) -> Reads {
    let mut reads = Reads::default();
    for key in keys {
        match key {
            TouchedKey::Account(address) => {
                reads.accounts.entry(*address).or_default();
            }
            TouchedKey::Slot(address, slot) => {
                reads.accounts.entry(*address).or_default().insert(*slot);
            }
        }
    }
    let address = known.addresses[rng.below(known.addresses.len() as u64) as usize];
    reads.accounts.entry(address).or_default().insert(U256::from(rng.below(80)));
    reads
}

/// What whoever is given the nodes finds: the root after the block, or the hash that is missing.
fn check(
    root: B256,
    nodes: &[Bytes],
    reads: &Reads,
    changes: &StateChanges,
) -> Result<B256, (B256, Missing)> {
    let mut state = WitnessState::new(root);
    for node in nodes {
        state.insert_node(node.clone());
    }
    for (address, slots) in &reads.accounts {
        state.basic_ref(*address).map_err(|error| named(&error, Missing::Account, *address))?;
        for slot in slots {
            let value = state.storage_ref(*address, *slot);
            value.map_err(|error| named(&error, Missing::Slot, *address))?;
        }
    }
    StateTrie::new(root).update(changes, &state).map_err(|error| match error {
        TrieError::MissingNode(node) => (node.hash, Missing::ToUpdate),
        TrieError::MissingSibling(node) => (node.hash, Missing::Sibling),
        other => panic!("another error: {other}"),
    })
}

/// The hash in an error, which also says for whom and on which path the node was needed.
fn named(error: &StateError, what: Missing, address: Address) -> (B256, Missing) {
    let StateError::MissingNode { hash, path, what: text } = error else {
        panic!("another error: {error}");
    };
    assert!(text.contains(&address.to_string()), "{error}");
    let way = match what {
        Missing::Account => keccak256(address).to_string(),
        _ => String::new(),
    };
    let is_on_the_way = way.is_empty() || way[2..].starts_with(path.as_str());
    assert!(is_on_the_way, "{path} is not on the way to {way}");
    (*hash, what)
}

fn make(
    (root, nodes): (B256, &Nodes),
    reads: &Reads,
    changes: &StateChanges,
) -> Result<MadeWitness, WitnessError> {
    let before = StateTrie::new(root);
    ExecutionWitness::of_block(NUMBER, reads, changes, before, &Filed(nodes.clone()), None)
}

#[test]
fn a_witness_is_enough_and_without_any_of_its_nodes_it_is_not() {
    let mut missing = BTreeMap::<String, usize>::new();
    for seed in seeds().take(30) {
        let mut rng = Rng(seed);
        let mut known = Known::new(&mut rng);
        let (root, nodes) = known.model.tries();
        let (changes, keys) = known.block(&mut rng);
        let reads = reads(&keys, &known, &mut rng);
        let expected = known.model.tries().0;
        let made = make((root, &nodes), &reads, &changes).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(made.state_root, expected, "PLEACH_SEED={seed} replays this");
        let given = made.witness.state;
        assert_eq!(check(root, &given, &reads, &changes), Ok(expected), "PLEACH_SEED={seed}");
        for left_out in 0..given.len() {
            let mut fewer = given.clone();
            let hash = keccak256(fewer.remove(left_out));
            let refused = check(root, &fewer, &reads, &changes);
            let (named, why) = refused.expect_err("a node that nobody needs");
            assert_eq!(named, hash, "{why:?}; PLEACH_SEED={seed} replays this");
            *missing.entry(format!("{why:?}")).or_default() += 1;

            // A forged node is filed under its own hash, so that the right one is missing.
            let mut forged = given.clone();
            let mut bytes = forged[left_out].to_vec();
            let place = rng.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << rng.below(8);
            forged[left_out] = bytes.into();
            let refused = check(root, &forged, &reads, &changes);
            assert_eq!(refused.expect_err("a forged node").0, hash, "PLEACH_SEED={seed}");
        }
    }
    eprintln!("{missing:?}");
    let kinds: BTreeSet<_> = missing.keys().map(String::as_str).collect();
    assert_eq!(kinds, BTreeSet::from(["Account", "Sibling", "Slot"]), "{missing:?}");
}

/// The same witness from nodes and from tries in memory, though those hold far more.
#[test]
fn tries_in_memory_give_the_same_witness() {
    for seed in seeds().take(40) {
        let mut rng = Rng(seed);
        let mut known = Known::new(&mut rng);
        let (root, nodes) = known.model.tries();
        let mut whole = StateTrie::empty();
        whole.update(&known.all(), &NoNodes).expect("nothing is hidden");
        assert_eq!(whole.root(), root);
        let (changes, keys) = known.block(&mut rng);
        let reads = reads(&keys, &known, &mut rng);
        let from_nodes = make((root, &nodes), &reads, &changes).expect("all nodes are there");
        let before = StateTrie::new(root);
        let from_tries = ExecutionWitness::of_block(NUMBER, &reads, &changes, before, &whole, None);
        assert_eq!(from_tries.expect("all is there"), from_nodes, "PLEACH_SEED={seed}");
    }
}

#[test]
fn headers_go_back_to_the_oldest_hash_that_was_asked_for() {
    let header = |number: u64| Some(Bytes::copy_from_slice(&number.to_be_bytes()));
    let made = |reads: &Reads, ancestors: &dyn Fn(u64) -> Option<Bytes>| {
        let (empty, changes) = (StateTrie::empty(), StateChanges::default());
        let made =
            ExecutionWitness::of_block(NUMBER, reads, &changes, empty, &NoNodes, Some(ancestors));
        made.map(|made| made.witness.headers)
    };
    let mut reads = Reads::default();
    assert_eq!(made(&reads, &header).unwrap(), [header(NUMBER - 1).unwrap()]);
    reads.block_hashes.insert(NUMBER - 3, B256::ZERO);
    reads.block_hashes.insert(NUMBER - 2, B256::ZERO);
    let expected: Vec<_> = (NUMBER - 3..NUMBER).filter_map(header).collect();
    assert_eq!(made(&reads, &header).unwrap(), expected);
    let gap = |number| header(number).filter(|_| number != NUMBER - 2);
    let error = made(&reads, &gap).expect_err("one is missing");
    let WitnessError::MissingAncestor { block: NUMBER, number } = error else {
        panic!("another error: {error}");
    };
    assert_eq!(number, NUMBER - 2);
}

#[test]
fn a_source_with_a_gap_is_reported() {
    let mut rng = Rng(5);
    let mut known = Known::new(&mut rng);
    let (root, mut nodes) = known.model.tries();
    let (changes, keys) = known.block(&mut rng);
    let reads = reads(&keys, &known, &mut rng);
    nodes.remove(&root);
    let error = make((root, &nodes), &reads, &changes).expect_err("the root is missing");
    assert!(error.to_string().contains(&root.to_string()), "{error}");
    assert!(matches!(error, WitnessError::Trie(TrieError::MissingNode(_))), "{error}");
}
