//! The names that test files give to sets of rules.

use std::{collections::BTreeMap, sync::Arc};

use alloy_eips::{
    eip7594::MAX_BLOBS_PER_TX_FUSAKA,
    eip7840::{BLOB_BASE_COST, BlobParams},
};
use alloy_hardforks::{EthereumChainHardforks, EthereumHardfork as Fork, ForkCondition};
use alloy_primitives::{Address, U256, address};
use pleach_engine::ChainSpec;

/// Where deposits are made (EIP-6110), on mainnet and in all tests.
const DEPOSIT_CONTRACT: Address = address!("0x00000000219ab540356cbb839cbe05303d7705fa");

/// Forks in order, with the names that tests use. A name stands for its fork and all before it.
const FORKS: [(&str, Fork); 24] = [
    ("Frontier", Fork::Frontier),
    ("Homestead", Fork::Homestead),
    ("EIP150", Fork::Tangerine),
    ("EIP158", Fork::SpuriousDragon),
    ("Byzantium", Fork::Byzantium),
    ("Constantinople", Fork::Constantinople),
    ("ConstantinopleFix", Fork::Petersburg),
    ("Istanbul", Fork::Istanbul),
    ("MuirGlacier", Fork::MuirGlacier),
    ("Berlin", Fork::Berlin),
    ("London", Fork::London),
    ("ArrowGlacier", Fork::ArrowGlacier),
    ("GrayGlacier", Fork::GrayGlacier),
    ("Paris", Fork::Paris),
    ("Shanghai", Fork::Shanghai),
    ("Cancun", Fork::Cancun),
    ("Prague", Fork::Prague),
    ("Osaka", Fork::Osaka),
    ("BPO1", Fork::Bpo1),
    ("BPO2", Fork::Bpo2),
    ("BPO3", Fork::Bpo3),
    ("BPO4", Fork::Bpo4),
    ("BPO5", Fork::Bpo5),
    ("Amsterdam", Fork::Amsterdam),
];

const ALIASES: [(&str, &str); 4] = [
    ("TangerineWhistle", "EIP150"),
    ("SpuriousDragon", "EIP158"),
    ("Petersburg", "ConstantinopleFix"),
    ("Merge", "Paris"),
];

/// A set of rules that a test names and this runner cannot execute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// No rules of this name are known.
    #[error("unknown fork {name:?}")]
    Unknown {
        /// The name in the test.
        name: String,
    },
    /// The rules are known, but the EVM has none for them.
    #[error("fork {name:?} is skipped: {reason}")]
    Unsupported {
        /// The name in the test.
        name: String,
        /// Why there are no rules.
        reason: &'static str,
    },
}

/// The rules of a test's chain.
#[derive(Debug, Clone)]
pub struct Network {
    rules: Arc<ChainSpec>,
    /// From which total difficulty on the Merge's rules hold instead, in transition tests.
    merge: Option<(U256, Arc<ChainSpec>)>,
}

impl Network {
    /// Rules by name: a fork, or a transition such as `BerlinToLondonAt5`.
    ///
    /// `blob_schedule` overrides Ethereum's own blob parameters, by fork name; only
    /// target, maximum and update fraction are taken from it.
    ///
    /// # Errors
    /// [`NetworkError`] says why there are no rules; the test is then to be skipped.
    pub fn by_name(
        name: &str,
        chain_id: u64,
        blob_schedule: &BTreeMap<String, BlobParams>,
    ) -> Result<Self, NetworkError> {
        let canonical = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, n)| n);
        if canonical.contains("Amsterdam") {
            let reason = "the suites and the EVM follow different drafts of Amsterdam";
            return Err(NetworkError::Unsupported { name: name.to_owned(), reason });
        }
        if canonical == "Constantinople" || canonical.contains("ConstantinopleAt") {
            let reason = "Constantinople without Petersburg never ran anywhere";
            return Err(NetworkError::Unsupported { name: name.to_owned(), reason });
        }
        let forks =
            schedule(canonical).ok_or_else(|| NetworkError::Unknown { name: name.to_owned() })?;
        let merge = forks.iter().find_map(|(_, at)| at.ttd()).map(|total_difficulty| {
            let merged = forks.iter().map(|(fork, at)| match at {
                ForkCondition::TTD { .. } => (*fork, ForkCondition::ZERO_BLOCK),
                _ => (*fork, *at),
            });
            (total_difficulty, chain(name, chain_id, merged.collect(), blob_schedule))
        });
        Ok(Self { rules: chain(name, chain_id, forks, blob_schedule), merge })
    }

    /// The rules of a block whose parent has this total difficulty.
    pub fn rules(&self, parent_total_difficulty: U256) -> &Arc<ChainSpec> {
        match &self.merge {
            Some((terminal, merged)) if parent_total_difficulty >= *terminal => merged,
            _ => &self.rules,
        }
    }
}

fn chain(
    name: &str,
    chain_id: u64,
    forks: Vec<(Fork, ForkCondition)>,
    blob_schedule: &BTreeMap<String, BlobParams>,
) -> Arc<ChainSpec> {
    let blobs = forks.iter().filter_map(|(fork, at)| {
        let given = fork_name(*fork).and_then(|name| blob_schedule.get(name)).copied();
        Some((at.as_timestamp()?, blob_params(*fork, given)?))
    });
    let blobs = blobs.collect();
    let chain = ChainSpec::custom(name, chain_id, EthereumChainHardforks::new(forks));
    Arc::new(chain.with_deposit_contract(Some(DEPOSIT_CONTRACT)).with_blob_schedule(blobs))
}

fn fork_name(fork: Fork) -> Option<&'static str> {
    FORKS.iter().find(|(_, known)| *known == fork).map(|(name, _)| *name)
}

/// Blob parameters of a fork: those given, else Ethereum's own. Test files give no limit per
/// transaction and no base cost, which EIP-7594 and EIP-7918 fix from Osaka on.
fn blob_params(fork: Fork, given: Option<BlobParams>) -> Option<BlobParams> {
    let from_osaka = |params: BlobParams| {
        params.with_blob_base_cost(BLOB_BASE_COST).with_max_blobs_per_tx(MAX_BLOBS_PER_TX_FUSAKA)
    };
    match fork {
        Fork::Cancun => Some(given.unwrap_or(BlobParams::cancun())),
        Fork::Prague => Some(given.unwrap_or(BlobParams::prague())),
        Fork::Osaka => Some(given.map_or(BlobParams::osaka(), from_osaka)),
        Fork::Bpo1 => Some(given.map_or(BlobParams::bpo1(), from_osaka)),
        Fork::Bpo2 => Some(given.map_or(BlobParams::bpo2(), from_osaka)),
        Fork::Bpo3 | Fork::Bpo4 | Fork::Bpo5 => given.map(from_osaka),
        _ => None,
    }
}

/// When each fork begins on the network of this name.
fn schedule(name: &str) -> Option<Vec<(Fork, ForkCondition)>> {
    if let Some(last) = position(name) {
        return Some(from_genesis(last));
    }
    let (from, rest) = name.split_once("To")?;
    let (to, at) = rest.split_once("At")?;
    let at = condition(at)?;
    let from = position(from)?;
    let mut forks = from_genesis(from);
    // The DAO fork is no step of its own: it drains accounts and nothing else. A merge by total
    // difficulty may come before any glacier that was to delay it.
    if to == "Dao" {
        forks.push((Fork::Dao, at));
    } else if at.is_ttd() {
        forks.push((FORKS[position(to)?].1, at));
    } else {
        let to = position(to).filter(|to| *to > from)?;
        forks.extend(FORKS[from + 1..=to].iter().map(|(_, fork)| (*fork, at)));
    }
    Some(forks)
}

fn position(name: &str) -> Option<usize> {
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, n)| n);
    FORKS.iter().position(|(known, _)| *known == name)
}

fn from_genesis(last: usize) -> Vec<(Fork, ForkCondition)> {
    let at_genesis = |fork: Fork| match fork {
        fork if fork < Fork::Shanghai => ForkCondition::ZERO_BLOCK,
        _ => ForkCondition::ZERO_TIMESTAMP,
    };
    FORKS[..=last].iter().map(|(_, fork)| (*fork, at_genesis(*fork))).collect()
}

/// `5`, a block; `Time15k`, seconds; `DiffC0000`, a total difficulty in hexadecimal.
fn condition(text: &str) -> Option<ForkCondition> {
    if let Some(time) = text.strip_prefix("Time") {
        let (digits, unit) = match time.strip_suffix('k') {
            Some(digits) => (digits, 1000),
            None => (time, 1),
        };
        return digits.parse::<u64>().ok()?.checked_mul(unit).map(ForkCondition::Timestamp);
    }
    if let Some(difficulty) = text.strip_prefix("Diff") {
        let total_difficulty = U256::from_str_radix(difficulty, 16).ok()?;
        let activation_block_number = u64::MAX;
        let fork_block = None;
        return Some(ForkCondition::TTD { activation_block_number, fork_block, total_difficulty });
    }
    text.parse().ok().map(ForkCondition::Block)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str) -> Result<Network, NetworkError> {
        Network::by_name(name, 1, &BTreeMap::new())
    }

    #[test]
    fn a_transition_changes_rules_where_its_name_says() {
        let london = network("BerlinToLondonAt5").unwrap();
        let rules = london.rules(U256::ZERO);
        assert_eq!((rules.fork_name(4, 0), rules.fork_name(5, 0)), ("BERLIN", "LONDON"));
        let bpo = network("OsakaToBPO1AtTime15k").unwrap();
        let blobs = |time| bpo.rules(U256::ZERO).blob_params(time).unwrap();
        assert_eq!((blobs(14_999), blobs(15_000)), (BlobParams::osaka(), BlobParams::bpo1()));
    }

    #[test]
    fn the_merge_comes_with_total_difficulty() {
        let network = network("ArrowGlacierToParisAtDiffC0000").unwrap();
        assert_eq!(network.rules(U256::from(0xBFFFF)).fork_name(1, 0), "LONDON");
        assert_eq!(network.rules(U256::from(0xC0000)).fork_name(1, 0), "PARIS");
    }

    #[test]
    fn unknown_names_are_no_rules() {
        for name in ["", "To", "AtTo", "Nowhere", "CancunToCancunAt5", "BerlinToLondonAtx"] {
            let unknown = NetworkError::Unknown { name: name.to_owned() };
            assert_eq!(network(name).unwrap_err(), unknown, "{name}");
        }
        for name in ["Constantinople", "ByzantiumToConstantinopleAt5", "Amsterdam"] {
            assert!(matches!(network(name), Err(NetworkError::Unsupported { .. })), "{name}");
        }
    }
}
