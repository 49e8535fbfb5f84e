//! Bytes of a file, unpacked on the way, with a count of where they are.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

use super::SourceErrorKind;

const BUFFER_BYTES: usize = 1 << 18;
const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// No record is longer: the largest blocks that were ever made have a few MiB.
pub(super) const MAX_RECORD_BYTES: u64 = 1 << 28;

/// A file's content, gzipped or not.
pub(super) struct Input {
    content: Box<dyn BufRead + Send>,
    is_gzipped: bool,
    offset: u64,
    mark: u64,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { is_gzipped, offset, .. } = self;
        f.debug_struct("Input").field("is_gzipped", is_gzipped).field("offset", offset).finish()
    }
}

/// Counts the bytes of the file itself, for whoever shows progress.
struct Counted {
    file: File,
    read_bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buf)?;
        // Relaxed: a number to look at, which orders nothing.
        self.read_bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Input {
    pub(super) fn open(path: &Path, read_bytes: Arc<AtomicU64>) -> Result<Self, SourceErrorKind> {
        let file = File::open(path).map_err(SourceErrorKind::Io)?;
        let counted = Counted { file, read_bytes };
        let mut raw = BufReader::with_capacity(BUFFER_BYTES, counted);
        let is_gzipped = raw.fill_buf().map_err(SourceErrorKind::Io)?.starts_with(&GZIP_MAGIC);
        let content: Box<dyn BufRead + Send> = match is_gzipped {
            true => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(raw))),
            false => Box::new(raw),
        };
        Ok(Self { content, is_gzipped, offset: 0, mark: 0 })
    }

    /// The bytes that come next, as many as are at hand; none at the end.
    pub(super) fn peek(&mut self) -> Result<&[u8], SourceErrorKind> {
        let is_gzipped = self.is_gzipped;
        self.content.fill_buf().map_err(|error| failed(is_gzipped, error))
    }

    /// Notes that a record begins here.
    pub(super) fn begin_record(&mut self) -> u64 {
        self.mark = self.offset;
        self.mark
    }

    /// Where the last record began.
    pub(super) const fn mark(&self) -> u64 {
        self.mark
    }

    /// The byte that comes next is read; none at the end.
    pub(super) fn byte(&mut self) -> Result<Option<u8>, SourceErrorKind> {
        let next = self.peek()?.first().copied();
        if next.is_some() {
            self.content.consume(1);
            self.offset += 1;
        }
        Ok(next)
    }

    /// So many bytes more are appended. No memory is taken for bytes that are not there.
    pub(super) fn append(
        &mut self,
        bytes: &mut Vec<u8>,
        length: u64,
    ) -> Result<(), SourceErrorKind> {
        if length > MAX_RECORD_BYTES {
            return Err(SourceErrorKind::TooLong { length, max: MAX_RECORD_BYTES });
        }
        let read = (&mut self.content).take(length).read_to_end(bytes);
        let had = read.map_err(|error| failed(self.is_gzipped, error))? as u64;
        self.offset += had;
        if had < length {
            return Err(SourceErrorKind::Truncated { wanted: length, had });
        }
        Ok(())
    }

    /// So many bytes more.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SourceErrorKind> {
        let mut bytes = Vec::with_capacity(N);
        self.append(&mut bytes, N as u64)?;
        Ok(bytes.try_into().expect("as many bytes were read as were asked for"))
    }
}

/// Whose fault a failed read is: gzip reports damage of its own as these kinds.
fn failed(is_gzipped: bool, error: io::Error) -> SourceErrorKind {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error.kind() {
        InvalidData | InvalidInput | UnexpectedEof if is_gzipped => SourceErrorKind::Gzip(error),
        _ => SourceErrorKind::Io(error),
    }
}
