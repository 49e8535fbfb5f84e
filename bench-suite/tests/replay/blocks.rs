//! `pleach replay` on good blocks: what it prints and what it returns.

use std::io::Write as _;
use std::{env, path::PathBuf};

use alloy_primitives::B256;

use crate::support::{Folder, Sample, gzip, pleach, replay, replay_json};
use serde_json::{Value, json};

#[test]
fn a_block_made_by_hand_is_ok_in_both_formats_for_any_number_of_threads() {
    let sample = Sample::new();
    for (format, value) in [("flat", sample.flat()), ("witness", sample.witness())] {
        for threads in ["1", "2", "8"] {
            let arguments = ["--threads", threads, "--repeat", "2", "--force-parallel"];
            let replayed = replay_json("ok", &value, &arguments);
            assert_eq!(replayed.only(), ("ok", ""), "{format}, {threads} threads");
            assert_eq!(replayed.code, 0);
        }
    }
}

#[test]
fn a_folder_gives_its_blocks_and_passes_over_other_json() {
    let folder = Folder::new("folder");
    let sample = Sample::new();
    folder.write("b.json", sample.flat().to_string());
    folder.write("a.json.gz", gzip(sample.witness().to_string().as_bytes()));
    folder.write("index.json", r#"[{"file": "b.json"}, {"file": "a.json.gz"}]"#);
    folder.write("rpc.json", r#"{"jsonrpc": "2.0", "block": "0x"}"#);
    folder.write("notes.txt", "no JSON at all");
    let replayed = replay(&["--repeat", "1"], folder.path());
    assert_eq!(replayed.code, 0);
    let origins: Vec<_> =
        replayed.blocks.iter().map(|block| block["origin"].as_str().unwrap()).collect();
    assert!(origins[0].ends_with("a.json.gz") && origins[1].ends_with("b.json"), "{origins:?}");
    assert_eq!(replayed.summary["ok"], 2);
    assert_eq!(replayed.summary["passed_over"], 2);
}

#[test]
fn json_has_the_documented_fields() {
    let replayed = replay_json("shape", &Sample::new().witness(), &["--threads", "2"]);
    let block = &replayed.blocks[0];
    assert_eq!(block["network"], "mainnet");
    assert_eq!(block["number"], 15_600_000);
    assert_eq!(block["fork"], "PARIS");
    assert_eq!((&block["txs"], &block["gas_used"]), (&json!(3), &json!(68_393)));
    assert_eq!((&block["threads"], &block["error"]), (&json!(2), &Value::Null));
    let checked = [
        "transactions_root",
        "ommers_hash",
        "pre_state_root",
        "state_root",
        "serial_equal",
        "gas_used",
        "receipts_root",
        "logs_bloom",
    ];
    assert_eq!(block["checked"], json!(checked));
    assert_eq!(block["not_checked"], json!([]));
    let (serial, parallel) = (number(block, "serial_ms"), number(block, "parallel_ms"));
    assert!((number(block, "speedup") - serial / parallel).abs() < 1e-9);
    for field in ["recover_ms", "machine_scaling"] {
        assert!(number(block, field) > 0.0, "{field}");
    }
    assert!(block["executions"].as_u64().unwrap() >= 3);
    for field in ["aborts", "reexecuted_gas"] {
        assert!(block[field].is_u64(), "{field}");
    }
    assert_summary(&replayed.summary, serial);
}

fn assert_summary(summary: &Value, serial_ms: f64) {
    let counts = ["blocks", "ok", "mismatch", "error"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 0, 0]);
    assert_eq!(number(summary, "serial_ms"), serial_ms);
    let rate = 68_393.0 / 1e6 / (serial_ms / 1e3);
    assert!((number(summary, "serial_mgas_per_s") / rate - 1.0).abs() < 1e-9);
    let fields = ["parallel_ms", "speedup_geomean", "speedup_min", "parallel_mgas_per_s"];
    for field in fields.into_iter().chain(["machine_scaling", "repeat", "threads"]) {
        assert!(number(summary, field) > 0.0, "{field}");
    }
    assert_eq!(summary["mode"], "both");
    assert!(summary["trusted"].is_boolean());
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("{field} is no number in {value}"))
}

#[test]
fn a_mode_leaves_the_other_kinds_fields_null() {
    let value = Sample::new().witness();
    let of_parallel = ["parallel_ms", "threads", "executions", "aborts", "reexecuted_gas"];
    let of_both = ["speedup", "machine_scaling"];
    for (mode, nulls) in [("serial", of_parallel.as_slice()), ("parallel", &["serial_ms"])] {
        let replayed = replay_json("mode", &value, &["--mode", mode, "--repeat", "1"]);
        assert_eq!(replayed.only(), ("ok", ""), "{mode}");
        let block = &replayed.blocks[0];
        for field in nulls.iter().chain(&of_both) {
            assert_eq!(block[field], Value::Null, "{field} in mode {mode}");
        }
        assert!(number(block, &format!("{mode}_ms")) > 0.0);
        assert_eq!(block["not_checked"], json!(["serial_equal"]));
        assert_eq!(replayed.summary["speedup_geomean"], Value::Null);
    }
}

#[test]
fn whole_blocks_are_timed_where_there_is_a_trie() {
    let fields = ["whole_ms", "whole_serial_ms", "root_ms"];
    let sample = Sample::new();
    let arguments = ["--whole", "--repeat", "2", "--threads", "3", "--force-parallel"];
    let replayed = replay_json("whole", &sample.witness(), &arguments);
    assert_eq!(replayed.only(), ("ok", ""));
    for field in fields {
        assert!(number(&replayed.blocks[0], field) > 0.0, "{field}");
    }
    assert_eq!(replayed.summary["whole_blocks"], 0, "the sample has less than 1 Mgas");
    let without = replay_json("not-whole", &sample.witness(), &["--repeat", "1"]);
    let flat = replay_json("flat-whole", &sample.flat(), &arguments);
    for (field, replayed) in fields.iter().flat_map(|field| [(field, &without), (field, &flat)]) {
        assert_eq!(replayed.blocks[0][field], Value::Null, "{field}");
    }
    let wrong = sample.with_header(|header| header.state_root = B256::repeat_byte(9)).witness();
    let replayed = replay_json("whole-wrong", &wrong, &arguments);
    let (status, error) = replayed.only();
    assert_eq!(status, "mismatch");
    assert!(error.contains("after whole parallel execution"), "{error}");
}

#[test]
fn with_its_access_list_a_block_runs_each_transaction_once() {
    let sample = Sample::new();
    for (format, value) in [("flat", sample.flat()), ("witness", sample.witness())] {
        for threads in ["1", "2", "8"] {
            let arguments = ["--bal", "--threads", threads, "--repeat", "2", "--force-parallel"];
            let replayed = replay_json("listed", &value, &arguments);
            assert_eq!(replayed.only(), ("ok", ""), "{format}, {threads} threads");
            let block = &replayed.blocks[0];
            assert_eq!((&block["executions"], &block["aborts"]), (&json!(3), &json!(0)));
            assert!(number(block, "list_ms") > 0.0 && number(block, "list_bytes") > 0.0);
            let checked = block["checked"].as_array().unwrap();
            assert!(checked.contains(&json!("access_list")), "{checked:?}");
        }
    }
}

#[test]
fn a_wrong_access_list_is_named_and_a_file_without_one_refused() {
    let folder = Folder::new("wrong-list");
    let block = folder.write("block.json", Sample::new().flat().to_string());
    let given = |name: &str, content: &[u8]| {
        let list = folder.write(name, content);
        let argument = format!("--bal={}", list.display());
        pleach(&[&argument, "--repeat", "1", "--json"], &[&block])
    };
    for (name, content) in [
        ("empty.json", &b"[]"[..]),
        ("empty.rlp", &[0xc0]),
        ("empty.hex", b"0xc0"),
        ("empty.hex.gz", &gzip(b"c0")),
    ] {
        let output = given(name, content);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("is not listed, but used at index 1"), "{name}: {text}");
        assert!(text.contains("\"aborts\":"), "{name}: {text}");
    }
    for (name, content) in [("map.json", &b"{}"[..]), ("long.rlp", &[0xc0, 0]), ("text", b"list")] {
        let output = given(name, content);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_stream_recovers_ahead_and_compares_every_output() {
    let folder = Folder::new("stream");
    let sample = Sample::new();
    for name in ["a.json", "b.json", "c.json"] {
        folder.write(name, sample.flat().to_string());
    }
    let wrong = Sample::new().with_header(|header| header.gas_used += 1);
    let arguments = ["--stream", "--repeat", "2", "--threads", "2"];
    let replayed = replay(&arguments, folder.path());
    assert_eq!(replayed.code, 0);
    let stream = &replayed.summary["stream"];
    let counts = ["blocks", "signatures", "mismatches"].map(|name| stream[name].as_u64().unwrap());
    assert_eq!(counts, [3, 9, 0]);
    let times = ["apart_ms", "apart_recover_ms", "stream_ms", "waited_ms", "recover_ms"];
    for field in times.into_iter().chain(["speedup"]) {
        assert!(number(stream, field) > 0.0, "{field}");
    }
    assert!((0.0..=1.0).contains(&number(stream, "hidden")));
    assert_eq!(replayed.summary["devices"], json!([]));

    // Only blocks whose checks hold are in the stream; without one there is none.
    folder.write("wrong.json", wrong.flat().to_string());
    let replayed = replay(&arguments, folder.path());
    assert_eq!((replayed.code, &replayed.summary["stream"]["blocks"]), (1, &json!(3)));
    let replayed = replay_json("stream-wrong", &wrong.flat(), &arguments);
    assert_eq!((replayed.code, &replayed.summary["stream"]), (1, &Value::Null));
    let replayed = replay_json("no-stream", &sample.flat(), &["--repeat", "1"]);
    assert_eq!(replayed.summary["stream"], Value::Null);
}

#[test]
fn a_device_that_is_not_there_is_an_error() {
    let folder = Folder::new("no-device");
    let block = folder.write("block.json", Sample::new().flat().to_string());
    let output = pleach(&["--device", "no device has this name"], &[&block]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("no adapter is named `no device has this name`"), "{stderr}");
    let output = pleach(&["--device", "cpu", "--software", "--repeat", "1"], &[&block]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_table_names_what_is_wrong_and_goes_on() {
    let folder = Folder::new("table");
    let good = folder.write("good.json", Sample::new().flat().to_string());
    let wrong = Sample::new().with_header(|header| header.gas_used += 1);
    let wrong = folder.write("wrong.json", wrong.flat().to_string());
    let output = pleach(&["--repeat", "1"], &[&wrong, &folder.path().join("none"), &good]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("MISMATCH\n    gas_used: expected 68394, got 68393\n"), "{text}");
    assert!(text.contains("cannot be read: No such file"), "{text}");
    assert!(text.contains("3 blocks: 1 ok, 1 mismatch, 1 error"), "{text}");
    assert!(text.contains("not checked in 2 blocks: state_root"), "{text}");
}

#[test]
fn a_wrong_command_line_is_exit_status_2() {
    for arguments in [
        &["--threads", "0"][..],
        &["--threads", "1000000"],
        &["--repeat", "0"],
        &["--mode", "sideways"],
        &["--seed", "x"],
        &["--bal", "--mode", "serial"],
        &["--bal", "--profile", "page.html"],
        &["--no-such-option"],
    ] {
        assert_eq!(pleach(arguments, &[]).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn all_real_blocks_are_ok_for_any_number_of_threads() {
    let Some(fixtures) = env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: 51 real blocks on 1, 2 and 8 threads; set PLEACH_FIXTURES"
        );
        return;
    };
    for threads in ["1", "2", "8"] {
        let arguments = ["--threads", threads, "--repeat", "1"];
        let replayed = replay(&arguments, &fixtures.join("blocks"));
        for block in replayed.blocks.iter().filter(|block| block["status"] != "ok") {
            eprintln!("{threads} threads: {block}");
        }
        assert_eq!(replayed.code, 0);
        assert!(replayed.blocks.len() >= 51, "{} blocks", replayed.blocks.len());
        assert_eq!(replayed.summary["ok"], replayed.blocks.len());
        let arguments = ["--bal", "--threads", threads, "--repeat", "1", "--force-parallel"];
        let listed = replay(&arguments, &fixtures.join("blocks"));
        assert_eq!((listed.code, &listed.summary["ok"]), (0, &replayed.summary["ok"]));
        for block in &listed.blocks {
            assert_eq!((&block["aborts"], &block["executions"]), (&json!(0), &block["txs"]));
        }
    }
}
