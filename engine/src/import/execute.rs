//! Execution of one block on top of all that stands, with its access list or without.

use std::sync::Arc;

use alloy_consensus::{Eip658Value, proofs::calculate_receipt_root};
use alloy_primitives::B256;
use pleach_state::mpt::{RootTask, StateTrie, TouchedKey};

use super::{
    ImportError, ImportEvent, Refused,
    apply::{Applier, is_early, refused},
    input::ReadyBlock,
    report::UnusedList,
};
use crate::{
    AccessList, BlockOutput, ExecuteError, ExecuteOptions, IntermediateRootError, Listed,
    intermediate_roots,
    validate::{OutputError, validate_output, validate_system_contracts},
};

/// Blocks of fewer transactions are over before a thread that would help with their root is awake.
const HELPED_FROM: usize = 8;

/// A block's output, checked against its header but for the state root.
pub(super) struct Executed {
    pub(super) output: BlockOutput,
    /// The state root, if it is known already. The tries are then those after the block.
    pub(super) root: Option<B256>,
}

impl Applier<'_> {
    pub(super) fn execute(&mut self, ready: &ReadyBlock) -> Result<Executed, ImportError> {
        let executed = match self.usable_list(ready) {
            Some(list) => self.execute_listed(ready, &list)?,
            None => Executed { output: self.execute_followed(ready)?, root: None },
        };
        let (block, chain, output) = (&ready.block, &ready.place.chain, &executed.output);
        validate_output(chain, block.header(), output)
            .and_then(|()| validate_system_contracts(chain, block.header(), &*self.state, output))
            .map_err(|error| refused(ready, error.into()))?;
        if let (Some(list), true) = (&output.access_list, self.importer.config.access_lists) {
            let number = block.header().number;
            (self.tell)(ImportEvent::AccessList { number, list: list.clone() });
        }
        Ok(executed)
    }

    /// The list to execute a block with.
    fn usable_list(&mut self, ready: &ReadyBlock) -> Option<Arc<AccessList>> {
        let list = match ready.place.access_list.as_ref()? {
            Ok(list) => list,
            Err(fault) => {
                self.pass_over(ready, (**fault).clone().into());
                return None;
            }
        };
        let Some(header) = ready.block.header().block_access_list_hash else {
            // Roots between transactions begin with the tries before the block.
            let is_worth_it = ready.block.transactions().len() >= HELPED_FROM && !is_early(ready);
            return is_worth_it.then(|| Arc::clone(list));
        };
        let given = list.hash();
        if given != header {
            self.pass_over(ready, UnusedList::NotTheHeaders { header, given });
            return None;
        }
        Some(Arc::clone(list))
    }

    fn pass_over(&mut self, ready: &ReadyBlock, reason: UnusedList) {
        self.report.lists_unused += 1;
        let (number, reason) = (ready.block.header().number, Box::new(reason));
        (self.tell)(ImportEvent::ListUnused { number, reason });
    }

    /// Executes a block with its list, and computes the state root from that meanwhile.
    fn execute_listed(
        &mut self,
        ready: &ReadyBlock,
        list: &Arc<AccessList>,
    ) -> Result<Executed, ImportError> {
        let (block, chain) = (&ready.block, &ready.place.chain);
        let is_the_headers = block.header().block_access_list_hash.is_some();
        let access_list = self.importer.config.access_lists;
        let options = ExecuteOptions { access_list, ..ExecuteOptions::default() };
        self.tries_are_ahead = true;
        let tries = std::mem::replace(&mut self.tries, StateTrie::empty());
        let tries = (tries, Arc::clone(&self.below) as _);
        let engine = &self.importer.engine;
        let executed =
            engine.execute_listed_rooted(chain, block, &self.state, list, options, tries);
        let (Listed { output, fault, .. }, after) =
            executed.map_err(|error| failed(ready, error))?;
        match fault {
            Some(fault) if is_the_headers => {
                return Err(refused(ready, Refused::AccessList(fault)));
            }
            Some(fault) => self.pass_over(ready, fault.into()),
            None => self.report.listed += 1,
        }
        let root = match after {
            Some((root, tries)) => {
                self.tries = tries;
                Some(root)
            }
            None => {
                self.go_back()?;
                None
            }
        };
        Ok(Executed { output, root })
    }

    /// Executes a block, and reveals the ways to what it writes meanwhile.
    fn execute_followed(&mut self, ready: &ReadyBlock) -> Result<BlockOutput, ImportError> {
        let (block, chain) = (&ready.block, &ready.place.chain);
        // A list that the header names is compared with what the block does.
        let access_list =
            block.header().block_access_list_hash.is_some() || self.importer.config.access_lists;
        let options = ExecuteOptions { access_list, ..ExecuteOptions::default() };
        let engine = &self.importer.engine;
        let executed = if block.transactions().len() < HELPED_FROM {
            engine.execute(chain, block, &self.state, options)
        } else {
            let tries = std::mem::replace(&mut self.tries, StateTrie::empty());
            let task = RootTask::new(tries, self.below.clone());
            tell_early(&task, ready);
            let follower = Arc::new(task.clone());
            let executed = engine.execute_followed(chain, block, &self.state, options, follower);
            self.tries = task.finish();
            executed
        };
        executed.map(|(output, _)| output).map_err(|error| failed(ready, error))
    }

    /// Gives the receipts of a block before Byzantium the state roots that they hold, and compares
    /// them with the header.
    pub(super) fn complete_receipts(
        &self,
        ready: &ReadyBlock,
        output: &mut BlockOutput,
    ) -> Result<(), ImportError> {
        let (block, tries) = (&ready.block, self.tries.clone());
        let roots = intermediate_roots(&ready.place.chain, block, &self.state, tries, &*self.below);
        let (number, hash) = (block.header().number, ready.place.hash);
        let roots = roots.map_err(|error| match error {
            IntermediateRootError::Execute(source) => {
                ImportError::State { number, hash, source: Box::new(source) }
            }
            IntermediateRootError::Trie { source, .. } => {
                ImportError::Tries { number, hash, source }
            }
        })?;
        for (receipt, root) in output.receipts.iter_mut().zip(roots) {
            if let Some(inner) = receipt.as_receipt_with_bloom_mut() {
                inner.receipt.status = Eip658Value::PostState(root);
            }
        }
        let executed = calculate_receipt_root(&output.receipts);
        let header = block.header().receipts_root;
        match executed == header {
            true => Ok(()),
            false => Err(refused(ready, OutputError::ReceiptsRoot { header, executed }.into())),
        }
    }
}

/// Why a block was not executed: its own fault, or the state's.
fn failed(ready: &ReadyBlock, error: ExecuteError) -> ImportError {
    match error.is_invalid_block() {
        true => refused(ready, error.into()),
        false => ImportError::State {
            number: ready.block.header().number,
            hash: ready.place.hash,
            source: Box::new(error),
        },
    }
}

/// Tells a task which keys the block will write, as far as that shows before it runs.
fn tell_early(task: &RootTask, ready: &ReadyBlock) {
    let Some(list) = ready.access_list() else {
        let callers = ready.block.tx_envs().iter().map(|tx| TouchedKey::Account(tx.caller));
        return task.touch_all(callers);
    };
    task.touch_all(list.entries().iter().flat_map(|account| {
        let slots = account.storage_changes.iter();
        let slots = slots.map(|changes| TouchedKey::Slot(account.address, changes.slot));
        std::iter::once(TouchedKey::Account(account.address)).chain(slots)
    }));
}
