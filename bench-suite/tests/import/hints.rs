//! What is said of a block's reads and writes beforehand changes no result, be it right or wrong.

use std::sync::{Arc, LazyLock, atomic::AtomicBool};

use alloy_consensus::{Block, TxEnvelope};
use alloy_eips::eip7928::{AccountChanges, BlockAccessIndex, SlotChanges, StorageChange};
use alloy_primitives::{Address, U256};
use pleach_bench_suite::workload::{TestChain, amsterdam_chain};
use pleach_engine::{
    AccessList, ListFault,
    import::{
        GivenList, ImportError, ImportEvent, ImportFailure, ImportReport, Refused, SourcedBlock,
        UnusedList,
    },
    validate::OutputError,
};

use super::support::{CHAIN, InMemory, sourced};

type Entries = Vec<AccountChanges>;

/// The same rules, but that headers name their blocks' access lists.
static AMSTERDAM: LazyLock<TestChain> = LazyLock::new(|| amsterdam_chain(2, 6, 10));
/// The access list of each block of [`CHAIN`], and of [`AMSTERDAM`].
static LISTS: LazyLock<Vec<Entries>> = LazyLock::new(|| lists_of(&CHAIN));
static AMSTERDAM_LISTS: LazyLock<Vec<Entries>> = LazyLock::new(|| lists_of(&AMSTERDAM));

/// The lists that an import tells of.
fn lists_of(chain: &TestChain) -> Vec<Entries> {
    let mut store = InMemory::with_genesis(&chain.genesis, 4);
    store.importer.config.access_lists = true;
    let blocks = chain.blocks.iter().map(|block| Ok(sourced(block.clone())));
    let mut lists = Vec::new();
    let mut tell = |event| {
        if let ImportEvent::AccessList { number, list } = event {
            lists.push(list);
            assert_eq!(number, lists.len() as u64);
        }
    };
    store.import_all(blocks, &AtomicBool::new(false), &mut tell).unwrap();
    assert_eq!(lists.len(), chain.blocks.len());
    lists
}

/// Why lists were of no use, by the number of their block.
type Unused = Vec<(u64, UnusedList)>;

/// What an import with lists gave.
struct Imported {
    store: InMemory,
    report: Result<ImportReport, ImportFailure>,
    unused: Unused,
}

fn given(block: &Block<TxEnvelope>, entries: &Entries) -> GivenList {
    let list = AccessList::new(entries.clone(), block.body.transactions.len());
    list.map(Arc::new).map_err(Box::new)
}

/// Imports a chain with these lists.
fn import(chain: &TestChain, lists: &[Entries], commit_blocks: usize) -> Imported {
    let mut store = InMemory::with_genesis(&chain.genesis, commit_blocks);
    store.importer.config.prefetch_threads = 2;
    let blocks = chain.blocks.iter().zip(lists).map(|(block, entries)| {
        let access_list = Some(given(block, entries));
        Ok(SourcedBlock { access_list, ..sourced(block.clone()) })
    });
    let mut unused = Unused::new();
    let mut tell = |event| {
        if let ImportEvent::ListUnused { number, reason } = event {
            unused.push((number, *reason));
        }
    };
    let report = store.import_all(blocks, &AtomicBool::new(false), &mut tell);
    Imported { store, report, unused }
}

/// Imports the chain with lists that may be wrong, which must leave the same tables as without.
fn import_same(lists: &[Entries], commit_blocks: usize) -> (ImportReport, Unused) {
    static WITHOUT: LazyLock<InMemory> = LazyLock::new(|| {
        let without = InMemory::new(4);
        without.import(CHAIN.blocks.clone()).unwrap();
        without
    });
    let Imported { store, report, unused } = import(&CHAIN, lists, commit_blocks);
    let report = report.unwrap();
    assert_eq!(report.blocks, 12);
    assert_eq!(report.lists_unused, unused.len() as u64);
    assert!(store.dump() == WITHOUT.dump());
    (report, unused)
}

#[test]
fn blocks_are_executed_with_their_access_lists() {
    for commit_blocks in [1, 4] {
        let (report, unused) = import_same(&LISTS, commit_blocks);
        assert_eq!((report.listed, unused), (12, Unused::new()));
    }
}

#[test]
fn wrong_access_lists_leave_the_same_tables_and_are_named() {
    let mut others: Vec<_> = LISTS.clone();
    others.rotate_left(5);
    let empty = vec![Entries::new(); LISTS.len()];
    for lists in [&others, &empty] {
        for commit_blocks in [1, 4] {
            let (report, unused) = import_same(lists, commit_blocks);
            assert_eq!((report.listed, unused.len()), (0, 12));
            let is_named = |(_, reason): &(u64, UnusedList)| matches!(reason, UnusedList::Wrong(_));
            assert!(unused.iter().all(is_named), "{unused:?}");
        }
    }
    // One wrong list among right ones: the tries go back to before its block, and on from there.
    for at in [0, 5, 11] {
        let mut lists = LISTS.clone();
        let account = lists[at].iter_mut().find(|account| !account.balance_changes.is_empty());
        account.unwrap().balance_changes[0].post_balance += U256::ONE;
        for commit_blocks in [1, 4, 100] {
            let (report, unused) = import_same(&lists, commit_blocks);
            assert_eq!(report.listed, 11);
            assert!(matches!(unused[..], [(number, _)] if number == at as u64 + 1), "{unused:?}");
        }
    }
}

/// Lists out of order are none, and say so.
#[test]
fn access_lists_out_of_order_leave_the_same_tables_and_are_named() {
    let mut lists = LISTS.clone();
    lists[3].reverse();
    let twice = lists[7][0].clone();
    lists[7].insert(0, twice);
    let (report, unused) = import_same(&lists, 4);
    assert_eq!(report.listed, 10);
    let structure = |(number, reason): &(u64, UnusedList)| match reason {
        UnusedList::Wrong(ListFault::Structure(_)) => *number,
        _ => panic!("{reason}"),
    };
    assert_eq!(unused.iter().map(structure).collect::<Vec<_>>(), [4, 8]);
}

/// Accounts that are not there, slots of accounts that have none, and of those that do.
#[test]
fn access_lists_about_nothing_leave_the_same_tables() {
    let strangers = (1..=200_u8).map(|byte| strange(Address::repeat_byte(byte)));
    let strangers: Entries = strangers.collect();
    let mut mixed = LISTS.clone();
    for entries in &mut mixed {
        *entries = entries.iter().map(|entry| strange(entry.address)).collect();
    }
    for lists in [vec![strangers; LISTS.len()], mixed] {
        let (report, _) = import_same(&lists, 4);
        assert_eq!((report.listed, report.lists_unused), (0, 12));
    }
}

/// Where the header names a list, only that one is used; a block with another is imported without.
#[test]
fn only_the_list_that_the_header_names_is_used() {
    let without = InMemory::with_genesis(&AMSTERDAM.genesis, 4);
    without.import(AMSTERDAM.blocks.clone()).unwrap();
    let with = import(&AMSTERDAM, &AMSTERDAM_LISTS, 4);
    assert_eq!((with.report.unwrap().listed, with.unused), (6, Unused::new()));
    assert!(with.store.dump() == without.dump());
    let mut others = AMSTERDAM_LISTS.clone();
    others.swap(1, 2);
    let with = import(&AMSTERDAM, &others, 4);
    assert_eq!(with.report.unwrap().listed, 4);
    let headers = &AMSTERDAM.blocks;
    for (number, reason) in &with.unused {
        let UnusedList::NotTheHeaders { header, given } = reason else { panic!("{reason}") };
        let named = |number: u64| headers[number as usize - 1].header.block_access_list_hash;
        assert_eq!((Some(*header), Some(*given)), (named(*number), named(5 - number)));
    }
    assert_eq!(with.unused.len(), 2);
    assert!(with.store.dump() == without.dump());
}

/// A block whose header names a list of something else is refused, whether the list came along or
/// not, and all before it are kept.
#[test]
fn a_block_that_is_not_what_its_list_says_is_refused() {
    let mut chain = AMSTERDAM.clone();
    let mut lists = AMSTERDAM_LISTS.clone();
    let account = lists[3].iter_mut().find(|account| !account.balance_changes.is_empty()).unwrap();
    let address = account.address;
    account.balance_changes[0].post_balance += U256::ONE;
    let list = given(&chain.blocks[3], &lists[3]).unwrap();
    chain.blocks[3].header.block_access_list_hash = Some(list.hash());
    for commit_blocks in [1, 100] {
        let with = import(&chain, &lists, commit_blocks);
        let refused = with.report.unwrap_err();
        assert_eq!(refused.report.as_ref().map(|report| report.head.number), Some(3));
        let ImportError::Refused { number: 4, reason, .. } = refused.error else {
            panic!("{}", refused.error)
        };
        let named = match &*reason {
            Refused::AccessList(ListFault::Change { address, .. }) => *address,
            _ => panic!("{reason}"),
        };
        assert_eq!(named, address);
        let without = InMemory::with_genesis(&chain.genesis, commit_blocks);
        let refused = without.import(chain.blocks.clone()).unwrap_err();
        assert_eq!(refused.report.as_ref().map(|report| report.head.number), Some(3));
        assert!(
            matches!(
                &refused.error,
                ImportError::Refused { number: 4, reason, .. }
                    if matches!(**reason, Refused::Output(OutputError::AccessListHash { .. }))
            ),
            "{}",
            refused.error
        );
        assert!(with.store.dump() == without.dump());
    }
}

/// The root from the list is compared with the header's, and what it did to the tries is undone.
#[test]
fn a_wrong_state_root_is_refused_with_a_right_list() {
    let mut chain = CHAIN.clone();
    chain.blocks[4].header.state_root.0[7] ^= 1;
    for commit_blocks in [1, 3, 100] {
        let with = import(&chain, &LISTS, commit_blocks);
        let refused = with.report.unwrap_err();
        assert_eq!(refused.report.as_ref().map(|report| report.head.number), Some(4));
        let ImportError::Refused { number: 5, reason, .. } = refused.error else {
            panic!("{}", refused.error)
        };
        let Refused::StateRoot { computed, .. } = *reason else { panic!("{reason}") };
        assert_eq!(computed, CHAIN.blocks[4].header.state_root);
        let without = InMemory::new(commit_blocks);
        without.import(chain.blocks.clone()).unwrap_err();
        assert!(with.store.dump() == without.dump());
        // The same store takes the chain as it should be.
        let report = with.store.import(CHAIN.blocks.clone()).unwrap();
        assert_eq!((report.blocks, report.known), (8, 4));
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
