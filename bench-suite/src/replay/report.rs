//! What is told of one block.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use serde::Serialize;

use super::{
    check::{Checks, Mismatch, NotChecked},
    scaling::is_trusted,
    whole::Stages,
};
use crate::{input::BlockInput, profile::BlockProfile};

/// How a block came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It was executed and every check holds.
    Ok,
    /// It was executed and a check does not hold.
    Mismatch,
    /// It could not be read or executed.
    Error,
}

impl Status {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Mismatch => "MISMATCH",
            Self::Error => "ERROR",
        }
    }
}

/// One block's report, and, serialised, the JSON object under `block`. What is not known, because
/// the block could not be read or the mode leaves it out, is null.
#[derive(Debug, Clone, Serialize)]
pub struct BlockReport {
    /// The file; `built in` if there is none.
    pub origin: String,
    /// The name of the built-in workload, if it is one.
    pub workload: Option<&'static str>,
    /// The chain's name.
    pub network: Option<String>,
    /// The block's number.
    pub number: Option<u64>,
    /// The block's hash.
    pub hash: Option<B256>,
    /// The fork that the block belongs to, in upper case.
    pub fork: Option<&'static str>,
    /// Number of transactions.
    pub txs: Option<usize>,
    /// Gas used when executed; the header's value if it could not be.
    pub gas_used: Option<u64>,
    /// How it came out.
    pub status: Status,
    /// Names of the checks made.
    pub checked: Vec<&'static str>,
    /// Names of the checks that could not be made.
    pub not_checked: Vec<&'static str>,
    /// For each of those, why.
    pub not_checked_because: BTreeMap<&'static str, &'static str>,
    /// The checks that do not hold, with both values.
    pub mismatches: Vec<Mismatch>,
    /// Everything wrong, as one text.
    pub error: Option<String>,
    /// Milliseconds taken to recover senders and authorities, once.
    pub recover_ms: Option<f64>,
    /// Milliseconds taken to decode the access list and make it ready, once.
    pub list_ms: Option<f64>,
    /// Bytes of the access list's RLP.
    pub list_bytes: Option<usize>,
    /// Median milliseconds of serial execution.
    pub serial_ms: Option<f64>,
    /// Median milliseconds of parallel execution.
    pub parallel_ms: Option<f64>,
    /// Median milliseconds from the end of execution to the state root, on all threads.
    pub root_ms: Option<f64>,
    /// Median milliseconds from signed transactions to the state root, on all threads.
    pub whole_ms: Option<f64>,
    /// The same, the stages one after another on one thread.
    pub whole_serial_ms: Option<f64>,
    /// Medians of the stages of the runs on all threads.
    pub whole_stages: Option<Stages>,
    /// Medians of the stages one after another on one thread.
    pub whole_serial_stages: Option<Stages>,
    /// Threads of parallel execution.
    pub threads: Option<usize>,
    /// `serial_ms` over `parallel_ms`.
    pub speedup: Option<f64>,
    /// Throughput of as many threads, each executing serially on its own copy, over that of one,
    /// measured next to this block's runs.
    pub machine_scaling: Option<f64>,
    /// Executions of transactions, all incarnations, in the median parallel run.
    pub executions: Option<u64>,
    /// Aborted incarnations in the median parallel run.
    pub aborts: Option<u64>,
    /// Gas that aborted incarnations had used in the median parallel run.
    pub reexecuted_gas: Option<u64>,
    /// How the engine chose to execute the block in the last parallel run, and why.
    pub decision: Option<&'static str>,
    /// Threads that were asked to run ahead, beside the calling one.
    pub workers: Option<usize>,
    /// Where the time went and what held the block up, if `--profile` asked for it.
    pub profile: Option<Box<BlockProfile>>,
}

/// What the timed runs gave.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) recover_ms: Option<f64>,
    pub(super) list_ms: Option<f64>,
    pub(super) list_bytes: Option<usize>,
    pub(super) serial_ms: Option<f64>,
    pub(super) parallel_ms: Option<f64>,
    pub(super) whole: Option<Stages>,
    pub(super) whole_serial: Option<Stages>,
    pub(super) threads: Option<usize>,
    pub(super) machine_scaling: Option<f64>,
    pub(super) executions: Option<u64>,
    pub(super) aborts: Option<u64>,
    pub(super) reexecuted_gas: Option<u64>,
    pub(super) decision: Option<&'static str>,
    pub(super) workers: Option<usize>,
}

impl BlockReport {
    /// The report of something that could not even be read.
    pub fn unreadable(origin: String, error: String) -> Self {
        Self {
            origin,
            workload: None,
            network: None,
            number: None,
            hash: None,
            fork: None,
            txs: None,
            gas_used: None,
            status: Status::Error,
            checked: Vec::new(),
            not_checked: Vec::new(),
            not_checked_because: BTreeMap::new(),
            mismatches: Vec::new(),
            error: Some(error),
            recover_ms: None,
            list_ms: None,
            list_bytes: None,
            serial_ms: None,
            parallel_ms: None,
            root_ms: None,
            whole_ms: None,
            whole_serial_ms: None,
            whole_stages: None,
            whole_serial_stages: None,
            threads: None,
            speedup: None,
            machine_scaling: None,
            executions: None,
            aborts: None,
            reexecuted_gas: None,
            decision: None,
            workers: None,
            profile: None,
        }
    }

    /// One line on what the block is; why there is none, if it could not be read or executed.
    pub(super) fn facts(&self) -> String {
        if let Some(error) = &self.error {
            return error.clone();
        }
        let fork = self.fork.unwrap_or("?");
        let gas = self.gas_used.unwrap_or_default() as f64 / 1e6;
        let (txs, origin) = (self.txs.unwrap_or_default(), &self.origin);
        let facts = format!("{fork}, {txs} transactions, {gas:.3} Mgas, from {origin}");
        match self.machine_scaling.zip(self.threads) {
            Some((scaling, threads)) if !is_trusted(scaling, threads) => format!(
                "{facts}. The machine was busy (machine_scaling {scaling:.2} on {threads} \
                 threads): times are not to be trusted."
            ),
            _ => facts,
        }
    }

    /// The report of a block that is about to be executed: what the block itself says.
    pub(super) fn begin(input: &BlockInput) -> Self {
        let header = &input.block.header;
        Self {
            workload: input.workload,
            network: Some(input.chain.name().to_owned()),
            number: Some(header.number),
            hash: Some(header.hash_slow()),
            fork: Some(input.chain.fork_name(header.number, header.timestamp)),
            txs: Some(input.block.body.transactions.len()),
            gas_used: Some(header.gas_used),
            error: None,
            ..Self::unreadable(input.origin.clone(), String::new())
        }
    }

    /// Adds the measurements, and the speed-up if both kinds were timed.
    pub(super) fn measured(mut self, measured: Measured) -> Self {
        self.recover_ms = measured.recover_ms;
        self.list_ms = measured.list_ms;
        self.list_bytes = measured.list_bytes;
        self.serial_ms = measured.serial_ms;
        self.parallel_ms = measured.parallel_ms;
        self.root_ms = measured.whole.map(|stages| stages.root_ms);
        self.whole_ms = measured.whole.map(|stages| stages.whole_ms);
        self.whole_serial_ms = measured.whole_serial.map(|stages| stages.whole_ms);
        self.whole_stages = measured.whole;
        self.whole_serial_stages = measured.whole_serial;
        self.threads = measured.threads;
        self.speedup = measured.serial_ms.zip(measured.parallel_ms).map(|(s, p)| s / p);
        self.machine_scaling = measured.machine_scaling;
        self.executions = measured.executions;
        self.aborts = measured.aborts;
        self.reexecuted_gas = measured.reexecuted_gas;
        self.decision = measured.decision;
        self.workers = measured.workers;
        self
    }

    /// Closes the report: the status follows from the checks and from what stopped the block.
    pub(super) fn conclude(mut self, checks: Checks, stopped_by: Option<String>) -> Self {
        self.status = match (&stopped_by, checks.mismatches.is_empty()) {
            (Some(_), _) => Status::Error,
            (None, false) => Status::Mismatch,
            (None, true) => Status::Ok,
        };
        let wrong = checks.mismatches.iter().map(describe).chain(stopped_by);
        let wrong: Vec<_> = wrong.collect();
        self.error = (!wrong.is_empty()).then(|| wrong.join("; "));
        self.checked = checks.checked;
        let reasons = checks.not_checked.iter().map(|NotChecked { what, why }| (*what, *why));
        self.not_checked_because = reasons.collect();
        self.not_checked = self.not_checked_because.keys().copied().collect();
        self.mismatches = checks.mismatches;
        self
    }
}

fn describe(mismatch: &Mismatch) -> String {
    let Mismatch { what, expected, got } = mismatch;
    format!("{what}: expected {expected}, got {got}")
}
