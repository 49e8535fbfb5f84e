//! A chain in a backend: opened, begun, committed to.

use std::sync::Arc;

use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{B256, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use parking_lot::Mutex;
use revm::DatabaseRef;

use super::{
    backend::{Backend, Table},
    codec::{Decoded, corrupt, encode_body, encode_receipts, node_prefix},
    error::StoreError,
    snapshot::{CodeCache, Reader, Snapshot},
    types::{BlockCommit, Head, StoreConfig, StoreStats},
    writing::Writing,
};
use crate::{
    FlatState,
    mpt::{NoNodes, NodeChanges, StateChanges, StateTrie},
};

/// The version of the layout that this program reads and writes.
pub const SCHEMA: u32 = 1;

/// A chain and the state after its last block, in a [`Backend`].
///
/// One thread writes at a time; others wait. Snapshots are read beside it.
#[derive(Debug)]
pub struct Store {
    pub(super) backend: Box<dyn Backend>,
    pub(super) config: StoreConfig,
    pub(super) writing: Mutex<()>,
    codes: Arc<CodeCache>,
}

impl Store {
    /// Takes a backend's tables, empty or with a chain in them, whose head is then checked: its
    /// header by its hash, and the root node of the state by the header's root.
    ///
    /// # Errors
    /// If the tables have another schema, or are corrupt.
    pub fn open(backend: impl Backend, config: StoreConfig) -> Result<Self, StoreError> {
        let backend: Box<dyn Backend> = Box::new(backend);
        let store = Self { backend, config, writing: Mutex::new(()), codes: Arc::default() };
        let reader = store.reader()?;
        match reader.get(Table::Meta, b"schema", schema)? {
            Some(SCHEMA) => check_head(&reader)?,
            Some(found) => return Err(StoreError::Schema { found, expected: SCHEMA }),
            None => {}
        }
        Ok(store)
    }

    pub(super) fn reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader(self.backend.snapshot()?))
    }

    /// The last block that is committed; none before there is a chain.
    ///
    /// # Errors
    /// If the store cannot be read or is corrupt.
    pub fn head(&self) -> Result<Option<Head>, StoreError> {
        self.reader()?.head()
    }

    /// The hash of the chain's first block; none before there is one.
    ///
    /// # Errors
    /// If the store cannot be read or is corrupt.
    pub fn genesis(&self) -> Result<Option<B256>, StoreError> {
        self.reader()?.genesis()
    }

    /// Makes sure that the store holds the chain with this genesis hash.
    ///
    /// # Errors
    /// [`StoreError::WrongChain`] if it is another one, [`StoreError::Uninitialised`] if there is
    /// none.
    pub fn expect_chain(&self, expected: B256) -> Result<(), StoreError> {
        match self.genesis()? {
            None => Err(StoreError::Uninitialised),
            Some(found) if found != expected => Err(StoreError::WrongChain { found, expected }),
            Some(_) => Ok(()),
        }
    }

    /// The state after the head, and the chain up to there.
    ///
    /// # Errors
    /// If there is no chain yet, or the store cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let reader = self.reader()?;
        let head = reader.head()?.ok_or(StoreError::Uninitialised)?;
        Ok(Snapshot::new(reader, head, self.codes.clone()))
    }

    /// Begins a chain with its first block, which has no transactions, and the state after it.
    ///
    /// # Errors
    /// If there is a chain already, if the state's root is not the header's, or if the store cannot
    /// be written. Nothing is written then.
    pub fn init(&self, header: &Header, state: &FlatState) -> Result<Head, StoreError> {
        let _one_at_a_time = self.writing.lock();
        let reader = self.reader()?;
        if let Some(genesis) = reader.genesis()? {
            return Err(StoreError::AlreadyInitialised { genesis });
        }
        let hash = header.hash_slow();
        let mut writing = Writing::new(&reader);
        writing.batch.put(Table::Meta, b"schema", SCHEMA.to_le_bytes().to_vec());
        writing.seal(Table::Meta, b"genesis", hash.to_vec());
        let withdrawals = header.withdrawals_root.map(|_| Default::default());
        let body = encode_body(&BlockBody { withdrawals, ..BlockBody::default() });
        writing.block(header, &hash, &header.difficulty, &body, &encode_receipts(&[]));
        write_state(&mut writing, state)?;
        let mut tries = StateTrie::empty().recording_nodes();
        tries.update(&StateChanges::of_flat(state, tries.workers()), &NoNodes)?;
        writing.nodes(&tries.take_node_changes())?;
        let head = Head {
            number: header.number,
            hash,
            state_root: header.state_root,
            total_difficulty: header.difficulty,
        };
        self.finish(writing, EMPTY_ROOT_HASH, head)
    }

    /// Adds blocks to the chain, with what they changed: all of them, durably, or none.
    ///
    /// `nodes` is what all of them together made of the tries, as
    /// [`StateTrie::take_node_changes`] gives it. That the root is the last header's is checked.
    ///
    /// # Errors
    /// If the blocks do not follow the head, if the root is another, or if the store cannot be
    /// written. The store then stays as it was, and the same blocks may be committed again.
    pub fn commit(&self, blocks: &[BlockCommit], nodes: &NodeChanges) -> Result<Head, StoreError> {
        let _one_at_a_time = self.writing.lock();
        let reader = self.reader()?;
        let before = reader.head()?.ok_or(StoreError::Uninitialised)?;
        let Some(last) = blocks.last() else { return Ok(before) };
        let forgotten = last.header.number.saturating_sub(self.config.unwindable);
        let mut writing = Writing::new(&reader);
        let mut head = before;
        for block in blocks {
            head = following(&head, block)?;
            let BlockCommit { header, hash, total_difficulty, body, receipts, .. } = block;
            writing.block(header, hash, total_difficulty, body, receipts);
            writing.changes(block, header.number > forgotten)?;
        }
        writing.nodes(nodes)?;
        writing.forget_diffs(forgotten)?;
        self.finish(writing, before.state_root, head)
    }

    /// Writes a batch that makes a block the head, if the root it leaves is that block's.
    pub(super) fn finish(
        &self,
        mut writing: Writing<'_>,
        root_before: B256,
        head: Head,
    ) -> Result<Head, StoreError> {
        let found = writing.root().unwrap_or(root_before);
        if found != head.state_root {
            let (number, expected) = (head.number, head.state_root);
            return Err(StoreError::StateRoot { number, found, expected });
        }
        writing.set_head(&head);
        self.backend.write(&writing.batch)?;
        Ok(head)
    }

    /// What the store holds, and the room it takes.
    ///
    /// # Errors
    /// If the store cannot be read or is corrupt.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let reader = self.reader()?;
        let head = reader.head()?;
        let oldest_unwind = match head {
            Some(head) => Some(reader.oldest_unwind(&head)?),
            None => None,
        };
        let genesis = reader.genesis()?;
        let backend = self.backend.stats()?;
        Ok(StoreStats { schema: SCHEMA, genesis, head, oldest_unwind, backend })
    }
}

fn schema(bytes: &[u8]) -> Decoded<u32> {
    let bytes = bytes.try_into().map_err(|_| format!("a schema of {} bytes", bytes.len()))?;
    Ok(u32::from_le_bytes(bytes))
}

/// Compares the head with its header, and the state's root node with the header's root.
fn check_head(reader: &Reader) -> Result<(), StoreError> {
    let (Some(_), Some(head)) = (reader.genesis()?, reader.head()?) else {
        return Err(corrupt(
            Table::Meta,
            b"head",
            "a store with a schema has a first and a last block",
        ));
    };
    let number = head.number.to_be_bytes();
    let header = reader.header(head.number)?;
    let header = header.ok_or_else(|| corrupt(Table::Headers, &number, "the head is missing"))?;
    if header.hash_slow() != head.hash || header.state_root != head.state_root {
        return Err(corrupt(Table::Headers, &number, "it is not the block that is the head"));
    }
    let key = node_prefix(None);
    let root = reader.get(Table::Nodes, &key, |rlp| Ok(keccak256(rlp)))?;
    match root.unwrap_or(EMPTY_ROOT_HASH) {
        root if root == head.state_root => Ok(()),
        root => {
            let expected = head.state_root;
            let reason = format!("the state root is {root}, and the head's header says {expected}");
            Err(corrupt(Table::Nodes, &key, reason))
        }
    }
}

/// The head once a block is added to it.
fn following(head: &Head, block: &BlockCommit) -> Result<Head, StoreError> {
    let header = &block.header;
    if header.number != head.number + 1 || header.parent_hash != head.hash {
        return Err(StoreError::NotNext {
            number: header.number,
            parent: header.parent_hash,
            head_number: head.number,
            head: head.hash,
        });
    }
    Ok(Head {
        number: header.number,
        hash: block.hash,
        state_root: header.state_root,
        total_difficulty: block.total_difficulty,
    })
}

fn write_state(writing: &mut Writing<'_>, state: &FlatState) -> Result<(), StoreError> {
    state.accounts().for_each(|(address, account)| {
        writing.account(address, Some(&(&account.info).into()));
        account.storage.iter().for_each(|(slot, value)| writing.slot(address, slot, value));
    });
    for code_hash in state.code_hashes().copied().collect::<Vec<_>>() {
        let code = state.code_by_hash_ref(code_hash);
        let code = code.map_err(|_| StoreError::MissingCode { code_hash })?;
        if !code.is_empty() {
            let code = code.original_byte_slice().to_vec();
            writing.batch.put(Table::Codes, code_hash.as_slice(), code);
        }
    }
    Ok(())
}
