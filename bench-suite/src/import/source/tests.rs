//! Files made here, whole and damaged.

use std::{fs, io::Write, path::PathBuf};

use alloy_consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_primitives::U256;
use alloy_rlp::Encodable;
use flate2::{Compression, write::GzEncoder};
use snap::write::FrameEncoder;

use super::{
    accumulator::{accumulator, header_record},
    *,
};

fn blocks(count: u64) -> Vec<Block<TxEnvelope>> {
    let header = |number| Header {
        number,
        difficulty: U256::from(number + 7),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        ..Header::default()
    };
    (0..count).map(|number| Block { header: header(number), body: BlockBody::default() }).collect()
}

fn rlp(value: &impl Encodable) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes);
    bytes
}

fn rlp_file(blocks: &[Block<TxEnvelope>]) -> Vec<u8> {
    blocks.iter().flat_map(rlp).collect()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn record(file: &mut Vec<u8>, kind: u16, content: &[u8]) -> u64 {
    let offset = file.len() as u64;
    file.extend(kind.to_le_bytes());
    file.extend((content.len() as u32).to_le_bytes());
    file.extend([0; 2]);
    file.extend(content);
    offset
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.into_inner().unwrap()
}

/// `shift` is added to the total difficulty of the last block.
fn era1_file(blocks: &[Block<TxEnvelope>], shift: u64) -> Vec<u8> {
    let mut file = Vec::new();
    record(&mut file, 0x3265, &[]);
    let (mut total, mut records, mut offsets) = (U256::ZERO, Vec::new(), Vec::new());
    for (index, block) in blocks.iter().enumerate() {
        total += block.header.difficulty;
        let shift = if index + 1 == blocks.len() { shift } else { 0 };
        offsets.push(record(&mut file, 3, &snappy(&rlp(&block.header))));
        record(&mut file, 4, &snappy(&rlp(&block.body)));
        record(&mut file, 5, &snappy(&[0xC0]));
        record(&mut file, 6, &(total + U256::from(shift)).to_le_bytes::<32>());
        records.push(header_record(block.header.hash_slow(), total));
    }
    record(&mut file, 7, accumulator(&records).as_slice());
    let begin = file.len() as i64;
    let mut index = blocks[0].header.number.to_le_bytes().to_vec();
    offsets.iter().for_each(|offset| index.extend((*offset as i64 - begin).to_le_bytes()));
    index.extend((blocks.len() as u64).to_le_bytes());
    record(&mut file, 0x3266, &index);
    file
}

fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pleach-{}-{name}", std::process::id()));
    fs::write(&path, bytes).unwrap();
    path
}

/// The numbers of the blocks in a file, and how it ends.
fn read(name: &str, bytes: &[u8]) -> (Vec<u64>, Option<SourceError>) {
    let (blocks, end) = read_blocks(name, bytes);
    (blocks.iter().map(|block| block.header.number).collect(), end)
}

fn read_blocks(name: &str, bytes: &[u8]) -> (Vec<Block<TxEnvelope>>, Option<SourceError>) {
    let path = write(name, bytes);
    let counter = Arc::<AtomicU64>::default();
    let file = BlockFile::open(&path, counter);
    let (mut blocks, mut end) = (Vec::new(), None);
    match file {
        Err(error) => end = Some(error),
        Ok(file) => file.for_each(|block| match block {
            Ok(block) => blocks.push(block.block),
            Err(error) => end = Some(error),
        }),
    }
    fs::remove_file(path).unwrap();
    (blocks, end)
}

#[test]
fn all_formats_give_the_same_blocks() {
    let blocks = blocks(40);
    let (rlp, era1) = (rlp_file(&blocks), era1_file(&blocks, 0));
    // Gzip members one after another are one file.
    let in_two = [gzipped(&rlp[..1000]), gzipped(&rlp[1000..])].concat();
    for (name, bytes) in [
        ("rlp", rlp.clone()),
        ("rlp-gz", gzipped(&rlp)),
        ("rlp-gz-gz", in_two),
        ("era1", era1.clone()),
        ("era1-gz", gzipped(&era1)),
    ] {
        let (numbers, end) = read(name, &bytes);
        assert!(end.is_none(), "{name}: {end:?}");
        assert_eq!(numbers, (0..40).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn cut_files_give_what_is_whole_and_a_typed_error() {
    let blocks = blocks(3);
    let whole = rlp_file(&blocks);
    let ends: Vec<_> = (0..=3).map(|count| rlp_file(&blocks[..count]).len()).collect();
    let era1 = era1_file(&blocks, 0);
    for length in 0..whole.len() {
        let (numbers, end) = read("cut", &whole[..length]);
        let complete = ends.iter().filter(|end| **end <= length).count() - 1;
        assert_eq!(numbers.len(), complete, "{length}");
        match end {
            None => assert!(length > 0 && ends.contains(&length), "{length}"),
            Some(error) => {
                let cut = matches!(error.kind, SourceErrorKind::Truncated { .. });
                assert!(cut || length == 0, "{length}: {error}");
                assert_eq!(error.offset, ends[complete] as u64);
                assert_eq!(error.after, (complete as u64).checked_sub(1));
            }
        }
        let (_, end) = read("cut-gz", &gzipped(&whole)[..length.min(gzipped(&whole).len() - 1)]);
        assert!(end.is_some(), "{length}");
    }
    for length in 0..era1.len() {
        assert!(read("cut-era1", &era1[..length]).1.is_some(), "{length}");
    }
}

/// Whatever byte is wrong, nothing panics; and an era1 file that is read to its end holds the same
/// blocks as before, because the byte has no meaning or another way of packing the same.
#[test]
fn damaged_files_are_typed_errors() {
    let blocks = blocks(3);
    let (rlp, era1) = (rlp_file(&blocks), era1_file(&blocks, 0));
    for (at, flip) in (0..rlp.len()).flat_map(|at| [(at, 0x01), (at, 0x80), (at, 0xFF)]) {
        let mut damaged = rlp.clone();
        damaged[at] ^= flip;
        read("damaged", &damaged);
    }
    let mut unnoticed = 0;
    for at in 0..era1.len() {
        let mut damaged = era1.clone();
        damaged[at] ^= 0x01;
        if let (read, None) = read_blocks("damaged-era1", &damaged) {
            assert_eq!(read, blocks, "byte {at}");
            unnoticed += 1;
        }
    }
    // Two reserved bytes in each record, and a few of Snappy's references to what came before.
    assert!(unnoticed < era1.len() / 20, "{unnoticed} of {}", era1.len());
}

#[test]
fn each_fault_has_its_name() {
    use SourceErrorKind as Kind;
    let blocks = blocks(3);
    let fault = |bytes: &[u8]| read("fault", bytes).1.expect("the file is damaged").kind;
    assert!(matches!(fault(&[]), Kind::Empty));
    assert!(matches!(fault(b"{\"config\": {}}"), Kind::UnknownFormat { .. }));
    assert!(matches!(fault(&gzipped(b"no blocks")), Kind::UnknownFormat { .. }));
    let followed = [rlp_file(&blocks), vec![0x01]].concat();
    assert!(matches!(fault(&followed), Kind::NotAList { byte: 1 }));
    assert!(matches!(fault(&[0xFF; 9]), Kind::TooLong { .. }));
    assert!(matches!(fault(&[0xC3, 1, 2, 3]), Kind::Block(_)));
    assert!(matches!(fault(&era1_file(&blocks, 1)), Kind::TotalDifficulty { number: 2, .. }));
    let gap = [blocks[0].clone(), blocks[2].clone()];
    assert!(matches!(fault(&era1_file(&gap, 0)), Kind::Order { number: 2, parent: 0 }));
    let more = [era1_file(&blocks, 0), vec![0; 8]].concat();
    assert!(matches!(fault(&more), Kind::TrailingBytes));
    let mut wrong_receipts = blocks.clone();
    wrong_receipts[1].header.receipts_root = alloy_primitives::B256::ZERO;
    assert!(matches!(fault(&era1_file(&wrong_receipts, 0)), Kind::Receipts { number: 1, .. }));
}
