//! What a run of a suite found, and how it is told.

use serde_json::{Value, json};

use super::ExpectedFailures;

/// What became of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both paths agree with each other and with the test.
    Passed,
    /// There are no rules for the case; the text says which.
    Skipped(String),
    /// The case failed; the text says why.
    Failed(String),
}

/// One case of a test file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseReport {
    /// The case's name in its file.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// Counts and time of one source.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SourceTally {
    /// The archive, folder or file.
    pub path: String,
    /// Test files read.
    pub files: usize,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed, and were not expected to; files that cannot be read count as well.
    pub failed: usize,
    /// Cases without rules, and expected failures.
    pub skipped: usize,
    /// Cases that failed as expected.
    pub expected_failures: usize,
    /// Seconds on the clock.
    pub seconds: f64,
}

/// Everything that a run found.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    expected: ExpectedFailures,
    /// For each entry of the list, how many of its cases ran and how many of them failed.
    expected_seen: Vec<(usize, usize)>,
    sources: Vec<SourceTally>,
    json: bool,
}

impl Summary {
    /// An empty summary, printed as JSON objects or as text.
    pub fn new(expected: ExpectedFailures, json: bool) -> Self {
        let expected_seen = vec![(0, 0); expected.entries().len()];
        Self { expected, expected_seen, sources: Vec::new(), json }
    }

    /// Counts a case into its source's tally, and prints it if it failed.
    pub fn add(&mut self, tally: &mut SourceTally, file: &str, case: &CaseReport) {
        let entry = match case.outcome {
            Outcome::Skipped(_) => None,
            _ => self.expected.find(file, &case.name).map(|(index, _)| index),
        };
        if let Some(index) = entry {
            self.expected_seen[index].0 += 1;
        }
        match (&case.outcome, entry) {
            (Outcome::Passed, _) => tally.passed += 1,
            (Outcome::Skipped(_), _) => tally.skipped += 1,
            (Outcome::Failed(reason), Some(index)) => {
                self.expected_seen[index].1 += 1;
                tally.skipped += 1;
                tally.expected_failures += 1;
                let expected = Some(self.expected.entries()[index].reason.as_str());
                self.print_failure(file, &case.name, reason, expected);
            }
            (Outcome::Failed(reason), None) => {
                tally.failed += 1;
                self.print_failure(file, &case.name, reason, None);
            }
        }
    }

    /// Counts and prints a source or file that cannot be read.
    pub fn add_error(&self, tally: &mut SourceTally, file: &str, error: &str) {
        tally.failed += 1;
        self.print_failure(file, "", error, None);
    }

    /// Closes a source, and prints its line.
    pub fn add_source(&mut self, tally: SourceTally) {
        if !self.json {
            println!(
                "{:8.1} s  {} passed, {} failed, {} skipped in {} files  {}",
                tally.seconds, tally.passed, tally.failed, tally.skipped, tally.files, tally.path
            );
        }
        self.sources.push(tally);
    }

    /// Cases that passed, failed and were skipped, over all sources.
    pub fn totals(&self) -> (usize, usize, usize) {
        self.sources.iter().fold((0, 0, 0), |(passed, failed, skipped), s| {
            (passed + s.passed, failed + s.failed, skipped + s.skipped)
        })
    }

    /// Whether nothing failed unexpectedly and something ran.
    pub fn is_success(&self) -> bool {
        let (passed, failed, skipped) = self.totals();
        failed == 0 && passed + skipped > 0
    }

    /// Prints the closing report.
    pub fn print(&self) {
        let (passed, failed, skipped) = self.totals();
        let closing = format!("{passed} passed, {failed} failed, {skipped} skipped");
        if self.json {
            println!("{}", self.to_json());
            eprintln!("{closing}");
            return;
        }
        let expected: usize = self.sources.iter().map(|s| s.expected_failures).sum();
        if expected > 0 {
            println!("{expected} of the skipped are expected failures");
        }
        for entry in self.unexpected_passes() {
            println!("expected to fail, but passes: {entry}");
        }
        println!("{closing}");
    }

    /// Entries of the list whose cases ran and all passed: the list is out of date.
    pub fn unexpected_passes(&self) -> Vec<String> {
        let entries = self.expected.entries().iter().zip(&self.expected_seen);
        let stale = entries.filter(|(_, (ran, failed))| *ran > 0 && *failed == 0);
        stale
            .map(|(entry, _)| match &entry.case {
                Some(case) => format!("{} :: {case}", entry.file),
                None => entry.file.clone(),
            })
            .collect()
    }

    fn to_json(&self) -> Value {
        let (passed, failed, skipped) = self.totals();
        let sources: Vec<_> = self.sources.iter().map(source_json).collect();
        json!({ "summary": {
            "passed": passed,
            "failed": failed,
            "skipped": skipped,
            "expected_failures": self.sources.iter().map(|s| s.expected_failures).sum::<usize>(),
            "unexpected_passes": self.unexpected_passes(),
            "seconds": self.sources.iter().map(|s| s.seconds).sum::<f64>(),
            "sources": sources,
        }})
    }

    fn print_failure(&self, file: &str, case: &str, reason: &str, expected: Option<&str>) {
        if self.json {
            let status = if expected.is_some() { "expected_failure" } else { "failed" };
            let object = json!({
                "file": file, "case": case, "status": status, "error": reason,
                "explanation": expected,
            });
            println!("{}", json!({ "case": object }));
        } else if expected.is_none() {
            println!("FAIL {file} :: {case}: {reason}");
        }
    }
}

fn source_json(tally: &SourceTally) -> Value {
    json!({
        "path": tally.path, "files": tally.files, "passed": tally.passed,
        "failed": tally.failed, "skipped": tally.skipped,
        "expected_failures": tally.expected_failures, "seconds": tally.seconds,
    })
}
