//! Drives a suite: files from sources to workers, reports to the summary.

use std::{
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, mpsc},
    thread,
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use pleach_engine::crypto;

use super::{
    BothPaths, CaseReport, ExpectedFailures, ExpectedFailuresError, Selection, Source, SourceError,
    SourceTally, Summary,
};

/// Files that may wait for a worker.
const QUEUE_FILES: usize = 16;
const PROGRESS: &str = "{spinner} {elapsed} {wide_msg}";

/// What state tests and blockchain tests are asked alike.
#[derive(Debug, Clone, clap::Args)]
pub struct SuiteArgs {
    /// Test files (.json), folders, and .tar.zst archives
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Threads of the parallel path
    #[arg(long, default_value = "2")]
    pub threads: NonZeroUsize,
    /// Files executed side by side, each with its own engine
    #[arg(long, default_value = "1")]
    pub jobs: NonZeroUsize,
    /// Run only cases whose file or name contains this
    #[arg(long, value_name = "SUBSTRING")]
    pub filter: Option<String>,
    /// Run only every K-th file of each source
    #[arg(long, value_name = "K", default_value = "1")]
    pub sample: NonZeroUsize,
    /// Compare the block access lists of both paths as well (EIP-7928)
    #[arg(long)]
    pub access_list: bool,
    /// One JSON object per failure and a closing one
    #[arg(long)]
    pub json: bool,
    /// List of expected failures (TOML) in place of the one compiled in
    #[arg(long, value_name = "FILE")]
    pub expected_failures: Option<PathBuf>,
}

/// A test file that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is not JSON, or not of the suite's format.
    #[error("no {suite} test file: {source}")]
    Json {
        /// The suite that was expected.
        suite: &'static str,
        /// Where parsing ended, and why.
        source: serde_json::Error,
    },
}

/// Runs the cases of one file that the predicate keeps, by name.
pub(super) type RunFile =
    fn(&BothPaths, &[u8], &dyn Fn(&str) -> bool) -> Result<Vec<CaseReport>, FileError>;

/// A run that cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// A path holds no tests.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The list of expected failures cannot be used.
    #[error(transparent)]
    ExpectedFailures(#[from] ExpectedFailuresError),
    /// The operating system refuses to start threads.
    #[error("worker threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
}

/// Prints what a run found: success if no case failed unexpectedly and some ran.
pub(super) fn report(run: Result<Summary, RunError>) -> ExitCode {
    match run {
        Ok(summary) => {
            summary.print();
            if summary.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a suite over all sources, printing failures as they come.
pub(super) fn run_suite(args: &SuiteArgs, run_file: RunFile) -> Result<Summary, RunError> {
    let expected = ExpectedFailures::load(args.expected_failures.as_deref())?;
    let sources = args.paths.iter().map(|path| Source::at(path));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    crypto::install();
    let jobs = (0..args.jobs.get()).map(|_| BothPaths::new(args.threads.get(), args.access_list));
    let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
    let mut summary = Summary::new(expected, args.json);
    // Hidden where standard error is no terminal.
    let progress = ProgressBar::new_spinner();
    progress
        .set_style(ProgressStyle::with_template(PROGRESS).expect("the template is well formed"));
    for source in sources.iter().flatten() {
        run_source((args, &jobs), source, run_file, &mut summary, &progress);
    }
    progress.finish_and_clear();
    Ok(summary)
}

struct FileReport {
    file: String,
    cases: Result<Vec<CaseReport>, FileError>,
}

fn run_source(
    (args, jobs): (&SuiteArgs, &[BothPaths]),
    source: &Source,
    run_file: RunFile,
    summary: &mut Summary,
    progress: &ProgressBar,
) {
    let start = Instant::now();
    let path = source.path().display().to_string();
    let mut tally = SourceTally { path: path.clone(), ..SourceTally::default() };
    let (report_sender, reports) = mpsc::channel();
    let read = thread::scope(|scope| {
        let reader =
            scope.spawn(move || feed_workers((args, jobs), source, run_file, &report_sender));
        for FileReport { file, cases } in reports {
            tally.files += 1;
            match cases {
                Ok(cases) => cases.iter().for_each(|case| summary.add(&mut tally, &file, case)),
                Err(error) => summary.add_error(&mut tally, &file, &error.to_string()),
            }
            progress.set_message(format!("{path}: {} files, {file}", tally.files));
            progress.tick();
        }
        reader.join().expect("reading test files does not panic")
    });
    if let Err(error) = read {
        summary.add_error(&mut tally, &path, &error.to_string());
    }
    tally.seconds = start.elapsed().as_secs_f64();
    summary.add_source(tally);
}

/// Reads files on this thread and has workers run them; their reports go to `reports`.
fn feed_workers(
    (args, jobs): (&SuiteArgs, &[BothPaths]),
    source: &Source,
    run_file: RunFile,
    reports: &mpsc::Sender<FileReport>,
) -> Result<(), SourceError> {
    let selection = Selection { filter: args.filter.clone(), sample: args.sample };
    let (file_sender, files) = mpsc::sync_channel::<(String, Vec<u8>)>(QUEUE_FILES);
    let files = Mutex::new(files);
    thread::scope(|scope| {
        let (selection, files) = (&selection, &files);
        for paths in jobs {
            let reports = reports.clone();
            scope.spawn(move || {
                loop {
                    let next = files.lock().expect("no worker panics while it waits").recv();
                    let Ok((file, bytes)) = next else { break };
                    let cases = run_file(paths, &bytes, &|case| selection.keeps(&file, case));
                    if reports.send(FileReport { file, cases }).is_err() {
                        break;
                    }
                }
            });
        }
        let read = source.read(selection, |name, bytes| file_sender.send((name, bytes)).is_ok());
        drop(file_sender);
        read
    })
}
