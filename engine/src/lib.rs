//! Pleach's block execution engine.

mod block;
mod chain;
pub mod crypto;
mod engine;
mod error;
mod output;
mod parallel;
mod prestate;
mod serial;
pub mod validate;

pub use block::{BlockError, RecoveredBlock};
pub use chain::{ChainError, ChainSpec};
pub use engine::{Engine, EngineConfig, ExecuteOptions, Metrics};
pub use error::ExecuteError;
pub use output::BlockOutput;
pub use parallel::{
    PleachEvm, PleachEvmFactory, SharedPrestate, SpeculativeEvmFactory, Validation, View, ViewError,
};
pub use prestate::Prestate;
pub use serial::execute_serial;
