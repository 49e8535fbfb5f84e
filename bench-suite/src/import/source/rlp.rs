//! Blocks, or whatever is an RLP list, one after another.

use pleach_engine::RecoveredBlock;

use super::{
    FileBlock, SourceErrorKind,
    input::{Input, MAX_RECORD_BYTES},
};

/// Lists of up to 55 bytes say their length in the first byte, above this.
const SHORT_LIST: u8 = 0xC0;
/// Longer ones say in it how many bytes of length follow, above this.
const LONG_LIST: u8 = 0xF7;

/// The next block; none at the end of the file.
pub(super) fn next_block(input: &mut Input) -> Result<Option<FileBlock>, SourceErrorKind> {
    let offset = input.begin_record();
    let Some(rlp) = next_list(input)? else { return Ok(None) };
    let block = RecoveredBlock::decode(&rlp)?;
    Ok(Some(FileBlock { block, offset }))
}

/// The bytes of the RLP list that comes next; none at the end of the file.
pub(super) fn next_list(input: &mut Input) -> Result<Option<Vec<u8>>, SourceErrorKind> {
    let Some(first) = input.byte()? else { return Ok(None) };
    let mut rlp = vec![first];
    let length = match first {
        ..SHORT_LIST => return Err(SourceErrorKind::NotAList { byte: first }),
        SHORT_LIST..=LONG_LIST => u64::from(first - SHORT_LIST),
        _ => {
            input.append(&mut rlp, u64::from(first - LONG_LIST))?;
            let length = rlp[1..].iter();
            length.fold(0_u64, |length, byte| length.saturating_mul(256) + u64::from(*byte))
        }
    };
    if length > MAX_RECORD_BYTES {
        return Err(SourceErrorKind::TooLong { length, max: MAX_RECORD_BYTES });
    }
    input.append(&mut rlp, length)?;
    Ok(Some(rlp))
}
