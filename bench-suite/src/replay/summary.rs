//! What is told of all blocks together.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    args::ReplayArgs,
    report::{BlockReport, Status},
    scaling,
    stats::{geometric_mean, median, minimum},
    stream::StreamReport,
};
use crate::gpu::DeviceReport;

/// Blocks of at least this much gas are also told of apart: on smaller ones a run's fixed costs say
/// more than its speed.
const LARGE_GAS: u64 = 4_000_000;
/// From this much gas on, a whole block's speed-up counts.
const WHOLE_GAS: u64 = 1_000_000;

/// The summary, and, serialised, the JSON object under `summary`. Times and rates count blocks that
/// came out `ok`; what a mode leaves out, and every mean of nothing, is null.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Blocks, readable or not.
    pub blocks: usize,
    /// Blocks of which every check holds.
    pub ok: usize,
    /// Blocks of which a check does not hold.
    pub mismatch: usize,
    /// Blocks that could not be read or executed.
    pub error: usize,
    /// Files in folders that are JSON, but no blocks.
    pub passed_over: usize,
    /// Gas of all blocks that came out `ok`.
    pub gas_used: u64,
    /// Sum of the blocks' medians, in milliseconds.
    pub serial_ms: Option<f64>,
    /// Sum of the blocks' medians, in milliseconds.
    pub parallel_ms: Option<f64>,
    /// Median over blocks, in milliseconds.
    pub serial_ms_median: Option<f64>,
    /// Median over blocks, in milliseconds.
    pub parallel_ms_median: Option<f64>,
    /// Geometric mean over blocks.
    pub speedup_geomean: Option<f64>,
    /// The slowest block's.
    pub speedup_min: Option<f64>,
    /// Of the sums of times.
    pub speedup_total: Option<f64>,
    /// Blocks of at least 4 Mgas.
    pub large_blocks: usize,
    /// Geometric mean over blocks of at least 4 Mgas.
    pub large_speedup_geomean: Option<f64>,
    /// The slowest of the blocks of at least 4 Mgas.
    pub large_speedup_min: Option<f64>,
    /// Blocks of at least 1 Mgas that were timed as a whole.
    pub whole_blocks: usize,
    /// Geometric mean of `whole_serial_ms` over `whole_ms`, over those.
    pub whole_speedup_geomean: Option<f64>,
    /// All blocks as one stream, if `--stream` asked for it.
    pub stream: Option<StreamReport>,
    /// What each device did, where devices recover senders.
    pub devices: Vec<DeviceReport>,
    /// Million gas a second, serially.
    pub serial_mgas_per_s: Option<f64>,
    /// Million gas a second, in parallel.
    pub parallel_mgas_per_s: Option<f64>,
    /// Throughput of `threads` threads each running the serial executor on its own copy, over that
    /// of one thread; the blocks weighted by their time.
    pub machine_scaling: Option<f64>,
    /// Whether `machine_scaling` is at least 0.9 times `threads`.
    pub trusted: Option<bool>,
    /// Threads of parallel execution.
    pub threads: usize,
    /// Threads that the machine says it runs at once.
    pub machine_threads: usize,
    /// Timed runs of each kind per block.
    pub repeat: usize,
    /// `both`, `parallel` or `serial`.
    pub mode: &'static str,
    /// Whether the engine had to speculate on every block.
    pub force_parallel: bool,
    /// The seed of the built-in blocks; null if files were read.
    pub seed: Option<u64>,
    /// The version of Pleach.
    pub version: &'static str,
}

/// Gathers what the summary needs from the reports, one after another.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: BTreeMap<&'static str, usize>,
    measured: Vec<Block>,
    pub(super) passed_over: usize,
    /// How many blocks leave out which check, and why.
    pub(super) not_checked: BTreeMap<(&'static str, &'static str), usize>,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    gas: u64,
    serial_ms: Option<f64>,
    parallel_ms: Option<f64>,
    speedup: Option<f64>,
    whole_speedup: Option<f64>,
    machine_scaling: Option<f64>,
}

impl Tally {
    pub(super) fn add(&mut self, report: &BlockReport) {
        *self.counts.entry(report.status.name()).or_default() += 1;
        for (what, why) in &report.not_checked_because {
            *self.not_checked.entry((what, why)).or_default() += 1;
        }
        if report.status == Status::Ok {
            self.measured.push(Block {
                gas: report.gas_used.unwrap_or_default(),
                serial_ms: report.serial_ms,
                parallel_ms: report.parallel_ms,
                speedup: report.speedup,
                whole_speedup: report.whole_serial_ms.zip(report.whole_ms).map(|(s, p)| s / p),
                machine_scaling: report.machine_scaling,
            });
        }
    }

    /// Whether there were blocks and all came out `ok`.
    pub(super) fn all_ok(&self) -> bool {
        self.blocks() > 0 && self.blocks() == self.count(Status::Ok)
    }

    fn blocks(&self) -> usize {
        self.counts.values().sum()
    }

    fn count(&self, status: Status) -> usize {
        self.counts.get(status.name()).copied().unwrap_or_default()
    }

    fn values(&self, of: fn(&Block) -> Option<f64>) -> Vec<f64> {
        self.measured.iter().filter_map(of).collect()
    }

    /// The blocks' scalings, each weighted by its serial time: work done over time taken.
    fn machine_scaling(&self) -> Option<f64> {
        let pairs = self.measured.iter().filter_map(|b| b.serial_ms.zip(b.machine_scaling));
        let (work, time) = pairs.fold((0.0, 0.0), |(work, time), (serial_ms, scaling)| {
            (work + serial_ms, time + serial_ms / scaling)
        });
        (time > 0.0).then(|| work / time)
    }

    pub(super) fn summary(&self, args: &ReplayArgs) -> Summary {
        let gas_used = self.measured.iter().map(|block| block.gas).sum();
        let (serial, parallel) = (self.values(|b| b.serial_ms), self.values(|b| b.parallel_ms));
        let (serial_ms, parallel_ms) = (sum(&serial), sum(&parallel));
        let speedups = self.values(|block| block.speedup);
        let large = self.values(|b| b.speedup.filter(|_| b.gas >= LARGE_GAS));
        let whole = self.values(|b| b.whole_speedup.filter(|_| b.gas >= WHOLE_GAS));
        let machine_scaling = self.machine_scaling();
        let threads = args.threads();
        Summary {
            blocks: self.blocks(),
            ok: self.count(Status::Ok),
            mismatch: self.count(Status::Mismatch),
            error: self.count(Status::Error),
            passed_over: self.passed_over,
            gas_used,
            serial_ms,
            parallel_ms,
            serial_ms_median: median(serial),
            parallel_ms_median: median(parallel),
            speedup_geomean: geometric_mean(&speedups),
            speedup_min: minimum(&speedups),
            speedup_total: serial_ms.zip(parallel_ms).map(|(s, p)| s / p),
            whole_blocks: whole.len(),
            whole_speedup_geomean: geometric_mean(&whole),
            stream: None,
            devices: Vec::new(),
            large_blocks: self.measured.iter().filter(|block| block.gas >= LARGE_GAS).count(),
            large_speedup_geomean: geometric_mean(&large),
            large_speedup_min: minimum(&large),
            serial_mgas_per_s: serial_ms.map(|ms| mgas_per_s(gas_used, ms)),
            parallel_mgas_per_s: parallel_ms.map(|ms| mgas_per_s(gas_used, ms)),
            machine_scaling,
            trusted: machine_scaling.map(|scaling| scaling::is_trusted(scaling, threads)),
            threads,
            machine_threads: std::thread::available_parallelism().map_or(1, usize::from),
            repeat: args.repeat,
            mode: args.mode.name(),
            force_parallel: args.force_parallel,
            seed: args.paths.is_empty().then_some(args.seed),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn sum(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum())
}

fn mgas_per_s(gas: u64, ms: f64) -> f64 {
    gas as f64 / 1e6 / (ms / 1e3)
}
