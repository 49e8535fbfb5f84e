//! What a profile says of one block: the JSON under `profile`, and all that the page shows.

use alloy_primitives::{Address, B256, Bytes};
use serde::Serialize;

/// One block's profile. Times are in milliseconds, those of the schedule in microseconds since the
/// execution began.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockProfile {
    /// Threads of parallel execution.
    pub threads: usize,
    /// How the engine chooses to execute the block, as in the block's report.
    pub decision: &'static str,
    /// Whether the run that is shown had to be insisted on, because the engine chose serial
    /// execution.
    pub forced: bool,
    /// Runs of each kind. Times are the least of them, which other programs on the machine have
    /// disturbed least; the schedule is that of the fastest parallel run.
    pub runs: usize,
    /// Gas used by the block's transactions.
    pub gas: u64,
    /// How fast the block could be, and how fast it was.
    pub limit: Limit,
    /// The chain of transactions, each resting on the one before, that takes longest.
    pub critical_path: CriticalPath,
    /// The chain that uses most gas.
    pub critical_path_by_gas: GasPath,
    /// Results that were thrown away, in the run that is shown.
    pub wasted: Wasted,
    /// Contracts and other accounts whose state transactions waited for, hottest first.
    pub contracts: Vec<ContractHeat>,
    /// Locations that transactions waited for, hottest first.
    pub locations: Vec<LocationHeat>,
    /// What all this means, in sentences.
    pub summary: Vec<String>,
    /// The block's transactions.
    pub transactions: Vec<TransactionFacts>,
    /// Who did what when.
    pub schedule: Schedule,
}

/// The least time that the block could take, and the time it took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// Serial execution.
    pub serial_ms: f64,
    /// T1, what the whole block takes on one thread that nothing disturbs: `serial_ms`, or the sum
    /// of the transactions' own times and of what comes before and after them, if that is less.
    pub work_ms: f64,
    /// Parallel execution.
    pub parallel_ms: f64,
    /// T1 over the number of threads: all the work, evenly shared.
    pub shared_work_ms: f64,
    /// The critical path: what any number of threads takes.
    pub critical_path_ms: f64,
    /// The larger of the two.
    pub limit_ms: f64,
    /// Which of the two it is: `shared_work` or `critical_path`.
    pub bound_by: &'static str,
    /// `limit_ms` over `parallel_ms`: 1 is as fast as can be.
    pub reached: f64,
    /// `work_ms` over `limit_ms`.
    pub best_speedup: f64,
    /// `serial_ms` over `parallel_ms`.
    pub speedup: f64,
}

/// A chain of transactions, each resting on the one before.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CriticalPath {
    /// The sum of its transactions' times.
    pub ms: f64,
    /// The sum of their gas.
    pub gas: u64,
    /// From the first to the last.
    pub steps: Vec<PathStep>,
}

/// A transaction of the critical path.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PathStep {
    /// The transaction's place in the block, from 0.
    pub index: usize,
    /// Its time.
    pub ms: f64,
    /// Its gas.
    pub gas: u64,
    /// Through which locations it rests on the step before; empty for the first.
    pub through: Vec<PathLocation>,
}

/// A location, shortly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathLocation {
    /// `slot`, `balance`, `nonce`, `code` or `existence`.
    pub kind: &'static str,
    /// The account.
    pub address: Address,
    /// The slot, if it is one.
    pub slot: Option<B256>,
}

/// The chain that uses most gas.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GasPath {
    /// The sum of its transactions' gas.
    pub gas: u64,
    /// The sum of their times.
    pub ms: f64,
    /// Its transactions, from the first to the last.
    pub indices: Vec<usize>,
}

/// Results that were thrown away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Wasted {
    /// Incarnations that gave a result which did not count.
    pub aborts: u64,
    /// Their gas.
    pub reexecuted_gas: u64,
    /// Their time, summed over threads.
    pub ms: f64,
    /// Incarnations that stopped before they had a result, to wait for a lower transaction.
    pub waits: u64,
}

/// How much an account's state held transactions up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContractHeat {
    /// The account.
    pub address: Address,
    /// Transactions that rest on another one through it.
    pub dependents: usize,
    /// Transactions of the critical path that are linked through it.
    pub path_transactions: usize,
    /// Their time.
    pub path_ms: f64,
    /// Their share in the critical path.
    pub path_share: f64,
    /// How long the longest chain would be if nothing in this account made anybody wait.
    pub path_ms_without: f64,
    /// Aborts because of it.
    pub aborts: u64,
    /// The gas of those.
    pub reexecuted_gas: u64,
}

/// How much a location held transactions up. Locations are often used together: then each of them
/// counts in full, so that columns do not add up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LocationHeat {
    /// `slot`, `balance`, `nonce`, `code` or `existence`.
    pub kind: &'static str,
    /// The account.
    pub address: Address,
    /// The slot, if it is one.
    pub slot: Option<B256>,
    /// What the slot holds, as far as its number tells.
    pub meaning: String,
    /// What can be done about it.
    pub advice: String,
    /// The calls that met here, most frequent first.
    pub callers: Vec<Caller>,
    /// Transactions that rest on another one through it.
    pub dependents: usize,
    /// Transactions of the critical path that are linked through it.
    pub path_transactions: usize,
    /// Their time.
    pub path_ms: f64,
    /// Their share in the critical path.
    pub path_share: f64,
    /// How long the longest chain would be if this location alone made nobody wait.
    pub path_ms_without: f64,
    /// Aborts in which a read of it was stale.
    pub aborts: u64,
    /// Those of them in which nothing else was stale.
    pub aborts_alone: u64,
    /// The gas of all of these aborts.
    pub reexecuted_gas: u64,
    /// The time of all of these aborts.
    pub wasted_ms: f64,
}

/// A kind of transaction: what it calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// The account that the transactions call; null if they create a contract.
    pub to: Option<Address>,
    /// The first four bytes of their input; null for plain transfers and creations.
    pub selector: Option<Bytes>,
    /// The function of a common interface that has this selector.
    pub signature: Option<&'static str>,
    /// How many transactions.
    pub transactions: usize,
}

/// A transaction of the block.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransactionFacts {
    /// Its hash.
    pub hash: B256,
    /// Its sender.
    pub from: Address,
    /// What it calls; null if it creates a contract.
    pub to: Option<Address>,
    /// The first four bytes of its input; null for plain transfers and creations.
    pub selector: Option<Bytes>,
    /// The function of a common interface that has this selector.
    pub signature: Option<&'static str>,
    /// Gas used.
    pub gas: u64,
    /// Time on one thread, its commit included: the least of all runs.
    pub ms: f64,
}

/// Who did what when, in one run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Schedule {
    /// Threads that took part. The first one, 0, commits.
    pub workers: usize,
    /// When running ahead ended.
    pub stopped_us: f64,
    /// When the execution ended.
    pub end_us: f64,
    /// Every run of a transaction.
    pub incarnations: Vec<Incarnation>,
    /// Every commit, in block order.
    pub commits: Vec<Commit>,
    /// Every result that was thrown away because of what it had read.
    pub conflicts: Vec<Conflict>,
}

/// One run of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Incarnation {
    /// The thread.
    pub worker: usize,
    /// The transaction.
    pub index: usize,
    /// The how-manieth run of it, from 0.
    pub incarnation: u32,
    /// When it began.
    pub start_us: f64,
    /// When it ended.
    pub end_us: f64,
    /// `stood`, `did_not_stand`, `overtaken`, `waited`, `void`, `in_turn` or `unfinished`.
    pub outcome: &'static str,
}

/// The commit of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Commit {
    /// The transaction.
    pub index: usize,
    /// When the commit frontier passed it.
    pub at_us: f64,
    /// When its receipt was built and its changes were in the block's state.
    pub until_us: f64,
    /// Whether a result that ran ahead was committed.
    pub ran_ahead: bool,
}

/// A result that was thrown away because of what it had read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conflict {
    /// The transaction.
    pub index: usize,
    /// When this was found out.
    pub at_us: f64,
    /// The gas that its run had used.
    pub gas: u64,
    /// What it had read that was no longer so.
    pub stale: Vec<Stale>,
}

/// A read that was no longer right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stale {
    /// What was read.
    #[serde(flatten)]
    pub location: PathLocation,
    /// The lower transaction whose write was missed, where it is known.
    pub writer: Option<usize>,
}
