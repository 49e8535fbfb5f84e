//! Which transaction of a block runs next, on which worker, and when it may commit.
//!
//! The scheduler knows indices and incarnations and nothing of the EVM. Its words:
//!
//! - [`TxIdx`]: a transaction's place in the block.
//! - [`Incarnation`]: the n-th attempt at a transaction, from 0.
//! - [`Version`]: a transaction's index and incarnation.
//! - *dependency*: an incarnation that waits until a lower transaction has executed.
//! - *frontier*: the lowest transaction that is not committed. One thread, the committer, moves it.
//!
//! Beside the scheduler live the lists that hold what each transaction wrote to a location,
//! [`Chains`]: they too know ranks and nothing of what they rank.
//!
//! `PROTOCOL.md` beside this file draws the states, says who moves them, and argues why no
//! transaction is run twice at once, forgotten, or waited for in vain.

mod arena;
mod chain;
mod idle;
mod scheduler;
mod status;
mod sync;

pub use arena::{EntryId, Pen};
pub use chain::{Chains, Head};
pub use scheduler::{EarlyStart, Frontier, Run, Scheduler};
pub use status::{Incarnation, TxIdx, Version};
