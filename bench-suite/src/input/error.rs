//! What can be wrong with a file that should hold a block.

use std::{io, path::PathBuf};

use alloy_primitives::B256;
use pleach_engine::{BlockError, ChainError};

/// A file or folder from which no block could be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct InputError {
    /// The file or folder.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: InputErrorKind,
}

/// What is wrong with a file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputErrorKind {
    /// The operating system does not hand out the file or folder.
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    /// A folder holds no block in any depth.
    #[error(
        "holds no block: looked for .json and .json.gz files with the fields \"network\" and \
         \"block\""
    )]
    NoBlocks,
    /// The gzip stream is cut or damaged.
    #[error("the gzip stream is cut or damaged ({0}); fetch the file again")]
    Gzip(#[source] io::Error),
    /// The text is no JSON, or ends in its middle.
    #[error("not valid JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// The JSON lacks a field, or a field's value cannot be read, such as bad hex.
    #[error("valid JSON, but not a block in a known format: {0}")]
    Format(#[source] serde_json::Error),
    /// The JSON has a block, but no state to execute it on.
    #[error(
        "the block has no prestate: give either \"witness\" and \"pre_state_root\", or \"accounts\""
    )]
    NoPrestate,
    /// No rules are known for the network.
    #[error(transparent)]
    Network(#[from] ChainError),
    /// The field `block` holds no block.
    #[error("field \"block\": {0}")]
    Block(#[from] BlockError),
    /// An ancestor's header does not decode.
    #[error("field \"witness.headers\", entry {index}: the header's RLP does not decode: {source}")]
    Ancestor {
        /// The entry, from 0.
        index: usize,
        /// What the decoder said.
        source: alloy_rlp::Error,
    },
    /// The last ancestor is not the block's parent.
    #[error(
        "field \"witness.headers\": the last header is {given}, but the block's parent is {parent}"
    )]
    NotTheParent {
        /// The hash of the last header given.
        given: B256,
        /// The parent that the block's header names.
        parent: B256,
    },
    /// The ancestors are no chain.
    #[error(
        "field \"witness.headers\", entry {index}: its parent hash is not the hash of the entry \
         before it"
    )]
    BrokenAncestry {
        /// The entry, from 0.
        index: usize,
    },
    /// The file says one thing and its block another.
    #[error(
        "field \"{field}\" does not match the block: expected {expected}, the block gives {got}"
    )]
    Disagrees {
        /// The file's field.
        field: &'static str,
        /// The field's value.
        expected: String,
        /// What was computed from the block.
        got: String,
    },
}

impl InputErrorKind {
    /// The error of a file or folder.
    pub(super) fn at(self, path: impl Into<PathBuf>) -> InputError {
        InputError { path: path.into(), kind: self }
    }
}
