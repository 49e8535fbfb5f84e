//! A chain of blocks, side chains included, as a client would import it.

use std::{collections::HashMap, sync::Arc};

use alloy_consensus::{Block, TxEnvelope, proofs::calculate_transaction_root};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, U256};
use pleach_engine::{
    BlockError, BlockOutput, ChainSpec, ExecuteError, IntermediateRootError, RecoveredBlock,
    intermediate_roots, receipts_root_with,
    validate::{
        Ancestor, BodyError, HeaderError, MAX_OMMER_DEPTH, OmmerError, OutputError, validate_body,
        validate_header, validate_ommers, validate_output, validate_system_contracts,
    },
};
use pleach_state::mpt::NoNodes;

use crate::conformance::{BothPaths, Network, PathDifference, World};

/// Why a block is not imported.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("unknown parent {0}")]
    UnknownParent(B256),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Ommers(#[from] OmmerError),
    #[error(transparent)]
    Paths(#[from] PathDifference),
    #[error(transparent)]
    Execution(#[from] ExecuteError),
    #[error(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    RootBetween(#[from] IntermediateRootError),
    #[error("state root is {got}, but the header says {header}")]
    StateRoot { got: B256, header: B256 },
}

/// Before Byzantium receipts hold the state root after each transaction.
fn validate_receipts_before_byzantium(
    rules: &Arc<ChainSpec>,
    block: &RecoveredBlock,
    before: &World,
    output: &BlockOutput,
) -> Result<(), ImportError> {
    let header = block.header();
    if rules.is_byzantium_active_at_block(header.number) {
        return Ok(());
    }
    let roots = intermediate_roots(rules, block, before.state(), before.tries().clone(), &NoNodes)?;
    let executed = receipts_root_with(&output.receipts, &roots);
    match executed == header.receipts_root {
        true => Ok(()),
        false => Err(OutputError::ReceiptsRoot { header: header.receipts_root, executed }.into()),
    }
}

/// A block that stands, and what came of it.
struct Imported {
    block: Block<TxEnvelope>,
    /// The state after the block. It knows the hashes of the block and all before it.
    world: World,
    total_difficulty: U256,
}

/// All blocks that stand, on all branches.
pub(super) struct Chain<'a> {
    paths: &'a BothPaths,
    network: &'a Network,
    blocks: HashMap<B256, Imported>,
    head: B256,
}

impl<'a> Chain<'a> {
    /// A chain of its genesis alone.
    pub(super) fn new(
        paths: &'a BothPaths,
        network: &'a Network,
        genesis: Block<TxEnvelope>,
        mut world: World,
    ) -> Self {
        let (head, total_difficulty) = (genesis.header.hash_slow(), genesis.header.difficulty);
        world.insert_block_hash(genesis.header.number, head);
        let genesis = Imported { block: genesis, world, total_difficulty };
        Self { paths, network, blocks: HashMap::from([(head, genesis)]), head }
    }

    /// The hash of the canonical chain's last block.
    pub(super) const fn head(&self) -> B256 {
        self.head
    }

    /// The state root of the canonical chain's last block.
    pub(super) fn head_state_root(&self) -> B256 {
        self.blocks[&self.head].block.header.state_root
    }

    /// Validates a block in every respect, executes it and adds it. Returns its hash.
    pub(super) fn import(&mut self, rlp: &[u8]) -> Result<B256, ImportError> {
        self.import_block(RecoveredBlock::decode(rlp)?)
    }

    /// The same for the block with a header that counts all its transactions.
    pub(super) fn import_counting_transactions(&mut self, rlp: &[u8]) -> Result<B256, ImportError> {
        let mut block = RecoveredBlock::decode(rlp)?;
        block.header.transactions_root = calculate_transaction_root(&block.body.transactions);
        self.import_block(block)
    }

    fn import_block(&mut self, block: Block<TxEnvelope>) -> Result<B256, ImportError> {
        let parent_hash = block.header.parent_hash;
        let parent =
            self.blocks.get(&parent_hash).ok_or(ImportError::UnknownParent(parent_hash))?;
        let rules = self.network.rules(parent.total_difficulty);
        validate_header(rules, &block.header, &parent.block.header)?;
        validate_body(rules, &block)?;
        validate_ommers(rules, &block.body.ommers, &self.ancestors(parent_hash))?;
        let homestead = rules.is_homestead_active_at_block(block.header.number);
        let block = RecoveredBlock::recover(block, homestead, self.paths.accelerator())?;
        let block = Arc::new(block);
        let world = self.execute(rules, &block, &parent.world)?;
        let total_difficulty = parent.total_difficulty.saturating_add(block.header().difficulty);
        let merged = rules.is_paris_active_at_block(block.header().number);
        let block_and_state = Imported { block: block.block().clone(), world, total_difficulty };
        Ok(self.add(block.hash(), block_and_state, merged))
    }

    fn execute(
        &self,
        rules: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        before: &World,
    ) -> Result<World, ImportError> {
        let output = self.paths.execute(rules, block, before.state())??;
        validate_output(rules, block.header(), &output)?;
        validate_receipts_before_byzantium(rules, block, before, &output)?;
        validate_system_contracts(rules, block.header(), before.state().as_ref(), &output)?;
        let mut world = before.after(&output.bundle);
        let (got, header) = (world.root(), block.header().state_root);
        if got != header {
            return Err(ImportError::StateRoot { got, header });
        }
        world.insert_block_hash(block.header().number, block.hash());
        Ok(world)
    }

    /// Before the Merge the heaviest chain is canonical, the first seen among equals; after it, the
    /// block that came last, as if the consensus layer had named it.
    fn add(&mut self, hash: B256, imported: Imported, merged: bool) -> B256 {
        let head_difficulty = self.blocks[&self.head].total_difficulty;
        if merged || imported.total_difficulty > head_difficulty {
            self.head = hash;
        }
        self.blocks.insert(hash, imported);
        hash
    }

    /// The nearest ancestors of a block, its parent first.
    fn ancestors(&self, parent: B256) -> Vec<Ancestor<'_>> {
        let mut ancestors = Vec::with_capacity(MAX_OMMER_DEPTH);
        let mut next = self.blocks.get(&parent).map(|imported| (parent, imported));
        while let Some((hash, Imported { block, .. })) = next
            && ancestors.len() < MAX_OMMER_DEPTH
        {
            ancestors.push(Ancestor { hash, header: &block.header, ommers: &block.body.ommers });
            let parent = block.header.parent_hash;
            next = self.blocks.get(&parent).map(|imported| (parent, imported));
        }
        ancestors
    }
}
