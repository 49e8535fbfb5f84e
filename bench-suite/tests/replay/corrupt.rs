//! `pleach replay` on damaged blocks: a typed error or a named mismatch, exit status 1, no panic.

use crate::support::{Folder, Sample, gzip, replay, replay_json};
use alloy_primitives::{B256, Bytes};
use serde_json::{Value, json};

const FAST: [&str; 4] = ["--repeat", "1", "--threads", "2"];

/// Asserts that a block is refused with this status, and that the error names this.
fn refused(test: &str, value: &Value, status: &str, names: &str) {
    let replayed = replay_json(test, value, &FAST);
    let (got, error) = replayed.only();
    assert_eq!(got, status, "{error}");
    assert!(error.contains(names), "{names:?} is not in {error:?}");
    assert_eq!(replayed.code, 1);
    assert_eq!(replayed.summary["ok"], 0);
    assert_eq!(replayed.summary[status], 1);
}

#[test]
fn a_cut_gzip_stream_is_named_wherever_it_is_cut() {
    let whole = gzip(Sample::new().witness().to_string().as_bytes());
    let folder = Folder::new("cut");
    let lengths: Vec<_> = (2..whole.len()).step_by(whole.len() / 40).collect();
    for length in &lengths {
        folder.write(&format!("{length}.json.gz"), &whole[..*length]);
    }
    let replayed = replay(&FAST, folder.path());
    assert_eq!((replayed.code, replayed.blocks.len()), (1, lengths.len()));
    for block in &replayed.blocks {
        let error = block["error"].as_str().unwrap();
        assert!(error.contains("the gzip stream is cut or damaged"), "{error}");
        assert!(block["origin"].as_str().unwrap().ends_with(".json.gz"));
    }
}

#[test]
fn bad_json_is_told_from_json_of_another_kind() {
    let folder = Folder::new("json");
    let whole = Sample::new().flat().to_string();
    let cut = folder.write("cut.json", &whole[..whole.len() / 2]);
    let other = folder.write("other.json", r#"[{"file": "x"}]"#);
    for (path, names) in [(cut, "not valid JSON"), (other, "not a block in a known format")] {
        let replayed = replay(&FAST, &path);
        let (status, error) = replayed.only();
        assert_eq!((status, replayed.code), ("error", 1));
        assert!(error.contains(names), "{error}");
    }
}

#[test]
fn a_field_that_is_missing_or_no_hex_is_named() {
    for field in ["network", "number", "hash", "block"] {
        let mut value = Sample::new().witness();
        value.as_object_mut().unwrap().remove(field);
        refused("field", &value, "error", &format!("missing field `{field}`"));
    }
    let mut value = Sample::new().witness();
    value["witness"]["state"][0] = json!("0xzz");
    refused("hex", &value, "error", "not a block in a known format");
    let mut value = Sample::new().flat();
    value.as_object_mut().unwrap().remove("accounts");
    refused("prestate", &value, "error", "the block has no prestate");
}

/// Each byte in turn: the header is covered by the hash, the body by the header's roots.
#[test]
fn no_flipped_byte_in_the_block_goes_unnoticed() {
    let sample = Sample::new();
    let rlp = alloy_rlp::encode(&sample.block);
    let folder = Folder::new("flip");
    let mut value = sample.flat();
    for index in 0..rlp.len() {
        let mut flipped = rlp.clone();
        flipped[index] ^= 1 << (index % 8);
        value["block"] = json!(Bytes::from(flipped));
        folder.write(&format!("{index:04}.json"), value.to_string());
    }
    let replayed = replay(&FAST, folder.path());
    assert_eq!((replayed.code, replayed.blocks.len()), (1, rlp.len()));
    for block in &replayed.blocks {
        assert_ne!(block["status"], "ok", "{block}");
        assert!(!block["error"].as_str().unwrap().is_empty());
    }
}

#[test]
fn what_the_file_says_of_the_block_must_hold() {
    let mut value = Sample::new().witness();
    value["hash"] = json!(B256::repeat_byte(1));
    refused("hash", &value, "error", "field \"hash\" does not match the block");
    let mut value = Sample::new().witness();
    value["number"] = json!(7);
    refused("number", &value, "error", "field \"number\" does not match the block: expected 7");
    let mut value = Sample::new().witness();
    value["pre_state_root"] = json!(B256::repeat_byte(1));
    refused("root", &value, "error", "pre_state_root: expected 0x");
    let mut value = Sample::new().witness();
    value["block"] = json!(format!("{}00", value["block"].as_str().unwrap()));
    refused("trailing", &value, "error", "the block's RLP ends after");
}

#[test]
fn ancestors_must_lead_to_the_block() {
    let mut value = Sample::new().witness();
    value["witness"]["headers"][0] = json!("0xc0");
    refused("ancestor", &value, "error", "entry 0: the header's RLP does not decode");
    let mut value = Sample::new().witness();
    let other = alloy_rlp::encode(alloy_consensus::Header::default());
    value["witness"]["headers"].as_array_mut().unwrap().push(json!(Bytes::from(other)));
    refused("ancestry", &value, "error", "entry 1: its parent hash is not");
    let mut value = Sample::new().witness();
    let stranger = Sample::new().with_header(|header| header.parent_hash = B256::repeat_byte(3));
    for field in ["hash", "block"] {
        value[field] = stranger.witness()[field].clone();
    }
    refused("parent", &value, "error", "the last header is");
}

#[test]
fn a_wrong_header_is_a_named_mismatch() {
    let wrong = |change: fn(&mut alloy_consensus::Header)| Sample::new().with_header(change);
    let other = B256::repeat_byte(9);
    let cases = [
        ("gas_used: expected 1, got 68393", wrong(|h| h.gas_used = 1)),
        ("receipts_root: expected 0x", wrong(|h| h.receipts_root = B256::repeat_byte(9))),
        ("transactions_root: expected 0x", wrong(|h| h.transactions_root = B256::repeat_byte(9))),
        ("logs_bloom: expected 0x", wrong(|h| h.logs_bloom.0[0] ^= 1)),
        ("withdrawals_root: expected 0x", wrong(|h| h.withdrawals_root = Some(B256::ZERO))),
    ];
    for (names, sample) in cases {
        refused("header-flat", &sample.flat(), "mismatch", names);
        refused("header-witness", &sample.witness(), "mismatch", names);
    }
    // A flat prestate is no trie, so only a witness tells.
    let wrong_root = wrong(|h| h.state_root = B256::repeat_byte(9));
    let names = "after serial execution; state_root: expected 0x";
    refused("header-state", &wrong_root.witness(), "mismatch", names);
    assert_eq!(replay_json("state", &wrong_root.flat(), &FAST).only(), ("ok", ""));
    let replayed =
        replay_json("named", &wrong(|h| h.receipts_root = B256::repeat_byte(9)).flat(), &FAST);
    let mismatch = &replayed.blocks[0]["mismatches"][0];
    assert_eq!(mismatch["what"], "receipts_root");
    assert_eq!(mismatch["expected"], json!(other));
    assert!(mismatch["got"].as_str().unwrap().starts_with("0x"));
}

#[test]
fn a_missing_account_is_noticed() {
    let mut sample = Sample::new();
    sample.accounts.remove(&sample.senders[1]);
    refused("sender", &sample.flat(), "error", "transaction 1: ");
    let mut sample = Sample::new();
    sample.accounts.remove(&sample.counter);
    refused("contract", &sample.flat(), "mismatch", "gas_used: expected 68393, got 63000");
}

#[test]
fn a_missing_code_is_named() {
    let mut value = Sample::new().flat();
    value["codes"] = json!([]);
    refused("code-flat", &value, "error", "missing code: no bytecode with hash 0x");
    let mut value = Sample::new().witness();
    value["witness"]["codes"] = json!([]);
    refused("code-witness", &value, "error", "missing code: no bytecode with hash 0x");
}

/// Without a node the block is refused by that node's hash, unless it never reads through it.
#[test]
fn a_missing_trie_node_is_named() {
    let whole = Sample::new().witness();
    let nodes = whole["witness"]["state"].as_array().unwrap().clone();
    let folder = Folder::new("node");
    for index in 0..nodes.len() {
        let mut value = whole.clone();
        value["witness"]["state"].as_array_mut().unwrap().remove(index);
        folder.write(&format!("{index:04}.json"), value.to_string());
    }
    let replayed = replay(&FAST, folder.path());
    assert_eq!((replayed.code, replayed.blocks.len()), (1, nodes.len()));
    let mut missing = 0;
    for (block, node) in replayed.blocks.iter().zip(nodes) {
        if block["status"] == "ok" {
            continue;
        }
        let rlp: Bytes = serde_json::from_value(node).unwrap();
        let names = format!("missing trie node {} at path \"", alloy_primitives::keccak256(rlp));
        let error = block["error"].as_str().unwrap();
        assert!(error.contains(&names), "{names:?} is not in {error:?}");
        assert!(error.contains("\", needed for "), "{error:?} does not say for whom");
        missing += 1;
    }
    assert!(missing >= 6, "the roots and the leaves of all that the block reads: {missing}");
}

/// A flipped byte changes a node's hash, so a damaged node is a missing one.
#[test]
fn a_damaged_trie_node_is_never_believed() {
    let mut value = Sample::new().witness();
    for node in value["witness"]["state"].as_array_mut().unwrap() {
        let mut rlp: Vec<u8> = serde_json::from_value::<Bytes>(node.clone()).unwrap().into();
        rlp[5] ^= 1;
        *node = json!(Bytes::from(rlp));
    }
    refused("damaged", &value, "error", "missing trie node");
}

#[test]
fn an_unknown_network_is_an_error() {
    let mut value = Sample::new().flat();
    value["network"] = json!("ropsten");
    refused("network", &value, "error", "unknown chain \"ropsten\": known are mainnet");
}

#[test]
fn an_empty_folder_and_a_path_that_is_not_there_are_errors() {
    let folder = Folder::new("empty");
    for (path, names) in [
        (folder.path().to_owned(), "holds no block"),
        (folder.path().join("none"), "cannot be read: No such file"),
    ] {
        let replayed = replay(&FAST, &path);
        let (status, error) = replayed.only();
        assert_eq!((status, replayed.code), ("error", 1));
        assert!(error.contains(names), "{error}");
    }
}
