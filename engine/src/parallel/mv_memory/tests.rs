//! The memory by itself: how long its lists get, and what is told apart in them.

use revm::state::{AccountInfo, EvmStorageSlot, TransactionId};

use super::*;

const WRITER: Address = Address::repeat_byte(0xc0);

/// An account some of whose slots changed.
fn changed(slots: impl Iterator<Item = U256>) -> EvmState {
    let mut account = Account::from(AccountInfo { nonce: 1, ..AccountInfo::default() });
    account.mark_touch();
    for slot in slots {
        let value = slot + U256::from(1);
        let changed = EvmStorageSlot::new_changed(U256::ZERO, value, TransactionId::ZERO);
        account.storage.insert(slot, changed);
    }
    EvmState::from_iter([(WRITER, account)])
}

fn publish(memory: &MvMemory, index: usize, state: &EvmState) {
    let names = (&mut Pen::default(), &mut Vec::new());
    memory.publish(names, Writer::transaction(index), state, |_, _| ());
}

/// One account that has all of a block's slots gets a sixteenth of the lists. Steps along a list
/// are what reading, and making the bundle, take; however many writes there are, there are no more
/// of them to each.
#[test]
fn lists_stay_short_where_one_account_writes_all() {
    // A write to a slot costs 5,000 gas at least (EIP-2200, EIP-2929).
    for writes in [3_000_u64, 12_000, 48_000] {
        let memory = MvMemory::new(1, 21_000 + writes * 5_000, Address::ZERO);
        publish(&memory, 0, &changed((0..writes).map(U256::from)));
        let partition = MvMemory::partition(memory.account_hash(&WRITER));
        let lengths: Vec<_> =
            memory.walk_slots(partition).map(|head| memory.list(head).count()).collect();
        assert_eq!(lengths.iter().sum::<usize>() as u64, writes, "all are in the partition");
        // The seed is random, the bound far from what chance does: lists have twelve on average.
        let longest = lengths.into_iter().max().unwrap_or_default();
        assert!(longest < 90, "{longest} of {writes} writes are in one list");
    }
}

/// Slots that share a list are told apart in full.
#[test]
fn slots_in_one_list_are_told_apart() {
    let memory = MvMemory::new(1, 0, Address::ZERO);
    let hash = memory.account_hash(&WRITER);
    let slots = || (0..2_000_u64).map(U256::from).map(|slot| slot << (slot.to::<u64>() % 200));
    publish(&memory, 0, &changed(slots()));
    for slot in slots() {
        let place = (hash, memory.slot_hash(hash, &slot));
        let found = memory.slot(place, &WRITER, &slot, Writer::LAST).map(|(_, value)| value);
        assert_eq!(found, Some(slot + U256::from(1)));
        let stranger = memory.slot(place, &Address::ZERO, &slot, Writer::LAST);
        assert!(stranger.is_none(), "slot {slot} is of another account");
    }
}
