//! Which reads of a result were no longer right, once it is known that some were not.
//!
//! This repeats what `validate` decides, read by read and to the end. It decides nothing itself.

use alloy_evm::Database;
use alloy_primitives::U256;
use revm::state::AccountInfo;

use crate::{
    parallel::{
        location::Writer,
        mv_memory::MvMemory,
        parts::{AccountOverlay, Known},
        read_set::{AccountRead, ReadSet, SlotRead},
        validate::Validation,
    },
    trace::{Location, StaleRead},
};

/// More stale reads of one result than this are not listed.
const MAX_LISTED: usize = 32;

/// The reads that no longer agree with the multi-version memory.
pub(super) fn in_memory(memory: &MvMemory, reader: Writer, reads: &ReadSet) -> Vec<StaleRead> {
    let slots = reads.slots.iter().filter_map(|read| {
        let (writer, value) = written(memory, reader, read)?;
        let location = Location::Slot(read.address, read.slot);
        (value != read.value).then_some(StaleRead { location, writer: writer.index() })
    });
    let accounts = reads.accounts.iter().flat_map(|read| {
        let now = account(memory, reader, read);
        let code_differs = now.code.is_some_and(|code| code.0 != read.code_hash);
        let suffices = |now| read.balance_suffices(reads.all_balances_observed, now);
        let balance_differs = now.balance.is_some_and(|now| !suffices(now));
        let writer = now.latest.and_then(Writer::index);
        let code = StaleRead { location: Location::Code(read.address), writer };
        let balance = StaleRead { location: Location::Balance(read.address), writer: None };
        [code_differs.then_some(code), balance_differs.then_some(balance)].into_iter().flatten()
    });
    slots.chain(accounts).take(MAX_LISTED).collect()
}

/// The reads that disagree with the committed state. Only what may have been written is looked up,
/// as in validation, so that tracing reads nothing from the state that execution does not.
pub(super) fn in_state<DB: Database>(
    db: &mut DB,
    memory: &MvMemory,
    reader: Writer,
    reads: &ReadSet,
    validation: Validation,
) -> Vec<StaleRead> {
    let everything = validation == Validation::Everything;
    let mut stale = Vec::new();
    for read in &reads.slots {
        let written = written(memory, reader, read);
        let may_differ = everything || read.from_memory || written.is_some();
        if may_differ && db.storage(read.address, read.slot).is_ok_and(|now| now != read.value) {
            let writer = written.and_then(|(writer, _)| writer.index());
            stale.push(StaleRead { location: Location::Slot(read.address, read.slot), writer });
        }
    }
    for read in &reads.accounts {
        let overlay = account(memory, reader, read);
        let may_differ = everything
            || read.written.any()
            || overlay.written().any()
            // The nonce was assumed, or the balance is not in the memory.
            || read.found_nonce != read.nonce
            || read.address == *memory.beneficiary();
        if may_differ && let Ok(now) = db.basic(read.address) {
            let latest = overlay.latest;
            let all_observed = reads.all_balances_observed;
            let parts = stale_parts(all_observed, read, now.as_ref());
            let writer = latest.and_then(Writer::index);
            stale.extend(parts.map(|location| match location {
                Location::Balance(_) => StaleRead { location, writer: None },
                _ => StaleRead { location, writer },
            }));
        }
    }
    if stale.is_empty() {
        // Every read served, but a corrected balance would have made or unmade an empty account.
        let corrected = reads.accounts.iter().filter(|read| read.correction.is_some());
        let location = |read: &AccountRead| Location::Balance(read.address);
        stale.extend(corrected.map(|r| StaleRead { location: location(r), writer: None }));
    }
    stale.truncate(MAX_LISTED);
    stale
}

fn written(memory: &MvMemory, reader: Writer, read: &SlotRead) -> Option<(Writer, U256)> {
    memory.slot((read.account_hash, read.hash), &read.address, &read.slot, reader)
}

fn account(memory: &MvMemory, reader: Writer, read: &AccountRead) -> AccountOverlay {
    memory.account(read.hash, &read.address, reader, Known::default())
}

fn stale_parts(
    all_observed: bool,
    read: &AccountRead,
    now: Option<&AccountInfo>,
) -> impl Iterator<Item = Location> {
    let absent = AccountInfo::default();
    let (exists, now) = (now.is_some(), now.unwrap_or(&absent));
    let address = read.address;
    let parts = [
        (exists != read.exists, Location::Existence(address)),
        (now.nonce != read.nonce, Location::Nonce(address)),
        (now.code_hash != read.code_hash, Location::Code(address)),
        (!read.balance_suffices(all_observed, now.balance), Location::Balance(address)),
    ];
    parts.into_iter().filter_map(|(stale, location)| stale.then_some(location))
}
