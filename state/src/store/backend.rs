//! The seam that embedders implement: ordered tables of bytes, written in atomic batches.
//!
//! Everything that the tables mean (encodings, checksums, reverse diffs, unwinding, verification)
//! lies above this seam, in [`Store`](super::Store), and is the same for all backends.

use std::{collections::BTreeMap, fmt::Debug, ops::ControlFlow, sync::Arc};

use super::error::StoreError;

/// What a table holds, and how its keys are made. Numbers in keys are big-endian, so that keys sort
/// as the numbers do. No key is empty or longer than 97 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// The schema, the chain and its head, by name.
    Meta,
    /// A block's hash and total difficulty, by number.
    Hashes,
    /// A block's number, by hash.
    Numbers,
    /// A header's RLP, by number.
    Headers,
    /// A body, by number.
    Bodies,
    /// A block's receipts, by number.
    Receipts,
    /// An account without its storage, by address.
    Accounts,
    /// A slot's value, by address and slot.
    Slots,
    /// Bytecode, by its Keccak-256.
    Codes,
    /// A trie node's RLP, by its place: 0 and its path for the account trie; 1, the hashed address
    /// and its path for a storage trie. A path is one byte for each nibble.
    Nodes,
    /// What a block's changes replaced, by number.
    Diffs,
}

impl Table {
    /// All tables, in their order.
    pub const ALL: [Self; 11] = [
        Self::Meta,
        Self::Hashes,
        Self::Numbers,
        Self::Headers,
        Self::Bodies,
        Self::Receipts,
        Self::Accounts,
        Self::Slots,
        Self::Codes,
        Self::Nodes,
        Self::Diffs,
    ];

    /// The table's name: what a backend that names its tables calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Hashes => "hashes",
            Self::Numbers => "numbers",
            Self::Headers => "headers",
            Self::Bodies => "bodies",
            Self::Receipts => "receipts",
            Self::Accounts => "accounts",
            Self::Slots => "slots",
            Self::Codes => "codes",
            Self::Nodes => "nodes",
            Self::Diffs => "diffs",
        }
    }
}

/// Tables of bytes sorted by key, in a process's own hands: one [`Store`](super::Store) writes.
///
/// A backend need not understand what it keeps.
pub trait Backend: Debug + Send + Sync + 'static {
    /// The tables as they are now. Later batches do not show in it.
    ///
    /// # Errors
    /// Whatever keeps the backend from it.
    fn snapshot(&self) -> Result<Arc<dyn Tables>, StoreError>;

    /// Makes all changes of a batch, or none of them. They are durable once this returns.
    ///
    /// # Errors
    /// After an error the tables hold what they held before, and further batches may succeed.
    fn write(&self, batch: &Batch) -> Result<(), StoreError>;

    /// How much room the tables take.
    ///
    /// # Errors
    /// Whatever keeps the backend from it.
    fn stats(&self) -> Result<BackendStats, StoreError>;
}

/// Tables as they were at one moment. Many threads read from it at once.
pub trait Tables: Debug + Send + Sync + 'static {
    /// Shows the value under a key to `found`, if there is one, and says whether there was.
    ///
    /// # Errors
    /// Whatever keeps the backend from reading.
    fn get(
        &self,
        table: Table,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StoreError>;

    /// Shows keys and values to `visit`, in order, from the first key that is not below `from` on,
    /// until it breaks off or the table ends. `visit` does not read from these tables.
    ///
    /// # Errors
    /// Whatever keeps the backend from reading.
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// What is shown keys and values, and says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Changes to make together: for each key its new value, or none to take it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: BTreeMap<Table, TableChanges>,
}

type TableChanges = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl Batch {
    /// No changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value under a key.
    pub fn put(&mut self, table: Table, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.changes.entry(table).or_default().insert(key.into(), Some(value));
    }

    /// Takes a key out, whether or not it is there.
    pub fn delete(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.changes.entry(table).or_default().insert(key.into(), None);
    }

    /// The tables that change, in order, each with its changes sorted by key.
    pub fn tables(
        &self,
    ) -> impl Iterator<Item = (Table, impl Iterator<Item = (&[u8], Option<&[u8]>)>)> {
        self.changes.iter().map(|(table, changes)| {
            let changes = changes.iter();
            (*table, changes.map(|(key, value)| (key.as_slice(), value.as_deref())))
        })
    }

    /// The change of a key, if there is one.
    pub fn get(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        self.changes.get(&table)?.get(key).map(Option::as_deref)
    }

    /// The changes of a table from a key on, sorted.
    pub fn range(&self, table: Table, from: &[u8]) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let changes = self.changes.get(&table).into_iter();
        let range = changes.flat_map(move |changes| changes.range(from.to_vec()..));
        range.map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.changes.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How much a backend holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackendStats {
    /// Bytes taken on disk or, for a backend in memory, by keys and values.
    pub bytes: u64,
    /// Bytes of those that are free for further blocks.
    pub free_bytes: u64,
    /// Each table with its entries and the bytes it takes, in order.
    pub tables: Vec<TableStats>,
}

/// How much a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStats {
    /// Which table.
    pub table: Table,
    /// Keys in it.
    pub entries: u64,
    /// Bytes that it takes.
    pub bytes: u64,
}
