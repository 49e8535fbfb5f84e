//! Reading a store: the chain's blocks, the state after the head, and its tries' nodes.

use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::Nibbles;
use foldhash::fast::RandomState;
use parking_lot::RwLock;
use revm::{DatabaseRef, bytecode::Bytecode, primitives::KECCAK_EMPTY, state::AccountInfo};

use super::{
    backend::{Table, Tables},
    codec::{
        Decoded, account_info, corrupt, decode_account, decode_hash, decode_head, decode_header,
        decode_number, decode_word, node_key, opened, slot_key,
    },
    error::StoreError,
    types::Head,
};
use crate::{
    analysis::analyse,
    mpt::{AccountFields, NodePlace, NodeSource, SourceError},
};

/// Bytes of code from which on the cache of analysed codes begins anew.
const CACHED_CODE: usize = 256 << 20;

/// A store as it was when the snapshot was taken: the state after its head, and the chain up to
/// there. Commits do not show in it.
///
/// It is a prestate for blocks on top of the head (revm's [`DatabaseRef`]), and the source of the
/// nodes of a [`StateTrie`](crate::mpt::StateTrie) under the head's root. Any number of threads may
/// read. While it lives, room that later commits free cannot be used again, so it should not be
/// kept for long.
#[derive(Debug, Clone)]
pub struct Snapshot {
    reader: Reader,
    head: Head,
    codes: Arc<CodeCache>,
}

/// Tables, read with all checks.
#[derive(Debug, Clone)]
pub(super) struct Reader(pub(super) Arc<dyn Tables>);

/// Codes that were analysed already, whoever asked for them.
#[derive(Debug, Default)]
pub(super) struct CodeCache(RwLock<CachedCodes>);

#[derive(Debug, Default)]
struct CachedCodes {
    codes: HashMap<B256, Bytecode, RandomState>,
    bytes: usize,
}

impl Reader {
    /// The value under a key, decoded.
    pub(super) fn get<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Decoded<T>,
    ) -> Result<Option<T>, StoreError> {
        let (mut decode, mut decoded) = (Some(decode), None);
        self.0.get(table, key, &mut |value| {
            decoded = decode.take().map(|decode| decode(value));
        })?;
        decoded.transpose().map_err(|reason| corrupt(table, key, reason))
    }

    /// The value under a key whose checksum is right, decoded.
    pub(super) fn get_sealed<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Decoded<T>,
    ) -> Result<Option<T>, StoreError> {
        self.get(table, key, |value| decode(opened(table, key, value)?))
    }

    /// Shows keys and values from a key on, until `visit` breaks off or fails.
    pub(super) fn scan(
        &self,
        table: Table,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Decoded<ControlFlow<()>>,
    ) -> Result<(), StoreError> {
        let mut failed = None;
        self.0.scan(table, from, &mut |key, value| match visit(key, value) {
            Ok(flow) => flow,
            Err(reason) => {
                failed = Some(corrupt(table, key, reason));
                ControlFlow::Break(())
            }
        })?;
        failed.map_or(Ok(()), Err)
    }

    /// Shows the values, with right checksums, of all keys that begin with a prefix.
    pub(super) fn scan_sealed(
        &self,
        table: Table,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Decoded<()>,
    ) -> Result<(), StoreError> {
        self.scan(table, prefix, |key, value| {
            if !key.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            visit(key, opened(table, key, value)?)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    pub(super) fn head(&self) -> Result<Option<Head>, StoreError> {
        self.get_sealed(Table::Meta, b"head", decode_head)
    }

    /// The hash of the first block.
    pub(super) fn genesis(&self) -> Result<Option<B256>, StoreError> {
        self.get_sealed(Table::Meta, b"genesis", |value| {
            B256::try_from(value).map_err(|_| format!("a hash of {} bytes", value.len()))
        })
    }

    pub(super) fn account(&self, address: &Address) -> Result<Option<AccountFields>, StoreError> {
        self.get_sealed(Table::Accounts, address.as_slice(), decode_account)
    }

    pub(super) fn hash(&self, number: u64) -> Result<Option<(B256, U256)>, StoreError> {
        self.get_sealed(Table::Hashes, &number.to_be_bytes(), decode_hash)
    }

    /// A header, whose hash is that of its number.
    pub(super) fn header(&self, number: u64) -> Result<Option<Header>, StoreError> {
        let Some((hash, _)) = self.hash(number)? else { return Ok(None) };
        self.get(Table::Headers, &number.to_be_bytes(), |value| match keccak256(value) {
            found if found == hash => decode_header(value),
            found => Err(format!("its hash is {found}, and should be {hash}")),
        })
    }

    /// The number of the earliest block whose changes can be taken back.
    pub(super) fn oldest_diff(&self) -> Result<Option<u64>, StoreError> {
        let mut oldest = None;
        self.scan(Table::Diffs, &[], |key, _| {
            oldest = Some(decode_number(key)?);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(oldest)
    }

    /// A node, whose hash is the one that its place names.
    pub(super) fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, StoreError> {
        let key = node_key(place.owner, place.path);
        self.get(Table::Nodes, &key, |rlp| match keccak256(rlp) {
            hash if hash == *place.hash => Ok(Bytes::copy_from_slice(rlp)),
            hash => Err(format!("the node's hash is {hash}, and should be {}", place.hash)),
        })
    }
}

impl Snapshot {
    pub(super) const fn new(reader: Reader, head: Head, codes: Arc<CodeCache>) -> Self {
        Self { reader, head, codes }
    }

    /// The block that the state is after.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The header of a block.
    ///
    /// # Errors
    /// If the store cannot be read or is corrupt; so for all methods here.
    pub fn header(&self, number: u64) -> Result<Option<Header>, StoreError> {
        self.reader.header(number)
    }

    /// The hash of a block.
    pub fn block_hash(&self, number: u64) -> Result<Option<B256>, StoreError> {
        Ok(self.reader.hash(number)?.map(|(hash, _)| hash))
    }

    /// The difficulty of all blocks up to and with this one.
    pub fn total_difficulty(&self, number: u64) -> Result<Option<U256>, StoreError> {
        Ok(self.reader.hash(number)?.map(|(_, total_difficulty)| total_difficulty))
    }

    /// The number of the block with a hash.
    pub fn block_number(&self, hash: &B256) -> Result<Option<u64>, StoreError> {
        self.reader.get_sealed(Table::Numbers, hash.as_slice(), decode_number)
    }

    /// The body of a block, as it was committed.
    pub fn body(&self, number: u64) -> Result<Option<Bytes>, StoreError> {
        self.bytes(Table::Bodies, number)
    }

    /// The receipts of a block, as they were committed.
    pub fn receipts(&self, number: u64) -> Result<Option<Bytes>, StoreError> {
        self.bytes(Table::Receipts, number)
    }

    fn bytes(&self, table: Table, number: u64) -> Result<Option<Bytes>, StoreError> {
        let key = number.to_be_bytes();
        self.reader.get_sealed(table, &key, |value| Ok(Bytes::copy_from_slice(value)))
    }

    /// Has the backend read what lies on the way to an account in the account trie, or to a slot in
    /// its account's trie, so that it is in memory when the nodes are asked for. Both are given by
    /// their hashes.
    ///
    /// Nodes are filed in the order of their paths: where a node would be whose path is the whole
    /// key, the last one on the way to the key is near. Those above it are shared by many keys, and
    /// are in memory sooner or later.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn touch_nodes(
        &self,
        hashed_address: &B256,
        hashed_slot: Option<&B256>,
    ) -> Result<(), StoreError> {
        let owner = hashed_slot.map(|_| hashed_address);
        let path = Nibbles::unpack(hashed_slot.unwrap_or(hashed_address));
        self.reader.0.get(Table::Nodes, &node_key(owner, &path), &mut |_| ()).map(drop)
    }

    /// A bytecode as it is stored.
    fn code(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        let code =
            self.reader.get(Table::Codes, code_hash.as_slice(), |code| match keccak256(code) {
                found if found == code_hash => Ok(Bytes::copy_from_slice(code)),
                found => Err(format!("the code's hash is {found}")),
            })?;
        code.map(analyse).ok_or(StoreError::MissingCode { code_hash })
    }
}

impl CodeCache {
    fn get(&self, hash: &B256) -> Option<Bytecode> {
        self.0.read().codes.get(hash).cloned()
    }

    fn insert(&self, hash: B256, code: Bytecode) {
        let mut cached = self.0.write();
        if cached.bytes > CACHED_CODE {
            *cached = CachedCodes::default();
        }
        cached.bytes += code.len();
        cached.codes.insert(hash, code);
    }
}

impl DatabaseRef for Snapshot {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        Ok(self.reader.account(&address)?.map(account_info))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StoreError> {
        if code_hash == KECCAK_EMPTY || code_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        if let Some(code) = self.codes.get(&code_hash) {
            return Ok(code);
        }
        let code = self.code(code_hash)?;
        self.codes.insert(code_hash, code.clone());
        Ok(code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        let key = slot_key(&address, &slot);
        Ok(self.reader.get_sealed(Table::Slots, &key, decode_word)?.unwrap_or_default())
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        self.block_hash(number)?.ok_or(StoreError::MissingBlockHash { number })
    }
}

impl NodeSource for Snapshot {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        Ok(self.reader.node(place)?)
    }
}

impl NodeSource for Reader {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        Ok(Self::node(self, place)?)
    }
}
