//! Updates of few changes: each thread makes all of its share of the accounts, storage and all.
//!
//! The stages of a large update follow each other: which storage tries are written, their roots,
//! then the accounts; and at the end of each, threads wait for the last of them. Where a stage
//! takes some tens of microseconds, that is much of the time. Accounts below different nibbles have
//! nothing in common but the root, so here a thread takes some nibbles and does not look up.

use std::cmp::Reverse;

use alloy_primitives::{B256, U256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};

use super::{
    changes::AccountChange,
    error::TrieError,
    part::Part,
    reveal::Reading,
    state_trie::{StateTrie, StorageUpdate},
    trie::{PartChanges, Trie},
    update::Change,
    value::AccountEdit,
    workers::TrieWorkers,
};

/// Changes for each thread up to which an update is made in shares.
const FEW_CHANGES: usize = 256;
/// What part of a thread's share the changes of one account may be: threads had better divide the
/// storage of one that has more.
const LARGEST: usize = 2;
/// Fewer changes than that are not worth dividing.
const UNDIVIDED: usize = 32;

/// What one thread makes.
#[derive(Default)]
struct Share<'a> {
    places: Vec<Place<'a>>,
    weight: usize,
}

/// Changes in one part of the account trie.
struct Place<'a> {
    part: &'a mut Part<TrieAccount>,
    accounts: Vec<AccountUpdate<'a>>,
    weight: usize,
}

/// An account on its way through an update.
struct AccountUpdate<'a> {
    change: &'a AccountChange,
    /// The new storage root; none if the storage stays as it is.
    storage_root: Option<B256>,
    /// The storage trie, if it is written and was known before.
    known: Option<Trie<U256>>,
    storage: Option<StorageUpdate<'a>>,
}

impl StateTrie {
    /// Whether an update is one that is made in shares.
    pub(super) fn is_small(&self, changes: &[AccountChange]) -> bool {
        let (total, threads) = (weight(changes), self.workers.threads());
        let largest = changes.iter().map(|change| change.slots.len()).max().unwrap_or(0);
        let is_even = largest <= UNDIVIDED || largest * LARGEST * threads <= total;
        threads > 1 && total <= FEW_CHANGES * threads && is_even
    }

    /// Updates all tries, given the storage roots of accounts that lose the storage they had.
    pub(super) fn update_in_shares(
        &mut self,
        changes: &[AccountChange],
        roots: &[Option<B256>],
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        let Self { accounts, storages, journal, workers, .. } = self;
        if let Some(journal) = journal {
            let written = changes.iter().filter(|change| change.writes_slots());
            journal.owners.extend(written.map(|change| change.hashed_address));
        }
        let mut updates = changes.iter().zip(roots).map(|(change, root)| AccountUpdate {
            change,
            storage_root: *root,
            known: change.writes_slots().then(|| storages.remove(&change.hashed_address)).flatten(),
            storage: None,
        });
        let places = accounts.divide(changes, |change| &change.hashed_address);
        let places = places.filter(|(_, own)| !own.is_empty()).map(|(part, own)| {
            let accounts = updates.by_ref().take(own.len()).collect();
            Place { part, accounts, weight: weight(own) }
        });
        let mut shares = divide(places.collect(), workers.threads());
        let records = journal.is_some();
        workers.each(shares.iter_mut().collect(), |share| share.make(workers, records, cx))?;
        let places = shares.into_iter().flat_map(|share| share.places);
        let made = places.flat_map(|place| place.accounts).filter_map(|account| account.storage);
        storages.extend(made.map(|update| (*update.owner, update.trie)));
        accounts.settle_root(workers.hashing(), cx)
    }
}

/// How much there is to do, in leaves.
fn weight(changes: &[AccountChange]) -> usize {
    changes.iter().map(|change| 1 + change.slots.len()).sum()
}

/// Shares of about the same weight, one for each thread.
fn divide(mut places: Vec<Place<'_>>, threads: usize) -> Vec<Share<'_>> {
    let mut shares: Vec<Share<'_>> = (0..threads).map(|_| Share::default()).collect();
    places.sort_by_key(|place| Reverse(place.weight));
    for place in places {
        let lightest = shares.iter_mut().min_by_key(|share| share.weight);
        let lightest = lightest.expect("there is a thread");
        lightest.weight += place.weight;
        lightest.places.push(place);
    }
    shares.retain(|share| !share.places.is_empty());
    shares
}

impl Share<'_> {
    fn make(
        &mut self,
        workers: &TrieWorkers,
        records: bool,
        cx: Reading<'_>,
    ) -> Result<(), TrieError> {
        for place in &mut self.places {
            place.find_storages(records, cx)?;
        }
        let accounts = self.places.iter_mut().flat_map(|place| &mut place.accounts);
        let storages = accounts.filter_map(|account| account.storage.as_mut());
        let parts = storages.flat_map(StorageUpdate::part_changes);
        workers.update_here(&mut parts.collect::<Vec<_>>(), cx)?;

        let mut changes = Vec::with_capacity(self.places.len());
        for place in &mut self.places {
            changes.push(place.account_changes(workers, cx)?);
        }
        let parts = self.places.iter_mut().zip(&changes);
        let parts =
            parts.map(|(Place { part, .. }, changes)| PartChanges { part, changes, owner: None });
        workers.update_here(&mut parts.collect::<Vec<_>>(), cx)
    }
}

impl<'a> Place<'a> {
    /// Finds the storage tries that are written.
    fn find_storages(&mut self, records: bool, cx: Reading<'_>) -> Result<(), TrieError> {
        self.part.warm(self.accounts.iter().map(|account| &account.change.hashed_address));
        for account in self.accounts.iter_mut().filter(|account| account.change.writes_slots()) {
            let owner = &account.change.hashed_address;
            let mut trie = match (account.known.take(), account.storage_root) {
                (Some(known), _) => known,
                (None, Some(root)) => Trie::hidden(root),
                (None, None) => {
                    let held = self.part.get(owner, cx)?;
                    Trie::hidden(held.map_or(EMPTY_ROOT_HASH, |account| account.storage_root))
                }
            };
            if records {
                trie.record();
            }
            let mut update = StorageUpdate::new(account.change, trie);
            update.list_changes();
            account.storage = Some(update);
        }
        Ok(())
    }

    /// The changes of the accounts' leaves, their storage tries being up to date but for the roots.
    fn account_changes(
        &mut self,
        workers: &TrieWorkers,
        cx: Reading<'_>,
    ) -> Result<Vec<Change<TrieAccount>>, TrieError> {
        let changes = self.accounts.iter_mut().map(
            |AccountUpdate { change, storage_root, storage, .. }| {
                if let Some(storage) = storage {
                    *storage_root = Some(storage.settle_root(workers, cx)?);
                }
                let edit = |fields| AccountEdit { fields, storage_root: *storage_root };
                Ok(Change { key: change.hashed_address, edit: change.account.map(edit) })
            },
        );
        changes.collect()
    }
}
