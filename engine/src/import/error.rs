//! Why an import ended.

use std::{error::Error, io};

use alloy_primitives::B256;
use pleach_state::{mpt::TrieError, store::StoreError};

use super::{ImportReport, Origin};
use crate::{
    BlockError, ExecuteError, ListFault,
    validate::{BodyError, HeaderError, OmmerError, OutputError},
};

/// An import ended before its blocks did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The blocks' source failed.
    #[error(transparent)]
    Source(Box<dyn Error + Send + Sync>),
    /// A block is refused.
    #[error("block {number} ({hash}) of {origin} is refused: {reason}")]
    Refused {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
        /// Where it comes from.
        origin: Origin,
        /// Why.
        reason: Box<Refused>,
    },
    /// A block could not be executed, because the state it reads from failed.
    #[error("block {number} ({hash}) cannot be executed on the stored state: {source}")]
    State {
        /// Its number.
        number: u64,
        /// Its hash.
        hash: B256,
        /// What failed.
        source: Box<ExecuteError>,
    },
    /// The tries under the state root could not be read.
    #[error("the state root of block {number} ({hash}) cannot be computed: {source}")]
    Tries {
        /// The block's number.
        number: u64,
        /// Its hash.
        hash: B256,
        /// What failed.
        source: TrieError,
    },
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored block is none.
    #[error("the stored body of block {number} does not decode ({reason}): import the chain anew")]
    StoredBody {
        /// Its number.
        number: u64,
        /// What the decoder said.
        reason: alloy_rlp::Error,
    },
    /// The operating system refused to start a thread.
    #[error("a thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// An import that ended before its blocks did, and what it did until then.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct ImportFailure {
    /// Why it ended.
    #[source]
    pub error: ImportError,
    /// What it did; none if it did not begin.
    pub report: Option<Box<ImportReport>>,
}

impl From<ImportError> for ImportFailure {
    fn from(error: ImportError) -> Self {
        Self { error, report: None }
    }
}

/// Why a block may not be in the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Blocks between the chain's last block and this one are missing.
    #[error("it does not follow block {head}, the last one here: the blocks between are missing")]
    Gap {
        /// The number of the chain's last block.
        head: u64,
    },
    /// The chain has another block of this number.
    #[error(
        "the chain here has block {ours} in its place: unwind to the block before it first, if the \
         chain is to go this way"
    )]
    SideBlock {
        /// Its hash.
        ours: B256,
    },
    /// The chain begins after this block.
    #[error("the chain here begins with block {first}")]
    BeforeGenesis {
        /// The first block's number.
        first: u64,
    },
    /// It breaks a rule about its header.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Its body is not that of its header.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It breaks a rule about ommers.
    #[error(transparent)]
    Ommers(#[from] OmmerError),
    /// A transaction has no sender.
    #[error(transparent)]
    Sender(#[from] BlockError),
    /// A transaction may not be in it, or a system call failed.
    #[error(transparent)]
    Execution(#[from] ExecuteError),
    /// Execution does not give what its header says.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// It does something else than the access list that its header names.
    #[error("the access list that the header names is not what the block does: {0}")]
    AccessList(ListFault),
    /// The state after it has another root than its header says.
    #[error("the state root is {computed}, but the header says {header}")]
    StateRoot {
        /// What the changes give.
        computed: B256,
        /// What the header says.
        header: B256,
    },
}
