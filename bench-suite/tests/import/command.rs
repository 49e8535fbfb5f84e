//! The command on a small chain.

use std::{fs, io::Write, path::Path};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

use super::support::{CHAIN, import, lines, pleach, run, scratch, write_chain};

#[test]
fn import_unwind_and_import_again() {
    let folder = scratch("command");
    let (genesis, blocks) = write_chain(&folder, &CHAIN);
    let datadir = folder.join("data");
    let (first, ok) = run(import(&genesis, &datadir, &[&blocks]).args(["--to", "5"]));
    assert!(ok, "{first}");
    assert_eq!((&first["summary"]["blocks"], &first["summary"]["known"]), (&5.into(), &0.into()));
    let (all, ok) = run(&mut import(&genesis, &datadir, &[&blocks]));
    assert!(ok, "{all}");
    let head = CHAIN.blocks[11].header.hash_slow().to_string();
    assert_eq!((&all["summary"]["blocks"], &all["summary"]["known"]), (&7.into(), &5.into()));
    assert_eq!(all["summary"]["durable"], serde_json::json!({ "number": 12, "hash": head }));
    let before = stats(&datadir);
    let (unwound, ok) = run(pleach().args(["unwind", "--to", "3", "--datadir"]).arg(&datadir));
    assert!(ok, "{unwound}");
    assert_eq!(
        (&unwound["unwind"]["blocks"], &unwound["unwind"]["number"]),
        (&9.into(), &3.into())
    );
    let (again, ok) = run(&mut import(&genesis, &datadir, &[&blocks]));
    assert!(ok, "{again}");
    assert_eq!(again["summary"]["blocks"], 9);
    assert_eq!(entries(&stats(&datadir)), entries(&before));
    let (verified, ok) = run(pleach().args(["db", "verify", "--datadir"]).arg(&datadir));
    assert!(ok, "{verified}");
}

fn stats(datadir: &Path) -> Value {
    let (stats, ok) = run(pleach().args(["db", "stats", "--datadir"]).arg(datadir));
    assert!(ok, "{stats}");
    stats["stats"].clone()
}

/// How many entries each table has.
fn entries(stats: &Value) -> Vec<(String, u64)> {
    let tables = stats["tables"].as_array().unwrap().iter();
    tables.map(|table| (table["table"].to_string(), table["entries"].as_u64().unwrap())).collect()
}

#[test]
fn several_files_and_gzip_and_a_line_for_each_commit() {
    let folder = scratch("files");
    let (genesis, blocks) = write_chain(&folder, &CHAIN);
    let whole = fs::read(&blocks).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&whole).unwrap();
    let gzipped = folder.join("chain.rlp.gz");
    fs::write(&gzipped, packed.finish().unwrap()).unwrap();
    let datadir = folder.join("data");
    let mut command = import(&genesis, &datadir, &[&gzipped, &blocks]);
    let output = command.args(["--json", "--commit-blocks", "5"]).output().unwrap();
    assert!(output.status.success());
    let lines = lines(&output);
    let durable: Vec<_> =
        lines.iter().filter_map(|line| line["durable"]["number"].as_u64()).collect();
    assert_eq!(durable, [5, 10, 12]);
    let summary = &lines[lines.len() - 1]["summary"];
    assert_eq!((&summary["blocks"], &summary["known"]), (&12.into(), &12.into()));
    for field in ["recover_ms", "recover_wait_ms", "execute_ms", "root_ms", "commit_ms", "total_ms"]
    {
        assert!(summary[field].as_f64().is_some_and(|ms| ms >= 0.0), "{field}");
    }
}

/// Access lists that one import writes serve another one; lists that are wrong, and files that are
/// none, are named.
#[test]
fn access_lists_are_written_and_read() {
    let folder = scratch("lists");
    let (genesis, blocks) = write_chain(&folder, &CHAIN);
    let datadir = |name: &str| folder.join(name);
    let with = |name: &str, option: &str, file: &Path| {
        let mut command = import(&genesis, &datadir(name), &[&blocks]);
        command.arg(option).arg(file);
        command
    };
    let counts = |summary: &Value| {
        let count = |field: &str| summary["summary"][field].as_u64().expect("it is a number");
        [count("blocks"), count("listed"), count("lists_unused")]
    };
    let files = ["lists.rlp", "lists.rlp.gz"].map(|name| folder.join(name));
    for (writer, file) in ["first", "second"].into_iter().zip(&files) {
        let (written, ok) = run(&mut with(writer, "--lists-out", file));
        assert!(ok, "{written}");
        assert_eq!(counts(&written), [12, 0, 0]);
        let reader = format!("{writer}-listed");
        let (read, ok) = run(&mut with(&reader, "--lists", file));
        assert!(ok, "{read}");
        assert_eq!(counts(&read), [12, 12, 0]);
        assert_eq!(read["summary"]["state_root"], written["summary"]["state_root"]);
    }
    assert!(fs::metadata(&files[1]).unwrap().len() < fs::metadata(&files[0]).unwrap().len());
    // The last byte but one belongs to the last list, to one of its values.
    let mut bytes = fs::read(&files[0]).unwrap();
    let wrong = folder.join("wrong.rlp");
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    fs::write(&wrong, &bytes).unwrap();
    let output = with("wrong", "--lists", &wrong).arg("--json").output().unwrap();
    assert!(output.status.success());
    let lines = lines(&output);
    let unused = lines.iter().find(|line| line.get("list_unused").is_some()).expect("it is told");
    assert_eq!(unused["list_unused"]["number"], 12, "{unused}");
    assert_eq!(counts(&lines[lines.len() - 1]), [12, 11, 1]);
    let output = with("told", "--lists", &wrong).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && error.contains("block 12's access list"), "{error}");
    let cut = folder.join("cut.rlp");
    fs::write(&cut, &bytes[..bytes.len() - 3]).unwrap();
    let (failed, ok) = run(&mut with("cut", "--lists", &cut));
    let error = failed["summary"]["error"].as_str().unwrap();
    assert!(!ok && error.contains("cut.rlp") && error.contains("cut off"), "{error}");
    assert_eq!(failed["summary"]["durable"]["number"], 11);
    // Such a file is never overwritten.
    let output = with("third", "--lists-out", &files[0]).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("lists.rlp"), "{error}");
    let output = with("third", "--lists", &folder.join("none.rlp")).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("none.rlp"), "{error}");
}

/// Each of these says what is wrong and where, and fails.
#[test]
fn what_is_wrong_is_said() {
    let folder = scratch("wrong");
    let (genesis, blocks) = write_chain(&folder, &CHAIN);
    let datadir = folder.join("data");
    let cut = folder.join("cut.rlp");
    let whole = fs::read(&blocks).unwrap();
    fs::write(&cut, &whole[..whole.len() - 10]).unwrap();
    let (summary, ok) = run(&mut import(&genesis, &datadir, &[&cut]));
    let error = summary["summary"]["error"].as_str().unwrap().to_owned();
    assert!(!ok && error.contains("cut.rlp") && error.contains("after block 11"), "{error}");
    assert_eq!(summary["summary"]["durable"]["number"], 11);
    let text = folder.join("notes.txt");
    fs::write(&text, "no blocks").unwrap();
    for (expected, command) in [
        ("notes.txt", import(&genesis, &datadir, &[&text])),
        ("missing.rlp", import(&genesis, &datadir, &[&folder.join("missing.rlp")])),
        ("neither a chain", import(&folder.join("none.json"), &datadir, &[&blocks])),
        ("no genesis file", import(&text, &datadir, &[&blocks])),
        ("genesis", {
            let mut other = import("mainnet".as_ref(), &datadir, &[&blocks]);
            other.arg("--json");
            other
        }),
        ("no database", {
            let mut none = pleach();
            none.args(["unwind", "--to", "1", "--datadir"]).arg(folder.join("nowhere"));
            none
        }),
        ("unwind", {
            let mut ahead = pleach();
            ahead.args(["unwind", "--to", "99", "--datadir"]).arg(&datadir);
            ahead
        }),
    ] {
        let mut command = command;
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{expected}: {error}");
        assert!(error.starts_with("error: ") && error.contains(expected), "{expected}: {error}");
    }
}

/// The genesis files that are built in give the first blocks that the networks have.
#[test]
fn known_networks_begin_with_their_first_blocks() {
    let folder = scratch("networks");
    let (_, blocks) = write_chain(&folder, &CHAIN);
    for network in ["mainnet", "sepolia", "holesky"] {
        let datadir = folder.join(network);
        let (summary, ok) = run(&mut import(network.as_ref(), &datadir, &[&blocks]));
        // The chain is another one, and its first block is refused; the network's own is there.
        assert!(!ok);
        assert_eq!(summary["summary"]["durable"]["number"], 0, "{network}: {summary}");
        let error = summary["summary"]["error"].as_str().unwrap();
        assert!(error.contains("block 1 "), "{error}");
    }
    let output = import("hoodi".as_ref(), &folder.join("hoodi"), &[&blocks]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("--genesis"));
    assert!(!folder.join("hoodi").exists());
}
