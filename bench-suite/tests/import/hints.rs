//! What is said of a block's reads and writes beforehand changes no result, be it right or wrong.

use std::sync::{Arc, LazyLock, atomic::AtomicBool};

use alloy_eips::eip7928::{AccountChanges, BlockAccessIndex, SlotChanges, StorageChange};
use alloy_primitives::{Address, U256};
use pleach_engine::{AccessList, RecoveredBlock, execute_serial, import::SourcedBlock};

use super::support::{CHAIN, InMemory, sourced};

type Entries = Vec<AccountChanges>;

/// The access list of each block.
static LISTS: LazyLock<Vec<Entries>> = LazyLock::new(|| {
    let store = InMemory::new(1);
    let importer = &store.importer;
    let lists = CHAIN.blocks.iter().map(|block| {
        let recovered = RecoveredBlock::recover(block.clone(), true, &importer.accelerator);
        let snapshot = Arc::new(importer.store.snapshot().unwrap());
        let output = execute_serial(&importer.chain, &recovered.unwrap(), &snapshot, true).unwrap();
        store.import([block.clone()]).unwrap();
        output.access_list.unwrap()
    });
    lists.collect()
});

/// Imports the chain with these lists.
fn import(lists: &[Entries], commit_blocks: usize) -> InMemory {
    let mut store = InMemory::new(commit_blocks);
    store.importer.config.prefetch_threads = 2;
    let blocks = CHAIN.blocks.iter().zip(lists).map(|(block, entries)| {
        // Indices that the block does not have are no matter here.
        let list = AccessList::new(entries.clone(), 1_000).expect("it is in order");
        Ok(SourcedBlock { access_list: Some(Arc::new(list)), ..sourced(block.clone()) })
    });
    let report = store.import_all(blocks, &AtomicBool::new(false), &mut |_| ()).unwrap();
    assert_eq!(report.blocks, 12);
    store
}

#[test]
fn right_and_wrong_access_lists_leave_the_same_tables() {
    let without = InMemory::new(4);
    without.import(CHAIN.blocks.clone()).unwrap();
    let expected = without.dump();
    let mut others: Vec<_> = LISTS.clone();
    others.rotate_left(5);
    let empty = vec![Entries::new(); LISTS.len()];
    for lists in [&*LISTS, &others, &empty] {
        for commit_blocks in [1, 4] {
            assert!(import(lists, commit_blocks).dump() == expected);
        }
    }
}

/// Accounts that are not there, slots of accounts that have none, and of those that do.
#[test]
fn access_lists_about_nothing_leave_the_same_tables() {
    let without = InMemory::new(4);
    without.import(CHAIN.blocks.clone()).unwrap();
    let strangers = (1..=200_u8).map(|byte| strange(Address::repeat_byte(byte)));
    let strangers: Entries = strangers.collect();
    let mut mixed = LISTS.clone();
    for entries in &mut mixed {
        *entries = entries.iter().map(|entry| strange(entry.address)).collect();
    }
    for lists in [vec![strangers; LISTS.len()], mixed] {
        assert!(import(&lists, 4).dump() == without.dump());
    }
}

/// An account whose slots 0 to 9 are said to be written, and some others to be read.
fn strange(address: Address) -> AccountChanges {
    let change = StorageChange::new(BlockAccessIndex(1), U256::ONE);
    let written = (0..10).map(|slot| SlotChanges::new(U256::from(slot), vec![change.clone()]));
    let read = (100..110).map(|slot| U256::from(slot) << 200);
    AccountChanges {
        storage_changes: written.collect(),
        storage_reads: read.collect(),
        ..AccountChanges::new(address)
    }
}
