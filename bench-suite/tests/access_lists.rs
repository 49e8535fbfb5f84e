//! Official block access lists (EIP-7928): decoded, encoded, hashed. Where `PLEACH_FIXTURES` names
//! no folder with them, the test says so and passes.

use std::io::Write as _;
use std::{num::NonZeroUsize, path::Path};

use alloy_eips::eip7928::BlockAccessList;
use alloy_primitives::B256;
use pleach_bench_suite::conformance::{Selection, Source};
use pleach_engine::{AccessList, ListFault};
use serde_json::Value;

/// A list of an official block, the hash in its header, and its number of transactions.
fn listed(block: &Value) -> Option<(BlockAccessList, B256, usize)> {
    if block.get("expectException").is_some() {
        return None;
    }
    let list = serde_json::from_value(block.get("blockAccessList")?.clone()).unwrap();
    let hash = block["blockHeader"]["blockAccessListHash"].as_str()?.parse().unwrap();
    Some((list, hash, block["transactions"].as_array()?.len()))
}

#[test]
fn official_lists_have_the_hashes_of_their_headers() {
    let Some(root) = std::env::var_os("PLEACH_FIXTURES") else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(std::io::stderr(), "skipped: official lists; set PLEACH_FIXTURES");
        return;
    };
    let path = Path::new(&root).join("eest/amsterdam-bal-v5.7.0.tar.zst");
    let source = Source::at(&path).unwrap().remove(0);
    let selection = Selection { filter: None, sample: NonZeroUsize::new(3).unwrap() };
    let (mut lists, mut changes) = (0, 0);
    let read = source.read(&selection, |name, bytes| {
        let tests: Value = serde_json::from_slice(&bytes).unwrap();
        for block in tests.as_object().unwrap().values().filter_map(|t| t["blocks"].as_array()) {
            for (list, hash, transactions) in block.iter().filter_map(listed) {
                let rlp = alloy_rlp::encode(&list);
                let decoded = AccessList::decode(&rlp, transactions);
                let decoded = decoded.unwrap_or_else(|fault| panic!("{name}: {fault}"));
                assert_eq!((decoded.entries(), decoded.hash()), (&list, hash), "{name}");
                check_damage(&rlp, &list, transactions);
                lists += 1;
                changes += list.iter().map(|account| account.balance_changes.len()).sum::<usize>();
            }
        }
        true
    });
    read.unwrap();
    assert!(lists > 300 && changes > 1_000, "{lists} lists, {changes} changes of balances");
}

/// Damaged lists are refused, and never by a panic.
fn check_damage(rlp: &[u8], list: &BlockAccessList, transactions: usize) {
    for cut in [0, rlp.len() / 2, rlp.len() - 1] {
        let cut = AccessList::decode(&rlp[..cut], transactions);
        assert!(matches!(cut, Err(ListFault::Rlp(_))), "{cut:?}");
    }
    let longer = [rlp, &[0x80]].concat();
    assert!(matches!(AccessList::decode(&longer, transactions), Err(ListFault::Rlp(_))));
    let mut doubled = list.clone();
    doubled.extend(list.last().cloned());
    let doubled = AccessList::new(doubled, transactions);
    assert!(list.is_empty() || matches!(doubled, Err(ListFault::Structure(_))), "{doubled:?}");
    let mut turned = list.clone();
    turned.reverse();
    let turned = AccessList::new(turned, transactions);
    assert!(list.len() < 2 || matches!(turned, Err(ListFault::Structure(_))), "{turned:?}");
}
