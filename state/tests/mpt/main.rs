//! The tries of `pleach_state::mpt` against `alloy-trie`'s `HashBuilder`.

mod model;
mod persist;
mod properties;
mod witnesses;
