//! The official vectors of secure tries. `PLEACH_FIXTURES` says where they are.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use alloy_primitives::{B256, hex, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use serde_json::Value as Json;

use super::{
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
        trie.fork(cx).expect("nothing is hidden");
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

#[test]
fn secure_tries_have_the_official_roots() {
    let Some(fixtures) = env::var_os("PLEACH_FIXTURES").map(PathBuf::from) else {
        eprintln!("skipped: the official trie vectors (PLEACH_FIXTURES is not set)");
        return;
    };
    let folder = fixtures.join("vectors/ethereum-tests/TrieTests");
    let mut cases = 0;
    for name in ["trietest_secureTrie", "trieanyorder_secureTrie", "hex_encoded_securetrie_test"] {
        let path = folder.join(name).with_extension("json");
        let text = fs::read_to_string(&path).expect("the vectors are there");
        let vectors: BTreeMap<String, Json> = serde_json::from_str(&text).expect("they are JSON");
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
