//! A state test's transaction, from its signed bytes or from its parts.

use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxEnvelope, TxLegacy,
};
use alloy_eips::{Decodable2718, eip2718::Eip2718Error};
use alloy_primitives::{Address, Signature, TxKind, U256};
use pleach_engine::BlockError;
use revm::context::TransactionType;
use revm_statetest_types::{Test, TestUnit, TransactionParts, recover_address};

/// A transaction that no block can hold.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransactionError {
    #[error("the transaction does not decode: {0}")]
    Decode(#[from] Eip2718Error),
    #[error("the transaction is followed by {0} bytes")]
    TrailingBytes(usize),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("the transaction has no sender: no secret key is given")]
    NoSender,
    #[error("the transaction's {0} does not fit its type")]
    Unencodable(&'static str),
    #[error("the test's index of {0} is out of range")]
    Index(&'static str),
}

/// Decodes the bytes that a client would get.
pub(super) fn decode_transaction(bytes: &[u8]) -> Result<TxEnvelope, TransactionError> {
    let mut rest = bytes;
    let transaction = TxEnvelope::decode_2718(&mut rest)?;
    if rest.is_empty() { Ok(transaction) } else { Err(TransactionError::TrailingBytes(rest.len())) }
}

/// The transaction that a test describes, and its sender. It carries no true signature.
pub(super) fn transaction_from_parts(
    unit: &TestUnit,
    test: &Test,
) -> Result<(TxEnvelope, Address), TransactionError> {
    use TransactionError::{Index, NoSender, Unencodable};
    let parts = &unit.transaction;
    let key = parts.secret_key.ok_or(NoSender)?;
    let sender = parts.sender.or_else(|| recover_address(key.as_slice())).ok_or(NoSender)?;
    let chosen = Chosen {
        gas_limit: *parts.gas_limit.get(test.indexes.gas).ok_or(Index("gas"))?,
        value: *parts.value.get(test.indexes.value).ok_or(Index("value"))?,
        data: parts.data.get(test.indexes.data).ok_or(Index("data"))?.clone(),
    };
    let access_list = parts.access_lists.get(test.indexes.data).cloned().flatten();
    let kind = parts.tx_type(test.indexes.data).ok_or(Unencodable("target"))?;
    let unsigned = legacy(parts, chosen)?;
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    let access_list = access_list.unwrap_or_default();
    let envelope: TxEnvelope = match kind {
        TransactionType::Legacy => unsigned.into_signed(signature).into(),
        TransactionType::Eip2930 => {
            let TxLegacy { nonce, gas_price, gas_limit, to, value, input, .. } = unsigned;
            let chain_id = chain_id(parts)?;
            TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input }
                .into_signed(signature)
                .into()
        }
        TransactionType::Eip1559 => {
            dynamic_fee(parts, unsigned, access_list)?.into_signed(signature).into()
        }
        TransactionType::Eip4844 => {
            let tx = blob(parts, dynamic_fee(parts, unsigned, access_list)?)?;
            tx.into_signed(signature).into()
        }
        TransactionType::Eip7702 => {
            let tx = set_code(parts, dynamic_fee(parts, unsigned, access_list)?)?;
            tx.into_signed(signature).into()
        }
        TransactionType::Custom => return Err(Unencodable("type")),
    };
    Ok((envelope, sender))
}

/// What a test's indexes choose.
struct Chosen {
    gas_limit: U256,
    value: U256,
    data: alloy_primitives::Bytes,
}

fn legacy(parts: &TransactionParts, chosen: Chosen) -> Result<TxLegacy, TransactionError> {
    Ok(TxLegacy {
        chain_id: None,
        nonce: narrow(parts.nonce, "nonce")?,
        gas_price: narrow(parts.gas_price.unwrap_or_default(), "gas price")?,
        gas_limit: narrow(chosen.gas_limit, "gas limit")?,
        to: parts.to.map_or(TxKind::Create, TxKind::Call),
        value: chosen.value,
        input: chosen.data,
    })
}

fn dynamic_fee(
    parts: &TransactionParts,
    legacy: TxLegacy,
    access_list: alloy_eips::eip2930::AccessList,
) -> Result<TxEip1559, TransactionError> {
    let max_fee = parts.max_fee_per_gas.unwrap_or_default();
    let max_priority_fee = parts.max_priority_fee_per_gas.unwrap_or_default();
    Ok(TxEip1559 {
        chain_id: chain_id(parts)?,
        nonce: legacy.nonce,
        gas_limit: legacy.gas_limit,
        max_fee_per_gas: narrow(max_fee, "maximum fee")?,
        max_priority_fee_per_gas: narrow(max_priority_fee, "maximum priority fee")?,
        to: legacy.to,
        value: legacy.value,
        access_list,
        input: legacy.input,
    })
}

fn blob(parts: &TransactionParts, base: TxEip1559) -> Result<TxEip4844, TransactionError> {
    let max_fee = parts.max_fee_per_blob_gas.unwrap_or_default();
    Ok(TxEip4844 {
        chain_id: base.chain_id,
        nonce: base.nonce,
        gas_limit: base.gas_limit,
        max_fee_per_gas: base.max_fee_per_gas,
        max_priority_fee_per_gas: base.max_priority_fee_per_gas,
        to: target(base.to)?,
        value: base.value,
        access_list: base.access_list,
        blob_versioned_hashes: parts.blob_versioned_hashes.clone(),
        max_fee_per_blob_gas: narrow(max_fee, "maximum blob fee")?,
        input: base.input,
    })
}

fn set_code(parts: &TransactionParts, base: TxEip1559) -> Result<TxEip7702, TransactionError> {
    let list = parts.authorization_list.clone().unwrap_or_default();
    Ok(TxEip7702 {
        chain_id: base.chain_id,
        nonce: base.nonce,
        gas_limit: base.gas_limit,
        max_fee_per_gas: base.max_fee_per_gas,
        max_priority_fee_per_gas: base.max_priority_fee_per_gas,
        to: target(base.to)?,
        value: base.value,
        access_list: base.access_list,
        authorization_list: list.into_iter().map(Into::into).collect(),
        input: base.input,
    })
}

fn chain_id(parts: &TransactionParts) -> Result<u64, TransactionError> {
    narrow(parts.chain_id.unwrap_or(U256::ONE), "chain id")
}

fn target(to: TxKind) -> Result<Address, TransactionError> {
    to.to().copied().ok_or(TransactionError::Unencodable("target"))
}

fn narrow<T: TryFrom<U256>>(value: U256, what: &'static str) -> Result<T, TransactionError> {
    T::try_from(value).map_err(|_| TransactionError::Unencodable(what))
}
