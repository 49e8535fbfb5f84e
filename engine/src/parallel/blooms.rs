//! Blooms of logs, with a memory for what was hashed before.

use std::cell::RefCell;

use alloy_primitives::{BLOOM_SIZE_BYTES, Bloom, Log, keccak256};

use super::memo::Memo;

/// The bits that a value sets in a bloom.
type Bits = [u16; 3];

/// What the addresses and topics of logs set.
#[derive(Debug)]
struct Known {
    addresses: Memo<20, Bits>,
    topics: Memo<32, Bits>,
}

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::new(Known {
        addresses: Memo::new(1 << 9),
        topics: Memo::new(1 << 10),
    });
}

/// The bloom of a result's logs: what [`alloy_primitives::logs_bloom`] gives.
pub(super) fn logs_bloom(logs: &[Log]) -> Bloom {
    KNOWN.with_borrow_mut(|known| {
        let mut bloom = Bloom::default();
        for log in logs {
            add(&mut bloom, known.addresses.get(&log.address, |address| bits(address)));
            for topic in log.topics() {
                add(&mut bloom, known.topics.get(topic, |topic| bits(topic)));
            }
        }
        bloom
    })
}

fn add(bloom: &mut Bloom, bits: Bits) {
    for bit in bits {
        bloom[BLOOM_SIZE_BYTES - 1 - usize::from(bit / 8)] |= 1 << (bit % 8);
    }
}

/// The bits that a value sets: the low eleven of each of its hash's first three pairs of bytes
/// (Yellow Paper, section 4.3.1).
fn bits(value: &[u8]) -> Bits {
    let hash = keccak256(value);
    [0, 2, 4].map(|at| u16::from_be_bytes([hash[at], hash[at + 1]]) & 0x07ff)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, B256, Bytes, U256};

    use super::*;

    /// So many different values that most are forgotten, and each is met again.
    #[test]
    fn the_bloom_is_the_usual_one() {
        for round in 0..3 {
            for number in 0..4_000_u64 {
                let topic = B256::from(U256::from(number));
                let topics = vec![topic, keccak256(topic), B256::ZERO];
                let log = Log::new_unchecked(Address::from_word(topic), topics, Bytes::new());
                let logs = [log, Log::new_unchecked(Address::ZERO, Vec::new(), Bytes::new())];
                let expected = alloy_primitives::logs_bloom(&logs);
                assert_eq!(logs_bloom(&logs), expected, "round {round}, value {number}");
            }
        }
    }
}
