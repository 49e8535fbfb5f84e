//! Files of block access lists (EIP-7928).
//!
//! One RLP list `[number, list]` for each block that has one, in the blocks' order, one after
//! another; gzipped or not.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_eips::eip7928::BlockAccessList;
use alloy_rlp::{Decodable, Encodable, Header};
use flate2::{Compression, write::GzEncoder};
use pleach_engine::{AccessList, import::GivenList};

use super::{SourceError, SourceErrorKind, input::Input, rlp::next_list};

/// A file of access lists, read as blocks ask for them.
#[derive(Debug)]
pub struct ListFile {
    path: PathBuf,
    input: Input,
    /// The entry that was read last.
    last: Option<Entry>,
    is_done: bool,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    /// The list's RLP; none if it has been handed out.
    list: Option<Vec<u8>>,
}

impl ListFile {
    /// Opens a file.
    ///
    /// # Errors
    /// [`SourceError`] if it cannot be read.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let failed = |kind| SourceError { path: path.to_owned(), offset: 0, after: None, kind };
        let input = Input::open(path, Arc::default()).map_err(failed)?;
        Ok(Self { path: path.to_owned(), input, last: None, is_done: false })
    }

    /// The list of a block of so many transactions, if the file has one. Blocks ask in their order.
    ///
    /// # Errors
    /// [`SourceError`] if the file cannot be read on, ends within an entry, or is out of order. A
    /// list that is none is the block's matter: see [`GivenList`].
    pub fn list_of(
        &mut self,
        number: u64,
        transactions: usize,
    ) -> Result<Option<GivenList>, SourceError> {
        while !self.is_done && self.last.as_ref().is_none_or(|entry| entry.number < number) {
            let after = self.last.as_ref().map(|entry| entry.number);
            let read = self.read(after).map_err(|kind| {
                let (path, offset) = (self.path.clone(), self.input.mark());
                SourceError { path, offset, after, kind }
            })?;
            self.is_done = read.is_none();
            self.last = read.or(self.last.take());
        }
        let entry = self.last.as_mut().filter(|entry| entry.number == number);
        let list = entry.and_then(|entry| entry.list.take());
        Ok(list.map(|rlp| match AccessList::decode(&rlp, transactions) {
            Ok(list) => Ok(Arc::new(list)),
            Err(fault) => Err(Box::new(fault)),
        }))
    }

    fn read(&mut self, after: Option<u64>) -> Result<Option<Entry>, SourceErrorKind> {
        const RECORD: &str = "access list with its block's number";
        let record = |source| SourceErrorKind::Rlp { record: RECORD, source };
        self.input.begin_record();
        let Some(rlp) = next_list(&mut self.input)? else { return Ok(None) };
        let mut rest = Header::decode_bytes(&mut rlp.as_slice(), true).map_err(record)?;
        let number = u64::decode(&mut rest).map_err(record)?;
        if let Some(before) = after.filter(|before| *before >= number) {
            return Err(SourceErrorKind::ListOrder { number, before });
        }
        Ok(Some(Entry { number, list: Some(rest.to_vec()) }))
    }
}

/// Writes such a file.
#[derive(Debug)]
pub struct ListWriter {
    out: Out,
    /// The first failure; nothing is written after it.
    failed: Option<io::Error>,
}

#[derive(Debug)]
enum Out {
    Plain(BufWriter<File>),
    Gzipped(GzEncoder<BufWriter<File>>),
}

impl ListWriter {
    /// Makes a file, gzipped if its name ends with `.gz`.
    ///
    /// # Errors
    /// If the operating system refuses, or there is such a file already.
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let out = match path.extension().is_some_and(|extension| extension == "gz") {
            true => Out::Gzipped(GzEncoder::new(file, Compression::fast())),
            false => Out::Plain(file),
        };
        Ok(Self { out, failed: None })
    }

    /// Adds a block's list. A failure is told by [`Self::finish`].
    pub fn add(&mut self, number: u64, list: &BlockAccessList) {
        let payload_length = number.length() + list.length();
        let mut rlp = Vec::with_capacity(payload_length + 9);
        Header { list: true, payload_length }.encode(&mut rlp);
        number.encode(&mut rlp);
        list.encode(&mut rlp);
        if self.failed.is_none() {
            self.failed = match &mut self.out {
                Out::Plain(out) => out.write_all(&rlp),
                Out::Gzipped(out) => out.write_all(&rlp),
            }
            .err();
        }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// The first failure to write anything.
    pub fn finish(self) -> io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut file = match self.out {
            Out::Plain(file) => file,
            Out::Gzipped(out) => out.finish()?,
        };
        file.flush()?;
        file.get_ref().sync_all()
    }
}
