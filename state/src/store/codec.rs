//! Keys and values as bytes, and the checksums that tell whether they are what was written.
//!
//! Headers, codes and trie nodes are named by their Keccak-256, which is compared whenever they are
//! read. Every other value ends in a CRC-32 of its table, its key and itself.

use alloy_consensus::{BlockBody, Header, ReceiptEnvelope, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rlp::{Decodable, Encodable, decode_exact};
use alloy_trie::Nibbles;
use crc32fast::Hasher;
use revm::{primitives::KECCAK_EMPTY, state::AccountInfo};

use super::{backend::Table, error::StoreError, types::Head};
use crate::mpt::AccountFields;

/// Bytes of a checksum.
const CHECKSUM: usize = 4;

/// What can be wrong with bytes, in words.
pub(super) type Decoded<T> = Result<T, String>;

fn checksum(table: Table, key: &[u8], payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = Hasher::new();
    hasher.update(table.name().as_bytes());
    hasher.update(key);
    hasher.update(payload);
    hasher.finalize().to_le_bytes()
}

/// A value with its checksum.
pub(super) fn sealed(table: Table, key: &[u8], mut payload: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(table, key, &payload);
    payload.extend_from_slice(&checksum);
    payload
}

/// A value without its checksum, which is right.
pub(super) fn opened<'a>(table: Table, key: &[u8], value: &'a [u8]) -> Decoded<&'a [u8]> {
    let at = value.len().checked_sub(CHECKSUM).ok_or("the value is too short")?;
    let (payload, found) = value.split_at(at);
    let expected = checksum(table, key, payload);
    if found != expected {
        let (expected, found) = (hex::encode(expected), hex::encode(found));
        return Err(format!("its checksum is {expected}, and the one stored is {found}"));
    }
    Ok(payload)
}

/// An entry of a table, for errors.
pub(super) fn entry(table: Table, key: &[u8]) -> String {
    match table {
        Table::Meta => format!("entry {:?} of table meta", String::from_utf8_lossy(key)),
        _ => match <[u8; 8]>::try_from(key) {
            Ok(number) => format!("block {} in table {}", u64::from_be_bytes(number), table.name()),
            Err(_) => format!("key 0x{} in table {}", hex::encode(key), table.name()),
        },
    }
}

pub(super) fn corrupt(table: Table, key: &[u8], reason: impl ToString) -> StoreError {
    StoreError::corrupt(entry(table, key), reason.to_string())
}

pub(super) fn slot_key(address: &Address, slot: &U256) -> [u8; 52] {
    let mut key = [0; 52];
    key[..20].copy_from_slice(address.as_slice());
    key[20..].copy_from_slice(&slot.to_be_bytes::<32>());
    key
}

/// The key of a trie node.
pub(super) fn node_key(owner: Option<&B256>, path: &Nibbles) -> Vec<u8> {
    let mut key = node_prefix(owner);
    key.extend(path.iter());
    key
}

/// What the keys of all nodes of a trie begin with.
pub(super) fn node_prefix(owner: Option<&B256>) -> Vec<u8> {
    match owner {
        None => vec![0],
        Some(owner) => [&[1], owner.as_slice()].concat(),
    }
}

/// An account without its storage: a list of nonce, balance and, if there is code, its hash.
pub(super) fn encode_account(account: &AccountFields) -> Vec<u8> {
    let has_code = account.code_hash != KECCAK_EMPTY;
    let code = if has_code { account.code_hash.length() } else { 0 };
    let payload_length = account.nonce.length() + account.balance.length() + code;
    let mut out = Vec::with_capacity(payload_length + 3 + CHECKSUM);
    alloy_rlp::Header { list: true, payload_length }.encode(&mut out);
    account.nonce.encode(&mut out);
    account.balance.encode(&mut out);
    if has_code {
        account.code_hash.encode(&mut out);
    }
    out
}

pub(super) fn decode_account(mut bytes: &[u8]) -> Decoded<AccountFields> {
    let rlp = |error: alloy_rlp::Error| format!("no valid account: {error}");
    let bytes = &mut bytes;
    let mut fields = alloy_rlp::Header::decode_bytes(bytes, true).map_err(rlp)?;
    let nonce = u64::decode(&mut fields).map_err(rlp)?;
    let balance = U256::decode(&mut fields).map_err(rlp)?;
    let code_hash = match fields.is_empty() {
        true => KECCAK_EMPTY,
        false => B256::decode(&mut fields).map_err(rlp)?,
    };
    match fields.is_empty() && bytes.is_empty() {
        true => Ok(AccountFields { nonce, balance, code_hash }),
        false => Err("bytes after the account".to_owned()),
    }
}

pub(super) fn account_info(fields: AccountFields) -> AccountInfo {
    let AccountFields { nonce, balance, code_hash } = fields;
    AccountInfo { nonce, balance, code_hash, code: None, ..AccountInfo::default() }
}

/// A number without leading zeros.
pub(super) fn encode_word(word: &U256) -> Vec<u8> {
    word.to_be_bytes_trimmed_vec()
}

pub(super) fn decode_word(bytes: &[u8]) -> Decoded<U256> {
    U256::try_from_be_slice(bytes).ok_or_else(|| format!("a number of {} bytes", bytes.len()))
}

/// A block's hash and total difficulty.
pub(super) fn encode_hash(hash: &B256, total_difficulty: &U256) -> Vec<u8> {
    let mut out = hash.to_vec();
    out.extend(encode_word(total_difficulty));
    out
}

pub(super) fn decode_hash(bytes: &[u8]) -> Decoded<(B256, U256)> {
    let (hash, total_difficulty) = bytes.split_at_checked(32).ok_or("too short for a hash")?;
    Ok((B256::from_slice(hash), decode_word(total_difficulty)?))
}

pub(super) fn encode_head(head: &Head) -> Vec<u8> {
    let mut out = head.number.to_be_bytes().to_vec();
    out.extend_from_slice(head.hash.as_slice());
    out.extend_from_slice(head.state_root.as_slice());
    out.extend(encode_word(&head.total_difficulty));
    out
}

pub(super) fn decode_head(bytes: &[u8]) -> Decoded<Head> {
    let (fixed, total_difficulty) = bytes.split_at_checked(72).ok_or("too short for a head")?;
    let (number, hashes) = fixed.split_at(8);
    Ok(Head {
        number: decode_number(number)?,
        hash: B256::from_slice(&hashes[..32]),
        state_root: B256::from_slice(&hashes[32..]),
        total_difficulty: decode_word(total_difficulty)?,
    })
}

pub(super) fn decode_number(bytes: &[u8]) -> Decoded<u64> {
    let bytes = bytes.try_into().map_err(|_| format!("a block number of {} bytes", bytes.len()))?;
    Ok(u64::from_be_bytes(bytes))
}

pub(super) fn decode_header(bytes: &[u8]) -> Decoded<Header> {
    decode_exact(bytes).map_err(|error| format!("no valid header: {error}"))
}

/// A block's transactions, ommers and withdrawals, for [`BlockCommit`](super::BlockCommit).
pub fn encode_body(body: &BlockBody<TxEnvelope>) -> Bytes {
    alloy_rlp::encode(body).into()
}

/// What [`encode_body`] made.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_body(bytes: &[u8]) -> alloy_rlp::Result<BlockBody<TxEnvelope>> {
    decode_exact(bytes)
}

/// A block's receipts, for [`BlockCommit`](super::BlockCommit).
pub fn encode_receipts(receipts: &[ReceiptEnvelope]) -> Bytes {
    let mut out = Vec::new();
    alloy_rlp::encode_list(receipts, &mut out);
    out.into()
}

/// What [`encode_receipts`] made.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decode_receipts(bytes: &[u8]) -> alloy_rlp::Result<Vec<ReceiptEnvelope>> {
    decode_exact(bytes)
}
