//! Blooms of logs, with a memory for what was hashed before.
//!
//! A log's bloom takes a hash for its address and one for each topic, and most of these are old
//! acquaintances: a few events, tokens and pools make up the most of a block. What a value sets in
//! a bloom never changes, so it need not be worked out twice.

use std::cell::RefCell;

use alloy_primitives::{BLOOM_SIZE_BYTES, Bloom, Log, keccak256};

/// Values that a thread remembers; a power of two. Their table fits the second-level cache beside
/// what an EVM needs.
const REMEMBERED: usize = 1 << 11;

/// A topic, or an address with zeros before it, and the three bits that it sets.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Zero if the entry is empty: of no use, as no value is that long.
    len: u8,
    value: [u8; 32],
    bits: [u16; 3],
}

const EMPTY: Entry = Entry { len: 0, value: [0; 32], bits: [0; 3] };

thread_local! {
    /// Each thread its own, so that nobody waits. It holds facts, not state.
    static TABLE: RefCell<Box<[Entry]>> = RefCell::new(vec![EMPTY; REMEMBERED].into());
}

/// The bloom of a result's logs: what [`alloy_primitives::logs_bloom`] gives.
pub(super) fn logs_bloom(logs: &[Log]) -> Bloom {
    TABLE.with_borrow_mut(|table| {
        let mut bloom = Bloom::default();
        for log in logs {
            add(&mut bloom, table, log.address.as_slice());
            for topic in log.topics() {
                add(&mut bloom, table, topic.as_slice());
            }
        }
        bloom
    })
}

/// Adds a value of 32 bytes at most.
fn add(bloom: &mut Bloom, table: &mut [Entry], value: &[u8]) {
    let mut padded = [0; 32];
    padded[32 - value.len()..].copy_from_slice(value);
    let entry = &mut table[place(&padded)];
    if usize::from(entry.len) != value.len() || entry.value != padded {
        *entry = Entry { len: value.len() as u8, value: padded, bits: bits(value) };
    }
    for bit in entry.bits {
        bloom[BLOOM_SIZE_BYTES - 1 - usize::from(bit / 8)] |= 1 << (bit % 8);
    }
}

/// Where a value is remembered. Who makes values meet here makes them be hashed, no more.
fn place(value: &[u8; 32]) -> usize {
    let word =
        |at: usize| u64::from_le_bytes(*value[at..].first_chunk().expect("a word has eight bytes"));
    let mixed = (word(0) ^ word(8)).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(16) ^ word(24);
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % REMEMBERED
}

/// The bits that a value sets: the low eleven of each of its hash's first three pairs of bytes
/// (Yellow Paper, section 4.3.1).
fn bits(value: &[u8]) -> [u16; 3] {
    let hash = keccak256(value);
    [0, 2, 4].map(|at| u16::from_be_bytes([hash[at], hash[at + 1]]) & 0x07ff)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes};

    use super::*;

    /// So many different values that most entries are written over, and each is met again.
    #[test]
    fn the_bloom_is_the_usual_one() {
        for round in 0..3 {
            for number in 0..2 * REMEMBERED as u64 {
                let topic = B256::from(alloy_primitives::U256::from(number));
                let topics = vec![topic, keccak256(topic), B256::ZERO];
                let address = Address::from_word(topic);
                let log = Log::new_unchecked(address, topics, Bytes::new());
                let logs = [log, Log::new_unchecked(Address::ZERO, Vec::new(), Bytes::new())];
                let expected = alloy_primitives::logs_bloom(&logs);
                assert_eq!(logs_bloom(&logs), expected, "round {round}, value {number}");
            }
        }
    }
}
