//! Witnesses made: what a block needs of the state before it, in the shape of
//! `debug_executionWitness`.
//!
//! A witness is made of two things. [`ReadLog`] stands before a prestate while the block executes
//! on it, and notes every account, slot, code and block hash that is asked for. From that and from
//! what the block changed, [`ExecutionWitness::of_block`] walks the tries as whoever checks the
//! block will: it reveals the way to everything that was read and updates the tries, and each node
//! that it had to fetch for that is in the witness, and no other.

mod made;
mod read_log;

pub use made::{AncestorSource, ExecutionWitness, MadeWitness, WitnessError};
pub use read_log::{ReadLog, Reads};
