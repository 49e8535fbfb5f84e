//! The hash that sums up an era of blocks: SSZ's `hash_tree_root` of a list of header records.

use alloy_primitives::{B256, U256};
use sha2::{Digest, Sha256};

/// Records that a list has room for: 2^13.
pub(super) const ERA_BLOCKS: usize = 1 << DEPTH;
const DEPTH: usize = 13;

fn hash_pair(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}

/// A block's hash, and the total difficulty up to it.
pub(super) fn header_record(hash: B256, total_difficulty: U256) -> [u8; 32] {
    hash_pair(&hash.0, &total_difficulty.to_le_bytes())
}

/// The root of a list of header records.
pub(super) fn accumulator(records: &[[u8; 32]]) -> B256 {
    let mut level = records.to_vec();
    let mut empty = [0; 32];
    for _ in 0..DEPTH {
        if level.len() % 2 == 1 {
            level.push(empty);
        }
        level = level.chunks_exact(2).map(|pair| hash_pair(&pair[0], &pair[1])).collect();
        empty = hash_pair(&empty, &empty);
    }
    let root = level.first().copied().unwrap_or(empty);
    let length = U256::from(records.len()).to_le_bytes();
    hash_pair(&root, &length).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SSZ pads a list with empty leaves: spelled out, they give the same root.
    #[test]
    fn missing_records_are_empty_leaves() {
        let records: Vec<_> = (1..6).map(|byte| [byte; 32]).collect();
        let mut level = records.clone();
        level.resize(ERA_BLOCKS, [0; 32]);
        while level.len() > 1 {
            level = level.chunks_exact(2).map(|pair| hash_pair(&pair[0], &pair[1])).collect();
        }
        let with_length = |root, length: u64| hash_pair(&root, &U256::from(length).to_le_bytes());
        assert_eq!(accumulator(&records).0, with_length(level[0], 5));
        assert_ne!(accumulator(&records[..4]), accumulator(&records));
    }
}
