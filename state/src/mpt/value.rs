//! What leaves hold: accounts and slots.

use alloy_primitives::{B256, U256};
use alloy_rlp::{Decodable, Encodable, decode_exact};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};

use super::changes::AccountFields;

/// The most bytes that the RLP of a value takes: a list of an account's nonce (9 at most), balance
/// (33) and two hashes (33 each), with its header of two bytes.
const MAX_VALUE: usize = 128;

/// A leaf's value.
pub(super) trait Value: Clone + PartialEq + Send + Sync {
    /// What a change says of the value.
    type Edit: Send + Sync;

    /// What the value is, for errors.
    const KIND: &'static str;

    /// The value after a change, given the one held before.
    fn edited(edit: &Self::Edit, held: Option<&Self>) -> Self;

    /// Writes the value's RLP to the front of a buffer and returns that part of it.
    fn encode<'a>(&self, buffer: &'a mut [u8; MAX_VALUE]) -> &'a [u8];

    /// Reads the value from all of some bytes.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    fn decode(rlp: &[u8]) -> alloy_rlp::Result<Self>;
}

fn encode_into<'a>(value: &impl Encodable, buffer: &'a mut [u8; MAX_VALUE]) -> &'a [u8] {
    let mut rest = buffer.as_mut_slice();
    value.encode(&mut rest);
    let length = MAX_VALUE - rest.len();
    &buffer[..length]
}

/// What becomes of an account.
#[derive(Debug, Clone, Copy)]
pub(super) struct AccountEdit {
    pub(super) fields: AccountFields,
    /// The new storage root; none if the storage stays as it is.
    pub(super) storage_root: Option<B256>,
}

impl Value for TrieAccount {
    const KIND: &'static str = "account";

    type Edit = AccountEdit;

    fn edited(edit: &AccountEdit, held: Option<&Self>) -> Self {
        let held = || held.map_or(EMPTY_ROOT_HASH, |held| held.storage_root);
        let AccountFields { nonce, balance, code_hash } = edit.fields;
        Self::new(nonce, balance, edit.storage_root.unwrap_or_else(held), code_hash)
    }

    fn encode<'a>(&self, buffer: &'a mut [u8; MAX_VALUE]) -> &'a [u8] {
        encode_into(self, buffer)
    }

    fn decode(rlp: &[u8]) -> alloy_rlp::Result<Self> {
        decode_exact(rlp)
    }
}

impl Value for U256 {
    const KIND: &'static str = "slot";

    type Edit = Self;

    fn edited(edit: &Self, _: Option<&Self>) -> Self {
        *edit
    }

    fn encode<'a>(&self, buffer: &'a mut [u8; MAX_VALUE]) -> &'a [u8] {
        encode_into(self, buffer)
    }

    fn decode(mut rlp: &[u8]) -> alloy_rlp::Result<Self> {
        let value = <U256 as Decodable>::decode(&mut rlp)?;
        match (rlp.is_empty(), value.is_zero()) {
            (true, false) => Ok(value),
            (true, true) => Err(alloy_rlp::Error::Custom("a slot of zero, which no trie holds")),
            (false, _) => Err(alloy_rlp::Error::UnexpectedLength),
        }
    }
}
