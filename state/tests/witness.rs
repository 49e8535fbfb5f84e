//! `WitnessState` and `Recorder` against tries that alloy-trie's `HashBuilder` makes.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{
    EMPTY_ROOT_HASH, HashBuilder, KECCAK_EMPTY, Nibbles, TrieAccount, proof::ProofRetainer,
};
use pleach_state::{FlatState, Recorder, StateError, WitnessState};
use revm::DatabaseRef;

/// The root and all nodes of a trie over hashed keys.
fn trie(leaves: &BTreeMap<B256, Vec<u8>>) -> (B256, Vec<Bytes>) {
    let keys: Vec<_> = leaves.keys().map(Nibbles::unpack).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(keys));
    for (key, value) in leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    (root, nodes.into_iter().map(|(_, rlp)| rlp).collect())
}

fn storage_trie(slots: impl IntoIterator<Item = (U256, U256)>) -> (B256, Vec<Bytes>) {
    let hashed = |slot: U256| keccak256(B256::from(slot));
    trie(&slots.into_iter().map(|(slot, value)| (hashed(slot), alloy_rlp::encode(value))).collect())
}

fn address(index: u64) -> Address {
    Address::from_word(B256::from(U256::from(index)))
}

fn account(nonce: u64, storage_root: B256) -> TrieAccount {
    TrieAccount::new(nonce, U256::from(nonce) * U256::from(10), storage_root, KECCAK_EMPTY)
}

fn witness(accounts: &[(Address, TrieAccount)], extra: Vec<Bytes>) -> WitnessState {
    let leaves =
        accounts.iter().map(|(address, account)| (keccak256(address), alloy_rlp::encode(account)));
    let (root, nodes) = trie(&leaves.collect());
    let mut witness = WitnessState::new(root);
    for node in nodes.into_iter().chain(extra) {
        witness.insert_node(node);
    }
    witness
}

#[test]
fn every_account_of_a_large_trie_is_found_and_others_are_proven_absent() {
    let accounts: Vec<_> = (0..500).map(|i| (address(i), account(i, EMPTY_ROOT_HASH))).collect();
    let witness = witness(&accounts, Vec::new());
    for (address, expected) in &accounts {
        let info = witness.basic_ref(*address).unwrap().expect("the account is in the trie");
        assert_eq!((info.nonce, info.balance), (expected.nonce, expected.balance));
        assert_eq!(info.code_hash, KECCAK_EMPTY);
        assert_eq!(witness.storage_ref(*address, U256::from(1)).unwrap(), U256::ZERO);
    }
    for i in 500..1000 {
        assert_eq!(witness.basic_ref(address(i)).unwrap(), None);
        assert_eq!(witness.storage_ref(address(i), U256::from(i)).unwrap(), U256::ZERO);
    }
}

#[test]
fn storage_is_read_through_the_accounts_own_trie() {
    let slots =
        |factor: u64| (0..300_u64).map(move |i| (U256::from(i), U256::from(i * factor + 1)));
    let (root_a, nodes_a) = storage_trie(slots(3));
    let (root_b, nodes_b) = storage_trie(slots(5).map(|(slot, value)| (slot, value << 200)));
    let accounts = [(address(1), account(1, root_a)), (address(2), account(2, root_b))];
    let witness = witness(&accounts, nodes_a.into_iter().chain(nodes_b).collect());
    for i in 0..300_u64 {
        let slot = U256::from(i);
        let (a, b) = (U256::from(i * 3 + 1), U256::from(i * 5 + 1) << 200);
        assert_eq!(witness.storage_ref(address(1), slot).unwrap(), a);
        assert_eq!(witness.storage_ref(address(2), slot).unwrap(), b);
        let absent = slot + U256::from(300);
        assert_eq!(witness.storage_ref(address(1), absent).unwrap(), U256::ZERO);
    }
}

/// The first two slots whose hashed keys share this many leading nibbles, and not one more.
fn slots_sharing(nibbles: usize) -> (U256, U256) {
    let mut seen: BTreeMap<Vec<u8>, U256> = BTreeMap::new();
    for slot in (0..).map(U256::from) {
        let hashed = Nibbles::unpack(keccak256(B256::from(slot)));
        let other = seen.insert(hashed.slice(..nibbles).to_vec(), slot);
        let differs = |other: &U256| {
            Nibbles::unpack(keccak256(B256::from(*other))).get(nibbles) != hashed.get(nibbles)
        };
        if let Some(other) = other.filter(differs) {
            return (other, slot);
        }
    }
    unreachable!("hashes collide in few nibbles soon")
}

#[test]
fn extension_nodes_are_followed_and_prove_absence() {
    let (first, second) = slots_sharing(4);
    let (root, nodes) = storage_trie([(first, U256::from(11)), (second, U256::from(22))]);
    assert_eq!(nodes.first().map(|rlp| rlp[1] & 0xf0 == 0x80), Some(true), "an extension's key");
    let witness = witness(&[(address(1), account(1, root))], nodes);
    assert_eq!(witness.storage_ref(address(1), first).unwrap(), U256::from(11));
    assert_eq!(witness.storage_ref(address(1), second).unwrap(), U256::from(22));
    for slot in (0..200).map(U256::from).filter(|slot| ![first, second].contains(slot)) {
        assert_eq!(witness.storage_ref(address(1), slot).unwrap(), U256::ZERO);
    }
}

/// A trie of two leaves that share all but their last nibble: both leaves are inlined in the branch
/// (each is shorter than 32 bytes), and the branch itself fits in 32 bytes as well.
fn inline_trie(key: B256, values: [u8; 2]) -> (B256, Vec<Bytes>, B256) {
    let mut sibling = key;
    sibling.0[31] ^= 1;
    let leaves = BTreeMap::from([
        (key, alloy_rlp::encode(U256::from(values[0]))),
        (sibling, alloy_rlp::encode(U256::from(values[1]))),
    ]);
    let (root, nodes) = trie(&leaves);
    (root, nodes, sibling)
}

#[test]
fn nodes_below_32_bytes_are_read_inside_their_parent() {
    // No two addresses or slots are known whose hashes agree in 63 nibbles, so the sibling stands
    // for a slot that nobody can name, and its presence is what makes the nodes inline.
    let slot = U256::from(7);
    let key = keccak256(B256::from(slot));
    let (root, nodes, _) = inline_trie(key, [42, 43]);
    let inlined: Vec<_> = nodes.iter().filter(|rlp| rlp.len() >= 32).cloned().collect();
    assert_eq!(inlined.len(), 1, "only the extension at the top has a hash");
    let witness = witness(&[(address(1), account(1, root))], inlined);
    assert_eq!(witness.storage_ref(address(1), slot).unwrap(), U256::from(42));
    assert_eq!(witness.storage_ref(address(1), U256::from(8)).unwrap(), U256::ZERO);
}

#[test]
fn a_missing_node_is_an_error_that_names_it() {
    let (storage_root, nodes) = storage_trie((0..40).map(|i| (U256::from(i), U256::from(1))));
    let full = witness(&[(address(1), account(1, storage_root))], Vec::new());
    let error = full.storage_ref(address(1), U256::from(3)).unwrap_err();
    let StateError::MissingNode { hash, path, what } = &error else {
        panic!("expected a missing node, got {error}");
    };
    assert_eq!((*hash, path.as_str()), (storage_root, ""));
    assert!(what.contains("slot 0x3 of account"), "{what}");

    // Without one inner node some slots fail, each by that node's hash, and all others are read.
    let missing = keccak256(nodes.last().unwrap());
    let extra = nodes[..nodes.len() - 1].to_vec();
    let partial = witness(&[(address(1), account(1, storage_root))], extra);
    let reads: Vec<_> = (0..40).map(|i| partial.storage_ref(address(1), U256::from(i))).collect();
    assert!(reads.iter().any(Result::is_ok));
    let errors: Vec<_> = reads.into_iter().filter_map(Result::err).collect();
    assert!(!errors.is_empty());
    for error in errors {
        assert!(matches!(error, StateError::MissingNode { hash, path, .. }
            if hash == missing && !path.is_empty()));
    }
    let empty = WitnessState::new(B256::repeat_byte(9));
    assert!(matches!(empty.basic_ref(address(1)), Err(StateError::MissingNode { .. })));
}

#[test]
fn an_empty_trie_proves_that_nothing_exists() {
    let witness = WitnessState::new(EMPTY_ROOT_HASH);
    assert_eq!(witness.basic_ref(address(1)).unwrap(), None);
    assert_eq!(witness.storage_ref(address(1), U256::ZERO).unwrap(), U256::ZERO);
    assert_eq!(witness.node_count(), 0);
}

/// A witness whose root node is the given bytes, whatever they are.
fn rooted_at(rlp: impl Into<Bytes>) -> WitnessState {
    let rlp = rlp.into();
    let mut witness = WitnessState::new(keccak256(&rlp));
    witness.insert_node(rlp);
    witness
}

#[test]
fn bytes_that_are_no_node_are_an_error_that_shows_them() {
    let mut branch = vec![0x80_u8; 17];
    branch.insert(0, 0xc0 + 17);
    let valid = rooted_at(branch.clone());
    assert_eq!(valid.basic_ref(address(1)).unwrap(), None, "a branch without children");
    let trailing = [branch.clone(), vec![0]].concat();
    let with_value = [&branch[..17], &[0x01]].concat();
    // A leaf whose path is one nibble long although nothing lies above it.
    let short_leaf = vec![0xc3, 0x31, 0x81, 0x80];
    let empty_child = vec![0xc2, 0x11, 0x80];
    for bytes in [trailing, with_value, short_leaf, empty_child, vec![0x80], vec![], vec![0xff; 90]]
    {
        let witness = rooted_at(bytes.clone());
        if witness.root() == EMPTY_ROOT_HASH {
            continue;
        }
        let reads = (0..32).map(|i| witness.basic_ref(address(i)));
        let error = reads.filter_map(Result::err).next().expect("the node is refused");
        let StateError::CorruptNode { hash, raw, .. } = &error else {
            panic!("expected a corrupt node, got {error}");
        };
        assert_eq!(*hash, keccak256(&bytes));
        assert!(raw.len() <= 64);
    }
}

#[test]
fn a_leaf_that_is_no_account_is_an_error() {
    let leaves = BTreeMap::from([(
        keccak256(address(1)),
        b"no account, but forty bytes of text....".to_vec(),
    )]);
    let (root, nodes) = trie(&leaves);
    let mut witness = WitnessState::new(root);
    nodes.into_iter().for_each(|node| {
        witness.insert_node(node);
    });
    let error = witness.basic_ref(address(1)).unwrap_err();
    assert!(matches!(error, StateError::CorruptLeaf { kind: "account", .. }), "{error}");
}

#[test]
fn codes_and_block_hashes_come_by_their_keys() {
    let mut witness = WitnessState::new(EMPTY_ROOT_HASH);
    let code = Bytes::from_static(&[0x60, 0x01, 0x5b, 0x00]);
    let hash = witness.insert_code(code.clone());
    assert_eq!(witness.code_by_hash_ref(hash).unwrap().original_bytes(), code);
    assert!(witness.code_by_hash_ref(KECCAK_EMPTY).unwrap().is_empty());
    let code_hash = B256::repeat_byte(1);
    let missing = witness.code_by_hash_ref(code_hash).unwrap_err();
    assert_eq!(missing, StateError::MissingCode { code_hash });

    let header = Header { number: 9, parent_hash: B256::repeat_byte(8), ..Header::default() };
    witness.insert_ancestor(&header);
    assert_eq!(witness.block_hash_ref(9).unwrap(), header.hash_slow());
    assert_eq!(witness.block_hash_ref(8).unwrap(), B256::repeat_byte(8));
    let missing = witness.block_hash_ref(7).unwrap_err();
    assert_eq!(missing, StateError::MissingBlockHash { number: 7 });
}

#[test]
fn a_recorder_leaves_a_flat_state_with_all_that_was_read() {
    let (root, nodes) = storage_trie((1..50).map(|i| (U256::from(i), U256::from(i * 2))));
    let accounts = [(address(1), account(1, root)), (address(2), account(2, EMPTY_ROOT_HASH))];
    let mut inner = witness(&accounts, nodes);
    let code = inner.insert_code(Bytes::from_static(&[0x5b]));
    inner.insert_block_hash(5, B256::repeat_byte(5));

    let recorder = Recorder::new(inner);
    // The slot is read before its account, and one slot of an account that does not exist.
    assert_eq!(recorder.storage_ref(address(1), U256::from(3)).unwrap(), U256::from(6));
    assert_eq!(recorder.storage_ref(address(3), U256::from(3)).unwrap(), U256::ZERO);
    recorder.basic_ref(address(2)).unwrap();
    recorder.basic_ref(address(4)).unwrap();
    recorder.code_by_hash_ref(code).unwrap();
    recorder.block_hash_ref(5).unwrap();
    assert!(recorder.code_by_hash_ref(B256::repeat_byte(7)).is_err());

    let flat = recorder.into_flat();
    assert_eq!(flat.len(), 2, "absent accounts stay absent");
    for state in [&flat, &flat.deep_clone()] {
        assert_recorded(state, code);
    }
}

fn assert_recorded(flat: &FlatState, code: B256) {
    assert_eq!(flat.basic_ref(address(1)).unwrap().unwrap().nonce, 1);
    assert_eq!(flat.basic_ref(address(2)).unwrap().unwrap().nonce, 2);
    assert_eq!(flat.basic_ref(address(3)).unwrap(), None);
    assert_eq!(flat.storage_ref(address(1), U256::from(3)).unwrap(), U256::from(6));
    assert_eq!(flat.storage_ref(address(1), U256::from(4)).unwrap(), U256::ZERO, "never read");
    assert_eq!(flat.code_by_hash_ref(code).unwrap().original_bytes(), Bytes::from_static(&[0x5b]));
    assert_eq!(flat.block_hash_ref(5).unwrap(), B256::repeat_byte(5));
}
