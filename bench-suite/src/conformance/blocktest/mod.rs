//! Blockchain tests: blocks on a genesis state, some of which must be refused.

mod chain;
mod format;
mod reason;

use std::{collections::BTreeMap, process::ExitCode};

use alloy_primitives::B256;
use pleach_engine::{BlockError, RecoveredBlock};

use self::{
    chain::{Chain, ImportError},
    format::{BlockEntry, BlockTest},
    reason::{hides_transaction, is_expected},
};
use super::{
    BothPaths, CaseReport, FileError, Network, Outcome, RunError, SuiteArgs, Summary, World,
    runner::{report, run_suite},
};

/// Arguments of `pleach blocktest`.
#[derive(Debug, Clone, clap::Args)]
pub struct BlocktestArgs {
    /// What to run and how.
    #[command(flatten)]
    pub suite: SuiteArgs,
}

/// Runs blockchain tests; success if none failed unexpectedly.
pub fn run(args: &BlocktestArgs) -> ExitCode {
    report(summarize(args))
}

/// Runs them and returns the counts; failures are printed as they come.
///
/// # Errors
/// [`RunError`] if the run cannot begin; a damaged file or archive counts as failed.
pub fn summarize(args: &BlocktestArgs) -> Result<Summary, RunError> {
    run_suite(&args.suite, run_file)
}

/// Why a test failed.
#[derive(Debug, thiserror::Error)]
enum TestError {
    #[error("genesis: {0}")]
    GenesisBlock(#[source] BlockError),
    #[error("genesis hash is {got}, expected {expected}")]
    GenesisHash { got: B256, expected: B256 },
    #[error("genesis state root is {got}, expected {expected}")]
    GenesisState { got: B256, expected: B256 },
    #[error("block {index} should be refused ({expected}), but it stands")]
    NotRefused { index: usize, expected: String },
    #[error("block {index} is refused for another reason than {expected}: {source}")]
    WrongReason { index: usize, expected: String, source: Box<ImportError> },
    #[error("block {index} is refused: {source}")]
    Refused { index: usize, source: Box<ImportError> },
    #[error("block {index} has hash {got}, expected {expected}")]
    BlockHash { index: usize, got: B256, expected: B256 },
    #[error("the chain's head is {got}, expected {expected}")]
    Head { got: B256, expected: B256 },
    #[error("the head's state root is {got}, that of the expected state {expected}")]
    PostState { got: B256, expected: B256 },
}

fn run_file(
    paths: &BothPaths,
    bytes: &[u8],
    keep: &dyn Fn(&str) -> bool,
) -> Result<Vec<CaseReport>, FileError> {
    let tests: BTreeMap<String, BlockTest> = serde_json::from_slice(bytes)
        .map_err(|source| FileError::Json { suite: "blockchain", source })?;
    let kept = tests.into_iter().filter(|(name, _)| keep(name));
    let reports = kept.map(|(name, test)| {
        let outcome = match test.network() {
            Err(error) => Outcome::Skipped(error.to_string()),
            Ok(network) => match run_test(paths, &network, test) {
                Ok(()) => Outcome::Passed,
                Err(error) => Outcome::Failed(error.to_string()),
            },
        };
        CaseReport { name, outcome }
    });
    Ok(reports.collect())
}

fn run_test(paths: &BothPaths, network: &Network, test: BlockTest) -> Result<(), TestError> {
    let genesis = RecoveredBlock::decode(&test.genesis_rlp).map_err(TestError::GenesisBlock)?;
    let (got, expected) = (genesis.header.hash_slow(), test.genesis_block_header.hash);
    if got != expected {
        return Err(TestError::GenesisHash { got, expected });
    }
    let world = World::new(test.pre);
    let (got, expected) = (world.root(), genesis.header.state_root);
    if got != expected {
        return Err(TestError::GenesisState { got, expected });
    }
    let mut chain = Chain::new(paths, network, genesis, world);
    for (index, entry) in test.blocks.iter().enumerate() {
        import(&mut chain, index, entry)?;
    }
    let (got, expected) = (chain.head(), test.lastblockhash);
    if got != expected {
        return Err(TestError::Head { got, expected });
    }
    let given = test.post_state.map(|accounts| World::new(accounts).root());
    match given.or(test.post_state_hash) {
        Some(expected) if expected != chain.head_state_root() => {
            Err(TestError::PostState { got: chain.head_state_root(), expected })
        }
        _ => Ok(()),
    }
}

/// Imports a block that must stand, or sees one refused that must be, for the reason given.
fn import(chain: &mut Chain<'_>, index: usize, entry: &BlockEntry) -> Result<(), TestError> {
    let refused = |source| TestError::Refused { index, source: Box::new(source) };
    match (chain.import(&entry.rlp), &entry.expect_exception) {
        (Ok(_), Some(expected)) => Err(TestError::NotRefused { index, expected: expected.clone() }),
        // A difference between the paths is no refusal.
        (Err(source @ ImportError::Paths(_)), _) | (Err(source), None) => Err(refused(source)),
        (Err(source), Some(expected)) => check_reason(chain, index, entry, source, expected),
        (Ok(got), None) => match entry.block_header.as_ref().map(|header| header.hash) {
            Some(expected) if expected != got => Err(TestError::BlockHash { index, got, expected }),
            _ => Ok(()),
        },
    }
}

fn check_reason(
    chain: &mut Chain<'_>,
    index: usize,
    entry: &BlockEntry,
    source: ImportError,
    expected: &str,
) -> Result<(), TestError> {
    let source = match hides_transaction(&source, expected) {
        true => match chain.import_counting_transactions(&entry.rlp) {
            Ok(_) => return Err(TestError::NotRefused { index, expected: expected.to_owned() }),
            Err(behind) => behind,
        },
        false => source,
    };
    match is_expected(&source, expected) {
        true => Ok(()),
        false => {
            let (expected, source) = (expected.to_owned(), Box::new(source));
            Err(TestError::WrongReason { index, expected, source })
        }
    }
}
