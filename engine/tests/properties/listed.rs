//! Execution with a block access list: a right one, and wrong ones of every kind.
//!
//! `PLEACH_CASES` and `PLEACH_SEED` mean what they do for random blocks.

use std::sync::Arc;

use alloy_eips::eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::{Address, Bytes, U256};
use pleach_engine::{
    AccessList, AfterBlock, BlockOutput, Engine, EngineConfig, ExecuteOptions, ListFault, Listed,
    ListedPart, execute_serial,
};
use pleach_state::mpt::{NoNodes, StateChanges, StateTrie, TrieWorkers};

use crate::{
    differential::number,
    support::{compare::Case, generate::generate, rng::Rng},
};

const DEFAULT_CASES: u64 = 1_500;
const THREADS: [usize; 3] = [1, 2, 8];

type List = Vec<AccountChanges>;

fn engines() -> Vec<Engine> {
    let engine = |threads| Engine::new(EngineConfig { threads }).expect("threads start");
    THREADS.into_iter().map(engine).collect()
}

/// Runs a property over blocks that are valid, each with its output and list.
fn for_valid_blocks(property: impl Fn(u64, &Case, &BlockOutput)) {
    let seeds = match number("PLEACH_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PLEACH_CASES").unwrap_or(DEFAULT_CASES),
    };
    for seed in seeds {
        let case = generate(seed);
        case.prestate.set_stalls(0);
        if let Ok(output) = execute_serial(&case.chain, &case.block, &case.prestate, true) {
            case.prestate.set_stalls([0, 5, 25][seed as usize % 3]);
            property(seed, &case, &output);
        }
    }
}

fn execute(engine: &Engine, case: &Case, list: List, wants_list: bool) -> Listed {
    let transactions = case.block.transactions().len();
    let list = Arc::new(AccessList::new(list, transactions).expect("the order is right"));
    let options = ExecuteOptions { access_list: wants_list, force_parallel: true, rehearse: false };
    let listed = engine.execute_listed(&case.chain, &case.block, &case.prestate, &list, options);
    listed.expect("the block is valid")
}

fn assert_same(expected: &BlockOutput, listed: &Listed, wants_list: bool, context: &str) {
    let access_list = expected.access_list.clone().filter(|_| wants_list);
    let expected = BlockOutput { access_list, ..expected.clone() };
    if let Some(difference) = expected.difference(&listed.output) {
        let changed =
            expected.bundle.state.iter().find(|(address, account)| {
                listed.output.bundle.state.get(*address) != Some(*account)
            });
        let got = changed.map(|(address, _)| listed.output.bundle.state.get(address));
        panic!("{context}: {difference} differs: {changed:?}, got {got:?}");
    }
}

/// With its own list, a block gives what it gives serially, each transaction run once.
#[test]
fn a_right_list_changes_nothing_and_costs_no_aborts() {
    let engines = engines();
    let (blocks, fell) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    for_valid_blocks(|seed, case, output| {
        let list = output.access_list.clone().expect("asked for");
        for engine in &engines {
            for wants_list in [false, true] {
                let listed = execute(engine, case, list.clone(), wants_list);
                let context = format!("PLEACH_SEED={seed}, {} threads", engine.threads());
                assert_eq!(listed.fault, None, "{context}");
                assert_same(output, &listed, wants_list, &context);
                let once = listed.metrics.executions == case.block.transactions().len() as u64;
                assert_eq!(once, listed.metrics.aborts == 0, "{context}");
                blocks.set(blocks.get() + 1);
                fell.set(fell.get() + u32::from(!once));
            }
        }
    });
    eprintln!("{} executions, {} fell back on the ordinary way", blocks.get(), fell.get());
    assert!(fell.get() * 2 < blocks.get() || number("PLEACH_SEED").is_some(), "{fell:?}");
}

/// A way to make a list wrong. Returns the fault to be found, or, where several may be found first,
/// nothing; `None` where the list has nothing to do it to.
type Mutation = fn(&mut List, &mut Rng, u64) -> Option<Option<ListFault>>;

const MUTATIONS: [(&str, Mutation); 12] = [
    ("an account is missing", lose_account),
    ("an account is surplus", add_account),
    ("a slot is missing", lose_slot),
    ("a read slot is surplus", add_read),
    ("a changed slot is surplus", add_changed_slot),
    ("a change of a slot has another value", change_slot),
    ("a change of a slot is missing", lose_slot_change),
    ("a balance has another value", change_balance),
    ("a balance is missing", lose_balance),
    ("a nonce is wrong", change_nonce),
    ("a balance is surplus", add_balance),
    ("a code is wrong", change_code),
];

/// The state root that is computed beside execution is that of what the block changes; where a list
/// is wrong, none is given out but that one.
#[test]
fn the_root_from_the_list_is_the_blocks() {
    let engines = engines();
    let workers = TrieWorkers::new(2).expect("threads start");
    let (given, withheld) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    for_valid_blocks(|seed, case, output| {
        let before = StateTrie::of_flat(case.prestate.flat(), &workers);
        let changes = StateChanges::from_bundle(&output.bundle, &workers);
        let root = before.clone().update(&changes, &NoNodes).expect("the tries are whole");
        let mut rng = Rng::new(seed ^ 0x2007);
        let right = output.access_list.as_ref().expect("asked for");
        let last = case.block.transactions().len() as u64 + 1;
        let mut wrong = right.clone();
        let (what, mutate) = MUTATIONS[rng.below(MUTATIONS.len() as u64) as usize];
        let is_wrong = mutate(&mut wrong, &mut rng, last).is_some();
        for engine in &engines {
            let context = format!("PLEACH_SEED={seed}, {} threads", engine.threads());
            let (listed, after) = rooted(engine, case, right.clone(), before.clone());
            assert_same(output, &listed, false, &context);
            match after {
                Some((found, mut tries)) => {
                    assert_eq!(found, root, "{context}");
                    let again = tries.update(&StateChanges::default(), &NoNodes).ok();
                    assert_eq!(again, Some(root), "{context}");
                    given.set(given.get() + 1);
                }
                None => withheld.set(withheld.get() + 1),
            }
            if is_wrong {
                let (listed, after) = rooted(engine, case, wrong.clone(), before.clone());
                assert_same(output, &listed, false, &context);
                let found = after.map(|(found, _)| found);
                assert!(found.is_none_or(|found| found == root), "{context}, {what}");
            }
        }
    });
    eprintln!("{} roots from lists, {} withheld", given.get(), withheld.get());
    assert!(withheld.get() * 2 < given.get() || number("PLEACH_SEED").is_some(), "{withheld:?}");
}

fn rooted(engine: &Engine, case: &Case, list: List, tries: StateTrie) -> (Listed, AfterBlock) {
    let Case { chain, block, prestate } = case;
    let list = AccessList::new(list, block.transactions().len()).expect("the order is right");
    let options = ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() };
    let tries = (tries, Arc::new(NoNodes) as _);
    let rooted =
        engine.execute_listed_rooted(chain, block, prestate, &Arc::new(list), options, tries);
    rooted.expect("the block is valid")
}

fn pick<'a>(
    list: &'a mut List,
    rng: &mut Rng,
    fits: impl Fn(&AccountChanges) -> bool,
) -> Option<&'a mut AccountChanges> {
    let mut fitting: Vec<_> = list.iter_mut().filter(|account| fits(account)).collect();
    let at = (!fitting.is_empty()).then(|| rng.below(fitting.len() as u64) as usize)?;
    Some(fitting.swap_remove(at))
}

fn lose_account(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let at = (!list.is_empty()).then(|| rng.below(list.len() as u64) as usize)?;
    list.remove(at);
    Some(None)
}

fn add_account(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let address = Address::from_word(U256::from(rng.next()).into());
    let at = list.binary_search_by_key(&address, |account| account.address).err()?;
    list.insert(at, AccountChanges { address, ..AccountChanges::default() });
    Some(Some(ListFault::UnusedAccount { address }))
}

fn lose_slot(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |account| !account.storage_reads.is_empty())?;
    let at = rng.below(account.storage_reads.len() as u64) as usize;
    account.storage_reads.remove(at);
    Some(None)
}

fn free_slot(account: &AccountChanges, rng: &mut Rng) -> U256 {
    loop {
        let slot = U256::from(rng.next());
        if account.storage_slots().all(|used| used != slot) {
            return slot;
        }
    }
}

fn add_read(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |_| true)?;
    let slot = free_slot(account, rng);
    account.storage_reads.push(slot);
    account.storage_reads.sort_unstable();
    Some(Some(ListFault::UnusedSlot { address: account.address, slot }))
}

fn add_changed_slot(list: &mut List, rng: &mut Rng, last: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |_| true)?;
    let slot = free_slot(account, rng);
    let (index, value) = (rng.below(last + 1), U256::from(rng.below(9)));
    let change = StorageChange::new(BlockAccessIndex::new(index), value);
    account.storage_changes.push(SlotChanges::new(slot, vec![change]));
    account.storage_changes.sort_unstable_by_key(|slot| slot.slot);
    let part = ListedPart::Slot(slot);
    let address = account.address;
    Some(Some(ListFault::Change { address, part, index, listed: Some(value), found: None }))
}

fn change_slot(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |account| !account.storage_changes.is_empty())?;
    let address = account.address;
    let at = rng.below(account.storage_changes.len() as u64) as usize;
    let SlotChanges { slot, changes, .. } = &mut account.storage_changes[at];
    let at = rng.below(changes.len() as u64) as usize;
    let change = &mut changes[at];
    let found = Some(change.new_value);
    change.new_value ^= U256::from(1) << rng.below(256) as usize;
    let (part, listed) = (ListedPart::Slot(*slot), Some(change.new_value));
    let index = change.block_access_index.get();
    Some(Some(ListFault::Change { address, part, index, listed, found }))
}

fn lose_slot_change(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let several = |account: &AccountChanges| {
        account.storage_changes.iter().any(|slot| slot.changes.len() > 1)
    };
    let account = pick(list, rng, several)?;
    let address = account.address;
    let slot = account.storage_changes.iter_mut().find(|slot| slot.changes.len() > 1)?;
    let at = rng.below(slot.changes.len() as u64) as usize;
    let change = slot.changes.remove(at);
    let (part, found) = (ListedPart::Slot(slot.slot), Some(change.new_value));
    let index = change.block_access_index.get();
    Some(Some(ListFault::Change { address, part, index, listed: None, found }))
}

fn change_balance(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |account| !account.balance_changes.is_empty())?;
    let at = rng.below(account.balance_changes.len() as u64) as usize;
    let change: &mut BalanceChange = &mut account.balance_changes[at];
    let found = Some(change.post_balance);
    change.post_balance ^= U256::from(1) << rng.below(200) as usize;
    let (part, listed) = (ListedPart::Balance, Some(change.post_balance));
    let (address, index) = (account.address, change.block_access_index.get());
    Some(Some(ListFault::Change { address, part, index, listed, found }))
}

fn lose_balance(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |account| !account.balance_changes.is_empty())?;
    let at = rng.below(account.balance_changes.len() as u64) as usize;
    let change = account.balance_changes.remove(at);
    let (part, found) = (ListedPart::Balance, Some(change.post_balance));
    let (address, index) = (account.address, change.block_access_index.get());
    Some(Some(ListFault::Change { address, part, index, listed: None, found }))
}

fn change_nonce(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |account| !account.nonce_changes.is_empty())?;
    let at = rng.below(account.nonce_changes.len() as u64) as usize;
    let change: &mut NonceChange = &mut account.nonce_changes[at];
    let found = Some(U256::from(change.new_nonce));
    change.new_nonce += 1 + rng.below(3);
    let (part, listed) = (ListedPart::Nonce, Some(U256::from(change.new_nonce)));
    let (address, index) = (account.address, change.block_access_index.get());
    Some(Some(ListFault::Change { address, part, index, listed, found }))
}

fn add_balance(list: &mut List, rng: &mut Rng, last: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |_| true)?;
    let index = rng.below(last + 1);
    let at = account
        .balance_changes
        .binary_search_by_key(&index, |change| change.block_access_index.get())
        .err()?;
    let value = U256::from(rng.next());
    account.balance_changes.insert(at, BalanceChange::new(BlockAccessIndex::new(index), value));
    let (address, part) = (account.address, ListedPart::Balance);
    Some(Some(ListFault::Change { address, part, index, listed: Some(value), found: None }))
}

fn change_code(list: &mut List, rng: &mut Rng, _: u64) -> Option<Option<ListFault>> {
    let account = pick(list, rng, |account| !account.code_changes.is_empty())?;
    let at = rng.below(account.code_changes.len() as u64) as usize;
    let index = account.code_changes[at].block_access_index;
    let code = Bytes::from(rng.next().to_be_bytes().to_vec());
    account.code_changes[at] = CodeChange::new(index, code);
    Some(None)
}

/// A wrong list is found out, and the output is right all the same.
#[test]
fn a_wrong_list_is_found_out_and_named() {
    let engines = engines();
    let mut found = [0; MUTATIONS.len()];
    let found = std::cell::RefCell::new(&mut found);
    for_valid_blocks(|seed, case, output| {
        let right = output.access_list.as_ref().expect("asked for");
        let last = case.block.transactions().len() as u64 + 1;
        let mut rng = Rng::new(seed ^ 0xba1);
        for (number, (what, mutate)) in MUTATIONS.iter().enumerate() {
            let mut wrong = right.clone();
            let Some(expected) = mutate(&mut wrong, &mut rng, last) else { continue };
            assert_ne!(&wrong, right);
            let engine = &engines[rng.below(engines.len() as u64) as usize];
            let wants_list = rng.chance(50);
            let listed = execute(engine, case, wrong.clone(), wants_list);
            let context = format!("PLEACH_SEED={seed}, {what}, {} threads", engine.threads());
            assert_same(output, &listed, wants_list, &context);
            let fault = listed.fault.unwrap_or_else(|| panic!("{context}: nothing is found"));
            judge(&fault, expected.as_ref(), &wrong, right, &context);
            found.borrow_mut()[number] += 1;
        }
    });
    for ((what, _), found) in MUTATIONS.iter().zip(found.into_inner()) {
        eprintln!("{found:>6} times {what}");
        assert!(*found > 0 || number("PLEACH_SEED").is_some(), "never tried: {what}");
    }
}

/// A fault that was named must be one: at the place that was changed, or, where that made a later
/// transaction find another world, wherever this shows first.
fn judge(
    fault: &ListFault,
    expected: Option<&ListFault>,
    wrong: &List,
    right: &List,
    context: &str,
) {
    if expected.is_some_and(|expected| expected == fault) {
        return;
    }
    // The first index at which the lists differ is the first at which execution can show it, unless
    // a transaction below already lacks an entry.
    let listed = |list: &List, address: &Address| {
        list.iter().find(|account| account.address == *address).cloned()
    };
    match fault {
        ListFault::Change { address, part, index, listed: has, found } => {
            let (ours, theirs) = (listed(wrong, address), listed(right, address));
            assert_eq!(*has, ours.and_then(|ours| value(&ours, *part, *index)), "{context}");
            assert_eq!(
                *found,
                theirs.and_then(|theirs| value(&theirs, *part, *index)),
                "{context}"
            );
            assert_ne!(has, found, "{context}");
        }
        ListFault::UnlistedAccount { address, .. } => {
            assert!(listed(wrong, address).is_none(), "{context}: {fault}");
            assert!(listed(right, address).is_some(), "{context}: {fault}");
        }
        ListFault::UnlistedSlot { address, slot, .. } => {
            let has = |list: &List| {
                listed(list, address).is_some_and(|a| a.storage_slots().any(|s| s == *slot))
            };
            assert!(!has(wrong) && has(right), "{context}: {fault}");
        }
        ListFault::UnusedAccount { address } => {
            assert!(listed(wrong, address).is_some(), "{context}: {fault}");
            assert!(listed(right, address).is_none(), "{context}: {fault}");
        }
        ListFault::UnusedSlot { address, slot } => {
            let has = |list: &List| {
                listed(list, address).is_some_and(|a| a.storage_slots().any(|s| s == *slot))
            };
            assert!(has(wrong) && !has(right), "{context}: {fault}");
        }
        _ => panic!("{context}: expected {expected:?}, found {fault}"),
    }
}

fn value(account: &AccountChanges, part: ListedPart, index: u64) -> Option<U256> {
    let index = BlockAccessIndex::new(index);
    match part {
        ListedPart::Slot(slot) => {
            let changes = account.storage_changes.iter().find(|changes| changes.slot == slot)?;
            let change = changes.changes.iter().find(|c| c.block_access_index == index)?;
            Some(change.new_value)
        }
        ListedPart::Balance => {
            let mut changes = account.balance_changes.iter();
            changes.find(|c| c.block_access_index == index).map(|c| c.post_balance)
        }
        ListedPart::Nonce => {
            let mut changes = account.nonce_changes.iter();
            changes.find(|c| c.block_access_index == index).map(|c| U256::from(c.new_nonce))
        }
        ListedPart::Code => {
            let change = account.code_changes.iter().find(|c| c.block_access_index == index)?;
            Some(alloy_primitives::keccak256(change.new_code()).into())
        }
    }
}
