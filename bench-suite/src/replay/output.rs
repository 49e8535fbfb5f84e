//! Telling: a table or JSON lines on standard output, the rest on standard error.

use std::io::{self, IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::{
    report::BlockReport,
    summary::{Summary, Tally},
    table,
};

/// Where reports go. While a terminal watches, a progress bar runs on standard error.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    bar: ProgressBar,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    Block(&'a BlockReport),
    Summary(&'a Summary),
}

impl Output {
    pub(super) fn start(json: bool, items: usize) -> io::Result<Self> {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(items as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed}") {
            bar.set_style(style);
        }
        if !json {
            writeln!(io::stdout(), "{}", table::header())?;
        }
        Ok(Self { json, bar })
    }

    /// Notes that one of the items is done with.
    pub(super) fn advance(&self) {
        self.bar.inc(1);
    }

    pub(super) fn block(&self, report: &BlockReport) -> io::Result<()> {
        let text = if self.json { json(&Line::Block(report))? } else { table::row(report) };
        self.bar.suspend(|| writeln!(io::stdout(), "{text}"))
    }

    pub(super) fn summary(&self, summary: &Summary, tally: &Tally) -> io::Result<()> {
        self.bar.finish_and_clear();
        if self.json {
            writeln!(io::stdout(), "{}", json(&Line::Summary(summary))?)?;
        } else {
            writeln!(io::stdout(), "{}", table::summary(summary, tally))?;
        }
        io::stdout().flush()?;
        match table::warning(summary) {
            Some(warning) => writeln!(io::stderr(), "{warning}"),
            None => Ok(()),
        }
    }
}

fn json(line: &Line<'_>) -> io::Result<String> {
    serde_json::to_string(line).map_err(io::Error::from)
}
