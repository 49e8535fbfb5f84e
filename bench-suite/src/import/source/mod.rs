//! Files of blocks, read one block at a time, and of access lists.
//!
//! Three formats, told apart by their first bytes, each gzipped or not: blocks as RLP one after
//! another, as clients export them; and era1, the archive format of proof-of-work history. However
//! long a file is, one block of it is in memory.

mod accumulator;
mod era1;
mod error;
mod input;
mod lists;
mod rlp;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::Bytes;

pub use error::{SourceError, SourceErrorKind};
pub use lists::{ListFile, ListWriter};

use era1::Era1;
use input::Input;

/// One block of a file.
#[derive(Debug, Clone)]
pub struct FileBlock {
    /// The block.
    pub block: Block<TxEnvelope>,
    /// Where it begins in the file, in bytes; in a gzipped one, in what it unpacks to.
    pub offset: u64,
}

/// A file of blocks: an iterator that ends after the first error.
#[derive(Debug)]
pub struct BlockFile {
    path: PathBuf,
    input: Input,
    format: Format,
    /// The last block's number.
    last: Option<u64>,
    is_done: bool,
}

#[derive(Debug)]
enum Format {
    Rlp,
    Era1(Box<Era1>),
}

impl BlockFile {
    /// Opens a file and finds out what it is. `read_bytes` counts the bytes that are read of it.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be read, is empty, or begins like nothing that holds blocks.
    pub fn open(path: &Path, read_bytes: Arc<AtomicU64>) -> Result<Self, SourceError> {
        let failed = |kind| SourceError { path: path.to_owned(), offset: 0, after: None, kind };
        let mut input = Input::open(path, read_bytes).map_err(failed)?;
        let first = input.peek().map_err(failed)?;
        let format = match first {
            [] => return Err(failed(SourceErrorKind::Empty)),
            // An era1 file's version record: its type, no content, nothing reserved.
            [b'e', b'2', 0, 0, 0, 0, 0, 0, ..] => Format::Era1(Box::default()),
            [0xC0..=0xFF, ..] => Format::Rlp,
            _ => {
                let first = Bytes::copy_from_slice(&first[..first.len().min(16)]);
                return Err(failed(SourceErrorKind::UnknownFormat { first }));
            }
        };
        Ok(Self { path: path.to_owned(), input, format, last: None, is_done: false })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&mut self) -> Result<Option<FileBlock>, SourceErrorKind> {
        let block = match &mut self.format {
            Format::Rlp => rlp::next_block(&mut self.input)?,
            Format::Era1(era1) => era1.next_block(&mut self.input)?,
        };
        match (block, self.last) {
            (None, None) => Err(SourceErrorKind::Empty),
            (block, _) => Ok(block),
        }
    }
}

impl Iterator for BlockFile {
    type Item = Result<FileBlock, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let read = self.read();
        self.is_done = !matches!(read, Ok(Some(_)));
        match read {
            Ok(block) => {
                let block = block?;
                self.last = Some(block.block.header.number);
                Some(Ok(block))
            }
            Err(kind) => {
                let (path, offset) = (self.path.clone(), self.input.mark());
                Some(Err(SourceError { path, offset, after: self.last, kind }))
            }
        }
    }
}

#[cfg(test)]
mod tests;
