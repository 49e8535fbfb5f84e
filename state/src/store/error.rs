//! Why a store could not be opened, read or written.

use std::{error::Error, fmt, io, path::PathBuf};

use alloy_primitives::B256;
use revm::database_interface::DBErrorMarker;

use crate::mpt::TrieError;

/// A store could not be opened, read or written.
///
/// After any of these the store holds what its last commit left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no chain in the store yet.
    #[error("the store holds no chain yet: initialise it with a genesis block first")]
    Uninitialised,
    /// There is a chain in the store already.
    #[error("the store already holds the chain with genesis {genesis}; take an empty folder")]
    AlreadyInitialised {
        /// Hash of its first block.
        genesis: B256,
    },
    /// Another process, or another store of this one, has the folder.
    #[error(
        "the store in {} is in use by {}: stop that process first, or take another folder",
        folder.display(), Holder(*holder)
    )]
    InUse {
        /// The store's folder.
        folder: PathBuf,
        /// The process that has it, where that could be found out.
        holder: Option<u32>,
    },
    /// The store was written by another version.
    #[error(
        "the store has schema {found}, and this program reads and writes schema {expected}: {}",
        schema_advice(*found, *expected)
    )]
    Schema {
        /// The store's schema.
        found: u32,
        /// This program's.
        expected: u32,
    },
    /// The store holds another chain.
    #[error(
        "the store holds the chain with genesis {found}, not the one with genesis {expected}: \
         take that chain's folder, or an empty one"
    )]
    WrongChain {
        /// Hash of the first block in the store.
        found: B256,
        /// Hash of the first block of the chain that was asked for.
        expected: B256,
    },
    /// What is stored is not what was written.
    #[error(
        "the store is corrupt: {what}: {reason}; restore the folder from a copy, or import anew"
    )]
    Corrupt {
        /// What was read: the table and the key.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no more room on the disk.
    #[error(
        "no room on the disk of {} ({reason}): the store stays at its last block; free some space \
         and go on",
        folder.display()
    )]
    DiskFull {
        /// The store's folder.
        folder: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The store has reached the size that it was opened with.
    #[error(
        "the store has reached its limit of {limit} bytes and stays at its last block: open it \
         with a larger limit"
    )]
    SizeLimit {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The operating system refused something.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, as "cannot open".
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The backend failed in another way.
    #[error("the store's backend failed while {doing}: {source}")]
    Backend {
        /// What was being done.
        doing: &'static str,
        /// What the backend said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A block does not follow the head, or the block before it in the same commit.
    #[error(
        "block {number} (parent {parent}) does not follow block {head_number} ({head}): commit \
         blocks in order, and unwind first to leave a branch"
    )]
    NotNext {
        /// The block's number.
        number: u64,
        /// Its parent's hash.
        parent: B256,
        /// The number it should follow.
        head_number: u64,
        /// The hash it should follow.
        head: B256,
    },
    /// The tries' root is not what the header says, so nothing is written.
    #[error(
        "block {number}: its changes give the state root {found}, and its header says {expected}"
    )]
    StateRoot {
        /// The block's number.
        number: u64,
        /// The root of the tries.
        found: B256,
        /// The header's.
        expected: B256,
    },
    /// Blocks cannot be taken back so far.
    #[error("cannot unwind to block {to}: the store keeps what is needed back to block {oldest}")]
    UnwindTooFar {
        /// The block that was asked for.
        to: u64,
        /// The earliest block that can be reached.
        oldest: u64,
    },
    /// Blocks cannot be taken back to one that is not there yet.
    #[error("cannot unwind to block {to}: the head is block {head}")]
    UnwindAhead {
        /// The block that was asked for.
        to: u64,
        /// The head's number.
        head: u64,
    },
    /// An account names a code that is not there.
    #[error("missing code: no bytecode with hash {code_hash} in the store")]
    MissingCode {
        /// Keccak-256 of the code.
        code_hash: B256,
    },
    /// `BLOCKHASH` asked for a block that is not there.
    #[error("missing block hash: block {number} is not in the store")]
    MissingBlockHash {
        /// The block's number.
        number: u64,
    },
    /// The tries could not be read or changed.
    #[error(transparent)]
    Trie(#[from] TrieError),
}

impl DBErrorMarker for StoreError {}

impl StoreError {
    pub(super) fn corrupt(what: impl fmt::Display, reason: impl fmt::Display) -> Self {
        Self::Corrupt { what: what.to_string(), reason: reason.to_string() }
    }
}

/// Who has a folder, in words.
struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

const fn schema_advice(found: u32, expected: u32) -> &'static str {
    if found < expected {
        "import the chain anew into an empty folder"
    } else {
        "use the newer program that wrote it"
    }
}
