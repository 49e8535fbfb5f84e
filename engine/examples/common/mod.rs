//! A small block for the examples: payments from many senders, each to a receiver of its own.

use std::sync::Arc;

use alloy_consensus::{Block, BlockBody, Header, Signed, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use pleach_engine::{BlockError, RecoveredBlock};
use pleach_state::{FlatAccount, FlatState};
use revm::state::AccountInfo;

/// Payments in the block.
pub(crate) const PAYMENTS: u64 = 500;
const ONE_ETHER: u64 = 1_000_000_000_000_000_000;

pub(crate) fn sender(number: u64) -> Address {
    Address::left_padding_from(&(0x5e00_0000_0000 + number).to_be_bytes())
}

fn receiver(number: u64) -> Address {
    Address::left_padding_from(&(0x4e00_0000_0000 + number).to_be_bytes())
}

/// A state in which every sender has one ether.
pub(crate) fn state() -> FlatState {
    let mut state = FlatState::new();
    for number in 0..PAYMENTS {
        let info = AccountInfo { balance: U256::from(ONE_ETHER), ..AccountInfo::default() };
        state.insert_account(sender(number), FlatAccount { info, ..FlatAccount::default() });
    }
    state
}

/// A block of [`PAYMENTS`] payments, or of calls if `callee` is given, at a time in Cancun.
pub(crate) fn block(callee: Option<(Address, Bytes)>) -> Result<Arc<RecoveredBlock>, BlockError> {
    let transactions = (0..PAYMENTS).map(|number| payment(number, callee.clone())).collect();
    let header = Header {
        number: 20_200_000,
        timestamp: 1_720_000_000,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        beneficiary: Address::repeat_byte(0xbe),
        excess_blob_gas: Some(0),
        blob_gas_used: Some(0),
        parent_beacon_block_root: Some(Default::default()),
        ..Header::default()
    };
    let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: Some(Vec::new().into()) };
    // The signatures below are nobody's. Senders of real blocks are recovered from theirs, by
    // `RecoveredBlock::recover`.
    let senders = (0..PAYMENTS).map(sender).collect();
    RecoveredBlock::with_senders(Block { header, body }, senders).map(Arc::new)
}

fn payment(number: u64, callee: Option<(Address, Bytes)>) -> TxEnvelope {
    let (to, input) = callee.unwrap_or_else(|| (receiver(number), Bytes::new()));
    let tx = TxEip1559 {
        chain_id: 1,
        gas_limit: 50_000,
        max_fee_per_gas: 3_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(to),
        value: U256::from(number),
        input,
        ..TxEip1559::default()
    };
    Signed::new_unhashed(tx, Signature::test_signature()).into()
}
