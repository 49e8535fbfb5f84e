//! Keccak-256 of many messages, as many at a time as a vector has lanes.
//!
//! Each lane hashes a message of its own, whatever its length: when one ends, its lane takes the
//! next. So all lanes have work until the messages run out; then those still at work move to
//! narrower vectors, if these take them all.

mod permutation;

pub(crate) use permutation::ROUND_CONSTANTS;
#[cfg(target_arch = "x86_64")]
mod x86;

use alloy_primitives::{B256, keccak256};
pub(crate) use permutation::{Blocks, Permute, States};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2Keccak, Avx512Keccak, Avx512VlKeccak};

/// Bytes that one permutation absorbs in Keccak-256.
pub(crate) const RATE: usize = 136;
/// Words of 64 bits in those.
const RATE_WORDS: usize = RATE / 8;
/// Words of 64 bits in a state.
const STATE_WORDS: usize = 25;

/// Permutations of a vector take this many times as long as one of `keccak-asm`, rounded up.
const VECTOR_PRICE: usize = 2;

/// One hash per message, in order, in vectors of N lanes, and of `FEW` where no more are left.
///
/// # Panics
/// If there are not as many places for hashes as messages.
#[inline(always)]
pub(crate) fn hash_all<const N: usize, const FEW: usize, M: AsRef<[u8]>>(
    permute: impl Permute<N>,
    permute_few: Option<impl Permute<FEW>>,
    messages: &[M],
    hashes: &mut [B256],
) {
    assert_eq!(messages.len(), hashes.len(), "each message has a place for its hash");
    let mut lanes = Lanes::<N>::new();
    let limit = longest(messages);
    let mut queue = messages.iter().map(AsRef::as_ref).zip(hashes);
    loop {
        for lane in 0..N {
            while lanes.at[lane].is_none() {
                let Some((message, hash)) = queue.next() else { break };
                if message.len() > limit {
                    *hash = keccak256(message);
                } else {
                    lanes.at[lane] = Some(Work { rest: message, hash });
                    lanes.fresh[lane] = u64::MAX;
                }
            }
        }
        let at_work = lanes.at.iter().flatten().count();
        match permute_few {
            _ if at_work == 0 => return,
            Some(permute) if at_work <= FEW => return lanes.narrowed::<FEW>().finish(permute),
            _ => lanes.step(permute),
        }
    }
}

/// Bytes of the longest message that is to share a vector. A longer one would be at work
/// when all others are done, and is faster alone.
fn longest<M: AsRef<[u8]>>(messages: &[M]) -> usize {
    let blocks = |message: &M| message.as_ref().len() / RATE + 1;
    let blocks: usize = messages.iter().map(blocks).sum();
    RATE * (blocks / VECTOR_PRICE)
}

/// The part of a message that is still to be absorbed, and where its hash goes.
struct Work<'a> {
    rest: &'a [u8],
    hash: &'a mut B256,
}

/// N messages at work.
struct Lanes<'a, const N: usize> {
    at: [Option<Work<'a>>; N],
    states: States<N>,
    blocks: Blocks<N>,
    /// All ones in the lanes whose state is to be zero before the next block.
    fresh: [u64; N],
}

impl<const N: usize> Lanes<'_, N> {
    fn new() -> Self {
        Self {
            at: std::array::from_fn(|_| None),
            states: States([[0; N]; STATE_WORDS]),
            blocks: Blocks([[0; N]; RATE_WORDS]),
            fresh: [0; N],
        }
    }

    /// The lanes at work, which are no more than that.
    #[inline(always)]
    fn narrowed<const FEW: usize>(&mut self) -> Lanes<'_, FEW> {
        let mut few = Lanes::new();
        let mut places = 0..FEW;
        for lane in 0..N {
            if let Some(work) = self.at[lane].take() {
                let place = places.next().expect("no more than there are places");
                few.at[place] = Some(Work { rest: work.rest, hash: work.hash });
                few.fresh[place] = self.fresh[lane];
                for (to, from) in few.states.0.iter_mut().zip(&self.states.0) {
                    to[place] = from[lane];
                }
            }
        }
        few
    }

    /// Hashes all messages at work, there being no others.
    #[inline(always)]
    fn finish(mut self, permute: impl Permute<N>) {
        while self.at.iter().any(Option::is_some) {
            self.step(permute);
        }
    }

    /// Absorbs a block of each message, permutes, and gives the hashes of those that end.
    #[inline(always)]
    fn step(&mut self, permute: impl Permute<N>) {
        let mut ended = [false; N];
        for (lane, work) in self.at.iter_mut().enumerate() {
            let Some(work) = work else { continue };
            ended[lane] = work.rest.len() < RATE;
            if ended[lane] {
                self.blocks.put_last(lane, work.rest);
            } else {
                let (block, rest) = work.rest.split_at(RATE);
                work.rest = rest;
                self.blocks.put(lane, block);
            }
        }
        permute.absorb(&mut self.states, &self.blocks, &self.fresh);
        self.fresh = [0; N];
        for (lane, _) in ended.iter().enumerate().filter(|(_, ended)| **ended) {
            if let Some(work) = self.at[lane].take() {
                *work.hash = self.states.hash(lane);
            }
        }
    }
}

impl<const N: usize> Blocks<N> {
    /// Sets a lane's block to 136 bytes.
    #[inline(always)]
    fn put(&mut self, lane: usize, block: &[u8]) {
        let (words, _) = block.as_chunks::<8>();
        for (word, bytes) in self.0.iter_mut().zip(words) {
            word[lane] = u64::from_le_bytes(*bytes);
        }
    }

    /// Sets a lane's block to fewer than 136 bytes and the padding: a 1 after the message, and a 1
    /// as the block's last bit.
    #[inline(always)]
    fn put_last(&mut self, lane: usize, message: &[u8]) {
        let (words, rest) = message.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[rest.len()] = 1;
        let tail = [u64::from_le_bytes(last)].into_iter().chain(std::iter::repeat(0));
        let words = words.iter().map(|bytes| u64::from_le_bytes(*bytes)).chain(tail);
        for (place, word) in self.0.iter_mut().zip(words) {
            place[lane] = word;
        }
        self.0[RATE_WORDS - 1][lane] |= 1 << 63;
    }
}

impl<const N: usize> States<N> {
    /// The first 32 bytes of a lane's state.
    #[inline(always)]
    fn hash(&self, lane: usize) -> B256 {
        let mut hash = B256::ZERO;
        for (bytes, word) in hash.chunks_exact_mut(8).zip(&self.0) {
            bytes.copy_from_slice(&word[lane].to_le_bytes());
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::testing::Rng;

    fn check<const N: usize, const FEW: usize>(
        permute: impl Permute<N>,
        few: Option<impl Permute<FEW>>,
        messages: &[Vec<u8>],
    ) {
        let expected: Vec<_> = messages.iter().map(keccak256).collect();
        let mut hashes = vec![B256::ZERO; messages.len()];
        hash_all(permute, few, messages, &mut hashes);
        for (index, (hash, expected)) in hashes.iter().zip(&expected).enumerate() {
            let (count, len) = (messages.len(), messages[index].len());
            assert_eq!(hash, expected, "{permute:?}: message {index} of {count}, {len} bytes");
        }
    }

    fn check_all(messages: &[Vec<u8>]) {
        const NONE: Option<permutation::Portable<1>> = None;
        check(permutation::Portable::<3>, NONE, messages);
        check(permutation::Portable::<5>, Some(permutation::Portable::<2>), messages);
        #[cfg(target_arch = "x86_64")]
        {
            let few = Avx512VlKeccak::detect();
            Avx512Keccak::detect().into_iter().for_each(|keccak| check(keccak, NONE, messages));
            Avx512Keccak::detect().into_iter().for_each(|keccak| check(keccak, few, messages));
            Avx2Keccak::detect().into_iter().for_each(|keccak| check(keccak, NONE, messages));
        }
    }

    #[test]
    fn every_length_around_the_block() {
        let mut rng = Rng::from_env();
        let message = |len: usize| (0..len).map(|_| rng.word() as u8).collect();
        let messages: Vec<_> = (0..3 * RATE + 2).map(message).collect();
        check_all(&messages);
        for message in messages {
            check_all(&[message]);
        }
    }

    #[test]
    fn random_lengths_in_batches_of_any_size() {
        let mut rng = Rng::from_env();
        for round in 0..400 {
            let count = rng.below(if round % 10 == 0 { 300 } else { 20 });
            let messages: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let bits = rng.below(13);
                    let len = rng.below(1 << bits);
                    (0..len).map(|_| rng.word() as u8).collect()
                })
                .collect();
            check_all(&messages);
        }
    }
}
