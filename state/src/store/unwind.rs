//! Blocks taken back, with what their changes replaced.

use std::ops::ControlFlow;

use alloy_primitives::{B256, keccak256};

use super::{
    backend::Table,
    codec::{corrupt, decode_number},
    diff::Diff,
    error::StoreError,
    snapshot::Reader,
    store::Store,
    types::Head,
    writing::Writing,
};
use crate::mpt::{AccountChange, NodeChanges, StateChanges, StateTrie};

impl Store {
    /// Takes back all blocks above one, in one durable step. Codes that they brought stay.
    ///
    /// The tries' nodes are computed from the state, so the root is that block's or nothing is
    /// written.
    ///
    /// # Errors
    /// If the block is above the head, or further below it than is [kept](super::StoreConfig); if
    /// the store cannot be written, is corrupt, or gives another root.
    pub fn unwind(&self, to: u64) -> Result<Head, StoreError> {
        let _one_at_a_time = self.writing.lock();
        let reader = self.reader()?;
        let head = reader.head()?.ok_or(StoreError::Uninitialised)?;
        if to > head.number {
            return Err(StoreError::UnwindAhead { to, head: head.number });
        }
        if to == head.number {
            return Ok(head);
        }
        let oldest = reader.oldest_unwind(&head)?;
        if to < oldest {
            return Err(StoreError::UnwindTooFar { to, oldest });
        }
        let target = reader.block(to)?;
        let mut diff = Diff::default();
        let mut writing = Writing::new(&reader);
        for number in (to + 1..=head.number).rev() {
            diff.precede(reader.diff(number)?);
            writing.remove_block(number)?;
        }
        writing.nodes(&nodes_without(&reader, head.state_root, &diff)?)?;
        writing.restore(&diff);
        self.finish(writing, head.state_root, target)
    }
}

/// What taking changes back makes of the nodes under a root.
fn nodes_without(reader: &Reader, root: B256, diff: &Diff) -> Result<NodeChanges, StoreError> {
    let accounts = diff.0.iter().map(|(address, before)| {
        let slots = before.slots.iter().filter(|_| before.account.is_some());
        AccountChange {
            hashed_address: keccak256(address),
            account: before.account,
            wiped: false,
            slots: slots.map(|(slot, value)| (keccak256(B256::from(*slot)), *value)).collect(),
        }
    });
    let changes = StateChanges::new(accounts.collect());
    let mut tries = StateTrie::new(root).recording_nodes();
    tries.update(&changes, reader)?;
    Ok(tries.take_node_changes())
}

impl Reader {
    /// The earliest block that can be unwound to.
    pub(super) fn oldest_unwind(&self, head: &Head) -> Result<u64, StoreError> {
        Ok(self.oldest_diff()?.map_or(head.number, |number| number.saturating_sub(1)))
    }

    fn diff(&self, number: u64) -> Result<Diff, StoreError> {
        let key = number.to_be_bytes();
        let diff = self.get_sealed(Table::Diffs, &key, Diff::decode)?;
        diff.ok_or_else(|| corrupt(Table::Diffs, &key, "it is missing"))
    }

    /// A block as it was when it was the head.
    fn block(&self, number: u64) -> Result<Head, StoreError> {
        let key = number.to_be_bytes();
        let missing = || corrupt(Table::Headers, &key, "it is missing");
        let (hash, total_difficulty) = self.hash(number)?.ok_or_else(missing)?;
        let header = self.header(number)?.ok_or_else(missing)?;
        Ok(Head { number, hash, state_root: header.state_root, total_difficulty })
    }
}

impl Writing<'_> {
    /// Puts the flat state back to what it was.
    fn restore(&mut self, diff: &Diff) {
        for (address, before) in &diff.0 {
            self.account(address, before.account.as_ref());
            before.slots.iter().for_each(|(slot, value)| self.slot(address, slot, value));
        }
    }

    /// Gives up what would be needed to take back blocks up to and with this one.
    pub(super) fn forget_diffs(&mut self, up_to: u64) -> Result<(), StoreError> {
        let mut forgotten = Vec::new();
        self.reader.scan(Table::Diffs, &[], |key, _| {
            if decode_number(key)? > up_to {
                return Ok(ControlFlow::Break(()));
            }
            forgotten.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        forgotten.into_iter().for_each(|key| self.batch.delete(Table::Diffs, key));
        Ok(())
    }
}
