//! Parallel execution.
//!
//! Workers run transactions ahead of their turn, each over a [`View`] of what lower transactions
//! have written so far. The committer, which is the calling thread, goes through the block in
//! order: a speculative result that rests on nothing but what the committed state holds is
//! committed as it is; any other transaction the committer runs itself, on the committed state,
//! which is serial execution and so cannot fail to be right.

mod ahead;
mod blooms;
mod bundle;
mod committed;
mod committer;
mod early;
mod evm;
mod hot;
mod listed;
mod location;
mod memo;
mod mv_memory;
mod observe;
mod observed;
mod parts;
mod payment;
mod pool;
mod read_set;
mod receipts;
mod session;
mod trace;
mod validate;
mod view;

pub use evm::{PleachEvm, PleachEvmFactory};
pub use listed::{AccessList, ListFault, ListedPart};
pub use observe::SpeculativeEvmFactory;
pub use observed::{BalanceWatcher, Debits, Observed, ObservedEvm};
pub use payment::{Party, Payment};
pub use validate::Validation;
pub use view::{SharedPrestate, View, ViewError};

pub(crate) use committed::{Committed, SpareMemory};
pub(crate) use committer::Effort;
pub(crate) use evm::{Announced, Before};
pub(crate) use hot::{Heat, Hot};
pub(crate) use listed::{Attempt, Done, ListedBlock, ListedRoot, attempt};
pub(crate) use payment::may_be_payment;
pub(crate) use pool::{Pool, Work};
pub(crate) use receipts::{HandedBloom, HandedBloomReceipts};
pub(crate) use trace::Tracer;
