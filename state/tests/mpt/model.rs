//! A state in plain maps, the changes to make of it, and its root by `HashBuilder`.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount, proof::ProofRetainer};
use pleach_state::mpt::{
    AccountChange, AccountFields, NodePlace, NodeSource, SourceError, StateChanges,
};

pub(crate) use crate::rng::Rng;

impl Rng {
    /// A key that looks hashed, or one of few that differ in few nibbles only, so that tries get
    /// long paths, nodes below 32 bytes, and the same keys again.
    pub(crate) fn key(&mut self, scattered: bool) -> B256 {
        let mut key = B256::ZERO;
        if scattered {
            let word = self.below(4_000);
            return keccak256(word.to_be_bytes());
        }
        for place in [0, 0, 1, 9, 29, 31] {
            if self.chance(40) {
                key[place] ^= [0x01, 0x10, 0x23, 0xf0][self.below(4) as usize];
            }
        }
        key
    }

    /// A slot's value: mostly short, so that leaves deep down are inlined.
    pub(crate) fn value(&mut self) -> U256 {
        let word = U256::from(self.next());
        match self.below(4) {
            0 => word << self.below(192) as usize,
            1 => word,
            _ => U256::from(1 + self.below(200)),
        }
    }
}

/// An account with its slots by hashed number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModelAccount {
    pub(crate) fields: AccountFields,
    pub(crate) slots: BTreeMap<B256, U256>,
}

/// A state by hashed address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) accounts: BTreeMap<B256, ModelAccount>,
}

/// Trie nodes by their hash.
pub(crate) type Nodes = BTreeMap<B256, Bytes>;

/// Nodes as a source, by their hash alone.
pub(crate) struct Filed(pub(crate) Nodes);

impl NodeSource for Filed {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        Ok(self.0.get(place.hash).cloned())
    }
}

/// Trie nodes by the hashed address that their trie belongs to, and their path.
pub(crate) type PlacedNodes = BTreeMap<(Option<B256>, Nibbles), Bytes>;

/// The root over leaves, and all nodes that have a hash.
pub(crate) fn trie(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> (B256, Nodes) {
    let (root, nodes) = trie_by_path(leaves);
    (root, nodes.into_iter().map(|(_, rlp)| (keccak256(&rlp), rlp)).collect())
}

fn trie_by_path(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> (B256, Vec<(Nibbles, Bytes)>) {
    let leaves: BTreeMap<B256, Vec<u8>> = leaves.collect();
    let keys: Vec<_> = leaves.keys().map(Nibbles::unpack).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(keys));
    for (key, value) in &leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    (root, nodes)
}

impl Model {
    /// The state root, and all nodes that are not in their parent, by their places.
    pub(crate) fn tries_by_place(&self) -> (B256, PlacedNodes) {
        let mut placed = PlacedNodes::new();
        let mut leaves = Vec::new();
        let mut place = |owner, nodes: Vec<(Nibbles, Bytes)>| {
            let stored = nodes.into_iter().filter(|(_, rlp)| rlp.len() >= 32);
            placed.extend(stored.map(|(path, rlp)| ((owner, path), rlp)));
        };
        for (key, account) in &self.accounts {
            let slots = account.slots.iter().map(|(slot, v)| (*slot, alloy_rlp::encode(v)));
            let (storage_root, nodes) = trie_by_path(slots);
            place(Some(*key), nodes);
            let AccountFields { nonce, balance, code_hash } = account.fields;
            let leaf = TrieAccount::new(nonce, balance, storage_root, code_hash);
            leaves.push((*key, alloy_rlp::encode(leaf)));
        }
        let (root, nodes) = trie_by_path(leaves.into_iter());
        place(None, nodes);
        (root, placed)
    }

    /// The state root, and the nodes of all tries.
    pub(crate) fn tries(&self) -> (B256, Nodes) {
        let mut nodes = Nodes::new();
        let mut leaves = Vec::new();
        for (key, account) in &self.accounts {
            let slots = account.slots.iter().map(|(slot, v)| (*slot, alloy_rlp::encode(v)));
            let (storage_root, storage) = trie(slots);
            nodes.extend(storage);
            let AccountFields { nonce, balance, code_hash } = account.fields;
            let leaf = TrieAccount::new(nonce, balance, storage_root, code_hash);
            leaves.push((*key, alloy_rlp::encode(leaf)));
        }
        let (root, accounts) = trie(leaves.into_iter());
        nodes.extend(accounts);
        if self.accounts.is_empty() {
            assert_eq!(root, EMPTY_ROOT_HASH, "the oracle knows the empty trie");
        }
        (root, nodes)
    }

    /// Makes random changes and says which.
    pub(crate) fn change(&mut self, rng: &mut Rng, count: usize) -> StateChanges {
        let scattered = rng.chance(50);
        let deletions = [5, 30, 90][rng.below(3) as usize];
        let mut changes = BTreeMap::new();
        for _ in 0..count {
            let address = match self.accounts.len() {
                0 => rng.key(scattered),
                held if rng.chance(60) => {
                    *self.accounts.keys().nth(rng.below(held as u64) as usize).expect("held")
                }
                _ => rng.key(scattered),
            };
            changes.entry(address).or_insert_with(|| self.change_account(address, rng, deletions));
        }
        StateChanges::new(changes.into_values().collect())
    }

    fn change_account(&mut self, address: B256, rng: &mut Rng, deletions: u64) -> AccountChange {
        let known = self.accounts.contains_key(&address);
        if rng.chance(deletions) {
            self.accounts.remove(&address);
            let slots = Vec::new();
            return AccountChange { hashed_address: address, account: None, wiped: known, slots };
        }
        let fields = AccountFields {
            nonce: rng.below(300),
            balance: U256::from(rng.next()) << rng.below(100) as usize,
            code_hash: B256::repeat_byte(rng.below(3) as u8),
        };
        let wiped = rng.chance(10);
        let account = self
            .accounts
            .entry(address)
            .or_insert_with(|| ModelAccount { fields, slots: BTreeMap::new() });
        // Some changes concern the storage only.
        if rng.chance(70) {
            account.fields = fields;
        }
        if wiped {
            account.slots.clear();
        }
        let slots = change_slots(&mut account.slots, rng, deletions, wiped);
        let account = Some(account.fields);
        AccountChange { hashed_address: address, account, wiped, slots }
    }
}

fn change_slots(
    slots: &mut BTreeMap<B256, U256>,
    rng: &mut Rng,
    deletions: u64,
    wiped: bool,
) -> Vec<(B256, U256)> {
    let scattered = rng.chance(50);
    let choices = if rng.chance(3) { 6 } else { 5 };
    let count = [0, 0, 1, 3, 12, 300][rng.below(choices) as usize];
    let mut changes = BTreeMap::new();
    for _ in 0..count {
        let known = slots.keys().nth(rng.below(1 + slots.len() as u64) as usize).copied();
        let slot = known.filter(|_| rng.chance(60)).unwrap_or_else(|| rng.key(scattered));
        let value = if rng.chance(deletions) { U256::ZERO } else { rng.value() };
        changes.insert(slot, value);
    }
    for (slot, value) in &changes {
        if value.is_zero() {
            slots.remove(slot)
        } else {
            slots.insert(*slot, *value)
        };
    }
    changes.into_iter().filter(|(_, value)| !wiped || !value.is_zero()).collect()
}
