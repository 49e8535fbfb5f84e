//! Ethereum's state: the trie of accounts, and a trie of slots for each account that has any.

use std::collections::HashMap;

use alloy_primitives::{B256, U256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use foldhash::fast::RandomState;

use super::{
    changes::{AccountChange, StateChanges},
    error::TrieError,
    persist::{Journal, NodeChanges},
    reveal::{Reading, Siblings},
    source::{NoNodes, NodeSource},
    trie::{PartChanges, Trie},
    update::Change,
    value::AccountEdit,
    workers::TrieWorkers,
};
use crate::FlatState;

/// The state under a root, known as far as it was needed, from block to block.
///
/// ```
/// use alloy_primitives::{B256, U256};
/// use pleach_state::mpt::{AccountChange, AccountFields, NoNodes, StateChanges, StateTrie};
///
/// let account = AccountFields { nonce: 1, balance: U256::from(7), code_hash: B256::ZERO };
/// let change = AccountChange {
///     hashed_address: B256::repeat_byte(1),
///     account: Some(account),
///     wiped: false,
///     slots: vec![(B256::repeat_byte(2), U256::from(3))],
/// };
/// let mut state = StateTrie::empty();
/// let empty = state.root();
/// let changed = state.update(&StateChanges::new(vec![change]), &NoNodes)?;
/// assert_ne!(changed, empty);
/// # Ok::<(), pleach_state::mpt::TrieError>(())
/// ```
#[derive(Debug, Clone)]
pub struct StateTrie {
    pub(super) accounts: Trie<TrieAccount>,
    /// By hashed address: the tries that were needed so far.
    pub(super) storages: HashMap<B256, Trie<U256>, RandomState>,
    pub(super) workers: TrieWorkers,
    siblings: Siblings,
    /// Which tries have nodes to store; none if nobody stores nodes.
    pub(super) journal: Option<Journal>,
    /// Whether an update failed, which leaves the tries between two states.
    unusable: bool,
}

/// An account's slots on their way through an update.
pub(super) struct StorageUpdate<'a> {
    pub(super) owner: &'a B256,
    slots: &'a [(B256, U256)],
    pub(super) trie: Trie<U256>,
    changes: Vec<Change<U256>>,
}

/// Storage tries whose changes a thread lists at a time.
const LISTED_TOGETHER: usize = 256;
/// A storage trie that is revealed ahead of an update is forked when so many nodes are known: more
/// than a few slots are written.
const FORKED_EARLY: usize = 32;

impl StateTrie {
    /// The state under a root, of which nothing is known yet.
    pub fn new(root: B256) -> Self {
        Self {
            accounts: Trie::hidden(root),
            storages: HashMap::default(),
            workers: TrieWorkers::default(),
            siblings: Siblings::default(),
            journal: None,
            unusable: false,
        }
    }

    /// A state without accounts.
    pub fn empty() -> Self {
        Self::new(EMPTY_ROOT_HASH)
    }

    /// A whole state in memory.
    pub fn of_flat(state: &FlatState, workers: &TrieWorkers) -> Self {
        let mut tries = Self::empty().with_workers(workers.clone());
        let changes = StateChanges::of_flat(state, workers);
        tries.update(&changes, &NoNodes).expect("tries that began empty hide nothing");
        tries
    }

    /// Updates with these threads and this Keccak.
    #[must_use]
    pub fn with_workers(mut self, workers: TrieWorkers) -> Self {
        self.workers = workers;
        self
    }

    /// Says what to do about a missing sibling of a node that is taken out.
    #[must_use]
    pub const fn with_siblings(mut self, siblings: Siblings) -> Self {
        self.siblings = siblings;
        self
    }

    /// Remembers which nodes updates change, for [`StateTrie::take_node_changes`].
    #[must_use]
    pub fn recording_nodes(mut self) -> Self {
        self.journal = Some(Journal::default());
        self.accounts.record();
        self
    }

    /// What has to be done to stored nodes so that they are those of the present state, given that
    /// they are those of the state at the last call, or of the one that this trie began with.
    /// Nothing if nodes are not [recorded](Self::recording_nodes).
    pub fn take_node_changes(&mut self) -> NodeChanges {
        let Some(journal) = self.journal.as_mut().map(std::mem::take) else {
            return NodeChanges::default();
        };
        let mut nodes = Vec::new();
        self.accounts.take_changes(None, &mut nodes);
        for owner in &journal.owners {
            if let Some(storage) = self.storages.get_mut(owner) {
                storage.take_changes(Some(owner), &mut nodes);
            }
        }
        NodeChanges { wiped: journal.wiped.into_iter().collect(), nodes }
    }

    /// The threads and the Keccak that updates use.
    pub const fn workers(&self) -> &TrieWorkers {
        &self.workers
    }

    /// The state root after the last update.
    pub const fn root(&self) -> B256 {
        self.accounts.root()
    }

    /// Nodes of all tries that are known and held in memory.
    pub fn node_count(&self) -> usize {
        self.accounts.len() + self.storages.values().map(Trie::len).sum::<usize>()
    }

    pub(super) const fn accounts(&self) -> &Trie<TrieAccount> {
        &self.accounts
    }

    pub(super) fn storage(&self, owner: &B256) -> Option<&Trie<U256>> {
        self.storages.get(owner)
    }

    /// The account under a hashed address; none if the trie proves that there is none.
    ///
    /// # Errors
    /// If a node on the way is missing or corrupt.
    pub fn account(
        &mut self,
        hashed_address: &B256,
        source: &dyn NodeSource,
    ) -> Result<Option<TrieAccount>, TrieError> {
        let cx = Reading { source, owner: None, siblings: self.siblings };
        Ok(self.accounts.get(hashed_address, cx)?.copied())
    }

    /// Reveals the way to an account, and to one of its slots if one is given, without changing
    /// anything.
    ///
    /// # Errors
    /// If a node on the way is missing or corrupt.
    pub fn reveal(
        &mut self,
        hashed_address: &B256,
        hashed_slot: Option<&B256>,
        source: &dyn NodeSource,
    ) -> Result<(), TrieError> {
        let account = self.account(hashed_address, source)?;
        let (Some(account), Some(slot)) = (account, hashed_slot) else { return Ok(()) };
        if account.storage_root == EMPTY_ROOT_HASH {
            return Ok(());
        }
        let cx = Reading { source, owner: Some(hashed_address), siblings: self.siblings };
        let storage = self.storages.entry(*hashed_address);
        let storage = storage.or_insert_with(|| Trie::hidden(account.storage_root));
        storage.get(slot, cx).map(drop)?;
        // It is cheapest while little has to move.
        if self.workers.threads() > 1 && storage.len() >= FORKED_EARLY {
            storage.fork(self.workers.hashing(), cx)?;
        }
        Ok(())
    }

    /// Makes ready for changes on several threads, if there are several: nodes that are known by
    /// then do not have to move.
    ///
    /// # Errors
    /// If the root of the account trie is missing or corrupt.
    pub fn prepare(&mut self, source: &dyn NodeSource) -> Result<(), TrieError> {
        let cx = Reading { source, owner: None, siblings: self.siblings };
        if self.workers.threads() > 1 {
            self.accounts.fork(self.workers.hashing(), cx)
        } else {
            Ok(())
        }
    }

    /// Applies changes and returns the root of the state after them.
    ///
    /// # Errors
    /// If a node that the changes need is missing or corrupt. After that the tries are between two
    /// states, and every further update is [`TrieError::Unusable`].
    pub fn update(
        &mut self,
        changes: &StateChanges,
        source: &dyn NodeSource,
    ) -> Result<B256, TrieError> {
        if self.unusable {
            return Err(TrieError::Unusable);
        }
        self.unusable = true;
        let cx = Reading { source, owner: None, siblings: self.siblings };
        let changes = changes.accounts();
        if self.accounts.is_worth_forking(changes.len(), self.workers.threads()) {
            self.accounts.fork(self.workers.hashing(), cx)?;
        }
        let mut storage_roots = self.give_up_storages(changes);
        if self.is_small(changes) {
            self.update_in_shares(changes, &storage_roots, cx)?;
        } else {
            self.update_storages(changes, &mut storage_roots, cx)?;
            self.update_accounts(changes, &storage_roots, cx)?;
        }
        self.unusable = false;
        Ok(self.root())
    }

    /// Drops the storage tries that accounts lose, and says of each account whether it does, by the
    /// storage root that it then has.
    fn give_up_storages(&mut self, changes: &[AccountChange]) -> Vec<Option<B256>> {
        let give_up = |change: &AccountChange| {
            let loses = change.wiped || change.account.is_none();
            loses.then(|| {
                self.storages.remove(&change.hashed_address);
                if let Some(journal) = &mut self.journal {
                    journal.wiped.insert(change.hashed_address);
                }
                EMPTY_ROOT_HASH
            })
        };
        changes.iter().map(give_up).collect()
    }

    /// Updates the storage tries, and fills in the storage root of each account after its change,
    /// where that is another than before.
    fn update_storages(
        &mut self,
        changes: &[AccountChange],
        roots: &mut [Option<B256>],
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let written = (0..changes.len()).filter(|&index| changes[index].writes_slots());
        let written: Vec<_> = written.collect();
        self.find_storage_roots(changes, &written, roots, cx)?;
        let mut updates = Vec::with_capacity(written.len());
        for index in written {
            let root = roots[index].unwrap_or(EMPTY_ROOT_HASH);
            updates.push((index, self.storage_update(&changes[index], root, cx)?));
        }
        let lists = updates.chunks_mut(LISTED_TOGETHER).collect();
        self.workers.each(lists, |updates| {
            updates.iter_mut().for_each(|(_, update)| update.list_changes());
            Ok(())
        })?;
        let parts = updates.iter_mut().flat_map(|(_, update)| update.part_changes());
        self.workers.update(parts.collect(), cx)?;
        for (index, mut update) in updates {
            roots[index] = Some(update.settle_root(&self.workers, cx)?);
            self.storages.insert(*update.owner, update.trie);
        }
        Ok(())
    }

    /// Fills in the storage roots of accounts whose storage is written and whose storage trie is
    /// not known yet.
    fn find_storage_roots(
        &mut self,
        changes: &[AccountChange],
        written: &[usize],
        roots: &mut [Option<B256>],
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let address = |index: &usize| &changes[*index].hashed_address;
        let unknown = written.iter().filter(|index| {
            roots[**index].is_none() && !self.storages.contains_key(address(index))
        });
        let unknown: Vec<_> = unknown.copied().collect();
        let keys: Vec<_> = unknown.iter().map(address).collect();
        let found = self.workers.get_all(&mut self.accounts, &keys, cx)?;
        for (index, account) in unknown.into_iter().zip(found) {
            roots[index] = account.map(|account| account.storage_root);
        }
        Ok(())
    }

    fn storage_update<'a>(
        &mut self,
        change: &'a AccountChange,
        root: B256,
        cx: Reading<'_>,
    ) -> Result<StorageUpdate<'a>, TrieError> {
        let owner = &change.hashed_address;
        let known = self.storages.remove(owner);
        let mut trie = known.unwrap_or_else(|| Trie::hidden(root));
        if trie.is_worth_forking(change.slots.len(), self.workers.threads()) {
            trie.fork(self.workers.hashing(), Reading { owner: Some(owner), ..cx })?;
        }
        if let Some(journal) = &mut self.journal {
            journal.owners.insert(*owner);
            trie.record();
        }
        Ok(StorageUpdate::new(change, trie))
    }

    fn update_accounts(
        &mut self,
        changes: &[AccountChange],
        storage_roots: &[Option<B256>],
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let changes = changes.iter().zip(storage_roots).map(|(change, &storage_root)| Change {
            key: change.hashed_address,
            edit: change.account.map(|fields| AccountEdit { fields, storage_root }),
        });
        let changes: Vec<_> = changes.collect();
        let parts: Vec<PartChanges<'_, _>> = self.accounts.part_changes(&changes, None).collect();
        self.workers.update(parts, cx)?;
        self.accounts.settle_root(self.workers.hashing(), cx)
    }
}

impl<'a> StorageUpdate<'a> {
    pub(super) const fn new(change: &'a AccountChange, trie: Trie<U256>) -> Self {
        let AccountChange { hashed_address: owner, slots, .. } = change;
        Self { owner, slots: slots.as_slice(), trie, changes: Vec::new() }
    }

    /// Slots of zero are no slots.
    pub(super) fn list_changes(&mut self) {
        let edit = |value: &U256| (!value.is_zero()).then_some(*value);
        let slots = self.slots.iter();
        self.changes = slots.map(|(key, value)| Change { key: *key, edit: edit(value) }).collect();
    }

    /// The parts of the trie in which something changes, the changes being listed.
    pub(super) fn part_changes(&mut self) -> impl Iterator<Item = PartChanges<'_, U256>> {
        self.trie.part_changes(&self.changes, Some(self.owner))
    }

    /// The root after the changes, which have been applied to all parts.
    pub(super) fn settle_root(
        &mut self,
        workers: &TrieWorkers,
        cx: Reading<'_>,
    ) -> Result<B256, TrieError> {
        let cx = Reading { owner: Some(self.owner), ..cx };
        self.trie.settle_root(workers.hashing(), cx)?;
        Ok(self.trie.root())
    }
}
