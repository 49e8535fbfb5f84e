//! Nodes that are no nodes, or stand where they cannot.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U256, keccak256};
use pleach_state::mpt::{
    AccountChange, AccountFields, NodePlace, NodeSource, SourceError, StateChanges, StateTrie,
    TrieError,
};

use crate::model::{Filed, Model, Rng};

fn change(hashed_address: B256) -> StateChanges {
    let account = AccountFields { nonce: 1, balance: U256::ONE, code_hash: B256::ZERO };
    let account = Some(account);
    let slots = vec![(B256::ZERO, U256::ONE)];
    StateChanges::new(vec![AccountChange { hashed_address, account, wiped: false, slots }])
}

/// A state whose root node is the given bytes.
fn rooted_at(rlp: &[u8]) -> Result<B256, TrieError> {
    let hash = keccak256(rlp);
    let nodes = BTreeMap::from([(hash, Bytes::copy_from_slice(rlp))]);
    StateTrie::new(hash).update(&change(B256::ZERO), &Filed(nodes))
}

#[test]
fn bytes_that_are_no_node_are_refused_with_their_hash() {
    let branch_of = |children: usize| {
        let mut items = vec![0x80_u8; 17 - children];
        items.splice(0..0, [&[0xa0][..], &[7; 32]].concat().repeat(children));
        let length = items.len();
        match length {
            0..=55 => [&[0xc0 + length as u8][..], &items].concat(),
            _ => [&[0xf8, length as u8][..], &items].concat(),
        }
    };
    let cases = [
        ("Truncated", vec![0xff; 90]),
        ("empty", vec![]),
        ("string", vec![0x83, 1, 2, 3]),
        ("fewer than two", branch_of(0)),
        ("fewer than two", branch_of(1)),
        ("behind the node", [branch_of(2), vec![0]].concat()),
        ("where keys end", vec![0xc3, 0x31, 0x81, 0x80]),
        ("extension to nothing", vec![0xc2, 0x11, 0x80]),
        ("flag", vec![0xc2, 0x55, 0x01]),
    ];
    for (what, rlp) in cases {
        let error = rooted_at(&rlp).expect_err(what);
        let TrieError::CorruptNode { node, raw, .. } = &error else {
            panic!("{what}: {error}");
        };
        assert_eq!((node.hash, &*node.path, node.owner), (keccak256(&rlp), "", None), "{what}");
        assert!(raw.len() <= 64 && rlp.starts_with(raw), "{what}");
    }
}

#[test]
fn a_leaf_that_is_no_account_is_refused() {
    let mut rlp = vec![0xe3, 0xa1, 0x20];
    rlp.extend([0; 32]);
    rlp.push(0x07);
    let error = rooted_at(&rlp).expect_err("seven is no account");
    assert!(error.to_string().contains("no valid account"), "{error}");
}

#[test]
fn a_missing_storage_node_names_the_account_and_the_path() {
    let mut model = Model::default();
    let mut rng = Rng(1);
    while model.accounts.values().all(|account| account.slots.len() < 8) {
        model.change(&mut rng, 50);
    }
    let (root, nodes) = model.tries();
    let owner = model.accounts.iter().find(|(_, a)| a.slots.len() >= 8).map(|(key, _)| *key);
    let owner = owner.expect("the loop found one");
    let slots = model.accounts[&owner].slots.iter();
    let slots = slots.map(|(slot, value)| (*slot, alloy_rlp::encode(value)));
    let (_, storage) = crate::model::trie(slots);
    for hash in storage.keys() {
        let mut partial = nodes.clone();
        partial.remove(hash);
        let slots = model.accounts[&owner].slots.keys().map(|slot| (*slot, U256::MAX)).collect();
        let account = Some(model.accounts[&owner].fields);
        let change = AccountChange { hashed_address: owner, account, wiped: false, slots };
        let changes = StateChanges::new(vec![change]);
        let error = StateTrie::new(root).update(&changes, &Filed(partial)).expect_err("a gap");
        let TrieError::MissingNode(node) = &error else {
            panic!("expected a missing node, got {error}");
        };
        assert_eq!((node.owner, &node.hash), (Some(owner), hash));
        assert!(error.to_string().contains(&hash.to_string()), "{error}");
    }
}

#[test]
fn what_the_source_says_is_passed_on() {
    struct Broken;
    impl NodeSource for Broken {
        fn node(&self, _: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
            Err("the disk is gone".into())
        }
    }
    let root = B256::repeat_byte(3);
    let error = StateTrie::new(root).update(&change(B256::ZERO), &Broken).expect_err("no disk");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    assert!(matches!(error, TrieError::Source { node, .. } if node.hash == root));
}
