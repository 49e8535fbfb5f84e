//! The first stage: blocks that follow one another, valid as far as they show without any state.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
};

use alloy_consensus::{Block, Header, TxEnvelope};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, U256};
use alloy_rlp::Encodable;
use pleach_state::store::{Snapshot, Store, StoreError, decode_body};

use super::{
    ImportError, Refused, SourcedBlock,
    input::{LinkedBlock, Place},
    report::Clocks,
};
use crate::{
    ChainSpec,
    validate::{Ancestor, MAX_OMMER_DEPTH, validate_body, validate_header, validate_ommers},
};

/// Hashes of the last blocks that are remembered; older ones are in the store by then. More than
/// all stages and a batch together hold.
const REMEMBERED: usize = 1 << 16;

/// The end of the chain, as far as it is linked.
pub(super) struct Lineage<'a> {
    chain: Arc<ChainSpec>,
    store: &'a Store,
    total_difficulty: U256,
    /// The last blocks, the newest first: never empty.
    ancestors: VecDeque<Linked>,
    /// Hashes of the last blocks, the newest first.
    hashes: VecDeque<B256>,
}

struct Linked {
    hash: B256,
    header: Header,
    ommers: Vec<Header>,
}

impl<'a> Lineage<'a> {
    /// The chain up to the store's head.
    pub(super) fn new(chain: &Arc<ChainSpec>, store: &'a Store) -> Result<Self, ImportError> {
        let snapshot = store.snapshot()?;
        let head = *snapshot.head();
        let mut ancestors = VecDeque::new();
        let mut next = Some(head.number);
        while let Some(number) = next
            && ancestors.len() < MAX_OMMER_DEPTH
            && let Some(linked) = stored_block(&snapshot, number)?
        {
            ancestors.push_back(linked);
            next = number.checked_sub(1);
        }
        let hashes = ancestors.iter().map(|linked| linked.hash).collect();
        let total_difficulty = head.total_difficulty;
        let mut lineage = Self { chain: chain.clone(), store, total_difficulty, ancestors, hashes };
        lineage.find_past_merge(&snapshot)?;
        Ok(lineage)
    }

    /// Hands on one block after another until they end, one is refused, or nobody takes them.
    pub(super) fn follow(
        &mut self,
        mut blocks: impl Iterator<Item = Result<SourcedBlock, ImportError>>,
        next: &SyncSender<Result<LinkedBlock, ImportError>>,
        clocks: &Clocks,
        stop: &AtomicBool,
    ) {
        // Relaxed: whoever sets it wants an end soon, and nothing else is read because of it.
        while !stop.load(Ordering::Relaxed) {
            let linked = clocks.time(&clocks.lineage, || {
                let block = blocks.next()?;
                Some(block.and_then(|block| self.link(block)))
            });
            let Some(linked) = linked else { return };
            let linked = match linked {
                Ok(Some(block)) => Ok(block),
                Ok(None) => {
                    clocks.known.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Err(error) => Err(error),
            };
            let is_last = linked.is_err();
            if next.send(linked).is_err() || is_last {
                return;
            }
        }
    }

    /// Checks a block and makes it the chain's last one; none if the chain has it already.
    fn link(&mut self, sourced: SourcedBlock) -> Result<Option<LinkedBlock>, ImportError> {
        let SourcedBlock { block, origin, access_list } = sourced;
        let (number, hash) = (block.header.number, block.header.hash_slow());
        let refused = |origin, reason| {
            Err(ImportError::Refused { number, hash, origin, reason: Box::new(reason) })
        };
        let head = self.head().header.number;
        if number <= head {
            return match self.known_hash(number)? {
                Some(ours) if ours == hash => Ok(None),
                Some(ours) => refused(origin, Refused::SideBlock { ours }),
                None => refused(origin, Refused::BeforeGenesis { first: self.first()? }),
            };
        }
        if number > head + 1 {
            return refused(origin, Refused::Gap { head });
        }
        self.merge_if_due(number);
        if let Err(reason) = self.validate(&block) {
            return refused(origin, reason);
        }
        let header = &block.header;
        self.total_difficulty = self.total_difficulty.saturating_add(header.difficulty);
        self.ancestors.truncate(MAX_OMMER_DEPTH - 1);
        let ommers = block.body.ommers.clone();
        self.ancestors.push_front(Linked { hash, header: header.clone(), ommers });
        self.hashes.truncate(REMEMBERED - 1);
        self.hashes.push_front(hash);
        let place = Place {
            origin,
            access_list,
            chain: self.chain.clone(),
            total_difficulty: self.total_difficulty,
            hash,
            bytes: block.length(),
        };
        Ok(Some(LinkedBlock { block, place }))
    }

    fn validate(&self, block: &Block<TxEnvelope>) -> Result<(), Refused> {
        let parent = self.head();
        validate_header(&self.chain, &block.header, &parent.header)?;
        validate_body(&self.chain, block)?;
        let ancestors = self.ancestors.iter().map(|linked| Ancestor {
            hash: linked.hash,
            header: &linked.header,
            ommers: &linked.ommers,
        });
        let ancestors: Vec<_> = ancestors.collect();
        Ok(validate_ommers(&self.chain, &block.body.ommers, &ancestors)?)
    }

    fn head(&self) -> &Linked {
        &self.ancestors[0]
    }

    /// The hash of the chain's block of a number not above the last one's.
    fn known_hash(&self, number: u64) -> Result<Option<B256>, ImportError> {
        let back = (self.head().header.number - number) as usize;
        match self.hashes.get(back) {
            Some(hash) => Ok(Some(*hash)),
            None => Ok(self.store.snapshot()?.block_hash(number)?),
        }
    }

    fn first(&self) -> Result<u64, ImportError> {
        let genesis = self.store.genesis()?.ok_or(StoreError::Uninitialised)?;
        Ok(self.store.snapshot()?.block_number(&genesis)?.unwrap_or_default())
    }

    /// On a chain whose Merge has no block yet: the next block is it, once the total difficulty is
    /// reached.
    fn merge_if_due(&mut self, next: u64) {
        if self.chain.open_merge().is_some_and(|terminal| self.total_difficulty >= terminal) {
            self.chain = Arc::new(ChainSpec::clone(&self.chain).with_merge_at(next));
        }
    }

    /// On such a chain, if the stored part has passed the Merge: finds its block, by bisection
    /// over total difficulties.
    fn find_past_merge(&mut self, snapshot: &Snapshot) -> Result<(), ImportError> {
        let Some(terminal) = self.chain.open_merge() else { return Ok(()) };
        if self.total_difficulty < terminal {
            return Ok(());
        }
        // Of the blocks from `below` on, the first that reaches the terminal difficulty.
        let (mut below, mut reached) = (self.first()?, snapshot.head().number);
        while below < reached {
            let middle = below + (reached - below) / 2;
            let total = snapshot.total_difficulty(middle)?.unwrap_or_default();
            if total >= terminal { reached = middle } else { below = middle + 1 }
        }
        self.chain = Arc::new(ChainSpec::clone(&self.chain).with_merge_at(reached + 1));
        Ok(())
    }
}

/// A block that is in the store, as far as ommers need it.
fn stored_block(snapshot: &Snapshot, number: u64) -> Result<Option<Linked>, ImportError> {
    let (Some(header), Some(hash)) = (snapshot.header(number)?, snapshot.block_hash(number)?)
    else {
        return Ok(None);
    };
    let body = snapshot.body(number)?.unwrap_or_default();
    let body = decode_body(&body);
    let ommers = body.map_err(|reason| ImportError::StoredBody { number, reason })?.ommers;
    Ok(Some(Linked { hash, header, ommers }))
}

/// Whether EIP-2 holds for a block.
pub(super) fn is_homestead(chain: &ChainSpec, header: &Header) -> bool {
    chain.is_homestead_active_at_block(header.number)
}
