//! Tries revealed beside execution, on a thread of their own.
//!
//! A block's changes are final only when its last transaction has committed, but which keys it
//! touches shows while it runs. A [`RootTask`] is told of them, from any thread and in any order,
//! hashes them and reveals the ways to them. So when the block is done, its update finds in memory
//! what it needs. What the task is told is a hint: it changes when nodes are revealed, never a
//! root, and a node that is missing is reported by the update alone.

use std::{
    collections::HashSet,
    io, mem,
    sync::Arc,
    thread::{self, JoinHandle},
};

use alloy_primitives::{Address, B256, U256};
use foldhash::fast::RandomState;
use parking_lot::{Condvar, Mutex};

use super::{source::NodeSource, state_trie::StateTrie};

/// So many keys are worth waking the task for. Fewer wait until there are more.
const WAKE_AT: usize = 32;

/// A key that a block reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TouchedKey {
    /// An account.
    Account(Address),
    /// A slot of an account.
    Slot(Address, U256),
}

/// What the task has been told and has not looked at yet.
#[derive(Debug, Default)]
struct Inbox {
    keys: Vec<TouchedKey>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    /// Signals that the inbox holds enough, or is closed.
    filled: Condvar,
}

/// Tells a [`RootTask`] what is touched. Clones tell the same task.
#[derive(Debug, Clone)]
pub struct RootHints(Arc<Shared>);

impl RootHints {
    /// Says that a key is touched, or will be.
    pub fn touch(&self, key: TouchedKey) {
        self.touch_all([key]);
    }

    /// Says that keys are touched, such as those of one transaction that has committed.
    pub fn touch_all(&self, keys: impl IntoIterator<Item = TouchedKey>) {
        let mut inbox = self.0.inbox.lock();
        let before = inbox.keys.len();
        inbox.keys.extend(keys);
        if before < WAKE_AT && inbox.keys.len() >= WAKE_AT {
            self.0.filled.notify_one();
        }
    }
}

/// A thread that holds a state's tries while a block runs.
#[derive(Debug)]
pub struct RootTask {
    shared: Arc<Shared>,
    thread: JoinHandle<StateTrie>,
}

impl RootTask {
    /// Starts a thread that reveals nodes of `state` from `source`.
    ///
    /// # Errors
    /// If the operating system refuses to start it.
    pub fn start(state: StateTrie, source: Arc<dyn NodeSource + Send + Sync>) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let inbox = Arc::clone(&shared);
        let builder = thread::Builder::new().name("pleach-root".to_owned());
        let thread = builder.spawn(move || reveal_until_closed(state, &inbox, &*source))?;
        Ok(Self { shared, thread })
    }

    /// Where to say what is touched.
    pub fn hints(&self) -> RootHints {
        RootHints(Arc::clone(&self.shared))
    }

    /// Ends the thread and hands the state back, for the block's update. Keys that the thread has
    /// not looked at yet are left to that.
    ///
    /// # Panics
    /// If the thread panicked, which would be our bug.
    pub fn finish(self) -> StateTrie {
        let mut inbox = self.shared.inbox.lock();
        inbox.is_closed = true;
        inbox.keys.clear();
        drop(inbox);
        self.shared.filled.notify_one();
        self.thread.join().expect("the thread that reveals does not panic")
    }
}

fn reveal_until_closed(
    mut state: StateTrie,
    shared: &Shared,
    source: &dyn NodeSource,
) -> StateTrie {
    let mut seen = HashSet::<TouchedKey, RandomState>::default();
    loop {
        let mut inbox = shared.inbox.lock();
        while inbox.keys.len() < WAKE_AT && !inbox.is_closed {
            shared.filled.wait(&mut inbox);
        }
        let mut keys = mem::take(&mut inbox.keys);
        let is_closed = inbox.is_closed;
        drop(inbox);
        if is_closed {
            return state;
        }
        keys.retain(|key| seen.insert(*key));
        let hashed = hash(&state, &keys);
        for (account, slot) in hashed {
            // A hint that leads nowhere is none; if the node is needed the update says so.
            let _ = state.reveal(&account, slot.as_ref(), source);
        }
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
