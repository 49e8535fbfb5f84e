//! The same roots from a trie that others wrote for another chain, changed key by key.

use std::sync::Arc;

use alloy_primitives::{B256, U256, keccak256};
use alloy_trie::TrieAccount;
use cita_trie::{Hasher, MemoryDB, PatriciaTrie, Trie};
use pleach_state::mpt::{NoNodes, StateChanges, StateTrie};

use crate::{
    model::{Model, Rng},
    properties::seeds,
};

struct Keccak;

impl Hasher for Keccak {
    const LENGTH: usize = 32;

    fn digest(&self, data: &[u8]) -> Vec<u8> {
        keccak256(data).to_vec()
    }
}

/// A state in tries of the other kind.
struct Other {
    database: Arc<MemoryDB>,
    accounts: PatriciaTrie<MemoryDB, Keccak>,
}

impl Other {
    fn new() -> Self {
        let database = Arc::new(MemoryDB::new(false));
        let accounts = PatriciaTrie::new(Arc::clone(&database), Arc::new(Keccak));
        Self { database, accounts }
    }

    /// Makes changes one after another, and returns the root.
    fn update(&mut self, changes: &StateChanges) -> B256 {
        for change in changes.accounts() {
            let key = change.hashed_address;
            let Some(fields) = change.account else {
                self.accounts.remove(key.as_slice()).expect("all nodes are there");
                continue;
            };
            let held = self.accounts.get(key.as_slice()).expect("all nodes are there");
            let held = held.map(|rlp| alloy_rlp::decode_exact::<TrieAccount>(rlp).expect("ours"));
            let before = held.filter(|_| !change.wiped).map(|held| held.storage_root);
            let storage_root = self.update_storage(before, &change.slots);
            let account =
                TrieAccount::new(fields.nonce, fields.balance, storage_root, fields.code_hash);
            let rlp = alloy_rlp::encode(account);
            self.accounts.insert(key.to_vec(), rlp).expect("all nodes are there");
        }
        B256::from_slice(&self.accounts.root().expect("all nodes are there"))
    }

    fn update_storage(&self, before: Option<B256>, slots: &[(B256, U256)]) -> B256 {
        let (database, keccak) = (Arc::clone(&self.database), Arc::new(Keccak));
        let mut trie = match before.filter(|root| *root != alloy_trie::EMPTY_ROOT_HASH) {
            Some(root) => PatriciaTrie::from(database, keccak, root.as_slice()).expect("it is"),
            None => PatriciaTrie::new(database, keccak),
        };
        for (slot, value) in slots {
            if value.is_zero() {
                trie.remove(slot.as_slice()).expect("all nodes are there");
            } else {
                trie.insert(slot.to_vec(), alloy_rlp::encode(value)).expect("all nodes are there");
            }
        }
        B256::from_slice(&trie.root().expect("all nodes are there"))
    }
}

#[test]
fn a_trie_of_another_make_has_the_same_roots() {
    for seed in seeds().take(60) {
        let mut rng = Rng(seed);
        let (mut ours, mut other) = (StateTrie::empty(), Other::new());
        let mut model = Model::default();
        for block in 0..6 {
            let count = [1, 5, 40, 300][rng.below(4) as usize];
            let changes = model.change(&mut rng, count);
            let root = ours.update(&changes, &NoNodes).expect("nothing is hidden");
            let expected = other.update(&changes);
            assert_eq!(root, expected, "block {block}; PLEACH_SEED={seed} replays this");
        }
    }
}
