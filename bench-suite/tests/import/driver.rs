//! The library's importer on a small chain.

use std::sync::atomic::{AtomicBool, Ordering};

use pleach_engine::import::{ImportError, ImportEvent};

use super::support::{CHAIN, InMemory, sourced};

#[test]
fn a_chain_is_imported_whole_and_known_the_second_time() {
    let store = InMemory::new(1_024);
    let report = store.import(CHAIN.blocks.clone()).unwrap();
    let last = &CHAIN.blocks[11].header;
    assert_eq!((report.blocks, report.known, report.commits), (12, 0, 1));
    assert_eq!(
        report.txs,
        CHAIN.blocks.iter().map(|b| b.body.transactions.len() as u64).sum::<u64>()
    );
    assert_eq!(report.gas, CHAIN.blocks.iter().map(|b| b.header.gas_used).sum::<u64>());
    assert_eq!(store.head(), report.head);
    assert_eq!((report.head.number, report.head.hash), (12, last.hash_slow()));
    assert_eq!(report.head.state_root, last.state_root);
    let before = store.dump();
    let report = store.import(CHAIN.blocks.clone()).unwrap();
    assert_eq!((report.blocks, report.known, report.commits), (0, 12, 0));
    assert_eq!(store.dump(), before);
}

/// However blocks are batched, and however often an import begins anew, the tables are the same.
#[test]
fn batches_and_restarts_leave_the_same_tables() {
    let whole = InMemory::new(1_024);
    whole.import(CHAIN.blocks.clone()).unwrap();
    let expected = whole.dump();
    for commit_blocks in [1, 2, 5] {
        let store = InMemory::new(commit_blocks);
        let report = store.import(CHAIN.blocks.clone()).unwrap();
        assert_eq!(report.commits, 12_u64.div_ceil(commit_blocks as u64));
        assert!(store.dump() == expected, "{commit_blocks} blocks a commit");
    }
    let store = InMemory::new(3);
    for count in [1, 4, 4, 9, 12] {
        store.import(CHAIN.blocks[..count].to_vec()).unwrap();
    }
    assert!(store.dump() == expected);
}

#[test]
fn blocks_taken_back_and_imported_again_leave_the_same_tables() {
    let store = InMemory::new(4);
    let mut dumps = vec![store.dump()];
    for block in &CHAIN.blocks {
        store.import([block.clone()]).unwrap();
        dumps.push(store.dump());
    }
    for to in [11, 9, 4, 1, 0] {
        store.importer.store.unwind(to as u64).unwrap();
        assert_eq!(store.head().number, to as u64);
        let report = store.import(CHAIN.blocks.clone()).unwrap();
        assert_eq!((report.known, report.blocks), (to as u64, 12 - to as u64));
        assert!(store.dump() == dumps[12], "unwound to {to}");
    }
}

/// Little memory for what was read before changes nothing but time.
#[test]
fn without_room_for_caches_the_tables_are_the_same() {
    let expected = InMemory::new(3);
    expected.import(CHAIN.blocks.clone()).unwrap();
    let mut store = InMemory::new(3);
    (store.importer.config.cached_reads, store.importer.config.trie_nodes) = (0, 0);
    store.importer.config.recover_batch = 1;
    store.import(CHAIN.blocks.clone()).unwrap();
    assert!(store.dump() == expected.dump());
}

#[test]
fn a_stop_ends_after_the_block_in_hand_and_the_rest_comes_later() {
    let store = InMemory::new(1_024);
    let stop = AtomicBool::new(false);
    let mut durable = None;
    let blocks = CHAIN.blocks.iter().cloned().map(|block| Ok(sourced(block)));
    let report = store.import_all(blocks, &stop, &mut |event| match event {
        ImportEvent::Valid { number: 5, .. } => stop.store(true, Ordering::Relaxed),
        ImportEvent::Durable(head) => durable = Some(head),
        _ => {}
    });
    let report = report.unwrap();
    assert!(report.stopped);
    assert_eq!((report.blocks, store.head().number), (5, 5));
    assert_eq!(durable, Some(store.head()));
    let report = store.import(CHAIN.blocks.clone()).unwrap();
    assert_eq!((report.known, report.blocks, report.stopped), (5, 7, false));
}

#[test]
fn a_failing_source_loses_no_block_before_it() {
    let store = InMemory::new(1_024);
    let blocks = CHAIN.blocks[..7].iter().cloned().map(|block| Ok(sourced(block)));
    let blocks = blocks.chain([Err(ImportError::Source("the disk is gone".into()))]);
    let failed = store.import_all(blocks, &AtomicBool::new(false), &mut |_| ()).unwrap_err();
    assert!(matches!(failed.error, ImportError::Source(_)), "{failed}");
    assert_eq!(failed.report.unwrap().blocks, 7);
    assert_eq!(store.head().number, 7);
}

/// What is told to be durable is, at that moment.
#[test]
fn durable_blocks_are_in_the_store_when_they_are_told() {
    let store = InMemory::new(2);
    let mut told = Vec::new();
    let blocks = CHAIN.blocks.iter().cloned().map(|block| Ok(sourced(block)));
    let report = store.import_all(blocks, &AtomicBool::new(false), &mut |event| {
        if let ImportEvent::Durable(head) = event {
            assert_eq!(head, store.head());
            told.push(head.number);
        }
    });
    report.unwrap();
    assert_eq!(told, [2, 4, 6, 8, 10, 12]);
}
