//! The tries of `pleach_state::mpt` against `alloy-trie`'s `HashBuilder`.

mod handed_out;
mod independent;
mod known;
mod model;
mod persist;
mod properties;
#[path = "../support/rng.rs"]
mod rng;
mod root_task;
mod stateless;
mod witnesses;
