//! Everything in a store checked against everything else.

use std::ops::ControlFlow;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, Nibbles, TrieAccount};
use revm::primitives::KECCAK_EMPTY;

use super::{
    backend::{BackendStats, Table},
    codec::{corrupt, decode_account, decode_number, decode_word, node_key, opened},
    diff::Diff,
    error::StoreError,
    snapshot::Reader,
    store::Store,
    types::Head,
};
use crate::mpt::{AccountFields, NodePlace, RawChild, RawNode};

/// Accounts that are sorted in memory at a time, about. Each takes some 150 bytes there.
const SORTED_TOGETHER: u64 = 4 << 20;

/// What a store was found to hold, all of it in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blocks, each with its hash, body and receipts, linked to its parent.
    pub blocks: u64,
    /// Accounts of the flat state.
    pub accounts: u64,
    /// Slots of the flat state.
    pub slots: u64,
    /// Codes that accounts name, counted once for each account.
    pub codes: u64,
    /// Nodes of the tries, each under the hash that its parent names.
    pub nodes: u64,
    /// Blocks that can be taken back.
    pub diffs: u64,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifyProgress {
    /// What is being gone through.
    pub table: Table,
    /// Entries that were looked at.
    pub done: u64,
    /// Entries in all, about.
    pub total: u64,
}

impl Store {
    /// Goes through the whole store: blocks and their links, the flat state, whose root is computed
    /// from nothing else, and all nodes of the tries. `progress` is told now and then.
    ///
    /// # Errors
    /// The first thing that is not in order.
    pub fn verify(&self, progress: &mut dyn FnMut(VerifyProgress)) -> Result<Verified, StoreError> {
        let stats = self.backend.stats()?;
        let reader = self.reader()?;
        let head = reader.head()?.ok_or(StoreError::Uninitialised)?;
        let mut verifying =
            Verifying { reader: &reader, stats, progress, verified: Verified::default() };
        verifying.blocks(&head)?;
        verifying.state(&head)?;
        verifying.nodes(&head)?;
        verifying.diffs(&head)?;
        Ok(verifying.verified)
    }
}

struct Verifying<'a> {
    reader: &'a Reader,
    stats: BackendStats,
    progress: &'a mut dyn FnMut(VerifyProgress),
    verified: Verified,
}

impl Verifying<'_> {
    fn total(&self, table: Table) -> u64 {
        let stats = self.stats.tables.iter().find(|stats| stats.table == table);
        stats.map_or(0, |stats| stats.entries)
    }

    fn report(&mut self, table: Table, done: u64) {
        if done.is_multiple_of(1_024) {
            let total = self.total(table);
            (self.progress)(VerifyProgress { table, done, total });
        }
    }

    /// All blocks from the first one that is there to the head.
    fn blocks(&mut self, head: &Head) -> Result<(), StoreError> {
        let mut first = None;
        self.reader.scan(Table::Hashes, &[], |key, _| {
            first = Some(decode_number(key)?);
            Ok(ControlFlow::Break(()))
        })?;
        let first = first.unwrap_or(head.number);
        if self.reader.genesis()? != self.reader.hash(first)?.map(|(hash, _)| hash) {
            return Err(corrupt(Table::Meta, b"genesis", "it is not the first block's hash"));
        }
        let mut parent = None;
        for number in first..=head.number {
            parent = Some(self.block(number, parent)?);
            self.verified.blocks += 1;
            self.report(Table::Headers, self.verified.blocks);
        }
        if parent != Some(head.hash) {
            return Err(corrupt(Table::Meta, b"head", "it is not the last block"));
        }
        for table in [Table::Hashes, Table::Numbers, Table::Headers, Table::Bodies, Table::Receipts]
        {
            let entries = self.total(table);
            if entries != self.verified.blocks {
                let blocks = self.verified.blocks;
                let reason = format!("{entries} entries for {blocks} blocks");
                return Err(StoreError::corrupt(format!("table {}", table.name()), reason));
            }
        }
        Ok(())
    }

    /// One block, whose hash is returned.
    fn block(&self, number: u64, parent: Option<B256>) -> Result<B256, StoreError> {
        let key = number.to_be_bytes();
        let missing = |table| corrupt(table, &key, "it is missing");
        let (hash, _) = self.reader.hash(number)?.ok_or_else(|| missing(Table::Hashes))?;
        let header = self.reader.header(number)?.ok_or_else(|| missing(Table::Headers))?;
        if header.number != number || parent.is_some_and(|parent| parent != header.parent_hash) {
            return Err(corrupt(Table::Headers, &key, "it does not follow the block before it"));
        }
        let listed = self.reader.get_sealed(Table::Numbers, hash.as_slice(), decode_number)?;
        if listed != Some(number) {
            let reason = format!("it is said to be of block {listed:?}, and is of {number}");
            return Err(corrupt(Table::Numbers, hash.as_slice(), reason));
        }
        for table in [Table::Bodies, Table::Receipts] {
            let found = self.reader.get_sealed(table, &key, |_| Ok(()))?;
            found.ok_or_else(|| missing(table))?;
        }
        Ok(hash)
    }

    /// The flat state, whose root must be the head's.
    fn state(&mut self, head: &Head) -> Result<(), StoreError> {
        let nibbles = match self.total(Table::Accounts) / SORTED_TOGETHER {
            0 => 0,
            1..=15 => 1,
            _ => 2,
        };
        let mut root = HashBuilder::default();
        for part in 0..1 << (4 * nibbles) {
            for (hashed, address, account) in self.accounts(part, nibbles)? {
                let leaf = self.leaf(&address, account)?;
                root.add_leaf(Nibbles::unpack(hashed), &alloy_rlp::encode(leaf));
                self.verified.accounts += 1;
                self.report(Table::Accounts, self.verified.accounts);
            }
        }
        let (root, expected) = (root.root(), head.state_root);
        if root != expected {
            let reason = format!("their root is {root}, and the head's header says {expected}");
            return Err(StoreError::corrupt("tables accounts and slots", reason));
        }
        let slots = self.total(Table::Slots);
        if slots != self.verified.slots {
            let reason = format!("{slots} entries, of which {} are accounts'", self.verified.slots);
            return Err(StoreError::corrupt("table slots", reason));
        }
        Ok(())
    }

    /// The accounts whose hashed addresses begin with some nibbles, sorted by these hashes.
    fn accounts(
        &self,
        part: usize,
        nibbles: usize,
    ) -> Result<Vec<(B256, Address, AccountFields)>, StoreError> {
        let mut found = Vec::new();
        self.reader.scan_sealed(Table::Accounts, &[], |key, value| {
            let hashed = keccak256(key);
            if usize::from(hashed[0]) >> (8 - 4 * nibbles) == part {
                let address = Address::try_from(key).map_err(|_| "no address")?;
                found.push((hashed, address, decode_account(value)?));
            }
            Ok(())
        })?;
        found.sort_unstable_by_key(|(hashed, ..)| *hashed);
        Ok(found)
    }

    /// An account as the trie holds it.
    fn leaf(
        &mut self,
        address: &Address,
        account: AccountFields,
    ) -> Result<TrieAccount, StoreError> {
        let AccountFields { nonce, balance, code_hash } = account;
        if code_hash != KECCAK_EMPTY {
            let found = self.reader.get(Table::Codes, code_hash.as_slice(), |code| {
                let reason = || "its hash is another".to_owned();
                (keccak256(code) == code_hash).then_some(()).ok_or_else(reason)
            })?;
            found.ok_or(StoreError::MissingCode { code_hash })?;
            self.verified.codes += 1;
        }
        let mut slots = Vec::new();
        self.reader.scan_sealed(Table::Slots, address.as_slice(), |key, value| {
            slots.push((keccak256(&key[20..]), decode_word(value)?));
            Ok(())
        })?;
        slots.sort_unstable();
        self.verified.slots += slots.len() as u64;
        Ok(TrieAccount::new(nonce, balance, storage_root(&slots), code_hash))
    }

    /// The nodes of all tries, and that there are no others.
    fn nodes(&mut self, head: &Head) -> Result<(), StoreError> {
        self.node(None, Nibbles::new(), head.state_root)?;
        let entries = self.total(Table::Nodes);
        if entries != self.verified.nodes {
            let reason = format!("{entries} entries, of which {} are used", self.verified.nodes);
            return Err(StoreError::corrupt("table nodes", reason));
        }
        Ok(())
    }

    /// A node with a hash, and all below it.
    fn node(&mut self, owner: Option<&B256>, path: Nibbles, hash: B256) -> Result<(), StoreError> {
        if path.is_empty() && hash == EMPTY_ROOT_HASH {
            return Ok(());
        }
        let key = node_key(owner, &path);
        let found = self.reader.node(NodePlace { owner, path: &path, hash: &hash })?;
        let rlp = found.ok_or_else(|| corrupt(Table::Nodes, &key, "it is missing"))?;
        self.verified.nodes += 1;
        self.report(Table::Nodes, self.verified.nodes);
        self.below(owner, path, &rlp)
    }

    fn below(&mut self, owner: Option<&B256>, path: Nibbles, rlp: &[u8]) -> Result<(), StoreError> {
        let corrupt = |reason: &dyn ToString| {
            corrupt(Table::Nodes, &node_key(owner, &path), reason.to_string())
        };
        let with = |more: &Nibbles| {
            let mut longer = path;
            longer.extend(more);
            longer
        };
        match RawNode::decode(rlp).map_err(|error| corrupt(&error))? {
            RawNode::Leaf(rest, value) if owner.is_none() => {
                let path = with(&rest);
                if path.len() != 64 {
                    return Err(corrupt(&"a leaf that does not end where keys end"));
                }
                let account: TrieAccount =
                    alloy_rlp::decode_exact(value).map_err(|error| corrupt(&error))?;
                let mut hashed = B256::ZERO;
                path.pack_to(hashed.as_mut_slice());
                self.node(Some(&hashed), Nibbles::new(), account.storage_root)
            }
            RawNode::Leaf(..) => Ok(()),
            RawNode::Extension(rest, child) => self.child(owner, with(&rest), child),
            RawNode::Branch(children) => {
                for (nibble, child) in (0..16).zip(children) {
                    self.child(owner, with(&Nibbles::from_nibbles([nibble])), child)?;
                }
                Ok(())
            }
        }
    }

    fn child(
        &mut self,
        owner: Option<&B256>,
        path: Nibbles,
        child: RawChild<'_>,
    ) -> Result<(), StoreError> {
        match child {
            _ if path.len() > 64 => {
                Err(corrupt(Table::Nodes, &node_key(owner, &path), "it lies deeper than keys"))
            }
            RawChild::Empty => Ok(()),
            RawChild::Hash(hash) => self.node(owner, path, hash),
            RawChild::Inline(rlp) => self.below(owner, path, rlp),
        }
    }

    /// What is kept to take blocks back.
    fn diffs(&mut self, head: &Head) -> Result<(), StoreError> {
        let mut numbers = Vec::new();
        self.reader.scan(Table::Diffs, &[], |key, value| {
            Diff::decode(opened(Table::Diffs, key, value)?)?;
            numbers.push(decode_number(key)?);
            Ok(ControlFlow::Continue(()))
        })?;
        let first = head.number + 1 - numbers.len() as u64;
        if numbers.iter().copied().ne(first..=head.number) {
            return Err(StoreError::corrupt("table diffs", "there are gaps before the head"));
        }
        self.verified.diffs = numbers.len() as u64;
        Ok(())
    }
}

/// The root of a storage trie over sorted slots.
fn storage_root(slots: &[(B256, U256)]) -> B256 {
    let mut root = HashBuilder::default();
    for (hashed, value) in slots {
        root.add_leaf(Nibbles::unpack(hashed), &alloy_rlp::encode(value));
    }
    root.root()
}
