//! The official vectors of RLP and of secure tries. `PLEACH_FIXTURES` says where they are.
//!
//! Those of other tries have keys of any length, one of which may end within another: the state's
//! tries have none such.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use alloy_primitives::{B256, Bytes, U512, hex, keccak256};
use alloy_rlp::{Encodable, Header};
use alloy_trie::EMPTY_ROOT_HASH;
use serde_json::Value as Json;

use super::{
    decode::RawNode,
    encode::{list_header, string},
    reveal::{Reading, Siblings},
    source::NoNodes,
    trie::Trie,
    update::Change,
    value::Value,
    workers::TrieWorkers,
};

/// What the vectors put into tries: any bytes.
impl Value for Vec<u8> {
    const KIND: &'static str = "text";

    type Edit = Self;

    fn edited(edit: &Self, _: Option<&Self>) -> Self {
        edit.clone()
    }

    fn encode<'a>(&self, buffer: &'a mut [u8; 128]) -> &'a [u8] {
        buffer[..self.len()].copy_from_slice(self);
        &buffer[..self.len()]
    }

    fn decode(rlp: &[u8]) -> alloy_rlp::Result<Self> {
        Ok(rlp.to_vec())
    }
}

fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).expect("hex digits"),
        None => text.as_bytes().to_vec(),
    }
}

/// Changes in their order: a list of pairs, or an object in any order.
fn changes(input: &Json) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let text = |value: &Json| value.as_str().map(bytes);
    match input {
        Json::Array(pairs) => {
            let pair = |pair: &Json| (text(&pair[0]).expect("a key"), text(&pair[1]));
            pairs.iter().map(pair).collect()
        }
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| (bytes(key), text(value))).collect()
        }
        other => panic!("neither a list nor an object: {other}"),
    }
}

fn apply(trie: &mut Trie<Vec<u8>>, mut changes: Vec<Change<Vec<u8>>>, workers: &TrieWorkers) {
    let cx = Reading { source: &NoNodes, owner: None, siblings: Siblings::MustBeKnown };
    changes.sort_by_key(|change| change.key);
    let parts = trie.part_changes(&changes, None).collect();
    workers.update(parts, cx).expect("nothing is hidden");
    trie.settle_root(workers.hashing(), cx).expect("nothing is hidden");
}

/// The root after all changes: one at a time, or all in one update, in one part or sixteen.
fn root(changes: &[(Vec<u8>, Option<Vec<u8>>)], at_once: bool, forked: bool) -> B256 {
    let workers = TrieWorkers::default();
    let mut trie = Trie::hidden(EMPTY_ROOT_HASH);
    if forked {
        let cx = Reading { source: &NoNodes, owner: None, siblings: Siblings::MustBeKnown };
        trie.fork(workers.hashing(), cx).expect("nothing is hidden");
    }
    let all = changes.iter().map(|(key, value)| (keccak256(key), value.clone()));
    if at_once {
        let last: BTreeMap<_, _> = all.collect();
        let changes = last.into_iter().map(|(key, edit)| Change { key, edit }).collect();
        apply(&mut trie, changes, &workers);
    } else {
        all.for_each(|(key, edit)| apply(&mut trie, vec![Change { key, edit }], &workers));
    }
    trie.root()
}

/// The vectors in a file; none where there are no fixtures.
fn vectors(name: &str) -> Option<BTreeMap<String, Json>> {
    let Some(fixtures) = env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        eprintln!("skipped: the official vectors in {name} (PLEACH_FIXTURES is not set)");
        return None;
    };
    let path = fixtures.join("vectors/ethereum-tests").join(name).with_extension("json");
    let text = fs::read_to_string(&path).expect("the vectors are there");
    Some(serde_json::from_str(&text).expect("they are JSON"))
}

/// RLP of what a vector describes, made as tries make it, where tries make strings so long.
fn encoded(input: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    let mut text = |bytes: &[u8]| match bytes.len() {
        0..=255 => string(bytes, &mut out),
        _ => bytes.encode(&mut out),
    };
    match input {
        Json::Array(items) => {
            let items: Vec<u8> = items.iter().flat_map(encoded).collect();
            list_header(items.len(), &mut out);
            out.extend(items);
        }
        Json::Number(number) => {
            let number = number.as_u64().expect("a small one").to_be_bytes();
            text(&number[number.iter().take_while(|byte| **byte == 0).count()..]);
        }
        Json::String(digits) if digits.starts_with('#') => {
            let number = U512::from_str_radix(&digits[1..], 10).expect("digits");
            text(&number.to_be_bytes_trimmed_vec());
        }
        Json::String(characters) => text(characters.as_bytes()),
        other => panic!("neither text, number nor list: {other}"),
    }
    out
}

/// Reads one item with all below it, and writes it again.
fn read_and_written(rlp: &mut &[u8]) -> alloy_rlp::Result<Vec<u8>> {
    let Header { list, payload_length } = Header::decode(rlp)?;
    let Some((mut payload, rest)) = rlp.split_at_checked(payload_length) else {
        return Err(alloy_rlp::Error::InputTooShort);
    };
    *rlp = rest;
    let mut out = Vec::new();
    if !list {
        payload.encode(&mut out);
        return Ok(out);
    }
    let mut items = Vec::new();
    while !payload.is_empty() {
        items.extend(read_and_written(&mut payload)?);
    }
    list_header(items.len(), &mut out);
    out.extend(items);
    Ok(out)
}

#[test]
fn rlp_is_written_as_the_official_vectors_say() {
    let Some(vectors) = vectors("RLPTests/rlptest") else { return };
    assert_eq!(vectors.len(), 28);
    for (case, vector) in vectors {
        let expected = Bytes::from(bytes(vector["out"].as_str().expect("digits")));
        assert_eq!(Bytes::from(encoded(&vector["in"])), expected, "{case}");
        let again = read_and_written(&mut &expected[..]).expect("it is RLP");
        assert_eq!(Bytes::from(again), expected, "{case}");
    }
}

#[test]
fn what_is_no_rlp_is_refused() {
    let Some(vectors) = vectors("RLPTests/invalidRLPTest") else { return };
    assert_eq!(vectors.len(), 26);
    for (case, vector) in vectors {
        let given = bytes(vector["out"].as_str().expect("digits"));
        let mut rest = given.as_slice();
        let read = read_and_written(&mut rest);
        assert!(read.is_err() || !rest.is_empty(), "{case}: {read:?}");
        assert!(RawNode::decode(&given).is_err(), "{case} is no node");
    }
}

#[test]
fn secure_tries_have_the_official_roots() {
    let mut cases = 0;
    for name in ["trietest_secureTrie", "trieanyorder_secureTrie", "hex_encoded_securetrie_test"] {
        let Some(vectors) = vectors(&format!("TrieTests/{name}")) else { return };
        for (case, vector) in vectors {
            let changes = changes(&vector["in"]);
            let expected: B256 = vector["root"].as_str().expect("a root").parse().expect("a hash");
            for (at_once, forked) in [(false, false), (true, false), (false, true), (true, true)] {
                let got = root(&changes, at_once, forked);
                assert_eq!(got, expected, "{name}: {case}, at once {at_once}, forked {forked}");
            }
            cases += 1;
        }
    }
    assert_eq!(cases, 13, "the files hold 3, 7 and 3 cases");
}
