//! The runners of official test suites, on small tests made for this repository and, where
//! `PLEACH_FIXTURES` names a folder with the official archives, on a sample of each.

use std::io::Write as _;
use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use pleach_bench_suite::conformance::{
    RunError, SourceError, SuiteArgs, Summary,
    blocktest::{self, BlocktestArgs},
    statetest::{self, StatetestArgs},
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn args(path: &Path) -> SuiteArgs {
    SuiteArgs {
        paths: vec![path.to_owned()],
        threads: NonZeroUsize::new(2).unwrap(),
        jobs: NonZeroUsize::MIN,
        filter: None,
        sample: NonZeroUsize::MIN,
        access_list: false,
        json: false,
        expected_failures: None,
    }
}

fn state(suite: SuiteArgs) -> Result<Summary, RunError> {
    statetest::summarize(&StatetestArgs { suite })
}

fn block(suite: SuiteArgs) -> Result<Summary, RunError> {
    blocktest::summarize(&BlocktestArgs { suite })
}

fn totals(summary: Result<Summary, RunError>) -> (usize, usize, usize) {
    summary.expect("the run begins").totals()
}

/// A folder of its own for a test, empty at first.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Packs files as the official archives are packed.
fn archive(path: &Path, files: &[PathBuf]) -> Vec<u8> {
    let mut packed = tar::Builder::new(zstd::Encoder::new(Vec::new(), 3).unwrap());
    for file in files {
        let name = Path::new("suite").join(file.file_name().unwrap());
        packed.append_path_with_name(file, name).unwrap();
    }
    let bytes = packed.into_inner().unwrap().finish().unwrap();
    fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn state_tests_pass_and_forks_without_rules_are_skipped() {
    assert_eq!(totals(state(args(&data("state")))), (3, 0, 2));
    let run = statetest::run(&StatetestArgs { suite: args(&data("state/call.json")) });
    assert_eq!(run, ExitCode::SUCCESS);
}

#[test]
fn a_block_stands_and_blocks_with_one_wrong_field_are_refused() {
    assert_eq!(totals(block(args(&data("block")))), (1, 0, 1));
    let run = blocktest::run(&BlocktestArgs { suite: args(&data("block")) });
    assert_eq!(run, ExitCode::SUCCESS);
}

#[test]
fn wrong_expectations_fail() {
    for name in ["bad/state_wrong_hash.json", "bad/state_not_refused.json", "bad/state_cut.json"] {
        let suite = args(&data(name));
        assert_eq!(totals(state(suite.clone())), (0, 1, 0), "{name}");
        assert_eq!(statetest::run(&StatetestArgs { suite }), ExitCode::FAILURE, "{name}");
    }
    for name in ["bad/block_wrong_state_root.json", "bad/block_not_refused.json"] {
        let suite = args(&data(name));
        assert_eq!(totals(block(suite.clone())), (0, 1, 0), "{name}");
        assert_eq!(blocktest::run(&BlocktestArgs { suite }), ExitCode::FAILURE, "{name}");
    }
    // One of its blocks is to be refused for another reason than it is.
    assert_eq!(totals(block(args(&data("bad/block_wrong_reason.json")))), (0, 1, 1));
    // A file of the other suite is no file of this one.
    assert_eq!(totals(block(args(&data("state/call.json")))), (0, 1, 0));
}

#[test]
fn a_value_of_more_than_256_bits_is_refused_by_its_bytes() {
    let text = fs::read_to_string(data("state/call.json")).unwrap();
    let wide = format!("\"value\": [\n        \"0x:bigint 0x1{}\"", "0".repeat(64));
    let text = text.replace("\"value\": [\n        \"0x07\"", &wide);
    assert!(text.contains("0x:bigint"));
    let file = scratch("bigint").join("bigint.json");
    fs::write(&file, text).unwrap();
    // The signed bytes say 7 and stand; the parts alone say more than the sender has.
    assert_eq!(totals(state(args(&file))), (2, 1, 2));
}

#[test]
fn filter_and_sample_choose_cases_and_files() {
    let filtered = |filter: &str| {
        let filter = Some(filter.to_owned());
        totals(state(SuiteArgs { filter, ..args(&data("state")) }))
    };
    assert_eq!(filtered("[Shanghai/0]"), (1, 0, 0));
    assert_eq!(filtered("call.json"), (3, 0, 2));
    assert_eq!(filtered("no such case"), (0, 0, 0));
    let folder = scratch("sample");
    for name in ["a.json", "b.json", "c.json"] {
        fs::copy(data("state/call.json"), folder.join(name)).unwrap();
    }
    let sample = NonZeroUsize::new(2).unwrap();
    assert_eq!(totals(state(SuiteArgs { sample, ..args(&folder) })), (6, 0, 4));
}

#[test]
fn archives_are_read_whole_and_cut_ones_fail() {
    let folder = scratch("archive");
    let path = folder.join("suite.tar.zst");
    let bytes = archive(&path, &[data("state/call.json"), data("bad/state_wrong_hash.json")]);
    assert_eq!(totals(state(args(&path))), (3, 1, 2));
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let suite = args(&path);
        let (_, failed, _) = totals(state(suite.clone()));
        assert!(failed >= 1, "cut to {length} bytes: {failed} failures");
        assert_eq!(statetest::run(&StatetestArgs { suite }), ExitCode::FAILURE, "{length}");
    }
}

#[test]
fn a_path_without_tests_is_a_typed_error() {
    let folder = scratch("nothing");
    let missing = state(args(&folder.join("missing.json"))).unwrap_err();
    assert!(matches!(missing, RunError::Source(SourceError::Read { .. })), "{missing}");
    let empty = state(args(&folder)).unwrap_err();
    assert!(matches!(empty, RunError::Source(SourceError::Empty { .. })), "{empty}");
    fs::write(folder.join("notes.txt"), "no test").unwrap();
    let unknown = state(args(&folder.join("notes.txt"))).unwrap_err();
    assert!(matches!(unknown, RunError::Source(SourceError::UnknownKind { .. })), "{unknown}");
}

#[test]
fn expected_failures_count_as_skipped() {
    let list = scratch("expected").join("expected.toml");
    let entry = "[[failure]]\nfile = \"state_wrong_hash.json\"\nreason = \"made wrong\"\n";
    fs::write(&list, entry).unwrap();
    let suite = SuiteArgs {
        expected_failures: Some(list.clone()),
        ..args(&data("bad/state_wrong_hash.json"))
    };
    let summary = state(suite.clone()).unwrap();
    assert_eq!((summary.totals(), summary.is_success()), ((0, 0, 1), true));
    assert!(summary.unexpected_passes().is_empty());
    let passing = entry.replace("state_wrong_hash.json", "call.json");
    fs::write(&list, passing).unwrap();
    let summary = state(SuiteArgs { paths: vec![data("state")], ..suite.clone() }).unwrap();
    assert_eq!(summary.totals(), (3, 0, 2));
    assert_eq!(summary.unexpected_passes(), ["call.json"]);
    fs::write(&list, "[[failure]]\nfile = 1").unwrap();
    assert!(matches!(state(suite), Err(RunError::ExpectedFailures(_))));
}

/// Runs every `sample`-th file of an official archive; nothing may fail unexpectedly.
fn official(run: fn(SuiteArgs) -> Result<Summary, RunError>, name: &str, sample: usize) {
    let Some(root) = std::env::var_os("PLEACH_FIXTURES") else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "skipped: {name}, because PLEACH_FIXTURES is not set");
        return;
    };
    let path = Path::new(&root).join(name);
    let sample = NonZeroUsize::new(sample).unwrap();
    let summary = run(SuiteArgs { sample, ..args(&path) }).unwrap();
    let (passed, failed, _) = summary.totals();
    assert!(passed > 0, "{name}: nothing ran");
    assert_eq!(failed, 0, "{name}");
}

#[test]
fn official_state_tests() {
    official(state, "eest/state_tests-v5.4.0.tar.zst", 7);
    official(state, "legacy/constantinople-GeneralStateTests.tar.zst", 11);
    official(state, "legacy/cancun-GeneralStateTests.tar.zst", 23);
}

#[test]
fn official_blockchain_tests() {
    official(block, "legacy/ethereum-tests-BlockchainTests.tar.zst", 1);
    official(block, "eest/blockchain_tests-v5.4.0.tar.zst", 11);
    official(block, "eest/blockchain_tests-v5.7.0-up-to-cancun.tar.zst", 11);
}

#[test]
fn official_benchmark_blocks() {
    official(block, "eest/benchmark-blockchain-v0.0.7.tar.zst", 17);
}
