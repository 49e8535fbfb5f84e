//! What execution gave against the header.

use alloy_consensus::{Header, proofs::calculate_receipt_root};
use alloy_hardforks::EthereumHardforks;

use super::OutputError;
use crate::{BlockOutput, ChainSpec};

/// Checks what executing a block gave against its header; the state root is the caller's matter.
///
/// Before Byzantium a receipt holds the state root after its transaction, which
/// execution does not know: there the receipts root is not checked.
///
/// # Errors
/// The first [`OutputError`] found.
pub fn validate_output(
    chain: &ChainSpec,
    header: &Header,
    output: &BlockOutput,
) -> Result<(), OutputError> {
    if output.gas_used != header.gas_used {
        let (header, executed) = (header.gas_used, output.gas_used);
        return Err(OutputError::GasUsed { header, executed });
    }
    if let Some(blob_gas) = header.blob_gas_used
        && output.blob_gas_used != blob_gas
    {
        let executed = output.blob_gas_used;
        return Err(OutputError::BlobGasUsed { header: blob_gas, executed });
    }
    if output.logs_bloom() != header.logs_bloom {
        return Err(OutputError::LogsBloom);
    }
    if chain.is_byzantium_active_at_block(header.number) {
        let executed = calculate_receipt_root(&output.receipts);
        if executed != header.receipts_root {
            return Err(OutputError::ReceiptsRoot { header: header.receipts_root, executed });
        }
    }
    let executed = output.requests.requests_hash();
    match header.requests_hash {
        Some(header) if header != executed => Err(OutputError::RequestsHash { header, executed }),
        _ => Ok(()),
    }
}
