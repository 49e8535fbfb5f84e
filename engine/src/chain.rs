//! Which rules a block is executed under: forks by number and time, blob parameters, addresses.

use alloy_consensus::BlockHeader;
use alloy_eips::{eip7594, eip7840::BlobParams};
use alloy_evm::{EvmEnv, eth::spec::EthExecutorSpec};
use alloy_genesis::{ChainConfig, Genesis};
use alloy_hardforks::{EthereumChainHardforks, EthereumHardfork, EthereumHardforks, ForkCondition};
use alloy_primitives::{Address, U256, address};

/// The rules of one chain.
///
/// ```
/// use pleach_engine::ChainSpec;
/// let mainnet = ChainSpec::mainnet();
/// assert_eq!(mainnet.fork_name(1, 1_438_269_988), "FRONTIER");
/// assert_eq!(mainnet.fork_name(24_000_000, 1_770_000_000), "OSAKA");
/// ```
#[derive(Debug, Clone)]
pub struct ChainSpec {
    name: String,
    chain_id: u64,
    hardforks: EthereumChainHardforks,
    deposit_contract: Option<Address>,
    /// Blob parameters in force from a time on, in ascending order of time.
    blob_schedule: Vec<(u64, BlobParams)>,
    transactions_only: bool,
}

/// A chain that [`ChainSpec`] cannot describe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No built-in chain has this name.
    #[error(
        "unknown chain {name:?}: known are mainnet, sepolia, holesky and hoodi; for any other \
         chain give its genesis file"
    )]
    UnknownName {
        /// The name asked for.
        name: String,
    },
    /// The genesis file names a fork that this version has no rules for.
    #[error(
        "unknown fork {fork:?} in the genesis configuration: this version of Pleach has no rules \
         for it"
    )]
    UnknownFork {
        /// The fork's field name.
        fork: String,
    },
    /// A blob fork is scheduled without parameters.
    #[error("the genesis configuration activates {fork} but its blobSchedule has no entry for it")]
    MissingBlobParams {
        /// The fork, as named in `blobSchedule`.
        fork: &'static str,
    },
}

impl ChainSpec {
    /// Ethereum mainnet.
    pub fn mainnet() -> Self {
        let deposit = address!("0x00000000219ab540356cbb839cbe05303d7705fa");
        Self::known("mainnet", 1, EthereumChainHardforks::mainnet(), deposit)
    }

    /// The Sepolia test network.
    pub fn sepolia() -> Self {
        let deposit = address!("0x7f02c3e3c98b133055b8b348b2ac625669ed295d");
        Self::known("sepolia", 11_155_111, EthereumChainHardforks::sepolia(), deposit)
    }

    /// The Holesky test network.
    pub fn holesky() -> Self {
        let deposit = address!("0x4242424242424242424242424242424242424242");
        Self::known("holesky", 17_000, EthereumChainHardforks::holesky(), deposit)
    }

    /// The Hoodi test network.
    pub fn hoodi() -> Self {
        let deposit = address!("0x00000000219ab540356cbb839cbe05303d7705fa");
        Self::known("hoodi", 560_048, EthereumChainHardforks::hoodi(), deposit)
    }

    /// A built-in chain by name.
    ///
    /// # Errors
    /// [`ChainError::UnknownName`] for any other name.
    pub fn by_name(name: &str) -> Result<Self, ChainError> {
        match name {
            "mainnet" => Ok(Self::mainnet()),
            "sepolia" => Ok(Self::sepolia()),
            "holesky" => Ok(Self::holesky()),
            "hoodi" => Ok(Self::hoodi()),
            _ => Err(ChainError::UnknownName { name: name.to_owned() }),
        }
    }

    /// A chain from its genesis file (geth's format).
    ///
    /// # Errors
    /// A fork without rules here, or a blob fork without blob parameters.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, ChainError> {
        let config = &genesis.config;
        if config.bogota_time.is_some() {
            return Err(ChainError::UnknownFork { fork: "bogotaTime".to_owned() });
        }
        if let Some(fork) = config.extra_fields.keys().find(|key| is_fork_field(key)) {
            return Err(ChainError::UnknownFork { fork: fork.clone() });
        }
        let hardforks = EthereumChainHardforks::new(genesis_forks(config, genesis.difficulty));
        Ok(Self::custom("genesis", config.chain_id, hardforks)
            .with_deposit_contract(config.deposit_contract_address)
            .with_blob_schedule(genesis_blob_schedule(config)?))
    }

    /// A chain made of its parts: no deposit contract, Ethereum's default blob parameters.
    pub fn custom(name: &str, chain_id: u64, hardforks: EthereumChainHardforks) -> Self {
        let blob_schedule = default_blob_schedule(&hardforks);
        Self {
            name: name.to_owned(),
            chain_id,
            hardforks,
            deposit_contract: None,
            blob_schedule,
            transactions_only: false,
        }
    }

    /// Replaces the address whose logs are EIP-6110 deposits.
    pub fn with_deposit_contract(mut self, address: Option<Address>) -> Self {
        self.deposit_contract = address;
        self
    }

    /// Replaces the blob parameters: (from which time on, what).
    pub fn with_blob_schedule(mut self, mut schedule: Vec<(u64, BlobParams)>) -> Self {
        schedule.sort_by_key(|(time, _)| *time);
        self.blob_schedule = schedule;
        self
    }

    /// The same rules without what a block does beside its transactions: no system calls, requests,
    /// blob gas count, withdrawals, rewards or DAO drain. This is how state tests run: the
    /// environment of each transaction stays that of its fork.
    pub fn transactions_only(mut self) -> Self {
        self.transactions_only = true;
        self
    }

    /// The chain's name, `genesis` for one that came from a file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The EIP-155 chain id.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The blob parameters in force at a time (seconds since 1970), from Cancun on.
    pub fn blob_params(&self, timestamp: u64) -> Option<BlobParams> {
        let active = self.blob_schedule.iter().rev().find(|(time, _)| *time <= timestamp);
        active.map(|(_, params)| *params)
    }

    /// The block at whose beginning the DAO's balances are moved, on chains that took that fork.
    pub fn dao_fork_block(&self) -> Option<u64> {
        let block = self.hardforks.ethereum_fork_activation(EthereumHardfork::Dao).block_number();
        block.filter(|_| !self.transactions_only)
    }

    /// The total difficulty from which on the Merge's rules hold, on a chain whose rules do not
    /// name the block at which that is. Whoever follows such a chain adds difficulties up and says
    /// [`Self::with_merge_at`] when it is reached.
    pub fn open_merge(&self) -> Option<U256> {
        match self.hardforks.ethereum_fork_activation(EthereumHardfork::Paris) {
            ForkCondition::TTD { activation_block_number: u64::MAX, total_difficulty, .. } => {
                Some(total_difficulty)
            }
            _ => None,
        }
    }

    /// The same rules with the Merge at a block.
    #[must_use]
    pub fn with_merge_at(mut self, block: u64) -> Self {
        let activation = |fork| match (fork, self.hardforks.ethereum_fork_activation(fork)) {
            (EthereumHardfork::Paris, ForkCondition::TTD { fork_block, total_difficulty, .. }) => {
                ForkCondition::TTD { activation_block_number: block, fork_block, total_difficulty }
            }
            (EthereumHardfork::Paris, _) => ForkCondition::Block(block),
            (_, activation) => activation,
        };
        let forks = EthereumHardfork::VARIANTS.iter().map(|fork| (*fork, activation(*fork)));
        let forks = forks.filter(|(_, activation)| *activation != ForkCondition::Never);
        self.hardforks = EthereumChainHardforks::new(forks.collect::<Vec<_>>());
        self
    }

    /// The environment in which a block's transactions run.
    pub fn evm_env(&self, header: impl BlockHeader) -> EvmEnv {
        let params = self.blob_params(header.timestamp());
        EvmEnv::for_eth_block(header, &self.hardforks, self.chain_id, params)
    }

    /// The latest fork active at a block, in upper case; blob-parameter forks count as the fork
    /// that they refine.
    pub fn fork_name(&self, number: u64, timestamp: u64) -> &'static str {
        let active = |fork: EthereumHardfork| {
            let condition = self.hardforks.ethereum_fork_activation(fork);
            condition.active_at_timestamp(timestamp) || condition.active_at_block(number)
        };
        let latest = FORK_NAMES.iter().rev().find(|(fork, _)| active(*fork));
        latest.map_or("FRONTIER", |(_, name)| name)
    }

    fn known(
        name: &str,
        chain_id: u64,
        hardforks: EthereumChainHardforks,
        deposit: Address,
    ) -> Self {
        Self::custom(name, chain_id, hardforks).with_deposit_contract(Some(deposit))
    }
}

impl EthereumHardforks for ChainSpec {
    /// The DAO fork is never active here: alloy-evm's block executor would move the DAO's balances
    /// after the fork block's transactions, and the rule is before them. The engine moves them
    /// itself; [`ChainSpec::dao_fork_block`] says when.
    fn ethereum_fork_activation(&self, fork: EthereumHardfork) -> ForkCondition {
        if fork == EthereumHardfork::Dao {
            return ForkCondition::Never;
        }
        if !self.transactions_only {
            return self.hardforks.ethereum_fork_activation(fork);
        }
        // Asked by the block executor alone. It pays no reward after the Merge, and forks that it
        // never meets bring no system calls.
        match fork {
            EthereumHardfork::Paris => ForkCondition::ZERO_BLOCK,
            _ => ForkCondition::Never,
        }
    }
}

impl EthExecutorSpec for ChainSpec {
    fn deposit_contract_address(&self) -> Option<Address> {
        self.deposit_contract
    }
}

const FORK_NAMES: [(EthereumHardfork, &str); 17] = [
    (EthereumHardfork::Frontier, "FRONTIER"),
    (EthereumHardfork::Homestead, "HOMESTEAD"),
    (EthereumHardfork::Dao, "HOMESTEAD"),
    (EthereumHardfork::Tangerine, "TANGERINE"),
    (EthereumHardfork::SpuriousDragon, "SPURIOUS_DRAGON"),
    (EthereumHardfork::Byzantium, "BYZANTIUM"),
    (EthereumHardfork::Constantinople, "CONSTANTINOPLE"),
    (EthereumHardfork::Petersburg, "PETERSBURG"),
    (EthereumHardfork::Istanbul, "ISTANBUL"),
    (EthereumHardfork::Berlin, "BERLIN"),
    (EthereumHardfork::London, "LONDON"),
    (EthereumHardfork::Paris, "PARIS"),
    (EthereumHardfork::Shanghai, "SHANGHAI"),
    (EthereumHardfork::Cancun, "CANCUN"),
    (EthereumHardfork::Prague, "PRAGUE"),
    (EthereumHardfork::Osaka, "OSAKA"),
    (EthereumHardfork::Amsterdam, "AMSTERDAM"),
];

/// Ethereum's own parameters at each fork that a chain schedules by time.
fn default_blob_schedule(hardforks: &EthereumChainHardforks) -> Vec<(u64, BlobParams)> {
    let defaults = [
        (EthereumHardfork::Cancun, BlobParams::cancun()),
        (EthereumHardfork::Prague, BlobParams::prague()),
        (EthereumHardfork::Osaka, BlobParams::osaka()),
        (EthereumHardfork::Bpo1, BlobParams::bpo1()),
        (EthereumHardfork::Bpo2, BlobParams::bpo2()),
    ];
    let time = |fork| hardforks.ethereum_fork_activation(fork).as_timestamp();
    defaults.into_iter().filter_map(|(fork, params)| Some((time(fork)?, params))).collect()
}

/// Fields of a genesis configuration that end like a fork's activation but that no rule here knows.
fn is_fork_field(key: &str) -> bool {
    const HARMLESS: [&str; 2] = ["eip150Hash", "mergeForkBlock"];
    (key.ends_with("Time") || key.ends_with("Block")) && !HARMLESS.contains(&key)
}

fn genesis_forks(
    config: &ChainConfig,
    genesis_difficulty: U256,
) -> Vec<(EthereumHardfork, ForkCondition)> {
    use EthereumHardfork as F;
    let by_block = [
        (F::Frontier, Some(0)),
        (F::Homestead, config.homestead_block),
        (F::Dao, config.dao_fork_block.filter(|_| config.dao_fork_support)),
        (F::Tangerine, config.eip150_block),
        (F::SpuriousDragon, config.eip155_block.or(config.eip158_block)),
        (F::Byzantium, config.byzantium_block),
        (F::Constantinople, config.constantinople_block),
        (F::Petersburg, config.petersburg_block.or(config.constantinople_block)),
        (F::Istanbul, config.istanbul_block),
        (F::MuirGlacier, config.muir_glacier_block),
        (F::Berlin, config.berlin_block),
        (F::London, config.london_block),
        (F::ArrowGlacier, config.arrow_glacier_block),
        (F::GrayGlacier, config.gray_glacier_block),
    ];
    let by_time = [
        (F::Shanghai, config.shanghai_time),
        (F::Cancun, config.cancun_time),
        (F::Prague, config.prague_time),
        (F::Osaka, config.osaka_time),
        (F::Bpo1, config.bpo1_time),
        (F::Bpo2, config.bpo2_time),
        (F::Bpo3, config.bpo3_time),
        (F::Bpo4, config.bpo4_time),
        (F::Bpo5, config.bpo5_time),
        (F::Amsterdam, config.amsterdam_time),
    ];
    let mut forks = Vec::new();
    let blocks = by_block.into_iter().filter_map(|(f, at)| Some((f, ForkCondition::Block(at?))));
    forks.extend(blocks);
    forks.extend(genesis_merge(config, genesis_difficulty).map(|at| (F::Paris, at)));
    let times = by_time.into_iter().filter_map(|(f, at)| Some((f, ForkCondition::Timestamp(at?))));
    forks.extend(times);
    forks
}

/// The Merge: at a named block, or at the first block if the terminal difficulty is reached at
/// once.
fn genesis_merge(config: &ChainConfig, genesis_difficulty: U256) -> Option<ForkCondition> {
    let total_difficulty = config.terminal_total_difficulty?;
    let from_genesis =
        config.terminal_total_difficulty_passed || total_difficulty <= genesis_difficulty;
    let block = config.merge_netsplit_block.or(from_genesis.then_some(0));
    Some(ForkCondition::TTD {
        activation_block_number: block.unwrap_or(u64::MAX),
        fork_block: config.merge_netsplit_block,
        total_difficulty,
    })
}

fn genesis_blob_schedule(config: &ChainConfig) -> Result<Vec<(u64, BlobParams)>, ChainError> {
    let forks = [
        ("cancun", config.cancun_time, Some(BlobParams::cancun())),
        ("prague", config.prague_time, Some(BlobParams::prague())),
        ("osaka", config.osaka_time, Some(BlobParams::osaka())),
        ("bpo1", config.bpo1_time, None),
        ("bpo2", config.bpo2_time, None),
        ("bpo3", config.bpo3_time, None),
        ("bpo4", config.bpo4_time, None),
        ("bpo5", config.bpo5_time, None),
    ];
    let mut schedule = Vec::new();
    for (fork, time, default) in forks {
        let Some(time) = time else { continue };
        let given = config.blob_schedule.get(fork).copied().or(default);
        let params = given.ok_or(ChainError::MissingBlobParams { fork })?;
        // Genesis files give target, max and fraction; Osaka fixes the other two (EIP-7594, 7918).
        let params = match fork {
            "cancun" | "prague" => params,
            _ => params
                .with_blob_base_cost(alloy_eips::eip7840::BLOB_BASE_COST)
                .with_max_blobs_per_tx(eip7594::MAX_BLOBS_PER_TX_FUSAKA),
        };
        schedule.push((time, params));
    }
    Ok(schedule)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain whose rules name a total difficulty and no block.
    #[test]
    fn an_open_merge_is_closed_at_a_block() {
        let mut genesis = Genesis { difficulty: U256::from(10), ..Genesis::default() };
        genesis.config.london_block = Some(0);
        genesis.config.shanghai_time = Some(100);
        genesis.config.terminal_total_difficulty = Some(U256::from(50));
        let open = ChainSpec::from_genesis(&genesis).unwrap();
        assert_eq!(open.open_merge(), Some(U256::from(50)));
        assert!(!open.is_paris_active_at_block(1_000_000));
        let closed = open.with_merge_at(7);
        assert_eq!(closed.open_merge(), None);
        let forks = [(6, 0), (7, 0), (8, 100)].map(|(number, time)| closed.fork_name(number, time));
        assert_eq!(forks, ["LONDON", "PARIS", "SHANGHAI"]);
        assert_eq!(ChainSpec::mainnet().open_merge(), None);
        // Reached by the first block's difficulty alone.
        genesis.config.terminal_total_difficulty = Some(U256::from(10));
        assert_eq!(ChainSpec::from_genesis(&genesis).unwrap().open_merge(), None);
    }
}
