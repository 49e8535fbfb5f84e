//! `pleach replay --witness-out`: what is written is read back, holds, and holds no more than it
//! must.

use std::{env, fs, io::Write as _, path::Path, path::PathBuf};

use alloy_consensus::{Block, TxEnvelope};
use alloy_primitives::{B256, Bytes, keccak256};
use serde_json::{Value, json};

use crate::support::{Folder, Replayed, Sample, replay, replay_json};

/// Replays a path and has witnesses written.
fn written(path: &Path, folder: &Folder) -> Replayed {
    let out = folder.path().to_str().expect("a folder with a plain name");
    replay(&["--repeat", "1", "--threads", "2", "--witness-out", out], path)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("it was written")).expect("it is JSON")
}

fn list(block: &Value, name: &str) -> Vec<Bytes> {
    let list = block["witness"][name].clone();
    serde_json::from_value(list).expect("a list of bytes in hex")
}

/// Each block with one entry of one list left out, or one bit of it changed. Replayed together;
/// each must be refused with an error that names the entry's hash.
fn without_any(block: &Value, name: &str, test: &str) -> usize {
    let entries = list(block, name);
    let folder = Folder::new(test);
    for (index, entry) in entries.iter().enumerate() {
        let mut fewer = block.clone();
        fewer["witness"][name].as_array_mut().expect("a list").remove(index);
        folder.write(&format!("{index}-gone.json"), fewer.to_string());
        let mut bytes = entry.to_vec();
        let place = index * 7 % bytes.len();
        bytes[place] ^= 1 << (index % 8);
        let mut forged = block.clone();
        forged["witness"][name][index] = json!(Bytes::from(bytes));
        folder.write(&format!("{index}-forged.json"), forged.to_string());
    }
    let replayed = replay(&["--repeat", "1", "--threads", "1"], folder.path());
    assert_eq!(replayed.blocks.len(), 2 * entries.len());
    for refused in &replayed.blocks {
        let origin = refused["origin"].as_str().expect("a file");
        let file = Path::new(origin).file_name().and_then(|name| name.to_str()).expect("a name");
        let index: usize = file.split('-').next().and_then(|n| n.parse().ok()).expect("a number");
        let hash = keccak256(&entries[index]).to_string();
        let error = refused["error"].as_str().unwrap_or("no error");
        assert_eq!(refused["status"], "error", "{origin}: {error}");
        assert!(error.contains(&hash), "{origin}: {hash} is not in {error:?}");
    }
    entries.len()
}

#[test]
fn a_witness_is_the_same_from_a_flat_state_and_from_another_witness() {
    let sample = Sample::new();
    let mut made = Vec::new();
    for (format, value) in [("flat", sample.flat()), ("witness", sample.witness())] {
        let (from, to) = (Folder::new(format), Folder::new("out"));
        let replayed = written(&from.write("block.json", value.to_string()), &to);
        assert_eq!(replayed.only(), ("ok", ""), "{format}");
        assert_eq!(replayed.blocks[0]["not_checked"], json!([]), "{format}");
        let file = to.path().join("mainnet-15600000.json");
        let again = replay(&["--repeat", "1"], &file);
        assert_eq!(again.only(), ("ok", ""), "{format}");
        let checked = again.blocks[0]["checked"].to_string();
        assert!(checked.contains("\"state_root\""), "{checked}");
        let block = read(&file);
        assert_eq!(block["hash"], value["hash"]);
        // Three senders, three targets, the beneficiary, and a slot.
        assert_eq!(list(&block, "keys").len(), 3 + 3 + 1 + 1);
        assert_eq!(list(&block, "codes").len(), 1);
        made.push((list(&block, "state"), list(&block, "headers")));
    }
    let [(flat, no_headers), (witness, headers)] = made.as_slice() else { panic!("two") };
    assert_eq!(flat, witness);
    assert!(witness.len() < list(&sample.witness(), "state").len());
    // A flat prestate comes without its ancestors.
    assert_eq!((no_headers.len(), headers.len()), (0, 1));
}

#[test]
fn a_witness_holds_nothing_that_is_not_needed() {
    let (from, to) = (Folder::new("sample"), Folder::new("out"));
    let value = Sample::new().witness().to_string();
    written(&from.write("block.json", value), &to);
    let block = read(&to.path().join("mainnet-15600000.json"));
    assert!(without_any(&block, "state", "nodes") > 10);
    assert_eq!(without_any(&block, "codes", "codes"), 1);
}

#[test]
fn a_flat_prestate_that_is_not_the_whole_state_gives_no_witness() {
    let sample = Sample::new().with_header(|header| header.state_root = B256::repeat_byte(5));
    let out = Folder::new("out");
    let path = out.path().to_str().expect("a plain name");
    let arguments = ["--repeat", "1", "--witness-out", path];
    let replayed = replay_json("partial", &sample.flat(), &arguments);
    let (status, error) = replayed.only();
    assert_eq!(status, "error");
    assert!(error.contains("not the whole state"), "{error}");
    assert_eq!(fs::read_dir(out.path()).expect("the folder").count(), 0);
}

/// Of real blocks: each witness is written, is not larger than the one given, and holds.
#[test]
fn real_blocks_give_witnesses_that_hold() {
    let Some(fixtures) = env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: witnesses of 17 real blocks; set PLEACH_FIXTURES"
        );
        return;
    };
    let given = fixtures.join("blocks/witness");
    let out = Folder::new("real");
    let replayed = written(&given, &out);
    assert_eq!((replayed.code, replayed.blocks.len()), (0, 17), "{:?}", replayed.summary);
    for threads in ["1", "8"] {
        let again =
            replay(&["--repeat", "1", "--threads", threads, "--force-parallel"], out.path());
        for block in again.blocks.iter().filter(|block| block["status"] != "ok") {
            eprintln!("{block}");
        }
        assert_eq!((again.code, again.blocks.len()), (0, 17));
        let roots = again.blocks.iter().filter(|b| b["checked"].to_string().contains("state_root"));
        assert_eq!(roots.count(), 17, "each of them checks its root");
    }
    // Two that are small enough to try each of their nodes.
    for small in ["holesky-2971844", "mainnet-1"] {
        let block = read(&out.path().join(small).with_extension("json"));
        assert!(without_any(&block, "state", small) > 2);
    }
}

/// Before Byzantium a receipt holds the state root after its transaction, which the tries give.
#[test]
fn receipts_before_byzantium_are_checked() {
    let Some(fixtures) = env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        let _ = writeln!(std::io::stderr(), "skipped: the block of the DAO; set PLEACH_FIXTURES");
        return;
    };
    let out = Folder::new("dao");
    let replayed = written(&fixtures.join("blocks/witness/mainnet-1920000.json.gz"), &out);
    assert_eq!(replayed.only(), ("ok", ""));
    let checked = replayed.blocks[0]["checked"].to_string();
    assert!(checked.contains("\"receipts_root\""), "{checked}");
    assert_eq!(replayed.blocks[0]["not_checked"], json!([]));

    let mut block = read(&out.path().join("mainnet-1920000.json"));
    let rlp: Bytes = serde_json::from_value(block["block"].clone()).expect("bytes in hex");
    let mut decoded =
        alloy_rlp::decode_exact::<Block<TxEnvelope>>(&rlp).expect("the block of the DAO");
    decoded.header.receipts_root = B256::repeat_byte(6);
    block["block"] = json!(Bytes::from(alloy_rlp::encode(&decoded)));
    block["hash"] = json!(decoded.header.hash_slow());
    let replayed = replay_json("dao", &block, &["--repeat", "1"]);
    let (status, error) = replayed.only();
    assert_eq!(status, "mismatch", "{error}");
    assert!(error.contains("receipts_root: expected 0x0606"), "{error}");
}
