//! Tries revealed beside execution.
//!
//! A block's changes are final only when its last transaction has committed, but which keys it
//! writes shows while it runs. A [`RootTask`] is told of them, from any thread and in any order,
//! and is worked on by whoever has time: it hashes the keys and reveals the ways to them. So when
//! the block is done, its update finds in memory what it needs. What the task is told is a hint:
//! it changes when nodes are revealed, never a root, and a node that is missing is reported by
//! the update alone.

use std::{collections::HashSet, fmt, sync::Arc};

use alloy_primitives::{Address, B256, U256};
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::{source::NodeSource, state_trie::StateTrie};

/// Keys that are hashed and revealed in one go: as many as a vector hashes at a time. It takes
/// about as long as a plain transfer.
const PORTION: usize = 8;

/// A key that a block reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TouchedKey {
    /// An account.
    Account(Address),
    /// A slot of an account.
    Slot(Address, U256),
}

/// A state's tries while a block runs. Clones are of the same task.
#[derive(Clone)]
pub struct RootTask(Arc<Shared>);

struct Shared {
    /// What the task has been told and has not looked at yet.
    inbox: Mutex<Vec<TouchedKey>>,
    /// Held by who works on the task.
    desk: Mutex<Desk>,
    source: Arc<dyn NodeSource + Send + Sync>,
}

struct Desk {
    state: StateTrie,
    /// Every key that was told.
    seen: HashSet<TouchedKey, RandomState>,
    /// Keys to reveal, the next one last.
    open: Vec<TouchedKey>,
}

impl fmt::Debug for RootTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootTask")
    }
}

impl RootTask {
    /// A task that reveals nodes of `state` from `source`.
    pub fn new(mut state: StateTrie, source: Arc<dyn NodeSource + Send + Sync>) -> Self {
        // If the root is missing the update says so.
        let _ = state.prepare(&*source);
        let desk = Mutex::new(Desk { state, seen: HashSet::default(), open: Vec::new() });
        Self(Arc::new(Shared { inbox: Mutex::default(), desk, source }))
    }

    /// Says that a key is touched, or will be.
    pub fn touch(&self, key: TouchedKey) {
        self.touch_all([key]);
    }

    /// Says that keys are touched, such as those of one transaction that has committed.
    pub fn touch_all(&self, keys: impl IntoIterator<Item = TouchedKey>) {
        self.0.inbox.lock().extend(keys);
    }

    /// Reveals the ways to a few keys. False if there was nothing to do, or another thread is at
    /// it already.
    pub fn work(&self) -> bool {
        let Some(mut desk) = self.0.desk.try_lock() else { return false };
        let Desk { state, seen, open } = &mut *desk;
        if open.is_empty() {
            let told = std::mem::take(&mut *self.0.inbox.lock());
            open.extend(told.into_iter().rev().filter(|key| seen.insert(*key)));
        }
        let rest = open.len().saturating_sub(PORTION);
        let portion = open.split_off(rest);
        for (account, slot) in hash(state, &portion) {
            // A hint that leads nowhere is none; if the node is needed the update says so.
            let _ = state.reveal(&account, slot.as_ref(), &*self.0.source);
        }
        !portion.is_empty()
    }

    /// Hands the state back, for the block's update. Keys that nobody has looked at yet are left
    /// to that. Afterwards nobody finds anything to do for this task.
    pub fn finish(self) -> StateTrie {
        self.0.inbox.lock().clear();
        let mut desk = self.0.desk.lock();
        desk.open.clear();
        std::mem::replace(&mut desk.state, StateTrie::empty())
    }
}

/// The hashed address, and the hashed slot if it is one, of each key.
fn hash(state: &StateTrie, keys: &[TouchedKey]) -> Vec<(B256, Option<B256>)> {
    let slots: Vec<Option<B256>> = keys
        .iter()
        .map(|key| match key {
            TouchedKey::Account(_) => None,
            TouchedKey::Slot(_, slot) => Some(B256::from(*slot)),
        })
        .collect();
    let addresses = keys.iter().map(|key| match key {
        TouchedKey::Account(address) | TouchedKey::Slot(address, _) => address.as_slice(),
    });
    let numbers = slots.iter().flatten().map(|slot| slot.as_slice());
    let messages: Vec<_> = addresses.chain(numbers).collect();
    let mut hashes = state.workers().hash_here(&messages);
    let mut hashed_slots = hashes.split_off(keys.len()).into_iter();
    let slot = |slot: &Option<B256>| slot.and_then(|_| hashed_slots.next());
    hashes.into_iter().zip(slots.iter().map(slot)).collect()
}
