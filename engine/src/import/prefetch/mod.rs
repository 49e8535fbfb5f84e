//! The third stage: what a block will read is read from disk before it executes.
//!
//! What that is, is known in part ([`wanted`]), in part guessed from what earlier blocks have read
//! ([`predict`]). One thread reads it for block after block. Where a read takes so long that it
//! must come from a disk, others read beside it, for a disk answers many at a time; the block is
//! then handed on at once, and what has not been read when it executes is read by whoever needs it.
//! Only there are guesses made, and the tries' nodes read: elsewhere both take longer than a read.
//!
//! Only the caches change: whether a read was fetched ahead or not, its answer is the same, and a
//! read that fails here fails again where it matters.

mod predict;
mod wanted;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Instant,
};

use alloy_primitives::{Address, B256, U256, keccak256};
use parking_lot::{Mutex, RwLock};
use pleach_state::store::Snapshot;
use revm::DatabaseRef;

use super::{ImportError, cached::Cached, input::ReadyBlock, report::Clocks};
use crate::RecoveredBlock;
use predict::Habits;
use wanted::Wanted;

/// A read that takes longer than so many nanoseconds comes from a disk.
const FROM_DISK: u64 = 30_000;
/// Reads that another thread takes at a time.
const PORTION: usize = 16;
/// Portions that wait for those threads.
const PORTIONS: usize = 256;
/// Blocks that have been handed on and not been learnt from.
const UNLEARNT: usize = 64;

type State = Arc<Cached<Snapshot>>;

/// Reads ahead, from the state that execution reads.
#[derive(Debug)]
pub(super) struct Prefetcher {
    below: RwLock<State>,
    /// How long a read takes that no cache answers, in nanoseconds, as an average of the last ones.
    /// Relaxed: it is a measurement.
    latency: AtomicU64,
    /// The last block that has been executed. Relaxed: what is learnt of it is a guess.
    executed: AtomicU64,
}

/// Things to read from a state.
struct Portion {
    wanted: Vec<Wanted>,
    state: State,
}

impl Prefetcher {
    pub(super) const fn new(below: State) -> Self {
        let (latency, executed) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { below: RwLock::new(below), latency, executed }
    }

    /// The state that execution reads.
    pub(super) fn below(&self) -> State {
        self.below.read().clone()
    }

    /// From now on execution reads this state.
    pub(super) fn replace(&self, below: State) {
        *self.below.write() = below;
    }

    /// A block has been executed.
    pub(super) fn executed(&self, number: u64) {
        self.executed.store(number, Ordering::Relaxed);
    }

    /// Whether reads come from a disk.
    fn is_slow(&self) -> bool {
        self.latency.load(Ordering::Relaxed) > FROM_DISK
    }

    /// Fetches for blocks that come, in their order, and hands them on; so many more threads read
    /// as well.
    pub(super) fn run(
        &self,
        readers: usize,
        blocks: &Receiver<Result<ReadyBlock, ImportError>>,
        next: &SyncSender<Result<ReadyBlock, ImportError>>,
        clocks: &Clocks,
    ) {
        let (to_readers, portions) = sync_channel(PORTIONS);
        let portions = &Mutex::new(portions);
        thread::scope(|scope| {
            for _ in 0..readers {
                scope.spawn(move || self.read_portions(portions));
            }
            // Dropped at the end, which ends the readers.
            let to_readers = (readers > 0).then_some(to_readers);
            let mut guesses = Guesses::default();
            while let Ok(ready) = blocks.recv() {
                if let Ok(ready) = &ready {
                    clocks.time(&clocks.prefetch, || {
                        let wanted = guesses.wanted_by(ready, self);
                        self.fetch(wanted, to_readers.as_ref());
                    });
                }
                if next.send(ready).is_err() {
                    return;
                }
            }
        });
    }

    fn read_portions(&self, portions: &Mutex<Receiver<Portion>>) {
        loop {
            // Whoever waits for a portion holds the lock, the others wait for that.
            let portion = portions.lock().recv();
            let Ok(Portion { wanted, state }) = portion else { return };
            self.read(&wanted, &state);
        }
    }

    /// Reads here, or has others read.
    fn fetch(&self, wanted: Vec<Wanted>, readers: Option<&SyncSender<Portion>>) {
        let state = self.below();
        let Some(readers) = readers.filter(|_| self.is_slow() && wanted.len() > PORTION) else {
            return self.read(&wanted, &state);
        };
        for wanted in wanted.chunks(PORTION) {
            let portion = Portion { wanted: wanted.to_vec(), state: state.clone() };
            // Read here if they have enough to do.
            if let Err(TrySendError::Full(portion) | TrySendError::Disconnected(portion)) =
                readers.try_send(portion)
            {
                self.read(&portion.wanted, &portion.state);
            }
        }
    }

    /// Reads what no cache has yet, and the tries' nodes above it.
    fn read(&self, wanted: &[Wanted], state: &Cached<Snapshot>) {
        let begin = Instant::now();
        let with_nodes = self.is_slow();
        let read = wanted.iter().filter(|wanted| read_one(**wanted, with_nodes, state));
        let fresh = read.count() as u64;
        if let Some(took) = (begin.elapsed().as_nanos() as u64).checked_div(fresh) {
            let before = self.latency.load(Ordering::Relaxed);
            self.latency.store((3 * before + took) / 4, Ordering::Relaxed);
        }
    }
}

/// Reads one thing, if no cache has it, and the nodes above it if that is asked for. Returns
/// whether it was read.
fn read_one(wanted: Wanted, with_nodes: bool, state: &Cached<Snapshot>) -> bool {
    match wanted {
        Wanted::Account(address) => {
            let fresh = state.hint_account(address);
            if fresh && with_nodes {
                touch_nodes(address, None, state);
            }
            fresh
        }
        Wanted::Callee(address) => {
            let fresh = read_one(Wanted::Account(address), with_nodes, state);
            if let Ok(Some(info)) = state.basic_ref(address)
                && !info.is_empty_code_hash()
            {
                let _ = state.code_by_hash_ref(info.code_hash);
            }
            fresh
        }
        Wanted::Slot(address, slot) => {
            let fresh = state.hint_slot(address, slot);
            if fresh && with_nodes {
                touch_nodes(address, Some(slot), state);
            }
            fresh
        }
    }
}

/// Brings the pages into memory on which the nodes above a key lie.
fn touch_nodes(address: Address, slot: Option<U256>, state: &Cached<Snapshot>) {
    let slot = slot.map(|slot| keccak256(B256::from(slot)));
    let _ = state.below().touch_nodes(&keccak256(address), slot.as_ref());
}

/// What is guessed of blocks, and learnt from them.
#[derive(Debug, Default)]
struct Guesses {
    habits: Habits,
    /// Blocks that have been handed on, the first one first.
    unlearnt: VecDeque<Arc<RecoveredBlock>>,
}

impl Guesses {
    /// Everything that a block is known or guessed to read. Learns from those that have been
    /// executed.
    fn wanted_by(&mut self, ready: &ReadyBlock, prefetcher: &Prefetcher) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        wanted::known(ready, &mut wanted);
        if !prefetcher.is_slow() {
            self.unlearnt.clear();
            return wanted;
        }
        let executed = prefetcher.executed.load(Ordering::Relaxed);
        let below = prefetcher.below();
        let is_over = |block: &mut Arc<RecoveredBlock>| block.header().number <= executed;
        while let Some(block) = self.unlearnt.pop_front_if(is_over) {
            self.habits.learn(&block, |address, slot| below.has_read(address, slot));
        }
        if ready.access_list().is_none() {
            self.habits.predict(&ready.block, &mut wanted);
        }
        if self.unlearnt.len() < UNLEARNT {
            self.unlearnt.push_back(ready.block.clone());
        }
        wanted
    }
}
