//! A body against its header.

use alloy_consensus::{
    Block, Transaction, TxEnvelope,
    proofs::{calculate_ommers_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_hardforks::EthereumHardforks;
use alloy_rlp::Encodable;

use super::BodyError;
use crate::ChainSpec;

/// The longest RLP of a block from Osaka on, in bytes (EIP-7934: 10 MiB less 2 MiB of margin).
pub const MAX_BLOCK_RLP_BYTES: usize = 8_388_608;

/// Checks that a block's body is the one its header stands for.
///
/// # Errors
/// The first [`BodyError`] found.
pub fn validate_body(chain: &ChainSpec, block: &Block<TxEnvelope>) -> Result<(), BodyError> {
    let header = &block.header;
    let length = block.length();
    if chain.is_osaka_active_at_timestamp(header.timestamp) && length > MAX_BLOCK_RLP_BYTES {
        return Err(BodyError::BlockLength { length, max: MAX_BLOCK_RLP_BYTES });
    }
    let body = calculate_transaction_root(&block.body.transactions);
    if header.transactions_root != body {
        return Err(BodyError::TransactionsRoot { header: header.transactions_root, body });
    }
    let body = calculate_ommers_root(&block.body.ommers);
    if header.ommers_hash != body {
        return Err(BodyError::OmmersHash { header: header.ommers_hash, body });
    }
    let count = block.body.ommers.len();
    if count > 0 && chain.is_paris_active_at_block(header.number) {
        return Err(BodyError::OmmersAfterMerge { count });
    }
    let withdrawals = block.body.withdrawals.as_ref();
    let body = withdrawals.map(|withdrawals| calculate_withdrawals_root(withdrawals));
    if header.withdrawals_root != body {
        return Err(BodyError::WithdrawalsRoot { header: header.withdrawals_root, body });
    }
    validate_transactions(chain, block)
}

/// What the transactions must hold together; what each must hold alone is the EVM's matter.
fn validate_transactions(chain: &ChainSpec, block: &Block<TxEnvelope>) -> Result<(), BodyError> {
    let (header, txs) = (&block.header, &block.body.transactions);
    let body = txs.iter().filter_map(Transaction::blob_gas_used).sum();
    if let Some(header) = header.blob_gas_used
        && header != body
    {
        return Err(BodyError::BlobGasUsed { header, body });
    }
    let has_sidecar = |tx: &TxEnvelope| match tx {
        TxEnvelope::Eip4844(signed) => signed.tx().sidecar().is_some(),
        _ => false,
    };
    if let Some(index) = txs.iter().position(has_sidecar) {
        return Err(BodyError::BlobSidecar { index });
    }
    let protected = |tx: &TxEnvelope| tx.is_legacy() && tx.chain_id().is_some();
    if !chain.is_spurious_dragon_active_at_block(header.number)
        && let Some(index) = txs.iter().position(protected)
    {
        return Err(BodyError::ReplayProtection { index });
    }
    Ok(())
}
