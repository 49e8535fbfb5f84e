//! What can be wrong with a file of blocks.

use std::{fmt, io, path::PathBuf};

use alloy_primitives::{B256, Bytes, U256};
use pleach_engine::BlockError;

/// A file of blocks cannot be read on.
#[derive(Debug)]
pub struct SourceError {
    /// The file.
    pub path: PathBuf,
    /// Where the record at fault begins, in bytes; in a gzipped file, in what it unpacks to.
    pub offset: u64,
    /// The number of the last block that was read before, if there was one.
    pub after: Option<u64>,
    /// What is wrong.
    pub kind: SourceErrorKind,
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: at byte {}", self.path.display(), self.offset)?;
        if let Some(number) = self.after {
            write!(f, ", after block {number}")?;
        }
        write!(f, ": {}", self.kind)
    }
}

impl std::error::Error for SourceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.kind)
    }
}

/// What is wrong with a file of blocks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceErrorKind {
    /// The operating system refuses.
    #[error("the file cannot be read: {0}")]
    Io(#[source] io::Error),
    /// There is no block in it.
    #[error("the file holds no block")]
    Empty,
    /// It begins like none of the formats.
    #[error(
        "the content begins with {first}, which is neither RLP of blocks nor an era1 file, gzipped \
         or not"
    )]
    UnknownFormat {
        /// The first bytes, 16 at most.
        first: Bytes,
    },
    /// The file ends inside a record.
    #[error("the file is cut off: {wanted} bytes are wanted here, {had} are left")]
    Truncated {
        /// Bytes that the record has from here on.
        wanted: u64,
        /// Bytes that there are.
        had: u64,
    },
    /// Gzip's own sums or structure do not hold.
    #[error("the gzipped content is damaged: {0}")]
    Gzip(#[source] io::Error),
    /// Where a block should begin there is no RLP list.
    #[error("nothing begins here: the byte {byte:#04x} begins no RLP list")]
    NotAList {
        /// The byte.
        byte: u8,
    },
    /// A record is longer than any block is.
    #[error("a record of {length} bytes begins here, {max} are allowed")]
    TooLong {
        /// Its length.
        length: u64,
        /// The most that is read.
        max: u64,
    },
    /// The bytes are no block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// A record of an era1 file is no RLP of what it should hold.
    #[error("the {record} does not decode: {source}")]
    Rlp {
        /// What the record should hold.
        record: &'static str,
        /// What the decoder said.
        source: alloy_rlp::Error,
    },
    /// An era1 file's records come in another order, or are none of era1.
    #[error("a record of type {found:#06x} stands where the {expected} should be")]
    RecordType {
        /// The type found.
        found: u16,
        /// What should come here.
        expected: &'static str,
    },
    /// A record's length is not that of what it holds.
    #[error("the {record} has {length} bytes, not {expected}")]
    RecordLength {
        /// What the record holds.
        record: &'static str,
        /// Its length.
        length: u64,
        /// The length it must have.
        expected: u64,
    },
    /// A record does not unpack.
    #[error("the {record}'s Snappy frames are damaged: {source}")]
    Snappy {
        /// What the record holds.
        record: &'static str,
        /// What the decoder said.
        source: io::Error,
    },
    /// The blocks of an era1 file do not follow one another.
    #[error("block {number} follows block {parent} in the file")]
    Order {
        /// The block's number.
        number: u64,
        /// That of the block before it.
        parent: u64,
    },
    /// An era1 file's total difficulty is not the sum of the blocks' difficulties.
    #[error("the total difficulty {given} of block {number} is not {expected}")]
    TotalDifficulty {
        /// The block.
        number: u64,
        /// What the file says.
        given: U256,
        /// What follows from the block before.
        expected: U256,
    },
    /// The receipts of an era1 file are not those of the block's header.
    #[error("the receipts' root {file} of block {number} is not the header's, {header}")]
    Receipts {
        /// The block.
        number: u64,
        /// The root of the receipts in the file.
        file: B256,
        /// What the header says.
        header: B256,
    },
    /// An era1 file's accumulator is not that of its blocks.
    #[error("the accumulator {given} is not that of the file's blocks, {computed}")]
    Accumulator {
        /// What the file says.
        given: B256,
        /// What its blocks give.
        computed: B256,
    },
    /// An era1 file's index is not that of its blocks.
    #[error("the block index is wrong: {what} is {given}, not {expected}")]
    Index {
        /// Which part of it.
        what: &'static str,
        /// What the file says.
        given: i64,
        /// What its blocks give.
        expected: i64,
    },
    /// Access lists are not in the order of blocks.
    #[error("the access list of block {number} follows that of block {before}")]
    ListOrder {
        /// The block.
        number: u64,
        /// The one before it in the file.
        before: u64,
    },
    /// Something follows the end.
    #[error("more bytes follow the end of the era1 file")]
    TrailingBytes,
}
