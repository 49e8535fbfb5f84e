//! A chain and its state on disk, from block to block.
//!
//! A [`Store`] keeps the state after its head as flat tables (accounts, slots, codes), the nodes of
//! its tries, the chain's blocks, and for the last blocks what their changes replaced. Its tables
//! lie in a [`Backend`]: `MdbxBackend` on disk, [`MemoryBackend`] for tests, or an embedder's own.
//!
//! ```
//! use std::sync::Arc;
//! use alloy_consensus::Header;
//! use alloy_primitives::{Address, U256};
//! use pleach_state::{FlatAccount, FlatState, mpt::{NoNodes, StateChanges, StateTrie}};
//! use pleach_state::store::{BlockCommit, MemoryBackend, Store, StoreConfig, encode_body};
//! use revm::{DatabaseRef, database::BundleState};
//!
//! let store = Store::open(MemoryBackend::new(), StoreConfig::default())?;
//! let genesis = Header { state_root: StateTrie::empty().root(), ..Header::default() };
//! store.init(&genesis, &FlatState::new())?;
//!
//! // A block is executed on a snapshot, and its changes go into the tries.
//! let snapshot = Arc::new(store.snapshot()?);
//! let mut tries = StateTrie::new(snapshot.head().state_root).recording_nodes();
//! let bundle = BundleState::default();
//! let root = tries.update(&StateChanges::from_bundle(&bundle, tries.workers()), &*snapshot)?;
//! let header =
//!     Header { number: 1, parent_hash: genesis.hash_slow(), state_root: root, ..genesis };
//! let block = BlockCommit {
//!     hash: header.hash_slow(),
//!     total_difficulty: header.difficulty,
//!     body: encode_body(&Default::default()),
//!     receipts: Default::default(),
//!     header,
//!     bundle,
//! };
//! // It is durable once this returns. Several blocks may be committed together.
//! let head = store.commit(&[block], &tries.take_node_changes())?;
//! assert_eq!(head.number, 1);
//! assert_eq!(store.unwind(0)?.number, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what is in it |
//! |---|---|
//! | `backend` | the seam: tables of bytes, snapshots of them, atomic batches |
//! | `memory`, `mdbx`, `lock` | tables in memory and on disk; one store to a folder |
//! | `store`, `writing` | a chain in a backend: opened, begun, committed to |
//! | `diff`, `unwind` | what changes replaced, and blocks taken back with it |
//! | `verify` | everything checked against everything else |
//! | `snapshot` | reading: blocks, flat state, nodes |
//! | `pending` | the state after blocks that are not committed yet |
//! | `codec`, `types`, `error` | bytes; values; what goes wrong |

mod backend;
mod codec;
mod diff;
mod error;
#[cfg(feature = "mdbx")]
mod lock;
#[cfg(feature = "mdbx")]
mod mdbx;
mod memory;
mod pending;
mod snapshot;
#[expect(clippy::module_inception, reason = "the store is what the module is about")]
mod store;
mod types;
mod unwind;
mod verify;
mod writing;

pub use backend::{Backend, BackendStats, Batch, Table, TableStats, Tables, Visit};
pub use codec::{decode_body, decode_receipts, encode_body, encode_receipts};
pub use error::StoreError;
#[cfg(feature = "mdbx")]
pub use mdbx::{MdbxBackend, MdbxConfig};
pub use memory::MemoryBackend;
pub use pending::Pending;
pub use snapshot::Snapshot;
pub use store::{SCHEMA, Store};
pub use types::{BlockCommit, Head, StoreConfig, StoreStats};
pub use verify::{Verified, VerifyProgress};
