//! A batch in the making.

use std::{collections::BTreeMap, ops::ControlFlow};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use alloy_trie::EMPTY_ROOT_HASH;
use revm::database::{BundleAccount, BundleState};

use super::{
    backend::{Batch, Table},
    codec::{
        Decoded, decode_word, encode_account, encode_hash, encode_head, encode_word, node_key,
        node_prefix, opened, sealed, slot_key,
    },
    diff::{AccountBefore, Diff},
    error::StoreError,
    snapshot::Reader,
    types::{BlockCommit, Head},
};
use crate::mpt::{AccountFields, NodeChanges};

/// Changes on top of the tables as they are.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) reader: &'a Reader,
    pub(super) batch: Batch,
}

impl<'a> Writing<'a> {
    pub(super) fn new(reader: &'a Reader) -> Self {
        Self { reader, batch: Batch::new() }
    }

    pub(super) fn seal(&mut self, table: Table, key: &[u8], payload: Vec<u8>) {
        self.batch.put(table, key, sealed(table, key, payload));
    }

    pub(super) fn set_head(&mut self, head: &Head) {
        self.seal(Table::Meta, b"head", encode_head(head));
    }

    /// Everything of a block but its state.
    pub(super) fn block(
        &mut self,
        header: &Header,
        hash: &B256,
        total_difficulty: &U256,
        body: &[u8],
        receipts: &[u8],
    ) {
        let number = header.number.to_be_bytes();
        self.seal(Table::Hashes, &number, encode_hash(hash, total_difficulty));
        self.seal(Table::Numbers, hash.as_slice(), number.to_vec());
        self.batch.put(Table::Headers, number, alloy_rlp::encode(header));
        self.seal(Table::Bodies, &number, body.to_vec());
        self.seal(Table::Receipts, &number, receipts.to_vec());
    }

    /// Takes out everything of a block but its state.
    pub(super) fn remove_block(&mut self, number: u64) -> Result<(), StoreError> {
        if let Some((hash, _)) = self.reader.hash(number)? {
            self.batch.delete(Table::Numbers, hash.as_slice());
        }
        let tables = [Table::Hashes, Table::Headers, Table::Bodies, Table::Receipts, Table::Diffs];
        tables.into_iter().for_each(|table| self.batch.delete(table, number.to_be_bytes()));
        Ok(())
    }

    pub(super) fn account(&mut self, address: &Address, account: Option<&AccountFields>) {
        let key = address.as_slice();
        match account {
            Some(account) => self.seal(Table::Accounts, key, encode_account(account)),
            None => self.batch.delete(Table::Accounts, key),
        }
    }

    pub(super) fn slot(&mut self, address: &Address, slot: &U256, value: &U256) {
        let key = slot_key(address, slot);
        match value.is_zero() {
            true => self.batch.delete(Table::Slots, key),
            false => self.seal(Table::Slots, &key, encode_word(value)),
        }
    }

    /// What a block changed, with what that replaced if it is to be kept.
    pub(super) fn changes(&mut self, block: &BlockCommit, keep: bool) -> Result<(), StoreError> {
        let diff = self.bundle(&block.bundle)?;
        if keep {
            self.seal(Table::Diffs, &block.header.number.to_be_bytes(), diff.encode());
        }
        Ok(())
    }

    fn bundle(&mut self, bundle: &BundleState) -> Result<Diff, StoreError> {
        let codes = bundle.contracts.iter().filter(|(hash, _)| **hash != KECCAK256_EMPTY);
        codes.for_each(|(hash, code)| {
            self.batch.put(Table::Codes, hash.as_slice(), code.original_byte_slice().to_vec());
        });
        let changed: BTreeMap<_, _> = bundle.state.iter().collect();
        let mut diff = Diff::default();
        for (address, account) in changed {
            let before = self.bundle_account(address, account)?;
            diff.0.extend(before.map(|before| (*address, before)));
        }
        Ok(diff)
    }

    /// What a block made of an account. Returns what was there, if that is something else.
    fn bundle_account(
        &mut self,
        address: &Address,
        change: &BundleAccount,
    ) -> Result<Option<AccountBefore>, StoreError> {
        let before = change.original_info.as_ref().map(AccountFields::from);
        let after = change.info.as_ref().map(AccountFields::from);
        let is_gone = after.is_none() && before.is_some();
        let wiped = change.was_destroyed() || is_gone;
        let held = if wiped { self.slots(address)? } else { BTreeMap::new() };
        // What was there and what will be, of each slot that may differ.
        let mut slots: BTreeMap<U256, (U256, U256)> =
            held.iter().map(|(slot, value)| (*slot, (*value, U256::ZERO))).collect();
        if after.is_some() {
            slots.extend(change.storage.iter().map(|(slot, value)| {
                let held = held.get(slot).copied().unwrap_or_default();
                let before = if wiped { held } else { value.previous_or_original_value };
                (*slot, (before, value.present_value))
            }));
        }
        slots.retain(|_, (before, after)| before != after);
        slots.iter().for_each(|(slot, (_, after))| self.slot(address, slot, after));
        if before != after {
            self.account(address, after.as_ref());
        }
        let differs = before != after || !slots.is_empty();
        let slots = slots.into_iter().map(|(slot, (before, _))| (slot, before));
        Ok(differs.then(|| AccountBefore { account: before, slots: slots.collect() }))
    }

    /// All slots of an account, as the batch leaves them.
    fn slots(&self, address: &Address) -> Result<BTreeMap<U256, U256>, StoreError> {
        let mut slots = BTreeMap::new();
        let prefix = address.as_slice();
        self.reader.scan_sealed(Table::Slots, prefix, |key, value| {
            slots.insert(slot_of(key)?, decode_word(value)?);
            Ok(())
        })?;
        let changes = self.batch.range(Table::Slots, prefix);
        for (key, value) in changes.take_while(|(key, _)| key.starts_with(prefix)) {
            let changed = || -> Decoded<_> {
                let open = |value| decode_word(opened(Table::Slots, key, value)?);
                Ok((slot_of(key)?, value.map(open).transpose()?))
            };
            match changed().expect("the batch holds what was put there") {
                (slot, Some(value)) => slots.insert(slot, value),
                (slot, None) => slots.remove(&slot),
            };
        }
        Ok(slots)
    }

    /// What became of the tries' nodes.
    pub(super) fn nodes(&mut self, changes: &NodeChanges) -> Result<(), StoreError> {
        for owner in &changes.wiped {
            let prefix = node_prefix(Some(owner));
            let mut gone = Vec::new();
            self.reader.scan(Table::Nodes, &prefix, |key, _| {
                if !key.starts_with(&prefix) {
                    return Ok(ControlFlow::Break(()));
                }
                gone.push(key.to_vec());
                Ok(ControlFlow::Continue(()))
            })?;
            gone.into_iter().for_each(|key| self.batch.delete(Table::Nodes, key));
        }
        for node in &changes.nodes {
            let key = node_key(node.owner.as_ref(), &node.path);
            match &node.rlp {
                Some(rlp) => self.batch.put(Table::Nodes, key, rlp.to_vec()),
                None => self.batch.delete(Table::Nodes, key),
            }
        }
        Ok(())
    }

    /// The state root that the batch leaves, if it differs from the one before.
    pub(super) fn root(&self) -> Option<B256> {
        let root = self.batch.get(Table::Nodes, &node_prefix(None))?;
        Some(root.map_or(EMPTY_ROOT_HASH, alloy_primitives::keccak256))
    }
}

fn slot_of(key: &[u8]) -> Decoded<U256> {
    let slot = key.get(20..).filter(|slot| slot.len() == 32).ok_or("a key of the wrong length")?;
    Ok(U256::from_be_slice(slot))
}
