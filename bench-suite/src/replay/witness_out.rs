//! Witnesses of the blocks that are replayed, written in the format that is read back.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, U256};
use pleach_engine::{BlockOutput, ChainSpec, ExecuteError, RecoveredBlock, execute_serial};
use pleach_state::{
    FlatState, Recorder, StateError, WitnessState,
    mpt::{NodeSource, Siblings, StateChanges, StateTrie, TrieWorkers},
    stateless::{ExecutionWitness, MadeWitness, ReadLog, Reads, WitnessError},
};
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};
use serde_json::json;

use super::roots::RootCheck;
use crate::input::BlockInput;

/// Where witnesses are written.
#[derive(Debug)]
pub(super) struct WitnessOut {
    folder: PathBuf,
}

/// A witness could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WitnessOutError {
    #[error("no witness could be made: {0}")]
    Made(#[from] WitnessError),
    #[error(
        "no witness could be made: the flat prestate is not the whole state before the block, for \
         the root after it would be {got} and is {header}"
    )]
    NotWhole { got: B256, header: B256 },
    #[error("{}: the witness could not be written: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// A prestate of either form.
#[derive(Debug, Clone)]
pub(super) enum AnyState {
    Flat(Arc<FlatState>),
    Witness(Arc<WitnessState>),
}

/// What a witness is made from.
pub(super) struct Source<'a> {
    reads: Reads,
    before: StateTrie,
    nodes: Nodes<'a>,
    ancestors: Option<&'a BTreeMap<u64, Bytes>>,
}

enum Nodes<'a> {
    Witness(&'a WitnessState),
    /// The tries of all accounts.
    Whole(Box<StateTrie>),
}

/// The name under which a block's witness is filed.
pub(super) fn name(input: &BlockInput) -> String {
    match input.workload {
        Some(workload) => workload.to_owned(),
        None => format!("{}-{}", input.chain.name(), input.block.header.number),
    }
}

/// Executes a block serially on a prestate. Returns what that gave, all that was read as a flat
/// prestate, and what was asked for.
pub(super) fn read_serially(
    chain: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    state: AnyState,
) -> (Result<BlockOutput, ExecuteError>, FlatState, Reads) {
    let recorder = Arc::new(Recorder::new(ReadLog::new(state)));
    let output = execute_serial(chain, block, &recorder, false);
    let recorder = Arc::into_inner(recorder).expect("the run has ended");
    let (flat, log) = recorder.into_parts();
    (output, flat, log.into_reads())
}

impl<'a> Source<'a> {
    /// Another witness, which may hold more than is needed.
    pub(super) fn witness(
        roots: &'a RootCheck,
        reads: &Reads,
        ancestors: &'a BTreeMap<u64, Bytes>,
    ) -> Self {
        Self {
            reads: reads.clone(),
            // Where a sibling is missing there, it will be missing here.
            before: roots.before(Siblings::AssumeBranches),
            nodes: Nodes::Witness(roots.witness()),
            ancestors: (!ancestors.is_empty()).then_some(ancestors),
        }
    }

    /// The whole state before the block.
    pub(super) fn whole(
        chain: &Arc<ChainSpec>,
        block: &RecoveredBlock,
        state: &Arc<FlatState>,
        workers: &TrieWorkers,
    ) -> Self {
        let (_, _, reads) = read_serially(chain, block, AnyState::Flat(Arc::clone(state)));
        let tries = StateTrie::of_flat(state, workers);
        let before = StateTrie::new(tries.root()).with_workers(workers.clone());
        Self { reads, before, nodes: Nodes::Whole(Box::new(tries)), ancestors: None }
    }
}

impl WitnessOut {
    /// Makes sure that there is a folder.
    ///
    /// # Errors
    /// What the operating system says if it cannot be made.
    pub(super) fn into(folder: &Path) -> io::Result<Self> {
        let failed = |error: io::Error| {
            io::Error::other(format!("{}: no folder for witnesses: {error}", folder.display()))
        };
        fs::create_dir_all(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Makes a block's witness and writes both. Returns the root that the witness alone gives.
    pub(super) fn write(
        &self,
        name: &str,
        chain: &ChainSpec,
        block: &RecoveredBlock,
        source: &Source<'_>,
        changes: &StateChanges,
    ) -> Result<B256, WitnessOutError> {
        let Source { reads, before, nodes, ancestors } = source;
        let (nodes, is_whole): (&dyn NodeSource, _) = match nodes {
            Nodes::Witness(witness) => (*witness, false),
            Nodes::Whole(tries) => (&**tries, true),
        };
        let header = block.header();
        let ancestor = |number| ancestors.as_ref()?.get(&number).cloned();
        let ancestor = ancestors.is_some().then_some(&ancestor as _);
        let (before, number) = (before.clone(), header.number);
        let root_before = before.root();
        let made = ExecutionWitness::of_block(number, reads, changes, before, nodes, ancestor)?;
        if is_whole && made.state_root != header.state_root {
            let (got, header) = (made.state_root, header.state_root);
            return Err(WitnessOutError::NotWhole { got, header });
        }
        let text = to_json(chain, block, root_before, reads, &made).to_string();
        let path = self.folder.join(name).with_added_extension("json");
        fs::write(&path, text).map_err(|source| WitnessOutError::Write { path, source })?;
        Ok(made.state_root)
    }
}

fn to_json(
    chain: &ChainSpec,
    block: &RecoveredBlock,
    root_before: B256,
    reads: &Reads,
    MadeWitness { witness, .. }: &MadeWitness,
) -> serde_json::Value {
    let ExecutionWitness { state, codes, keys, headers } = witness;
    // Headers say more; where there are none, hashes stand in.
    let hashes = reads.block_hashes.iter().filter(|_| headers.is_empty());
    let hashes: BTreeMap<_, _> = hashes.map(|(number, hash)| (number.to_string(), hash)).collect();
    json!({
        "network": chain.name(),
        "number": block.header().number,
        "hash": block.hash(),
        "pre_state_root": root_before,
        "tx_count": block.transactions().len(),
        "gas_used": block.header().gas_used,
        "block": Bytes::from(alloy_rlp::encode(block.block())),
        "witness": { "state": state, "codes": codes, "keys": keys, "headers": headers },
        "block_hashes": hashes,
    })
}

impl DatabaseRef for AnyState {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        match self {
            Self::Flat(state) => state.basic_ref(address),
            Self::Witness(state) => state.basic_ref(address),
        }
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        match self {
            Self::Flat(state) => state.code_by_hash_ref(code_hash),
            Self::Witness(state) => state.code_by_hash_ref(code_hash),
        }
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        match self {
            Self::Flat(state) => state.storage_ref(address, slot),
            Self::Witness(state) => state.storage_ref(address, slot),
        }
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        match self {
            Self::Flat(state) => state.block_hash_ref(number),
            Self::Witness(state) => state.block_hash_ref(number),
        }
    }
}
