//! The third stage: what a block is known to read is read from disk before it executes.
//!
//! Only the caches change: whether a read was fetched ahead or not, its answer is the same, and a
//! read that fails here fails again where it matters.

use std::sync::{
    Arc,
    mpsc::{Receiver, SyncSender},
};

use alloy_consensus::Header;
use alloy_eips::{
    eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS},
    eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, U256};
use parking_lot::RwLock;
use pleach_state::store::Snapshot;
use revm::{DatabaseRef, context::TxEnv, context_interface::either::Either};

use super::{ImportError, cached::Cached, input::ReadyBlock, report::Clocks};
use crate::RecoveredBlock;

/// Roots that EIP-4788's contract keeps.
const BEACON_ROOTS: u64 = 8191;

/// Reads ahead, from the state that execution reads.
#[derive(Debug)]
pub(super) struct Prefetcher {
    below: RwLock<Arc<Cached<Snapshot>>>,
}

impl Prefetcher {
    pub(super) const fn new(below: Arc<Cached<Snapshot>>) -> Self {
        Self { below: RwLock::new(below) }
    }

    /// The state that execution reads.
    pub(super) fn below(&self) -> Arc<Cached<Snapshot>> {
        self.below.read().clone()
    }

    /// From now on execution reads this state.
    pub(super) fn replace(&self, below: Arc<Cached<Snapshot>>) {
        *self.below.write() = below;
    }

    /// Fetches for blocks that come, in their order, and hands them on.
    pub(super) fn run(
        &self,
        blocks: &Receiver<Result<ReadyBlock, ImportError>>,
        next: &SyncSender<Result<ReadyBlock, ImportError>>,
        clocks: &Clocks,
    ) {
        while let Ok(ready) = blocks.recv() {
            if let Ok(ready) = &ready {
                let below = self.below();
                clocks.time(&clocks.prefetch, || fetch(&ready.block, &*below));
            }
            if next.send(ready).is_err() {
                return;
            }
        }
    }
}

/// Reads what a block will read whatever its transactions do.
fn fetch(block: &RecoveredBlock, state: &impl DatabaseRef) {
    let header = block.header();
    let body = &block.block().body;
    let account = |address| {
        let _ = state.basic_ref(address);
    };
    account(header.beneficiary);
    body.ommers.iter().for_each(|ommer| account(ommer.beneficiary));
    body.withdrawals.iter().flatten().for_each(|withdrawal| account(withdrawal.address));
    fetch_system_contracts(header, state);
    block.tx_envs().iter().for_each(|tx| fetch_transaction(tx, state));
}

/// An account, and its code if it has one.
fn fetch_callee(address: Address, state: &impl DatabaseRef) {
    if let Ok(Some(info)) = state.basic_ref(address)
        && !info.is_empty_code_hash()
    {
        let _ = state.code_by_hash_ref(info.code_hash);
    }
}

fn fetch_transaction(tx: &TxEnv, state: &impl DatabaseRef) {
    let _ = state.basic_ref(tx.caller);
    tx.kind.to().into_iter().for_each(|target| fetch_callee(*target, state));
    for item in tx.access_list.iter() {
        let _ = state.basic_ref(item.address);
        item.storage_keys.iter().for_each(|slot| {
            let _ = state.storage_ref(item.address, (*slot).into());
        });
    }
    for authorization in &tx.authorization_list {
        if let Either::Right(recovered) = authorization
            && let Some(authority) = recovered.authority()
        {
            fetch_callee(authority, state);
        }
    }
}

/// The contracts that are called before the first transaction and after the last, where they are
/// there, and the slots that they write.
fn fetch_system_contracts(header: &Header, state: &impl DatabaseRef) {
    if header.parent_beacon_block_root.is_some() {
        fetch_callee(BEACON_ROOTS_ADDRESS, state);
        let slot = header.timestamp % BEACON_ROOTS;
        for slot in [slot, slot + BEACON_ROOTS] {
            let _ = state.storage_ref(BEACON_ROOTS_ADDRESS, U256::from(slot));
        }
    }
    if header.requests_hash.is_some() {
        fetch_callee(HISTORY_STORAGE_ADDRESS, state);
        let slot = header.number.saturating_sub(1) % HISTORY_SERVE_WINDOW as u64;
        let _ = state.storage_ref(HISTORY_STORAGE_ADDRESS, U256::from(slot));
        for address in
            [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
        {
            fetch_callee(address, state);
            for slot in 0..4 {
                let _ = state.storage_ref(address, U256::from(slot));
            }
        }
    }
}
