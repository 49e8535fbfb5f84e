//! Following a block while it is executed.
//!
//! What a block changes is final only when its last transaction has committed. But most of what has
//! to be known for the state root shows before: each commit says which keys it wrote. A
//! [`Follower`] hears of them in block order. It gets the time of threads that find nothing to
//! execute, which also tell it of transactions that have been executed and wait for their commit.
//! What it hears is for preparing: the block's output alone says what the block changed, and a
//! block that fails, or is given up, has changed nothing.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use alloy_evm::block::BalIndexedDatabase;
use alloy_primitives::{Address, B256, U256};
use pleach_state::mpt::{RootTask, TouchedKey};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    primitives::AddressMap,
    state::{Account, AccountInfo, EvmState},
};

use crate::{
    parallel::Work,
    sync::{MODEL, spin_loop},
};

/// Hears what a block in flight commits, and works on it while threads have nothing to execute.
pub trait Follower: Debug + Send + Sync {
    /// A transaction has committed, or what comes before or after the transactions, and wrote
    /// these keys. Called in block order, one call at a time.
    fn committed(&self, writes: &mut dyn Iterator<Item = TouchedKey>);

    /// A transaction that is not next to commit has been executed, and would write these keys. It
    /// may yet be executed again, and write others. Called in any order, by any number of threads
    /// at once, and not for all transactions: only by threads that find nothing to execute.
    fn executed(&self, writes: &mut dyn Iterator<Item = TouchedKey>) {
        let _ = writes;
    }

    /// A thread of the engine has nothing to execute. Does some microseconds of what there is to
    /// do, and says whether there was anything. Called by any number of threads at once.
    fn idle(&self) -> bool;
}

/// Reveals the ways to what is written.
impl Follower for RootTask {
    fn committed(&self, writes: &mut dyn Iterator<Item = TouchedKey>) {
        self.touch_all(writes);
    }

    fn executed(&self, writes: &mut dyn Iterator<Item = TouchedKey>) {
        self.touch_all(writes);
    }

    fn idle(&self) -> bool {
        self.work()
    }
}

/// What a state says was written.
pub(crate) fn written(state: &EvmState) -> impl Iterator<Item = TouchedKey> + '_ {
    let touched = state.iter().filter(|(_, account)| account.is_touched());
    touched.flat_map(|(address, account)| {
        let slots = account.changed_storage_slots();
        let slots = slots.map(|(slot, _)| TouchedKey::Slot(*address, *slot));
        std::iter::once(TouchedKey::Account(*address)).chain(slots)
    })
}

/// A database that tells a follower of what is committed to it.
#[derive(Debug)]
pub(crate) struct Followed<DB> {
    pub(crate) inner: DB,
    pub(crate) follower: Arc<dyn Follower>,
}

impl<DB: Database> Database for Followed<DB> {
    type Error = DB::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, DB::Error> {
        self.inner.basic(address)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, DB::Error> {
        self.inner.code_by_hash(code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, DB::Error> {
        self.inner.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, DB::Error> {
        self.inner.block_hash(number)
    }
}

impl<DB: BalIndexedDatabase> BalIndexedDatabase for Followed<DB> {
    fn set_bal_index(&mut self, index: u64) {
        self.inner.set_bal_index(index);
    }

    fn bump_bal_index(&mut self) {
        self.inner.bump_bal_index();
    }
}

impl<DB: DatabaseCommit> DatabaseCommit for Followed<DB> {
    fn commit(&mut self, changes: AddressMap<Account>) {
        self.follower.committed(&mut written(&changes));
        self.inner.commit(changes);
    }

    fn commit_iter(&mut self, changes: &mut dyn Iterator<Item = (Address, Account)>) {
        self.commit(changes.collect());
    }
}

/// Threads that have nothing to do but to help a follower, until the block is over.
#[derive(Debug)]
pub(crate) struct Help {
    follower: Arc<dyn Follower>,
    is_over: AtomicBool,
}

impl Help {
    pub(crate) fn of(follower: Arc<dyn Follower>) -> Arc<Self> {
        Arc::new(Self { follower, is_over: AtomicBool::new(false) })
    }

    /// Sends the helpers away. Relaxed: nothing that they did is read because of it.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Work for Help {
    fn work(&self) {
        help(&*self.follower, || self.is_over.load(Ordering::Relaxed));
    }
}

/// Rounds without anything to do after which a helper begins to sleep in between: some hundreds of
/// microseconds. Stages of a block follow each other sooner, and so do its transactions, and who is
/// asleep when the next one begins comes too late for much of it.
const PATIENT_ROUNDS: u32 = if MODEL { u32::MAX } else { 20_000 };
/// How long it sleeps then: about as long as a transaction takes.
pub(crate) const NAP: Duration = Duration::from_micros(20);

/// Helps a follower until it is over.
pub(crate) fn help(follower: &dyn Follower, is_over: impl Fn() -> bool) {
    help_until(is_over, || follower.idle(), || thread::sleep(NAP));
}

/// Helps, awake, until it is over. `work` does some of what there is to do and says whether there
/// was anything; where there has been nothing for long, the thread takes a nap in between.
pub(crate) fn help_until(
    is_over: impl Fn() -> bool,
    mut work: impl FnMut() -> bool,
    nap: impl Fn(),
) {
    let mut rounds = 0;
    while !is_over() {
        if work() {
            rounds = 0;
        } else if rounds < PATIENT_ROUNDS {
            rounds += 1;
            spin_loop();
        } else {
            nap();
        }
    }
}
