//! A prestate that can be made slow in random places, so that few cores see many interleavings.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use alloy_primitives::{Address, B256, Bytes, U256};
use parking_lot::{Condvar, Mutex};
use pleach_state::{FlatAccount, FlatState, StateError};
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

use super::rng::Rng;

/// A flat state whose reads stall now and then.
#[derive(Debug)]
pub(crate) struct SlowState {
    state: FlatState,
    /// How many reads of a hundred stall; 0 while the serial oracle runs.
    stalls: AtomicU64,
    reads: AtomicU64,
    seed: u64,
    meeting: Option<Meeting>,
}

/// Accounts whose readers wait for each other: they only get through side by side.
#[derive(Debug)]
struct Meeting {
    accounts: Vec<Address>,
    arrived: Mutex<Vec<Address>>,
    changed: Condvar,
}

/// Far longer than it takes on a busy machine: past it, nobody else comes.
const LONG: Duration = Duration::from_secs(60);

impl Meeting {
    fn attend(&self, address: Address) {
        if !self.accounts.contains(&address) {
            return;
        }
        let mut arrived = self.arrived.lock();
        if !arrived.contains(&address) {
            arrived.push(address);
            self.changed.notify_all();
        }
        let missing = |arrived: &mut Vec<Address>| arrived.len() < self.accounts.len();
        let waited = self.changed.wait_while_for(&mut arrived, missing, LONG);
        assert!(!waited.timed_out(), "nobody reads any but {arrived:?} meanwhile");
    }
}

impl SlowState {
    pub(crate) fn new(state: FlatState) -> Self {
        // Stalls need no replay: a result that depends on them is the bug that is looked for.
        let seed = RandomState::new().hash_one(0_u8);
        Self { state, stalls: AtomicU64::new(0), reads: AtomicU64::new(0), seed, meeting: None }
    }

    /// Lets the first readers of some accounts through only while all are at it.
    pub(crate) fn with_meeting(state: FlatState, accounts: impl Into<Vec<Address>>) -> Self {
        let (arrived, changed) = (Mutex::default(), Condvar::default());
        let meeting = Some(Meeting { accounts: accounts.into(), arrived, changed });
        Self { meeting, ..Self::new(state) }
    }

    /// What it reads from.
    pub(crate) const fn flat(&self) -> &FlatState {
        &self.state
    }

    pub(crate) fn set_stalls(&self, percent: u64) {
        self.stalls.store(percent, Ordering::Relaxed);
    }

    fn stall(&self) {
        let percent = self.stalls.load(Ordering::Relaxed);
        if percent == 0 {
            return;
        }
        let mut rng = Rng::new(self.seed ^ self.reads.fetch_add(1, Ordering::Relaxed));
        if rng.chance(percent) {
            match rng.chance(25) {
                true => std::thread::sleep(Duration::from_micros(rng.between(1, 60))),
                false => std::thread::yield_now(),
            }
        }
    }
}

impl DatabaseRef for SlowState {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.stall();
        if let Some(meeting) = &self.meeting {
            meeting.attend(address);
        }
        self.state.basic_ref(address)
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        self.state.code_by_hash_ref(code_hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        self.stall();
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.stall();
        self.state.block_hash_ref(number)
    }
}

/// Puts an account into a state: balance, nonce, code, slots.
pub(crate) fn put(
    state: &mut FlatState,
    address: Address,
    balance: impl super::machine::Word,
    nonce: u64,
    code: &[u8],
    slots: &[(u64, u64)],
) {
    let code_hash = state.insert_code(Bytes::copy_from_slice(code));
    let info = AccountInfo { balance: balance.word(), nonce, code_hash, ..Default::default() };
    let slots = slots.iter().map(|(slot, value)| (U256::from(*slot), U256::from(*value)));
    state.insert_account(address, FlatAccount { info, storage: slots.collect() });
}
