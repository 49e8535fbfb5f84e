//! The built `pleach bench` command, from outside.

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let command = Command::new(env!("CARGO_BIN_EXE_pleach")).arg("bench").args(arguments).output();
    let output = command.expect("the built command starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    output
}

#[test]
fn roots_are_timed_on_one_thread_and_on_several() {
    let output = bench(&["root", "block", "--rounds", "2", "--threads", "3", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [root, summary] = lines.as_slice() else { panic!("two lines, not {text}") };
    let root = &root["root"];
    assert_eq!((&root["case"], &root["threads"]), (&"block".into(), &3.into()));
    assert_eq!((&root["changed_accounts"], &root["changed_slots"]), (&500.into(), &1000.into()));
    for field in ["one_thread_ms", "threads_ms", "short_hash_ns", "over_permutations_floor"] {
        assert!(root[field].as_f64().is_some_and(|value| value > 0.0), "{field} in {root}");
    }
    // Each changed account and slot is a leaf that is hashed.
    assert!(root["keccak_calls"].as_u64().is_some_and(|calls| calls > 1_400), "{root}");
    assert_eq!(summary["summary"]["cases"], 1);
}

#[test]
fn a_case_or_rival_that_is_not_there_is_an_error() {
    assert_eq!(bench(&["root", "everything"]).status.code(), Some(2));
    assert_eq!(bench(&[]).status.code(), Some(2));
    let output = bench(&["root", "block", "--rival", "/no/such/program"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("the program with ethrex-trie failed"), "{stderr}");
}
