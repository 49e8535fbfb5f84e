//! What happened when: one execution of a block, written down as it went.
//!
//! [`Engine::execute_traced`](crate::Engine::execute_traced) gives a [`Trace`] beside what
//! [`Engine::execute`](crate::Engine::execute) gives. All times are in nanoseconds since the
//! execution began.

use alloy_primitives::{Address, U256};
use pleach_scheduler::TxIdx;

use crate::{BlockOutput, Metrics};

/// What a traced execution gives.
#[derive(Debug)]
pub struct Traced {
    /// The same output as without a trace.
    pub output: BlockOutput,
    /// What the execution cost.
    pub metrics: Metrics,
    /// What happened when; `None` where the engine chose serial execution from the start.
    pub trace: Option<Trace>,
}

/// One parallel execution of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Threads that took part. The first one, 0, is the committer.
    pub workers: usize,
    /// When the execution ended, the block's output being made.
    pub end_ns: u64,
    /// When running ahead ended: with the last transaction, or where the engine gave it up. What
    /// was left then ran in its turn, or, if an access list was asked for, without a trace.
    pub stopped_ns: u64,
    /// Every run of a transaction, by worker and then by time.
    pub incarnations: Vec<IncarnationTrace>,
    /// Every commit, in block order.
    pub commits: Vec<CommitTrace>,
    /// Every result that was thrown away because of what it had read.
    pub conflicts: Vec<ConflictTrace>,
    /// Entries that found no more room. Zero unless the scheduler runs a transaction far more often
    /// than it promises.
    pub left_out: u64,
    /// Which transactions rest on which. Known only from a rehearsal on one thread
    /// ([`ExecuteOptions::rehearse`](crate::ExecuteOptions::rehearse)), where every transaction
    /// reads exactly what serial execution reads.
    pub dependencies: Option<Dependencies>,
}

/// One run of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IncarnationTrace {
    /// The thread it ran on.
    pub worker: usize,
    /// The transaction.
    pub index: TxIdx,
    /// The how-manieth run of the transaction this is, from 0.
    pub incarnation: u32,
    /// When it began.
    pub start_ns: u64,
    /// When it ended, its writes published if it has any.
    pub end_ns: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It ran ahead of its turn and its result was committed.
    Stood,
    /// It ran ahead; at its turn the committed state differed from what it had read.
    DidNotStand,
    /// It ran ahead; when it ended, a lower transaction had already changed what it had read.
    Overtaken,
    /// It ran ahead and came upon a value that this lower transaction was about to write anew.
    Waited(TxIdx),
    /// It ran ahead and gave no result: invalid there and then, or the prestate failed.
    Void,
    /// It ran in its turn, on the committed state, so that its result is final.
    InTurn,
    /// The block was over before it was.
    Unfinished,
}

/// The commit of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitTrace {
    /// The transaction.
    pub index: TxIdx,
    /// When the committer turned to the transaction.
    pub asked_ns: u64,
    /// When the result was there and known to be right: the commit frontier passes.
    pub at_ns: u64,
    /// When its receipt was built and its changes were in the block's state.
    pub until_ns: u64,
    /// Whether a result that ran ahead was committed.
    pub ran_ahead: bool,
}

/// A result that was thrown away because of what it had read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictTrace {
    /// The transaction.
    pub index: TxIdx,
    /// When this was found out.
    pub at_ns: u64,
    /// How long the incarnation had run.
    pub wasted_ns: u64,
    /// The gas it had used.
    pub gas: u64,
    /// What it had read that was no longer so. The list is cut short if it is long.
    pub stale: Vec<StaleRead>,
}

/// A read that was no longer right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleRead {
    /// What was read.
    pub location: Location,
    /// The lower transaction whose write was missed, where it is known.
    pub writer: Option<TxIdx>,
}

/// A part of the state that is read, written and compared on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// An account's balance.
    Balance(Address),
    /// An account's nonce.
    Nonce(Address),
    /// An account's code.
    Code(Address),
    /// Whether an account exists.
    Existence(Address),
    /// A storage slot of an account.
    Slot(Address, U256),
}

impl Location {
    /// The account that the location belongs to.
    pub const fn address(&self) -> Address {
        match self {
            Self::Balance(address)
            | Self::Nonce(address)
            | Self::Code(address)
            | Self::Existence(address)
            | Self::Slot(address, _) => *address,
        }
    }

    /// The slot, if it is one.
    pub const fn slot(&self) -> Option<U256> {
        match self {
            Self::Slot(_, slot) => Some(*slot),
            Self::Balance(_) | Self::Nonce(_) | Self::Code(_) | Self::Existence(_) => None,
        }
    }

    /// What kind of location it is, as reports name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Balance(_) => "balance",
            Self::Nonce(_) => "nonce",
            Self::Code(_) => "code",
            Self::Existence(_) => "existence",
            Self::Slot(..) => "slot",
        }
    }
}

/// Which transactions of a block rest on which lower ones, under the rules by which the engine
/// tells whether a result stands:
///
/// - who reads a slot, code, existence or nonce rests on its last lower writer;
/// - a nonce that only the sender's own transactions raise is predicted and rests on nobody;
/// - who learns a balance rests on all that changed it before; who only adds to it rests on
///   nobody; who draws on it rests on as many of the first changes as it takes until there is
///   enough and stays enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// Locations through which transactions rest on one another.
    pub locations: Vec<Location>,
    /// One entry per reader, writer and location, by reader.
    pub edges: Vec<Dependency>,
}

/// A transaction rests on a lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// The transaction that reads.
    pub reader: u32,
    /// The lower transaction that wrote what is read.
    pub writer: u32,
    /// The location's place in [`Dependencies::locations`].
    pub location: u32,
}
