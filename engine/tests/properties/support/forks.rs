//! One chain per fork, with all forks up to it active from the first block.

use std::sync::Arc;

use alloy_hardforks::{EthereumChainHardforks, EthereumHardfork as F, ForkCondition};
use alloy_primitives::U256;
use pleach_engine::ChainSpec;

pub(crate) const CHAIN_ID: u64 = 7;

/// The forks that change what transactions do, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fork {
    Frontier,
    Homestead,
    Tangerine,
    SpuriousDragon,
    Byzantium,
    Istanbul,
    Berlin,
    London,
    Paris,
    Shanghai,
    Cancun,
    Prague,
    Osaka,
}

pub(crate) const ALL: [Fork; 13] = [
    Fork::Frontier,
    Fork::Homestead,
    Fork::Tangerine,
    Fork::SpuriousDragon,
    Fork::Byzantium,
    Fork::Istanbul,
    Fork::Berlin,
    Fork::London,
    Fork::Paris,
    Fork::Shanghai,
    Fork::Cancun,
    Fork::Prague,
    Fork::Osaka,
];

/// Ethereum's forks, each with the one of [`Fork`] that it comes with.
const SCHEDULE: [(F, Fork); 15] = [
    (F::Frontier, Fork::Frontier),
    (F::Homestead, Fork::Homestead),
    (F::Tangerine, Fork::Tangerine),
    (F::SpuriousDragon, Fork::SpuriousDragon),
    (F::Byzantium, Fork::Byzantium),
    (F::Constantinople, Fork::Istanbul),
    (F::Petersburg, Fork::Istanbul),
    (F::Istanbul, Fork::Istanbul),
    (F::Berlin, Fork::Berlin),
    (F::London, Fork::London),
    (F::Paris, Fork::Paris),
    (F::Shanghai, Fork::Shanghai),
    (F::Cancun, Fork::Cancun),
    (F::Prague, Fork::Prague),
    (F::Osaka, Fork::Osaka),
];

impl Fork {
    /// A chain on which this fork is the latest.
    pub(crate) fn chain(self) -> Arc<ChainSpec> {
        let active = SCHEDULE.into_iter().filter(|(_, with)| *with <= self);
        let forks: Vec<_> = active.map(|(fork, with)| (fork, with.condition())).collect();
        Arc::new(ChainSpec::custom("test", CHAIN_ID, EthereumChainHardforks::new(forks)))
    }

    fn condition(self) -> ForkCondition {
        match self {
            Self::Paris => ForkCondition::TTD {
                activation_block_number: 0,
                fork_block: Some(0),
                total_difficulty: U256::ZERO,
            },
            fork if fork > Self::Paris => ForkCondition::Timestamp(0),
            _ => ForkCondition::Block(0),
        }
    }
}
