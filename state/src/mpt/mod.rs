//! Ethereum's Merkle Patricia tries, as far as they are needed, from block to block.
//!
//! A [`StateTrie`] is the state under a root. It begins with that hash alone; what an update needs
//! is revealed from a [`NodeSource`] (a witness, a database) and stays. Nodes lie in arenas, each
//! branch with the references of its children, and an update marks what it touches: the root after
//! a block takes as many hashes as nodes changed.
//!
//! | module | what is in it |
//! |---|---|
//! | `key`, `node`, `arena` | nibbles; nodes and their ids; the tables they lie in |
//! | `decode`, `encode`, `value` | nodes and leaves from RLP and to it |
//! | `part`, `reveal`, `update`, `hash` | one arena's trie: read, revealed, changed, hashed |
//! | `trie`, `workers` | a trie in one part or sixteen; the threads that share parts |
//! | `changes`, `state_trie` | what a block changes; accounts and storages together |
//! | `shares` | the same for small updates, without stages |
//! | `persist` | the nodes that changed, for whoever stores them |
//! | `proof` | known nodes handed out |
//! | `root_task` | tries revealed while a block still runs |
//! | `source`, `keccak`, `error` | the seams: where nodes come from, who hashes, what goes wrong |

mod arena;
mod changes;
mod decode;
mod encode;
mod error;
mod hash;
mod keccak;
mod key;
mod node;
mod part;
mod persist;
mod proof;
mod reveal;
mod root_task;
mod shares;
mod source;
mod state_trie;
mod trie;
mod update;
mod value;
#[cfg(test)]
mod vectors;
mod workers;

pub(crate) use decode::{RawChild, RawNode};

pub use changes::{AccountChange, AccountFields, PlainChange, StateChanges};
pub use error::{NamedNode, TrieError};
pub use keccak::{KeccakBatch, KeccakStats, keccak_one_by_one};
pub use persist::{NodeChange, NodeChanges};
pub use reveal::Siblings;
pub use root_task::{RootTask, TouchedKey};
pub use source::{NoNodes, NodePlace, NodeSource, SourceError};
pub use state_trie::StateTrie;
pub use workers::TrieWorkers;
