//! The state that Pleach's engine reads from.
//!
//! A *prestate* is the state before a block: anything that implements revm's
//! [`DatabaseRef`](revm::DatabaseRef) and can be shared between threads. This crate holds the ones
//! that need no disk: [`FlatState`], plain maps in memory, and [`WitnessState`], the part of
//! Ethereum's state trie that a block touches, as `debug_executionWitness` hands it out.
//! [`Recorder`] turns any prestate into a flat one by writing down what a block reads. A
//! [`store::Store`] keeps a chain and its state on disk; its snapshots are prestates.
//!
//! [`mpt`] holds the tries that give state roots, and [`stateless`] makes witnesses.

mod analysis;
mod error;
mod flat;
pub mod mpt;
mod recorder;
pub mod stateless;
pub mod store;
mod trie;
mod witness;

pub use error::StateError;
pub use flat::{FlatAccount, FlatState};
pub use recorder::Recorder;
pub use witness::WitnessState;
