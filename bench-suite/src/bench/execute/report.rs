//! What `pleach bench execute` prints.

use std::io::{self, Write};

use serde::Serialize;

use crate::replay::scaling;

/// The figures of one block: one line of the JSON output.
#[derive(Debug, Serialize)]
pub(super) struct KindReport {
    /// The block's kind.
    pub(super) kind: &'static str,
    /// The seed that it was made from.
    pub(super) seed: u64,
    /// Transactions in it.
    pub(super) transactions: usize,
    /// Gas, by its header.
    pub(super) gas_used: u64,
    /// Threads of the parallel runs.
    pub(super) threads: usize,
    /// Whether all outputs were equal, or all refused the block with the same words.
    pub(super) equal: bool,
    /// Median time of a bare loop over alloy-evm's executor.
    pub(super) bare_ms: f64,
    /// Median time of serial execution.
    pub(super) serial_ms: f64,
    /// Median time of parallel execution.
    pub(super) parallel_ms: f64,
    /// How many times as fast serial execution is as the bare loop.
    pub(super) serial_over_bare: f64,
    /// How many times as fast parallel execution is as serial.
    pub(super) speedup: f64,
    /// Processor time of parallel over serial execution; null where it is not to be had.
    pub(super) cpu_ratio: Option<f64>,
    /// Executions of transactions in a parallel run, the median.
    pub(super) executions: u64,
    /// Incarnations thrown away, the median.
    pub(super) aborts: u64,
    /// What the controller decided.
    pub(super) decision: &'static str,
    /// What the machine gives on so many threads at best; null for a block that is refused.
    pub(super) machine_scaling: Option<f64>,
}

pub(super) fn print_head(threads: usize) -> io::Result<()> {
    writeln!(
        io::stdout(),
        "{:22} {:>7} {:>7} {:>9} {:>9} {:>9} {:>8} {:>6} {:>7} {:>8}  ({threads} threads)",
        "kind",
        "txs",
        "Mgas",
        "bare",
        "serial",
        "parallel",
        "speed-up",
        "CPU",
        "aborts",
        "machine",
    )
}

impl KindReport {
    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout();
        if json {
            return writeln!(out, "{}", serde_json::to_string(self)?);
        }
        let or_dash = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.2}"));
        let trusted = |scaling| scaling::is_trusted(scaling, self.threads);
        let distrust = match self.machine_scaling.is_none_or(trusted) {
            true => "",
            false => "  the machine gave too little: not to be trusted",
        };
        let differs = if self.equal { "" } else { "  OUTPUTS DIFFER" };
        writeln!(
            out,
            "{:22} {:>7} {:>7.1} {:>6.1} ms {:>6.1} ms {:>6.1} ms {:>7.2}x {:>6} {:>7} {:>8}  {}{}{}",
            self.kind,
            self.transactions,
            self.gas_used as f64 / 1e6,
            self.bare_ms,
            self.serial_ms,
            self.parallel_ms,
            self.speedup,
            or_dash(self.cpu_ratio),
            self.aborts,
            or_dash(self.machine_scaling),
            self.decision,
            distrust,
            differs,
        )
    }
}
