//! What execution gave against the header.

use alloy_consensus::{Header, proofs::calculate_receipt_root};
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7928::compute_block_access_list_hash,
};
use alloy_hardforks::EthereumHardforks;

use super::{OutputError, deposits::validate_deposits};
use crate::{BlockOutput, ChainSpec, Prestate};

/// Checks what executing a block gave against its header; the state root is the caller's matter.
///
/// Before Byzantium a receipt holds the state root after its transaction, which
/// execution does not know: there the receipts root is not checked. The block access list is
/// checked if the output has it: ask for it where headers name one.
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
    validate_deposits(chain, header.timestamp, &output.receipts)?;
    let executed = output.requests.requests_hash();
    if let Some(header) = header.requests_hash
        && header != executed
    {
        return Err(OutputError::RequestsHash { header, executed });
    }
    if let (Some(header), Some(list)) = (header.block_access_list_hash, &output.access_list) {
        let executed = compute_block_access_list_hash(list);
        if header != executed {
            return Err(OutputError::AccessListHash { header, executed });
        }
    }
    Ok(())
}

/// Checks that the contracts called at the end of a block have code there, from Prague on.
///
/// A call to an account without code succeeds and gives no requests, so that execution alone
/// does not notice; EIP-7002 and EIP-7251 make such a block invalid.
///
/// # Errors
/// [`OutputError::SystemContractEmpty`], and [`OutputError::SystemContractUnreadable`] if the
/// prestate fails.
pub fn validate_system_contracts<P: Prestate>(
    chain: &ChainSpec,
    header: &Header,
    prestate: &P,
    output: &BlockOutput,
) -> Result<(), OutputError> {
    if !chain.is_prague_active_at_timestamp(header.timestamp) {
        return Ok(());
    }
    let contracts = [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS];
    for address in contracts {
        let info = match output.bundle.account(&address) {
            Some(changed) => changed.info.clone(),
            None => prestate.basic_ref(address).map_err(|error| {
                OutputError::SystemContractUnreadable { address, reason: error.to_string() }
            })?,
        };
        if info.is_none_or(|info| info.is_empty_code_hash()) {
            return Err(OutputError::SystemContractEmpty { address });
        }
    }
    Ok(())
}
