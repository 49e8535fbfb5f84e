//! `pleach replay`: blocks in, the same bits out, serially and in parallel, and what each took.
//!
//! Each block takes the same way: its file is read, its senders are recovered, its prestate is
//! brought flat into memory, one untimed run of each kind gives the outputs that are checked
//! against the header and with each other, and then the timed runs take turns. The fields of
//! [`BlockReport`] and [`Summary`] are those of the JSON that `--json` prints.

mod args;
mod check;
mod list;
mod output;
mod report;
mod roots;
mod runner;
pub(crate) mod scaling;
pub(crate) mod stats;
mod stream;
mod summary;
mod table;
mod whole;
mod witness_out;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use pleach_engine::crypto;

pub use args::{Mode, ReplayArgs};
pub use check::{Checks, Mismatch, NotChecked};
pub use report::{BlockReport, Status};
pub use stream::StreamReport;
pub use summary::Summary;
pub use whole::Stages;

use crate::{
    cli::{EXIT_NOT_OK, EXIT_USAGE},
    input::{self, BlockFile, BlockInput, InputError, InputErrorKind},
    profile::Page,
};
use list::Lists;
use output::Output;
use runner::Runner;
use summary::Tally;

/// Replays what the arguments name. Success only if there were blocks and all of them are `ok`.
pub fn run(args: &ReplayArgs) -> ExitCode {
    if let Some(contradiction) = args.contradiction() {
        let _ = writeln!(io::stderr(), "error: {contradiction}");
        return ExitCode::from(EXIT_USAGE);
    }
    match Replay::run(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NOT_OK),
        Err(error) => {
            // If standard error is gone as well, there is nobody left to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(EXIT_NOT_OK)
        }
    }
}

struct Replay {
    runner: Runner,
    output: Output,
    tally: Tally,
    page: Option<Page>,
}

impl Replay {
    /// The whole command. Returns whether everything is `ok`; fails if threads cannot be started or
    /// the report cannot be written.
    fn run(args: &ReplayArgs) -> io::Result<bool> {
        if let Some(file) = &args.profile {
            Page::check_writable(file)?;
        }
        // The precompiles' back-ends are chosen before the first of them runs. What they load on
        // first use is loaded by the untimed runs that go before every timed one.
        crypto::install();
        let builtin = if args.paths.is_empty() { input::builtin(args.seed) } else { Vec::new() };
        let found: Vec<_> = args.paths.iter().map(|path| (path, input::find(path))).collect();
        let items = builtin.len() + found.iter().map(|(_, files)| files.len()).sum::<usize>();
        let mut replay = Self {
            runner: Runner::new(args, lists(args)?)?,
            output: Output::start(args.json, items)?,
            tally: Tally::default(),
            page: args.profile.as_ref().map(|_| Page::default()),
        };
        if args.paths.is_empty() {
            replay.builtin(builtin)?;
        }
        for (path, files) in found {
            replay.path(path, files)?;
        }
        if let (Some(file), Some(page)) = (&args.profile, &replay.page) {
            page.write(file)?;
        }
        let stream = replay.runner.stream()?;
        let streamed = stream.as_ref().is_none_or(|stream| stream.mismatches == 0);
        let mut summary = replay.tally.summary(args);
        (summary.stream, summary.devices) = (stream, replay.runner.devices());
        replay.output.summary(&summary, &replay.tally)?;
        Ok(replay.tally.all_ok() && streamed)
    }

    fn builtin(&mut self, inputs: Vec<BlockInput>) -> io::Result<()> {
        if inputs.is_empty() {
            let error = "this build has no built-in blocks: give a PATH".to_owned();
            return self.report(&BlockReport::unreadable("built-in blocks".to_owned(), error));
        }
        for input in inputs {
            let report = self.runner.replay(input);
            self.report(&report)?;
            self.output.advance();
        }
        Ok(())
    }

    /// Replays the files behind one path. An error in one does not stop the others.
    fn path(&mut self, path: &Path, files: Vec<Result<BlockFile, InputError>>) -> io::Result<()> {
        let mut any = false;
        for file in files {
            match file.and_then(|file| input::read(&file)) {
                Ok(None) => self.tally.passed_over += 1,
                Ok(Some(input)) => {
                    any = true;
                    let report = self.runner.replay(input);
                    self.report(&report)?;
                }
                Err(error) => {
                    any = true;
                    self.report(&unreadable(&error))?;
                }
            }
            self.output.advance();
        }
        if any { Ok(()) } else { self.report(&unreadable(&no_blocks(path))) }
    }

    fn report(&mut self, report: &BlockReport) -> io::Result<()> {
        self.tally.add(report);
        if let Some(page) = &mut self.page {
            page.add(table::name(report), report.facts(), report.profile.clone());
        }
        self.output.block(report)
    }
}

/// Where lists come from, if they are asked for.
fn lists(args: &ReplayArgs) -> io::Result<Option<Lists>> {
    match &args.bal {
        None => Ok(None),
        Some(None) => Ok(Some(Lists::Made)),
        Some(Some(file)) => Lists::read(file).map(Some).map_err(io::Error::other),
    }
}

fn no_blocks(path: &Path) -> InputError {
    InputError { path: PathBuf::from(path), kind: InputErrorKind::NoBlocks }
}

fn unreadable(error: &InputError) -> BlockReport {
    BlockReport::unreadable(error.path.display().to_string(), error.kind.to_string())
}
