//! era1: an era of proof-of-work blocks as e2store records.
//!
//! Each record has a header of eight bytes: its type, its length, two bytes of nothing, all little
//! endian. A version record opens the file; each block is a header, a body, its receipts (RLP in
//! framed Snappy, whose sums are checked) and the total difficulty; at the end stand the
//! accumulator of all blocks and an index of where they begin.

use std::io::Read;

use alloy_consensus::{
    Block, BlockBody, Header, ReceiptEnvelope, TxEnvelope, proofs::calculate_receipt_root,
};
use alloy_primitives::{B256, U256};
use alloy_rlp::Decodable;
use snap::read::FrameDecoder;

use super::{
    FileBlock, SourceErrorKind,
    accumulator::{ERA_BLOCKS, accumulator, header_record},
    input::{Input, MAX_RECORD_BYTES},
};

const VERSION: u16 = 0x3265;
const HEADER: u16 = 0x03;
const BODY: u16 = 0x04;
const RECEIPTS: u16 = 0x05;
const TOTAL_DIFFICULTY: u16 = 0x06;
const ACCUMULATOR: u16 = 0x07;
const BLOCK_INDEX: u16 = 0x3266;

/// What was read of a file so far.
#[derive(Debug, Default)]
pub(super) struct Era1 {
    is_open: bool,
    /// The last block's number, and the total difficulty up to it.
    last: Option<(u64, U256)>,
    records: Vec<[u8; 32]>,
    /// Where each block begins.
    offsets: Vec<u64>,
}

struct Record {
    kind: u16,
    offset: u64,
    bytes: Vec<u8>,
}

impl Era1 {
    /// The next block; none at the end, when everything that the file says of itself has been
    /// checked.
    pub(super) fn next_block(
        &mut self,
        input: &mut Input,
    ) -> Result<Option<FileBlock>, SourceErrorKind> {
        if !self.is_open {
            expect(read_record(input)?, VERSION, "version")?;
            self.is_open = true;
        }
        let first = some(read_record(input)?)?;
        if first.kind == ACCUMULATOR {
            self.check_end(input, &first)?;
            return Ok(None);
        }
        if self.records.len() == ERA_BLOCKS {
            let found = first.kind;
            return Err(SourceErrorKind::RecordType { found, expected: "accumulator" });
        }
        let offset = first.offset;
        let header: Header = decode(&expect(Some(first), HEADER, "header")?, "header")?;
        let body = expect(read_record(input)?, BODY, "body")?;
        let body: BlockBody<TxEnvelope> = decode(&body, "body")?;
        let receipts = expect(read_record(input)?, RECEIPTS, "receipts")?;
        check_receipts(&header, &decode::<Vec<ReceiptEnvelope>>(&receipts, "receipts")?)?;
        let difficulty = expect(read_record(input)?, TOTAL_DIFFICULTY, "total difficulty")?;
        self.add(&header, offset, U256::from_le_bytes(word(&difficulty, "total difficulty")?))?;
        Ok(Some(FileBlock { block: Block { header, body }, offset }))
    }

    fn add(&mut self, header: &Header, offset: u64, given: U256) -> Result<(), SourceErrorKind> {
        let number = header.number;
        // What came before the file's first block is not in it.
        let before = match self.last {
            Some((parent, _)) if parent.checked_add(1) != Some(number) => {
                return Err(SourceErrorKind::Order { number, parent });
            }
            Some((_, total)) => Some(total),
            None => (number == 0).then_some(U256::ZERO),
        };
        let expected = before.map_or(given, |before| before.saturating_add(header.difficulty));
        if given != expected {
            return Err(SourceErrorKind::TotalDifficulty { number, given, expected });
        }
        self.last = Some((number, given));
        self.records.push(header_record(header.hash_slow(), given));
        self.offsets.push(offset);
        Ok(())
    }

    /// Checks the accumulator and the index behind it.
    fn check_end(&self, input: &mut Input, given: &Record) -> Result<(), SourceErrorKind> {
        let given = B256::from(word(given, "accumulator")?);
        let computed = accumulator(&self.records);
        if given != computed {
            return Err(SourceErrorKind::Accumulator { given, computed });
        }
        self.check_index(&expect(read_record(input)?, BLOCK_INDEX, "block index")?)?;
        match read_record(input)? {
            None => Ok(()),
            Some(_) => Err(SourceErrorKind::TrailingBytes),
        }
    }

    /// The index: the first block's number, where each block begins as seen from the index, and
    /// how many there are.
    fn check_index(&self, index: &Record) -> Result<(), SourceErrorKind> {
        let count = self.offsets.len();
        let (length, expected) = (index.bytes.len() as u64, 8 * (count as u64 + 2));
        if length != expected {
            return Err(SourceErrorKind::RecordLength { record: "block index", length, expected });
        }
        let last = self.last.map_or(0, |(number, _)| number);
        let first = last.saturating_sub(count.saturating_sub(1) as u64) as i64;
        let begins = self.offsets.iter().map(|offset| *offset as i64 - index.offset as i64);
        let expected = [("the first block's number", first)].into_iter();
        let expected = expected.chain(begins.map(|offset| ("a block's place", offset)));
        let expected = expected.chain([("the number of blocks", count as i64)]);
        for (bytes, (what, expected)) in index.bytes.chunks_exact(8).zip(expected) {
            let given = i64::from_le_bytes(bytes.try_into().expect("chunks have eight bytes"));
            if given != expected {
                return Err(SourceErrorKind::Index { what, given, expected });
            }
        }
        Ok(())
    }
}

/// Receipts in history archives are complete, with the state roots of those before Byzantium.
fn check_receipts(header: &Header, receipts: &[ReceiptEnvelope]) -> Result<(), SourceErrorKind> {
    let (file, header_root) = (calculate_receipt_root(receipts), header.receipts_root);
    if file != header_root {
        let number = header.number;
        return Err(SourceErrorKind::Receipts { number, file, header: header_root });
    }
    Ok(())
}

fn read_record(input: &mut Input) -> Result<Option<Record>, SourceErrorKind> {
    let offset = input.begin_record();
    if input.peek()?.is_empty() {
        return Ok(None);
    }
    let [kind_low, kind_high, a, b, c, d, _, _] = input.array::<8>()?;
    let mut bytes = Vec::new();
    input.append(&mut bytes, u64::from(u32::from_le_bytes([a, b, c, d])))?;
    Ok(Some(Record { kind: u16::from_le_bytes([kind_low, kind_high]), offset, bytes }))
}

/// The file may not end here.
fn some(record: Option<Record>) -> Result<Record, SourceErrorKind> {
    record.ok_or(SourceErrorKind::Truncated { wanted: 8, had: 0 })
}

fn expect(
    record: Option<Record>,
    kind: u16,
    expected: &'static str,
) -> Result<Record, SourceErrorKind> {
    let record = some(record)?;
    match record.kind == kind {
        true => Ok(record),
        false => Err(SourceErrorKind::RecordType { found: record.kind, expected }),
    }
}

/// Unpacks and decodes a record. It may not unpack to more than any record is long.
fn decode<T: Decodable>(record: &Record, name: &'static str) -> Result<T, SourceErrorKind> {
    let mut rlp = Vec::new();
    let read = FrameDecoder::new(&*record.bytes).take(MAX_RECORD_BYTES + 1).read_to_end(&mut rlp);
    read.map_err(|source| SourceErrorKind::Snappy { record: name, source })?;
    if rlp.len() as u64 > MAX_RECORD_BYTES {
        return Err(SourceErrorKind::TooLong { length: rlp.len() as u64, max: MAX_RECORD_BYTES });
    }
    alloy_rlp::decode_exact(&rlp).map_err(|source| SourceErrorKind::Rlp { record: name, source })
}

fn word(record: &Record, name: &'static str) -> Result<[u8; 32], SourceErrorKind> {
    record.bytes.as_slice().try_into().map_err(|_| SourceErrorKind::RecordLength {
        record: name,
        length: record.bytes.len() as u64,
        expected: 32,
    })
}
