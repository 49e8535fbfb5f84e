//! A header against its parent.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::{
    eip1559::{BaseFeeParams, INITIAL_BASE_FEE},
    eip4844::DATA_GAS_PER_BLOB,
};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::B64;

use super::{HeaderError, next_difficulty};
use crate::ChainSpec;

const MIN_GAS_LIMIT: u64 = 5000;
const MAX_GAS_LIMIT: u64 = i64::MAX as u64;
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1024;
const MAX_EXTRA_DATA_BYTES: usize = 32;
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";
/// Blocks that must carry [`DAO_EXTRA_DATA`], from the fork on.
const DAO_EXTRA_RANGE: u64 = 10;

/// Checks a header against its parent under the chain's rules, without its seal.
///
/// # Errors
/// The first [`HeaderError`] found.
pub fn validate_header(
    chain: &ChainSpec,
    header: &Header,
    parent: &Header,
) -> Result<(), HeaderError> {
    validate_lineage(header, parent)?;
    validate_gas_limit(chain, header, parent)?;
    validate_extra_data(chain, header)?;
    validate_seal_fields(chain, header, parent)?;
    validate_base_fee(chain, header, parent)?;
    validate_presence(chain, header)?;
    validate_blob_gas(chain, header, parent)
}

fn validate_lineage(header: &Header, parent: &Header) -> Result<(), HeaderError> {
    let parent_hash = parent.hash_slow();
    if header.parent_hash != parent_hash {
        return Err(HeaderError::ParentHash { named: header.parent_hash, parent: parent_hash });
    }
    if Some(header.number) != parent.number.checked_add(1) {
        return Err(HeaderError::Number { number: header.number, parent: parent.number });
    }
    if header.timestamp <= parent.timestamp {
        let (timestamp, parent) = (header.timestamp, parent.timestamp);
        return Err(HeaderError::Timestamp { timestamp, parent });
    }
    Ok(())
}

fn validate_gas_limit(
    chain: &ChainSpec,
    header: &Header,
    parent: &Header,
) -> Result<(), HeaderError> {
    let limit = header.gas_limit;
    if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&limit) {
        return Err(HeaderError::GasLimitBounds { limit });
    }
    if header.gas_used > limit {
        return Err(HeaderError::GasUsedAboveLimit { used: header.gas_used, limit });
    }
    // EIP-1559: the first London block's target, not its limit, continues the old limit.
    let doubles = is_first_london_block(chain, header, parent);
    let parent = if doubles { parent.gas_limit.saturating_mul(2) } else { parent.gas_limit };
    if limit.abs_diff(parent) >= parent / GAS_LIMIT_BOUND_DIVISOR {
        return Err(HeaderError::GasLimitStep { limit, parent });
    }
    Ok(())
}

fn is_first_london_block(chain: &ChainSpec, header: &Header, parent: &Header) -> bool {
    chain.is_london_active_at_block(header.number)
        && !chain.is_london_active_at_block(parent.number)
}

fn validate_extra_data(chain: &ChainSpec, header: &Header) -> Result<(), HeaderError> {
    let length = header.extra_data.len();
    if length > MAX_EXTRA_DATA_BYTES {
        return Err(HeaderError::ExtraDataLength { length });
    }
    let fork = chain.dao_fork_block();
    let since_fork = fork.and_then(|fork| header.number.checked_sub(fork));
    let marked = since_fork.is_some_and(|blocks| blocks < DAO_EXTRA_RANGE);
    if marked && header.extra_data.as_ref() != DAO_EXTRA_DATA {
        return Err(HeaderError::DaoExtraData { given: header.extra_data.clone() });
    }
    Ok(())
}

fn validate_seal_fields(
    chain: &ChainSpec,
    header: &Header,
    parent: &Header,
) -> Result<(), HeaderError> {
    let difficulty = header.difficulty;
    if chain.is_paris_active_at_block(header.number) {
        if !difficulty.is_zero() {
            return Err(HeaderError::DifficultyAfterMerge { difficulty });
        }
        if header.nonce != B64::ZERO {
            return Err(HeaderError::NonceAfterMerge);
        }
        let ommers_hash = header.ommers_hash;
        return match ommers_hash == EMPTY_OMMER_ROOT_HASH {
            true => Ok(()),
            false => Err(HeaderError::OmmersHashAfterMerge { ommers_hash }),
        };
    }
    let expected = next_difficulty(chain, parent, header.timestamp);
    if difficulty != expected {
        return Err(HeaderError::Difficulty { difficulty, expected });
    }
    Ok(())
}

fn validate_base_fee(
    chain: &ChainSpec,
    header: &Header,
    parent: &Header,
) -> Result<(), HeaderError> {
    let expected = if !chain.is_london_active_at_block(header.number) {
        None
    } else if is_first_london_block(chain, header, parent) {
        Some(INITIAL_BASE_FEE)
    } else {
        parent.next_block_base_fee(BaseFeeParams::ethereum())
    };
    if header.base_fee_per_gas != expected {
        return Err(HeaderError::BaseFee { given: header.base_fee_per_gas, expected });
    }
    Ok(())
}

/// Each field that a fork added is there from that fork on, and never before.
fn validate_presence(chain: &ChainSpec, header: &Header) -> Result<(), HeaderError> {
    let shanghai = chain.is_shanghai_active_at_timestamp(header.timestamp);
    let cancun = chain.is_cancun_active_at_timestamp(header.timestamp);
    let prague = chain.is_prague_active_at_timestamp(header.timestamp);
    let amsterdam = chain.is_amsterdam_active_at_timestamp(header.timestamp);
    let fields = [
        ("withdrawalsRoot", header.withdrawals_root.is_some(), shanghai),
        ("blobGasUsed", header.blob_gas_used.is_some(), cancun),
        ("excessBlobGas", header.excess_blob_gas.is_some(), cancun),
        ("parentBeaconBlockRoot", header.parent_beacon_block_root.is_some(), cancun),
        ("requestsHash", header.requests_hash.is_some(), prague),
        ("blockAccessListHash", header.block_access_list_hash.is_some(), amsterdam),
        ("slotNumber", header.slot_number.is_some(), amsterdam),
    ];
    let wrong = fields.into_iter().find(|(_, present, expected)| present != expected);
    match wrong {
        Some((field, present, _)) => Err(HeaderError::FieldPresence { field, present }),
        None => Ok(()),
    }
}

fn validate_blob_gas(
    chain: &ChainSpec,
    header: &Header,
    parent: &Header,
) -> Result<(), HeaderError> {
    let (Some(used), Some(given)) = (header.blob_gas_used, header.excess_blob_gas) else {
        return Ok(());
    };
    let Some(params) = chain.blob_params(header.timestamp) else {
        return Err(HeaderError::FieldPresence { field: "blobGasUsed", present: true });
    };
    let max = params.max_blob_gas_per_block();
    if used > max || !used.is_multiple_of(DATA_GAS_PER_BLOB) {
        return Err(HeaderError::BlobGasUsed { used, max });
    }
    // The first block with blobs has a parent that counts none.
    let expected = params.next_block_excess_blob_gas_osaka(
        parent.excess_blob_gas.unwrap_or_default(),
        parent.blob_gas_used.unwrap_or_default(),
        parent.base_fee_per_gas.unwrap_or_default(),
    );
    if given != expected {
        return Err(HeaderError::ExcessBlobGas { given, expected });
    }
    Ok(())
}
