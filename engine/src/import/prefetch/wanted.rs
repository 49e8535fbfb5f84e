//! What a block reads whatever its transactions do, and what somebody says it reads.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::{
    eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS},
    eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, U256};
use revm::{context::TxEnv, context_interface::either::Either};

use super::super::input::ReadyBlock;
use crate::AccessList;

/// Roots that EIP-4788's contract keeps.
const BEACON_ROOTS: u64 = 8191;

/// Something to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// An account without its code.
    Account(Address),
    /// An account, and its code if it has one.
    Callee(Address),
    /// A slot.
    Slot(Address, U256),
}

/// What a block reads for certain, or by its access list (EIP-7928) if it came with one.
pub(super) fn known(ready: &ReadyBlock, wanted: &mut Vec<Wanted>) {
    if let Some(list) = ready.access_list() {
        return listed(list, wanted);
    }
    let (block, header) = (ready.block.block(), ready.block.header());
    wanted.push(Wanted::Account(header.beneficiary));
    wanted.extend(block.body.ommers.iter().map(|ommer| Wanted::Account(ommer.beneficiary)));
    let withdrawals = block.body.withdrawals.iter().flatten();
    wanted.extend(withdrawals.map(|withdrawal| Wanted::Account(withdrawal.address)));
    system_contracts(header, wanted);
    ready.block.tx_envs().iter().for_each(|tx| transaction(tx, wanted));
}

fn listed(list: &Arc<AccessList>, wanted: &mut Vec<Wanted>) {
    for (address, slots) in list.touched() {
        wanted.push(Wanted::Callee(address));
        wanted.extend(slots.map(|slot| Wanted::Slot(address, slot)));
    }
}

fn transaction(tx: &TxEnv, wanted: &mut Vec<Wanted>) {
    wanted.push(Wanted::Account(tx.caller));
    wanted.extend(tx.kind.to().map(|target| Wanted::Callee(*target)));
    for item in tx.access_list.iter() {
        wanted.push(Wanted::Account(item.address));
        let slots = item.storage_keys.iter();
        wanted.extend(slots.map(|slot| Wanted::Slot(item.address, (*slot).into())));
    }
    for authorization in &tx.authorization_list {
        if let Either::Right(recovered) = authorization {
            wanted.extend(recovered.authority().map(Wanted::Callee));
        }
    }
}

/// The contracts that are called before the first transaction and after the last, where they are
/// there, and the slots that they write.
fn system_contracts(header: &Header, wanted: &mut Vec<Wanted>) {
    let slot = |address, slot| Wanted::Slot(address, U256::from(slot));
    if header.parent_beacon_block_root.is_some() {
        let index = header.timestamp % BEACON_ROOTS;
        wanted.push(Wanted::Callee(BEACON_ROOTS_ADDRESS));
        wanted.extend([index, index + BEACON_ROOTS].map(|at| slot(BEACON_ROOTS_ADDRESS, at)));
    }
    if header.requests_hash.is_some() {
        let index = header.number.saturating_sub(1) % HISTORY_SERVE_WINDOW as u64;
        wanted.push(Wanted::Callee(HISTORY_STORAGE_ADDRESS));
        wanted.push(slot(HISTORY_STORAGE_ADDRESS, index));
        for address in
            [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
        {
            wanted.push(Wanted::Callee(address));
            wanted.extend((0..4).map(|at| slot(address, at)));
        }
    }
}
