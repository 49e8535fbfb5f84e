//! EIP-6110: the layout of deposit events, which their decoder does not insist on.

use alloy_consensus::ReceiptEnvelope;
use alloy_evm::eth::{eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS, spec::EthExecutorSpec};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, Log, U256, b256};

use super::OutputError;
use crate::ChainSpec;

/// Keccak-256 of `DepositEvent(bytes,bytes,bytes,bytes,bytes)`.
const EVENT: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
const EVENT_BYTES: usize = 576;
/// The five fields: where each begins in the event's data, and how many bytes it has.
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// Checks that each deposit event has the layout that EIP-6110 asks for: ABI's decoder takes others
/// as well, and a block with such an event is invalid.
pub(super) fn validate_deposits(
    chain: &ChainSpec,
    timestamp: u64,
    receipts: &[ReceiptEnvelope],
) -> Result<(), OutputError> {
    if !chain.is_prague_active_at_timestamp(timestamp) {
        return Ok(());
    }
    let contract = chain.deposit_contract_address().unwrap_or(MAINNET_DEPOSIT_CONTRACT_ADDRESS);
    let is_deposit =
        |log: &&Log| log.address == contract && log.data.topics().first() == Some(&EVENT);
    for (index, receipt) in receipts.iter().enumerate() {
        let mut deposits = receipt.logs().iter().filter(is_deposit);
        if deposits.any(|log| !has_layout(&log.data.data)) {
            return Err(OutputError::DepositLayout { index });
        }
    }
    Ok(())
}

fn has_layout(data: &[u8]) -> bool {
    let word = |at: usize| data.get(at..at + 32).map(U256::from_be_slice);
    data.len() == EVENT_BYTES
        && FIELDS.iter().enumerate().all(|(field, (begin, length))| {
            word(32 * field) == Some(U256::from(*begin))
                && word(*begin) == Some(U256::from(*length))
        })
}
