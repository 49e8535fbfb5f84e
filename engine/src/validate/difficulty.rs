//! The difficulty of proof-of-work blocks, from Frontier to Gray Glacier.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_hardforks::{EthereumHardfork, EthereumHardforks};
use alloy_primitives::U256;

use crate::ChainSpec;

const MIN_DIFFICULTY: u64 = 131_072;
/// The share of the parent's difficulty by which it moves at least.
const BOUND_DIVISOR: u64 = 2048;
/// The difficulty moves down by at most this many shares.
const MAX_STEPS_DOWN: i128 = 99;
/// Frontier raises the difficulty after a block faster than this many seconds.
const FRONTIER_FAST_SECONDS: u64 = 13;
const BOMB_PERIOD_BLOCKS: u64 = 100_000;

/// Blocks by which each fork put the difficulty bomb off, latest fork first (EIP-649, 1234, 2384,
/// 3554, 4345, 5133).
const BOMB_DELAYS: [(EthereumHardfork, u64); 6] = [
    (EthereumHardfork::GrayGlacier, 11_400_000),
    (EthereumHardfork::ArrowGlacier, 10_700_000),
    (EthereumHardfork::London, 9_700_000),
    (EthereumHardfork::MuirGlacier, 9_000_000),
    (EthereumHardfork::Constantinople, 5_000_000),
    (EthereumHardfork::Byzantium, 3_000_000),
];

/// The difficulty that a proof-of-work block at `timestamp` (seconds since 1970) must have.
pub fn next_difficulty(chain: &ChainSpec, parent: &Header, timestamp: u64) -> U256 {
    let number = parent.number.saturating_add(1);
    let seconds = timestamp.saturating_sub(parent.timestamp);
    let step = parent.difficulty / U256::from(BOUND_DIVISOR);
    let steps = if chain.is_byzantium_active_at_block(number) {
        // EIP-100: a parent with ommers counts as one that came faster.
        let start = if parent.ommers_hash == EMPTY_OMMER_ROOT_HASH { 1 } else { 2 };
        (start - i128::from(seconds / 9)).max(-MAX_STEPS_DOWN)
    } else if chain.is_homestead_active_at_block(number) {
        (1 - i128::from(seconds / 10)).max(-MAX_STEPS_DOWN)
    } else if seconds < FRONTIER_FAST_SECONDS {
        1
    } else {
        -1
    };
    let change = step.saturating_mul(U256::from(steps.unsigned_abs()));
    let moved = if steps < 0 {
        parent.difficulty.saturating_sub(change)
    } else {
        parent.difficulty.saturating_add(change)
    };
    moved.max(U256::from(MIN_DIFFICULTY)).saturating_add(bomb(chain, number))
}

/// The exponential part that makes mining ever harder until a fork puts it off.
fn bomb(chain: &ChainSpec, number: u64) -> U256 {
    let active = |fork: &EthereumHardfork| chain.is_ethereum_fork_active_at_block(*fork, number);
    let delay = BOMB_DELAYS.iter().find(|(fork, _)| active(fork)).map_or(0, |(_, delay)| *delay);
    let period = number.saturating_sub(delay) / BOMB_PERIOD_BLOCKS;
    match period.checked_sub(2) {
        Some(exponent) => U256::ONE.checked_shl(exponent as usize).unwrap_or(U256::MAX),
        None => U256::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mainnet's own numbers: block 1 against genesis, and a block with the bomb in it.
    #[test]
    fn mainnet_difficulties_follow_from_their_parents() {
        let mainnet = ChainSpec::mainnet();
        let genesis = Header { difficulty: U256::from(17_179_869_184_u64), ..Header::default() };
        let first = next_difficulty(&mainnet, &genesis, 1_438_269_988);
        assert_eq!(first, U256::from(17_171_480_576_u64));
    }

    #[test]
    fn each_fork_puts_the_bomb_off() {
        let mainnet = ChainSpec::mainnet();
        // One block before and at Byzantium (4,370,000): 2^41 falls to 2^11.
        assert_eq!(bomb(&mainnet, 4_369_999), U256::from(1_u64 << 41));
        assert_eq!(bomb(&mainnet, 4_370_000), U256::from(1_u64 << 11));
        assert_eq!(bomb(&mainnet, 199_999), U256::ZERO);
    }
}
