//! A whole small state, and its root.

use std::{collections::HashMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unsorted, storage_root_unhashed},
};
use pleach_state::{
    FlatAccount, FlatState,
    mpt::{NoNodes, StateChanges, StateTrie, TrieWorkers},
};
use revm::{
    database::{BundleAccount, BundleState},
    state::AccountInfo,
};

/// An account as a test file gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorldAccount {
    /// Balance in wei.
    pub balance: U256,
    /// Nonce.
    pub nonce: u64,
    /// Bytecode.
    pub code: Bytes,
    /// Slot to value.
    pub storage: Vec<(U256, U256)>,
}

/// All accounts of a test's chain at one block.
///
/// The root is computed from all accounts, each time; storage roots are kept, and computed
/// again for accounts that changed. Tries that are only told what changes must have the same root.
#[derive(Debug, Clone)]
pub struct World {
    state: Arc<FlatState>,
    storage_roots: HashMap<Address, B256>,
    tries: StateTrie,
}

impl World {
    /// The state that holds exactly these accounts.
    pub fn new(accounts: impl IntoIterator<Item = (Address, WorldAccount)>) -> Self {
        let mut world = Self {
            state: Arc::default(),
            storage_roots: HashMap::new(),
            tries: StateTrie::empty(),
        };
        let mut state = FlatState::new();
        for (address, account) in accounts {
            let code_hash = if account.code.is_empty() {
                KECCAK256_EMPTY
            } else {
                state.insert_code(account.code)
            };
            let info = AccountInfo {
                balance: account.balance,
                nonce: account.nonce,
                code_hash,
                code: None,
                ..AccountInfo::default()
            };
            let storage = account.storage.into_iter().filter(|(_, value)| !value.is_zero());
            let account = FlatAccount { info, storage: storage.collect() };
            world.insert(&mut state, address, account);
        }
        world.tries = StateTrie::of_flat(&state, &TrieWorkers::default());
        world.state = Arc::new(state);
        world
    }

    /// The state to execute on.
    pub const fn state(&self) -> &Arc<FlatState> {
        &self.state
    }

    /// The tries, of which everything is known.
    pub const fn tries(&self) -> &StateTrie {
        &self.tries
    }

    /// Adds the hash of a block, for `BLOCKHASH` in the blocks after it.
    pub fn insert_block_hash(&mut self, number: u64, hash: B256) {
        Arc::make_mut(&mut self.state).insert_block_hash(number, hash);
    }

    /// The state after a block's changes.
    pub fn after(&self, bundle: &BundleState) -> Self {
        let mut world = self.clone();
        let mut state = FlatState::clone(&self.state);
        bundle.contracts.iter().for_each(|(hash, code)| state.insert_bytecode(*hash, code.clone()));
        bundle.state.iter().for_each(|(address, account)| {
            world.change(&mut state, *address, account);
        });
        let changes = StateChanges::from_bundle(bundle, world.tries.workers());
        world.tries.update(&changes, &NoNodes).expect("tries that began empty hide nothing");
        world.state = Arc::new(state);
        world
    }

    /// The same state with an account at this address, an empty one if there was none.
    pub fn with_account(&self, address: Address) -> Self {
        let mut world = self.clone();
        if self.state.account(&address).is_none() {
            let mut state = FlatState::clone(&self.state);
            world.insert(&mut state, address, FlatAccount::default());
            world.tries = StateTrie::of_flat(&state, &TrieWorkers::default());
            world.state = Arc::new(state);
        }
        world
    }

    /// The state root. Which empty accounts exist is execution's doing: none is left out here.
    pub fn root(&self) -> B256 {
        let accounts = self.state.accounts().map(|(address, account)| {
            let info = &account.info;
            let leaf = TrieAccount {
                nonce: info.nonce,
                balance: info.balance,
                storage_root: self.storage_roots[address],
                code_hash: info.code_hash,
            };
            (keccak256(address), leaf)
        });
        let root = state_root_unsorted(accounts);
        assert_eq!(self.tries.root(), root, "two ways to the state root disagree: ours is wrong");
        root
    }

    fn change(&mut self, state: &mut FlatState, address: Address, change: &BundleAccount) {
        let before = state.remove_account(&address);
        let Some(info) = &change.info else {
            self.storage_roots.remove(&address);
            return;
        };
        let kept = before.filter(|_| !change.was_destroyed());
        let mut storage = kept.map(|account| account.storage).unwrap_or_default();
        let slots = change.storage.iter();
        storage.extend(slots.map(|(slot, value)| (*slot, value.present_value)));
        storage.retain(|_, value| !value.is_zero());
        let info = AccountInfo { code: None, ..info.clone() };
        self.insert(state, address, FlatAccount { info, storage });
    }

    fn insert(&mut self, state: &mut FlatState, address: Address, account: FlatAccount) {
        let slots = account.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        self.storage_roots.insert(address, storage_root_unhashed(slots));
        state.insert_account(address, account);
    }
}
