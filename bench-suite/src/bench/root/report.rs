//! What is told of each case.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use super::{Case, Runs, median, median_count};

/// One case, and, serialised, the JSON object under `root`. Times are medians in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CaseReport {
    case: &'static str,
    accounts: usize,
    slots: usize,
    changed_accounts: usize,
    changed_slots: usize,
    rounds: usize,
    threads: usize,
    /// Ours on one thread, and on several.
    one_thread_ms: f64,
    threads_ms: f64,
    /// Null where the program with ethrex-trie was not found.
    ethrex_trie_ms: Option<f64>,
    /// ethrex-trie's time over ours.
    speedup_one_thread: Option<f64>,
    speedup_threads: Option<f64>,
    /// Messages that a round hashes, and the permutations they take.
    keccak_calls: u64,
    keccak_permutations: u64,
    /// Of one message of one permutation.
    short_hash_ns: f64,
    /// What the calls would take if all were short, what the permutations take, and how far ours on
    /// one thread is from each.
    calls_floor_ms: f64,
    over_calls_floor: f64,
    permutations_floor_ms: f64,
    over_permutations_floor: f64,
}

impl CaseReport {
    pub(super) fn new(
        case: &Case,
        threads: usize,
        rounds: usize,
        short_hash_ns: f64,
        runs: &Runs,
    ) -> Self {
        let time = |times: &[f64]| median(times.to_vec()).unwrap_or_default();
        let (one_thread_ms, threads_ms) = (time(&runs.one_thread), time(&runs.several));
        let ethrex_trie_ms = median(runs.rival.clone());
        let keccak_calls = median_count(runs.keccak.iter().map(|stats| stats.calls).collect());
        let keccak_permutations =
            median_count(runs.keccak.iter().map(|stats| stats.permutations).collect());
        let calls_floor_ms = keccak_calls as f64 * short_hash_ns / 1e6;
        let permutations_floor_ms = keccak_permutations as f64 * short_hash_ns / 1e6;
        Self {
            case: case.name,
            accounts: case.accounts,
            slots: case.contracts * case.slots,
            changed_accounts: case.changed_accounts + case.changed_contracts,
            changed_slots: case.changed_contracts * case.changed_slots,
            rounds,
            threads,
            one_thread_ms,
            threads_ms,
            ethrex_trie_ms,
            speedup_one_thread: ethrex_trie_ms.map(|time| time / one_thread_ms),
            speedup_threads: ethrex_trie_ms.map(|time| time / threads_ms),
            keccak_calls,
            keccak_permutations,
            short_hash_ns,
            calls_floor_ms,
            over_calls_floor: one_thread_ms / calls_floor_ms,
            permutations_floor_ms,
            over_permutations_floor: one_thread_ms / permutations_floor_ms,
        }
    }
}

/// Lines on standard output: JSON, or a table.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    cases: Vec<CaseReport>,
}

impl Output {
    pub(super) fn start(json: bool) -> io::Result<Self> {
        if !json {
            writeln!(
                io::stdout(),
                "{:<9} {:>9} {:>9} {:>10} {:>10} {:>10} {:>8} {:>8} {:>9} {:>7}",
                "case",
                "accounts",
                "slots",
                "1 thr. ms",
                "N thr. ms",
                "ethrex ms",
                "1 thr.",
                "N thr.",
                "hashes",
                "floor"
            )?;
        }
        Ok(Self { json, cases: Vec::new() })
    }

    pub(super) fn case(&mut self, report: CaseReport) -> io::Result<()> {
        if self.json {
            writeln!(io::stdout(), "{}", json!({ "root": &report }))?;
        } else {
            let CaseReport { case, changed_accounts, changed_slots, .. } = &report;
            let shown =
                |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
            writeln!(
                io::stdout(),
                "{case:<9} {changed_accounts:>9} {changed_slots:>9} {:>10.2} {:>10.2} {:>10} \
                 {:>8} {:>8} {:>9} {:>7.2}",
                report.one_thread_ms,
                report.threads_ms,
                shown(report.ethrex_trie_ms),
                shown(report.speedup_one_thread),
                shown(report.speedup_threads),
                report.keccak_calls,
                report.over_permutations_floor,
            )?;
        }
        self.cases.push(report);
        Ok(())
    }

    pub(super) fn summary(&self, threads: usize, seed: u64, has_rival: bool) -> io::Result<()> {
        let least = |of: fn(&CaseReport) -> Option<f64>| {
            self.cases.iter().filter_map(of).min_by(f64::total_cmp)
        };
        let one_thread = least(|case| case.speedup_one_thread);
        let several = least(|case| case.speedup_threads);
        if self.json {
            let summary = json!({
                "cases": self.cases.len(),
                "speedup_one_thread_min": one_thread,
                "speedup_threads_min": several,
                "threads": threads,
                "seed": seed,
                "version": env!("CARGO_PKG_VERSION"),
            });
            writeln!(io::stdout(), "{}", json!({ "summary": summary }))?;
        } else if let (Some(one_thread), Some(several)) = (one_thread, several) {
            writeln!(
                io::stdout(),
                "\nall roots are equal; least speed-up over ethrex-trie: {one_thread:.2}x on one \
                 thread, {several:.2}x on {threads}"
            )?;
        }
        if !has_rival {
            writeln!(
                io::stderr(),
                "ethrex-trie was not run: build bench-suite/rivals/ethrex-root and name its \
                 program with --rival, or lay it beside this one"
            )?;
        }
        Ok(())
    }
}
