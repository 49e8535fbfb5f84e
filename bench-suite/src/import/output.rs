//! What an import tells: a bar on a terminal, lines of JSON, and a summary at the end.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pleach_engine::import::{ImportEvent, ImportFailure, ImportReport};
use pleach_state::store::Head;
use serde::Serialize;

use super::{BeginError, ImportArgs, source::ListWriter};

const BAR: &str = "{wide_bar} {bytes}/{total_bytes} {elapsed} {msg}";
/// How often the bar's text changes.
const REFRESH: Duration = Duration::from_millis(200);

/// Lists of no use that are told of in words, one by one.
const MOST_WARNINGS: u64 = 5;

/// Where reports go.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    threads: usize,
    bar: ProgressBar,
    read_bytes: Arc<AtomicU64>,
    refreshed: Instant,
    begin: Instant,
    gas: u64,
    durable: Option<u64>,
    lists: Option<ListWriter>,
    /// Lists of no use that were told of.
    warnings: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Durable(Durable),
    ListUnused(ListUnused),
    Summary(&'a Summary),
}

/// A block that a crash of the process or the machine leaves in the database.
#[derive(Debug, Serialize)]
struct Durable {
    number: u64,
    hash: B256,
}

/// A block whose access list was wrong, or another one's.
#[derive(Debug, Serialize)]
struct ListUnused {
    number: u64,
    reason: String,
}

/// The whole run.
#[derive(Debug, Serialize)]
struct Summary {
    blocks: u64,
    known: u64,
    txs: u64,
    gas_used: u64,
    durable: Option<Durable>,
    state_root: Option<B256>,
    commits: u64,
    stopped: bool,
    error: Option<String>,
    total_ms: f64,
    mgas_per_s: f64,
    lineage_ms: f64,
    recover_ms: f64,
    recover_wait_ms: f64,
    recover_hidden: f64,
    recover_batches: u64,
    listed: u64,
    lists_unused: u64,
    prefetch_ms: f64,
    wait_ms: f64,
    execute_ms: f64,
    root_ms: f64,
    commit_ms: f64,
    commit_wait_ms: f64,
    threads: usize,
    version: &'static str,
}

impl Output {
    pub(super) fn start(args: &ImportArgs, read_bytes: Arc<AtomicU64>) -> Result<Self, BeginError> {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let length = |path: &PathBuf| {
            let found = path.metadata().map(|found| found.len());
            found.map_err(|error| BeginError::File { path: path.clone(), error })
        };
        let total = args.files.iter().map(length).sum::<Result<u64, _>>()?;
        let lists = args.lists_out.as_ref().map(|path| {
            let created = ListWriter::create(path);
            created.map_err(|error| BeginError::ListsOut { path: path.clone(), error })
        });
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Ok(Self {
            json: args.json,
            threads: args.threads(),
            bar,
            read_bytes,
            refreshed: now,
            begin: now,
            gas: 0,
            durable: None,
            lists: lists.transpose()?,
            warnings: 0,
        })
    }

    pub(super) fn event(&mut self, event: ImportEvent) {
        match event {
            ImportEvent::Valid { number, gas, .. } => {
                self.gas += gas;
                if self.refreshed.elapsed() >= REFRESH {
                    self.refresh(number);
                }
            }
            ImportEvent::Durable(head) => {
                self.durable = Some(head.number);
                if self.json {
                    self.line(&Line::Durable(durable(&head)));
                }
            }
            ImportEvent::AccessList { number, list } => {
                if let Some(lists) = &mut self.lists {
                    lists.add(number, &list);
                }
            }
            ImportEvent::ListUnused { number, reason } => {
                self.list_unused(ListUnused { number, reason: reason.to_string() });
            }
            _ => {}
        }
    }

    fn list_unused(&mut self, unused: ListUnused) {
        if self.json {
            return self.line(&Line::ListUnused(unused));
        }
        self.warnings += 1;
        if self.warnings <= MOST_WARNINGS {
            let ListUnused { number, reason } = unused;
            self.bar.suspend(|| {
                let text = format!("warning: block {number}'s access list is of no use: {reason}");
                let _ = writeln!(io::stderr(), "{text}");
            });
        }
    }

    fn refresh(&mut self, number: u64) {
        self.refreshed = Instant::now();
        self.bar.set_position(self.read_bytes.load(Ordering::Relaxed));
        let rate = self.gas as f64 / 1e6 / self.begin.elapsed().as_secs_f64();
        let durable = self.durable.map_or("none".to_owned(), |number| number.to_string());
        self.bar.set_message(format!("block {number} (durable: {durable}) {rate:.0} Mgas/s"));
    }

    /// Prints the summary. Returns whether all blocks are in the database.
    pub(super) fn finish(mut self, imported: Result<ImportReport, ImportFailure>) -> bool {
        self.bar.finish_and_clear();
        let written = self.lists.take().map_or(Ok(()), ListWriter::finish);
        let (report, error) = match imported {
            Ok(report) => (Some(report), None),
            Err(ImportFailure { report, error }) => {
                (report.map(|report| *report), Some(error.to_string()))
            }
        };
        let unwritten = |error| format!("the access lists are not all written: {error}");
        let error = error.or(written.err().map(unwritten));
        let is_whole = error.is_none() && report.as_ref().is_some_and(|report| !report.stopped);
        let summary = summary(report.as_ref(), error, self.threads);
        match self.json {
            true => self.line(&Line::Summary(&summary)),
            false => summary.print(),
        }
        is_whole
    }

    /// A line that is out before anything else happens: whoever reads it may rely on it. If nobody
    /// reads any more, the import goes on.
    fn line(&self, line: &Line<'_>) {
        let mut stdout = io::stdout().lock();
        if let Ok(text) = serde_json::to_string(line) {
            let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
        }
    }
}

fn durable(head: &Head) -> Durable {
    Durable { number: head.number, hash: head.hash }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn summary(report: Option<&ImportReport>, error: Option<String>, threads: usize) -> Summary {
    let times = report.map(|report| report.times).unwrap_or_default();
    let total = report.map_or(Duration::ZERO, |report| report.total);
    let gas_used = report.map_or(0, |report| report.gas);
    Summary {
        blocks: report.map_or(0, |report| report.blocks),
        known: report.map_or(0, |report| report.known),
        txs: report.map_or(0, |report| report.txs),
        gas_used,
        durable: report.map(|report| durable(&report.head)),
        state_root: report.map(|report| report.head.state_root),
        commits: report.map_or(0, |report| report.commits),
        stopped: report.is_some_and(|report| report.stopped),
        error,
        total_ms: milliseconds(total),
        mgas_per_s: gas_used as f64 / 1e6 / total.as_secs_f64().max(1e-9),
        lineage_ms: milliseconds(times.lineage),
        recover_ms: milliseconds(times.recover),
        recover_wait_ms: milliseconds(times.recover_wait),
        recover_hidden: times.recover_hidden(),
        recover_batches: report.map_or(0, |report| report.recover_batches),
        listed: report.map_or(0, |report| report.listed),
        lists_unused: report.map_or(0, |report| report.lists_unused),
        prefetch_ms: milliseconds(times.prefetch),
        wait_ms: milliseconds(times.wait),
        execute_ms: milliseconds(times.execute),
        root_ms: milliseconds(times.root),
        commit_ms: milliseconds(times.commit),
        commit_wait_ms: milliseconds(times.commit_wait),
        threads,
        version: env!("CARGO_PKG_VERSION"),
    }
}

impl Summary {
    fn print(&self) {
        let mut text = format!(
            "{} blocks imported, {} known before; {} transactions, {:.1} Mgas in {:.1} s \
             ({:.1} Mgas/s)\n",
            self.blocks,
            self.known,
            self.txs,
            self.gas_used as f64 / 1e6,
            self.total_ms / 1e3,
            self.mgas_per_s,
        );
        text += &format!(
            "execute {:.0} ms, root {:.0} ms, waiting for commits {:.0} ms, for blocks {:.0} ms\n\
             beside that: lineage {:.0} ms, recover {:.0} ms ({:.0} % hidden), prefetch {:.0} ms, \
             {} commits {:.0} ms\n",
            self.execute_ms,
            self.root_ms,
            self.commit_wait_ms,
            self.wait_ms,
            self.lineage_ms,
            self.recover_ms,
            self.recover_hidden * 100.0,
            self.prefetch_ms,
            self.commits,
            self.commit_ms,
        );
        if self.listed + self.lists_unused > 0 {
            text += &format!(
                "access lists: {} blocks executed with theirs, {} of no use\n",
                self.listed, self.lists_unused
            );
        }
        if let Some(head) = &self.durable {
            text += &format!("durable: block {} ({})\n", head.number, head.hash);
        }
        let _ = io::stdout().write_all(text.as_bytes());
        match &self.error {
            Some(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
            }
            None if self.stopped => {
                let _ = writeln!(io::stderr(), "stopped: run it again to go on");
            }
            None => {}
        }
    }
}
