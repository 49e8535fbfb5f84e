//! State tests: one transaction on a given state, under several forks.

mod transaction;

use std::{collections::BTreeMap, process::ExitCode, sync::Arc};

use alloy_consensus::{Block, BlockBody, Header};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, Log, U256, keccak256};
use pleach_engine::{BlockOutput, ChainSpec, RecoveredBlock};
use revm_statetest_types::{SpecName, Test, TestSuite, TestUnit};

use self::transaction::{TransactionError, decode_transaction, transaction_from_parts};
use super::{
    BothPaths, CaseReport, FileError, Network, NetworkError, Outcome, PathDifference, RunError,
    SuiteArgs, Summary, World, WorldAccount,
    runner::{report, run_suite},
};

/// Blocks of which `BLOCKHASH` knows the hash.
const BLOCK_HASH_DEPTH: u64 = 256;
/// The base fee of a test from London on that gives none, in wei, as other clients have it.
const DEFAULT_BASE_FEE: u64 = 10;

/// Arguments of `pleach statetest`.
#[derive(Debug, Clone, clap::Args)]
pub struct StatetestArgs {
    /// What to run and how.
    #[command(flatten)]
    pub suite: SuiteArgs,
}

/// Runs state tests; success if none failed unexpectedly.
pub fn run(args: &StatetestArgs) -> ExitCode {
    report(summarize(args))
}

/// Runs them and returns the counts; failures are printed as they come.
///
/// # Errors
/// [`RunError`] if the run cannot begin; a damaged file or archive counts as failed.
pub fn summarize(args: &StatetestArgs) -> Result<Summary, RunError> {
    run_suite(&args.suite, run_file)
}

/// Why a case failed.
#[derive(Debug, thiserror::Error)]
enum CaseError {
    #[error(transparent)]
    Paths(#[from] PathDifference),
    #[error("the transaction should be refused ({expected}), but it stands")]
    NotRefused { expected: String },
    #[error("the transaction is refused: {reason}")]
    Refused { reason: String },
    #[error("state root is {got}, expected {expected}")]
    StateRoot { got: B256, expected: B256 },
    #[error("logs hash is {got}, expected {expected}")]
    LogsHash { got: B256, expected: B256 },
}

fn run_file(
    paths: &BothPaths,
    bytes: &[u8],
    keep: &dyn Fn(&str) -> bool,
) -> Result<Vec<CaseReport>, FileError> {
    let suite = parse(bytes).map_err(|source| FileError::Json { suite: "state", source })?;
    let units = suite.0.iter();
    Ok(units.flat_map(|(name, unit)| run_unit(paths, name, unit, keep)).collect())
}

/// Some tests give a value of more than 256 bits, marked as such. Only the signed bytes can hold
/// it, and they are what is executed; the largest value stands in for it among the parts.
fn parse(bytes: &[u8]) -> Result<TestSuite, serde_json::Error> {
    const MARK: &str = "\"0x:bigint ";
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(MARK) {
        return serde_json::from_slice(bytes);
    }
    let mut pieces = text.split(MARK);
    let mut saturated = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.split_once('"').map_or("", |(_, rest)| rest);
        saturated.push_str(&format!("\"{:#x}\"{rest}", U256::MAX));
    }
    serde_json::from_str(&saturated)
}

fn run_unit(
    paths: &BothPaths,
    name: &str,
    unit: &TestUnit,
    keep: &dyn Fn(&str) -> bool,
) -> Vec<CaseReport> {
    let world = prestate(unit);
    let mut reports = Vec::new();
    for (fork, tests) in &unit.post {
        let rules = rules(fork, unit);
        for (index, test) in tests.iter().enumerate() {
            let name = format!("{name} [{fork:?}/{index}]");
            if !keep(&name) {
                continue;
            }
            let outcome = match &rules {
                Err(error) => Outcome::Skipped(error.to_string()),
                Ok(rules) => match run_case(paths, rules, &world, unit, test) {
                    Ok(()) => Outcome::Passed,
                    Err(error) => Outcome::Failed(error.to_string()),
                },
            };
            reports.push(CaseReport { name, outcome });
        }
    }
    reports
}

/// The rules of one fork.
struct Rules {
    /// The fork's whole rules, to ask what is active.
    fork: Arc<ChainSpec>,
    /// The same for transactions alone, to execute by.
    transactions: Arc<ChainSpec>,
}

fn rules(fork: &SpecName, unit: &TestUnit) -> Result<Rules, NetworkError> {
    let chain_id = unit.env.current_chain_id.map_or(1, |id| id.saturating_to());
    let network = Network::by_name(&format!("{fork:?}"), chain_id, &BTreeMap::new())?;
    let fork = network.rules(U256::ZERO).clone();
    let transactions = Arc::new(ChainSpec::clone(&fork).transactions_only());
    Ok(Rules { fork, transactions })
}

/// The state before, with the hashes that state tests give to blocks: that of their number's
/// digits.
fn prestate(unit: &TestUnit) -> World {
    let accounts = unit.pre.iter().map(|(address, account)| {
        let storage = account.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
        let (balance, nonce) = (account.balance, account.nonce);
        (*address, WorldAccount { balance, nonce, code: account.code.clone(), storage })
    });
    let mut world = World::new(accounts);
    let number: u64 = unit.env.current_number.saturating_to();
    for ancestor in number.saturating_sub(BLOCK_HASH_DEPTH)..number {
        world.insert_block_hash(ancestor, keccak256(ancestor.to_string()));
    }
    world
}

fn run_case(
    paths: &BothPaths,
    rules: &Rules,
    world: &World,
    unit: &TestUnit,
    test: &Test,
) -> Result<(), CaseError> {
    let output = match recovered_block(paths, rules, unit, test) {
        Ok(block) => {
            let executed = paths.execute(&rules.transactions, &Arc::new(block), world.state())?;
            executed.map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    let (after, logs) = match (output, &test.expect_exception) {
        (Ok(_), Some(expected)) => {
            return Err(CaseError::NotRefused { expected: expected.clone() });
        }
        (Err(reason), None) => return Err(CaseError::Refused { reason }),
        (Err(_), Some(_)) => (root_after_refusal(rules, world, unit, test), logs_hash(&[])),
        (Ok(output), None) => (world.after(&output.bundle).root(), logs_hash(&logs(&output))),
    };
    if after != test.hash {
        return Err(CaseError::StateRoot { got: after, expected: test.hash });
    }
    if logs != test.logs {
        return Err(CaseError::LogsHash { got: logs, expected: test.logs });
    }
    Ok(())
}

/// The root after a transaction was refused: nothing has changed. The maker of the older suites,
/// though, went on to pay the beneficiary a reward of zero, which before EIP-161 leaves an empty
/// account; where such a suite expects that, it is right too.
fn root_after_refusal(rules: &Rules, world: &World, unit: &TestUnit, test: &Test) -> B256 {
    let unchanged = world.root();
    let number = unit.env.current_number.saturating_to();
    if unchanged == test.hash || rules.fork.is_spurious_dragon_active_at_block(number) {
        return unchanged;
    }
    let rewarded = world.with_account(unit.env.current_coinbase).root();
    if rewarded == test.hash { rewarded } else { unchanged }
}

/// The block that holds the transaction alone. Signed bytes come first: they
/// are what a client would see; without them the transaction is built from its parts.
fn recovered_block(
    paths: &BothPaths,
    rules: &Rules,
    unit: &TestUnit,
    test: &Test,
) -> Result<RecoveredBlock, TransactionError> {
    let header = header(&rules.fork, unit);
    let block = |transaction| Block {
        header: header.clone(),
        body: BlockBody { transactions: vec![transaction], ..BlockBody::default() },
    };
    if let Some(bytes) = &test.txbytes {
        let homestead = rules.fork.is_homestead_active_at_block(header.number);
        let block = block(decode_transaction(bytes)?);
        let block = RecoveredBlock::recover(block, homestead, paths.accelerator())?;
        return Ok(block);
    }
    let (transaction, sender) = transaction_from_parts(unit, test)?;
    Ok(RecoveredBlock::with_senders(block(transaction), vec![sender])?)
}

/// The header that gives the test's environment.
fn header(fork: &ChainSpec, unit: &TestUnit) -> Header {
    let env = &unit.env;
    let number = env.current_number.saturating_to();
    let timestamp = env.current_timestamp.saturating_to();
    let base_fee = env.current_base_fee.map_or(DEFAULT_BASE_FEE, |fee| fee.saturating_to());
    let excess_blob_gas = env.current_excess_blob_gas.unwrap_or_default().saturating_to();
    Header {
        number,
        timestamp,
        parent_hash: env.previous_hash.unwrap_or_default(),
        beneficiary: env.current_coinbase,
        difficulty: env.current_difficulty,
        mix_hash: env.current_random.unwrap_or_default(),
        gas_limit: env.current_gas_limit.saturating_to(),
        base_fee_per_gas: fork.is_london_active_at_block(number).then_some(base_fee),
        excess_blob_gas: fork.is_cancun_active_at_timestamp(timestamp).then_some(excess_blob_gas),
        ..Header::default()
    }
}

fn logs(output: &BlockOutput) -> Vec<Log> {
    output.receipts.iter().flat_map(|receipt| receipt.logs().iter().cloned()).collect()
}

fn logs_hash(logs: &[Log]) -> B256 {
    let mut rlp = Vec::new();
    alloy_rlp::encode_list(logs, &mut rlp);
    keccak256(rlp)
}
