//! Random states, changed at random over several blocks: every root must be the oracle's.
//!
//! `PLEACH_CASES=N` sets how many states are tried; `PLEACH_SEED=S` replays one.

use std::env;

use alloy_primitives::{B256, U256};
use pleach_state::mpt::{
    AccountChange, AccountFields, NoNodes, NodeSource, Siblings, StateChanges, StateTrie,
    TrieError, TrieWorkers,
};

use crate::model::{Filed, Model, Nodes, Rng};

/// Tried unless the environment says otherwise.
const DEFAULT_CASES: u64 = 400;
const BLOCKS: usize = 6;

pub(crate) fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

pub(crate) fn seeds() -> impl Iterator<Item = u64> {
    match number("PLEACH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLEACH_CASES").unwrap_or(DEFAULT_CASES),
    }
}

/// How many accounts a block changes: mostly few, at times enough to fork the account trie.
fn size(rng: &mut Rng) -> usize {
    let choices = if rng.chance(10) { 7 } else { 6 };
    [0, 1, 2, 5, 20, 60, 600][rng.below(choices) as usize]
}

pub(crate) fn block(
    state: &mut StateTrie,
    model: &mut Model,
    rng: &mut Rng,
    source: &dyn NodeSource,
) -> B256 {
    let count = size(rng);
    let changes = model.change(rng, count);
    state.update(&changes, source).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_state_kept_in_memory_has_the_oracles_root_after_each_block() {
    let pool = TrieWorkers::new(2).expect("two threads start");
    for seed in seeds() {
        let mut rng = Rng(seed);
        let workers = if rng.chance(50) { pool.clone() } else { TrieWorkers::default() };
        let mut state = StateTrie::empty().with_workers(workers);
        let mut model = Model::default();
        for index in 0..BLOCKS {
            let root = block(&mut state, &mut model, &mut rng, &NoNodes);
            let expected = model.tries().0;
            assert_eq!(root, expected, "block {index}; PLEACH_SEED={seed} replays this");
            assert_eq!(state.root(), root);
        }
    }
}

#[test]
fn a_state_revealed_from_nodes_has_the_oracles_root() {
    let pool = TrieWorkers::new(2).expect("two threads start");
    for seed in seeds() {
        let mut rng = Rng(seed);
        let mut model = Model::default();
        model.change(&mut rng, 200);
        let (mut root, mut nodes) = model.tries();
        let mut state = StateTrie::new(root).with_workers(pool.clone());
        for index in 0..BLOCKS {
            let got = block(&mut state, &mut model, &mut rng, &Filed(nodes.clone()));
            let (expected, later) = model.tries();
            assert_eq!(got, expected, "block {index}; PLEACH_SEED={seed} replays this");
            // The next block begins with what is known, or with the hash alone.
            root = expected;
            if rng.chance(50) {
                nodes = later;
                state = StateTrie::new(root).with_workers(pool.clone());
            } else {
                nodes.extend(later);
            }
        }
    }
}

/// The fewest nodes with which an update succeeds: each is added when its absence is reported.
#[test]
fn every_missing_node_is_named_by_hash_and_place_until_none_is() {
    let mut siblings = 0;
    for seed in seeds().take(100) {
        let mut rng = Rng(seed);
        let mut model = Model::default();
        model.change(&mut rng, 40);
        let (before, all) = model.tries();
        let changes = model.change(&mut rng, 12);
        let expected = model.tries().0;
        let mut given = Nodes::new();
        let root = loop {
            let mut state = StateTrie::new(before);
            match state.update(&changes, &Filed(given.clone())) {
                Ok(root) => break root,
                Err(TrieError::MissingNode(node)) => add(&mut given, &all, node.hash, seed),
                Err(TrieError::MissingSibling(node)) => {
                    siblings += 1;
                    add(&mut given, &all, node.hash, seed);
                }
                Err(other) => panic!("{other}; PLEACH_SEED={seed} replays this"),
            }
            let error = state.update(&changes, &Filed(all.clone())).expect_err("it has failed");
            assert!(matches!(error, TrieError::Unusable), "{error}");
        };
        assert_eq!(root, expected, "PLEACH_SEED={seed} replays this");
        assert!(given.len() <= all.len());
    }
    assert!(
        siblings > 0 || number("PLEACH_SEED").is_some(),
        "no branch was merged with a stranger"
    );
}

fn add(given: &mut Nodes, all: &Nodes, hash: B256, seed: u64) {
    let rlp = all.get(&hash).unwrap_or_else(|| panic!("{hash} is no node; PLEACH_SEED={seed}"));
    let known = given.insert(hash, rlp.clone());
    assert!(known.is_none(), "{hash} was there already; PLEACH_SEED={seed} replays this");
}

/// A sibling that is not there and is a branch leads to the right root if it is taken for one, and
/// to a wrong one if it is a leaf or an extension: the root tells.
#[test]
fn absent_siblings_can_be_taken_for_branches() {
    let (mut right, mut wrong) = (0, 0);
    for seed in seeds() {
        let mut rng = Rng(seed);
        let mut model = Model::default();
        model.change(&mut rng, 300);
        let (before, all) = model.tries();
        let changes = model.change(&mut rng, 12);
        let mut given = Nodes::new();
        let outcome = loop {
            let state = StateTrie::new(before).with_siblings(Siblings::AssumeBranches);
            match { state }.update(&changes, &Filed(given.clone())) {
                Err(TrieError::MissingNode(node)) => add(&mut given, &all, node.hash, seed),
                outcome => break outcome,
            }
        };
        let strict = StateTrie::new(before).update(&changes, &Filed(given.clone()));
        match (outcome, strict) {
            (Ok(root), Ok(strict)) => assert_eq!(root, strict, "PLEACH_SEED={seed}"),
            (Ok(root), Err(TrieError::MissingSibling(_))) if root == model.tries().0 => {
                right += 1;
            }
            // At the end of all keys there are leaves only.
            (Ok(_) | Err(TrieError::MissingSibling(_)), Err(_)) => wrong += 1,
            (outcome, _) => panic!("{outcome:?}; PLEACH_SEED={seed} replays this"),
        }
    }
    eprintln!("{right} siblings were branches, {wrong} were not");
    assert!((right > 0 && wrong > 0) || number("PLEACH_SEED").is_some(), "nothing was tried");
}

/// A trie whose keys all begin with one nibble is divided when many others come: what was its root
/// is then a node below the new one, though nothing in it changes.
#[test]
fn a_lone_part_that_stays_as_it_is_counts_in_the_root() {
    let key = |first: u8, rest: u8| {
        let mut key = B256::repeat_byte(rest);
        key[0] = first;
        key
    };
    let fields = AccountFields { nonce: 1, balance: U256::from(7), code_hash: B256::ZERO };
    let account = |hashed_address, slots| AccountChange {
        hashed_address,
        account: Some(fields),
        wiped: false,
        slots,
    };
    let pool = TrieWorkers::new(2).expect("two threads start");
    let alone = TrieWorkers::default();
    for (workers, old, new) in [(&pool, 1, 40), (&pool, 3, 40), (&alone, 1, 300), (&alone, 2, 300)]
    {
        let old: Vec<B256> = (0..old).map(|index| key(0x31, index)).collect();
        let new: Vec<B256> =
            (0..new).map(|index| key(0x40 + (index % 0xc0) as u8, (index / 0xc0) as u8)).collect();
        let all: Vec<B256> = old.iter().chain(&new).copied().collect();
        // As slots of one account, and as accounts.
        let slots = |keys: &[B256]| {
            let slots = keys.iter().map(|key| (*key, U256::from(1000))).collect();
            StateChanges::new(vec![account(key(0x77, 1), slots)])
        };
        let accounts = |keys: &[B256]| {
            StateChanges::new(keys.iter().map(|key| account(*key, Vec::new())).collect())
        };
        for changes in [&slots as &dyn Fn(&[B256]) -> StateChanges, &accounts] {
            let update = |state: &mut StateTrie, keys: &[B256]| {
                state.update(&changes(keys), &NoNodes).expect("nothing is hidden")
            };
            let expected = update(&mut StateTrie::empty(), &all);
            let mut state = StateTrie::empty().with_workers(workers.clone());
            update(&mut state, &old);
            assert_eq!(update(&mut state, &new), expected, "{} and {} keys", old.len(), new.len());
        }
    }
}
