//! From signed transactions to a block whose header holds.

use std::sync::Arc;

use alloy_consensus::{
    Block, BlockBody, Header, Transaction, TxEnvelope, TxReceipt,
    constants::EMPTY_OMMER_ROOT_HASH,
    proofs::{calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, Bytes};
use pleach_engine::{BlockOutput, ChainSpec, RecoveredBlock, execute_serial};
use pleach_state::FlatState;

use super::{BASE_FEE, NUMBER, TIMESTAMP, seed::Seed, state_root::state_root};

/// What a header says that does not follow from the block's transactions.
pub(super) struct Frame {
    pub(super) seed: Seed,
    pub(super) beneficiary: Address,
}

/// A block's gas limit before it is known what the block needs.
const UNBOUNDED_GAS: u64 = 1 << 60;

/// Executes the transactions serially, and makes the block whose header says what came out.
///
/// # Panics
/// If a transaction may not be in the block: the generator would be wrong.
pub(super) fn seal(
    chain: &Arc<ChainSpec>,
    frame: &Frame,
    txs: Vec<TxEnvelope>,
    senders: &[Address],
    prestate: FlatState,
) -> (Block<TxEnvelope>, FlatState) {
    let block = unsealed(frame, txs);
    let recovered = RecoveredBlock::with_senders(block, senders.to_vec())
        .expect("there is one sender per transaction");
    let prestate = Arc::new(prestate);
    let output = execute_serial(chain, &recovered, &prestate, false)
        .expect("a generated transaction may be in its block");
    let prestate = Arc::unwrap_or_clone(prestate);
    let mut block = recovered.block().clone();
    block.header.state_root = state_root(&prestate, &output.bundle);
    fill_header(&mut block, &output);
    (block, prestate)
}

/// Puts a transaction into a sealed block. The header goes on saying what the block gives without
/// it, except for the transactions' root.
pub(super) fn insert_transaction(block: &mut Block<TxEnvelope>, index: usize, tx: TxEnvelope) {
    block.body.transactions.insert(index, tx);
    block.header.transactions_root = calculate_transaction_root(&block.body.transactions);
}

fn unsealed(frame: &Frame, transactions: Vec<TxEnvelope>) -> Block<TxEnvelope> {
    let seed = frame.seed;
    let withdrawals = withdrawals(seed);
    let header = Header {
        parent_hash: seed.hash("parent", 0),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: frame.beneficiary,
        transactions_root: calculate_transaction_root(&transactions),
        number: NUMBER,
        gas_limit: UNBOUNDED_GAS,
        timestamp: TIMESTAMP,
        extra_data: Bytes::from_static(b"pleach"),
        mix_hash: seed.hash("randao", 0),
        base_fee_per_gas: Some(BASE_FEE),
        withdrawals_root: Some(calculate_withdrawals_root(&withdrawals)),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(seed.hash("beacon", 0)),
        ..Header::default()
    };
    let withdrawals = Some(Withdrawals::new(withdrawals));
    Block { header, body: BlockBody { transactions, ommers: Vec::new(), withdrawals } }
}

/// Writes into a header what execution gave.
pub(super) fn fill_header(block: &mut Block<TxEnvelope>, output: &BlockOutput) {
    let gas_limit = needed_gas_limit(&block.body.transactions, output);
    let header = &mut block.header;
    header.gas_limit = gas_limit;
    header.gas_used = output.gas_used;
    header.receipts_root = calculate_receipt_root(&output.receipts);
    header.logs_bloom = output.logs_bloom();
    header.blob_gas_used = Some(output.blob_gas_used);
    header.requests_hash = Some(output.requests.requests_hash());
}

/// The least gas limit under which each transaction's own limit still fits when its turn comes.
fn needed_gas_limit(txs: &[TxEnvelope], output: &BlockOutput) -> u64 {
    let after = output.receipts.iter().map(TxReceipt::cumulative_gas_used);
    let before = std::iter::once(0).chain(after);
    before.zip(txs).map(|(used, tx)| used + tx.gas_limit()).max().unwrap_or_default()
}

/// Sixteen withdrawals, as many as a full block has.
fn withdrawals(seed: Seed) -> Vec<Withdrawal> {
    let mut numbers = seed.numbers("withdrawals");
    let first = numbers.within(100_000_000, 110_000_000);
    let first_validator = numbers.below(1_000_000);
    let withdrawal = |place| Withdrawal {
        index: first + place,
        validator_index: first_validator + place,
        address: seed.address("withdrawal", place),
        amount: numbers.within(10_000_000, 20_000_000),
    };
    (0..16).map(withdrawal).collect()
}
