//! `pleach replay --profile`: where a block's time went, and what held it up.
//!
//! A block is run a few times more: once as a rehearsal that tells which transactions rest on
//! which, then serially, on one thread for each transaction's time, and in parallel with everything
//! written down. [`BlockProfile`] says what came of it, and is the JSON under `profile`; a [`Page`]
//! shows the same to people.

mod chain;
mod heat;
mod measure;
mod model;
mod page;
mod selectors;
mod slots;
mod words;

pub use measure::{Profiled, Profiler, Subject};
pub use model::{
    BlockProfile, Caller, Commit, Conflict, ContractHeat, CriticalPath, GasPath, Incarnation,
    Limit, LocationHeat, PathLocation, PathStep, Schedule, Stale, TransactionFacts, Wasted,
};
pub use page::Page;
