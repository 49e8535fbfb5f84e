//! Pleach's block execution engine.

mod block;
mod chain;
mod engine;
mod error;
mod executor;
mod output;
mod parallel;
mod prestate;
mod serial;

pub use block::{BlockError, RecoveredBlock};
pub use chain::{ChainError, ChainSpec};
pub use engine::{Engine, EngineConfig, ExecuteOptions, Metrics};
pub use error::ExecuteError;
pub use executor::{
    ParallelBlockExecutor, ParallelBlockExecutorFactory, ParallelExecutionCtx, Speculation,
};
pub use output::BlockOutput;
pub use parallel::{
    BalanceWatcher, Debits, Observed, ObservedEvm, PleachEvm, PleachEvmFactory, SharedPrestate,
    SpeculativeEvmFactory, Validation, View, ViewError,
};
pub use prestate::Prestate;
pub use serial::execute_serial;
