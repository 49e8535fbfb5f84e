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

/// The parts of one command's JSON.
fn json(arguments: &[&str]) -> Value {
    let output = bench(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn paths(report: &Value) -> Vec<&str> {
    let series = report["series"].as_array().expect("curves");
    series.iter().map(|series| series["path"].as_str().expect("a name")).collect()
}

#[test]
fn recovery_and_hashing_have_a_curve_for_each_path() {
    for (what, one) in [("recover", "libsecp256k1"), ("keccak", "asm-keccak")] {
        let arguments = [what, "--json", "--max-batch", "64", "--threads", "2", "--device", "cpu"];
        let report = json(&arguments);
        let one = format!("{one}, 1 thread, one at a time");
        let batched = ["CPU batch path, threads: 1", "CPU batch path, threads: 2"];
        assert_eq!(paths(&report), [&[one.as_str()], batched.as_slice()].concat());
        for series in report["series"].as_array().expect("curves") {
            let points = series["points"].as_array().expect("points");
            let batches: Vec<_> = points.iter().map(|point| point["batch"].as_u64()).collect();
            assert_eq!(batches, [1, 4, 16, 64].map(Some));
            let speed = |point: &Value| point["per_second"].as_f64().expect("a number");
            assert!(points.iter().all(|point| speed(point) > 0.0));
        }
    }
}

/// The record of what devices do, which without devices is that of the CPU.
#[test]
fn one_command_writes_the_record() {
    let folder = std::env::temp_dir().join(format!("pleach-record-{}", std::process::id()));
    let out = folder.to_str().expect("a path that is text");
    let arguments = ["--max-batch", "256", "--device", "cpu", "--random", "10", "--json"];
    let record = json(&[["devices", "--out", out].as_slice(), &arguments].concat());
    let written = std::fs::read(folder.join("record.json")).expect("a record");
    assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), record);
    assert_eq!(record["devices"], Value::Array(Vec::new()));
    let goals = record["goals"].as_array().expect("goals");
    let names: Vec<_> = goals.iter().map(|goal| goal["goal"].as_str().expect("text")).collect();
    let expected =
        ["recovery on one thread, over libsecp256k1", "Keccak-256 on one thread, over asm-keccak"];
    assert_eq!(names, expected);
    for goal in goals {
        let (wanted, found) = (goal["wanted"].as_f64(), goal["found"].as_f64());
        assert_eq!(goal["holds"], Value::Bool(found >= wanted), "{goal}");
    }
    for name in ["recover", "keccak", "p256"] {
        let picture = std::fs::read_to_string(folder.join(name).with_extension("svg"));
        assert!(picture.expect("a picture").ends_with("</svg>\n"), "{name}");
        assert!(record[name]["series"].as_array().expect("curves").len() >= 2, "{name}");
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
}
