//! Blocks on their way in.

use std::{fmt, sync::Arc};

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::{B256, U256};

use crate::{AccessList, ChainSpec, ListFault, RecoveredBlock};

/// A block, and where it comes from.
#[derive(Debug, Clone)]
pub struct SourcedBlock {
    /// The block.
    pub block: Block<TxEnvelope>,
    /// Where it comes from.
    pub origin: Origin,
    /// Its access list (EIP-7928), or what somebody says is one. The block is read ahead, executed
    /// and its state root computed with it. It need not be right: where the header names a list,
    /// only that one is used, and a block that does something else is refused; where it names
    /// none, a wrong list costs time and [is told of](super::ImportEvent::ListUnused), and blocks
    /// of a few transactions, which are as fast without, are only read ahead with it.
    pub access_list: Option<GivenList>,
}

/// An access list, or why what was given is none. The latter is [told
/// of](super::ImportEvent::ListUnused) and costs nothing.
pub type GivenList = Result<Arc<AccessList>, Box<ListFault>>;

/// Where a block comes from, for error messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// A file's path, or whatever names the source.
    pub name: Arc<str>,
    /// Bytes from its beginning to the block's, where that has a meaning.
    pub offset: Option<u64>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} at byte {offset}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What every stage hands on beside the block.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) origin: Origin,
    pub(super) access_list: Option<GivenList>,
    /// The rules, the Merge's block among them.
    pub(super) chain: Arc<ChainSpec>,
    /// The difficulty of all blocks up to and with this one.
    pub(super) total_difficulty: U256,
    pub(super) hash: B256,
    /// Bytes of the block's RLP.
    pub(super) bytes: usize,
}

/// A block whose header and body are valid as far as they show alone.
#[derive(Debug)]
pub(super) struct LinkedBlock {
    pub(super) block: Block<TxEnvelope>,
    pub(super) place: Place,
}

/// A block that is ready to be executed.
#[derive(Debug)]
pub(super) struct ReadyBlock {
    pub(super) block: Arc<RecoveredBlock>,
    pub(super) place: Place,
}

impl ReadyBlock {
    /// The block's access list, if it came with one.
    pub(super) fn access_list(&self) -> Option<&Arc<AccessList>> {
        self.place.access_list.as_ref()?.as_ref().ok()
    }
}
