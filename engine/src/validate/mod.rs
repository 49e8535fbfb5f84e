//! Ethereum's consensus rules for a block, beside its execution: what the header may say about
//! its parent, what the body must be for the header, and what execution must have given.
//!
//! Four checks, each a pure function with a typed error per rule:
//!
//! 1. [`validate_header`]: the header against its parent.
//! 2. [`validate_body`]: transactions, ommers and withdrawals against the header.
//! 3. [`validate_ommers`]: the ommers against the ancestors, before the Merge.
//! 4. [`validate_output`]: receipts, gas, bloom and requests against the header; and
//!    [`validate_system_contracts`], which execution does not notice.
//!
//! Two rules are left to others: the proof of work itself (no seal is computed here), and the state
//! root, which needs the whole state.

mod body;
mod deposits;
mod difficulty;
mod error;
mod header;
mod ommers;
mod output;

pub use body::{MAX_BLOCK_RLP_BYTES, validate_body};
pub use difficulty::next_difficulty;
pub use error::{BodyError, HeaderError, OmmerError, OutputError};
pub use header::validate_header;
pub use ommers::{Ancestor, MAX_OMMER_DEPTH, validate_ommers};
pub use output::{validate_output, validate_system_contracts};
