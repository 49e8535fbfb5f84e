//! When a speculative result stands.
//!
//! The EVM is a function of what it reads. So a result equals that of serial execution if every
//! read gave what the committed state holds at the transaction's turn; for a balance that was only
//! added to or drawn on, if the committed one serves as well. Nothing else enters the argument:
//! neither versions, nor who wrote what when. The scheduler and the multi-version memory make good
//! guesses likely; this check alone makes results right.

use alloy_evm::Database;
use alloy_primitives::U256;
use pleach_scheduler::TxIdx;
use revm::state::{AccountInfo, EvmState};

use super::{
    location::Writer,
    mv_memory::MvMemory,
    parts::Known,
    read_set::{AccountRead, ReadSet, SlotRead},
    view::Shared,
};

/// Which reads the committer compares with its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Validation {
    /// Those of locations that the block may have written. Exact if all writes before and
    /// between transactions go through the EVM, as they do on Ethereum.
    #[default]
    Written,
    /// All. For block executors that write to the database behind the EVM's back.
    Everything,
}

/// Compares what an incarnation read with the committed state, and notes in the read set which
/// balances are in need of correction. False if they differ, or if the database fails, in which
/// case running the transaction on it says how.
///
/// Where the memory shows nothing, a value that was found in the prestate still stands. Where it
/// shows a value, that is the committed one, all lower transactions being committed; unless the
/// changes are collected elsewhere, by a caller who may have left some out. There, and after a
/// write that was taken back, the database is asked.
pub(super) fn validate<DB: Database>(
    db: &mut DB,
    shared: &Shared,
    reader: Writer,
    reads: &mut ReadSet,
    validation: Validation,
) -> bool {
    let everything = validation == Validation::Everything;
    let kept_in_memory = shared.ledger.is_some();
    for read in &reads.slots {
        let place = (read.account_hash, read.hash);
        let stands = match shared.memory.slot(place, &read.address, &read.slot, reader) {
            _ if everything => slot_holds(db, read),
            Some((_, committed)) if kept_in_memory => committed == read.value,
            Some(_) => slot_holds(db, read),
            None => !read.from_memory || slot_holds(db, read),
        };
        if !stands {
            return false;
        }
    }
    let all_observed = reads.all_balances_observed;
    for read in &mut reads.accounts {
        let known = if everything { None } else { committed_numbers(shared, reader, read) };
        let committed = match known {
            Some(Numbers { identical: false, .. }) => return false,
            Some(Numbers { nonce, balance, .. }) => {
                if nonce != read.nonce || !read.balance_suffices(all_observed, balance) {
                    return false;
                }
                balance
            }
            None => {
                let Ok(info) = db.basic(read.address) else { return false };
                match account_holds(all_observed, read, info.as_ref()) {
                    Some(balance) => balance,
                    None => return false,
                }
            }
        };
        read.correction = (committed != read.balance).then_some(committed);
    }
    true
}

/// The transaction that wrote the first slot that a result read otherwise, if there is one.
pub(super) fn stale_writer(shared: &Shared, reader: Writer, reads: &ReadSet) -> Option<TxIdx> {
    reads.slots.iter().find_map(|read| {
        let place = (read.account_hash, read.hash);
        let (writer, value) = shared.memory.slot(place, &read.address, &read.slot, reader)?;
        if value == read.value { None } else { writer.index() }
    })
}

/// An account's committed numbers, and whether all else of it is as it was read.
struct Numbers {
    identical: bool,
    nonce: u64,
    balance: U256,
}

/// What the memory and the ledger say of an account that was read; `None` if that does not suffice.
fn committed_numbers(shared: &Shared, reader: Writer, read: &AccountRead) -> Option<Numbers> {
    let Shared { memory, ledger, .. } = shared;
    let known = ledger.as_ref().map(|ledger| ledger.lock().known(&read.address));
    let now = memory.account(read.hash, &read.address, reader, known.unwrap_or_default());
    if ledger.is_none() {
        let as_found = read.found_nonce == read.nonce && read.address != *memory.beneficiary();
        let untouched = !read.written.any() && !now.written().any();
        let (nonce, balance) = (read.nonce, read.balance);
        return (as_found && untouched).then_some(Numbers { identical: true, nonce, balance });
    }
    let same_existence = match now.exists {
        Some(exists) => exists == read.exists,
        None if read.written.exists => return None,
        None => true,
    };
    let same_code = match &now.code {
        Some(code) => code.0 == read.code_hash,
        None if read.written.code => return None,
        None => true,
    };
    let nonce = match now.nonce {
        Some(nonce) => nonce,
        None if read.written.nonce => return None,
        None => read.found_nonce,
    };
    let balance = match now.balance {
        Some(balance) => balance,
        None if read.written.balance => return None,
        None => read.balance,
    };
    Some(Numbers { identical: same_existence && same_code, nonce, balance })
}

fn slot_holds<DB: Database>(db: &mut DB, read: &SlotRead) -> bool {
    db.storage(read.address, read.slot).is_ok_and(|value| value == read.value)
}

/// The committed balance, if the read stands.
fn account_holds(
    all_observed: bool,
    read: &AccountRead,
    info: Option<&AccountInfo>,
) -> Option<U256> {
    let exists = info.is_some();
    let absent = AccountInfo::default();
    let info = info.unwrap_or(&absent);
    let same = exists == read.exists
        && info.nonce == read.nonce
        && info.code_hash == read.code_hash
        && read.balance_suffices(all_observed, info.balance);
    same.then_some(info.balance)
}

/// Rewrites balances in a result: what the transaction added to or took from the balance it read,
/// it adds to or takes from the committed one. False if an account would then be empty
/// that was not, or the other way round: emptiness is for the EVM to judge, not for this.
pub(super) fn correct_balances(
    reads: &mut ReadSet,
    state: &mut EvmState,
    memory: &MvMemory,
) -> bool {
    for read in &mut reads.accounts {
        let Some(committed) = read.correction else { continue };
        let found = read.balance;
        let corrected = |balance: U256| committed.wrapping_add(balance.wrapping_sub(found));
        if let Some(account) = state.get_mut(&read.address) {
            let was_empty = account.is_empty();
            account.info.balance = corrected(account.info.balance);
            account.original_info_mut().balance = committed;
            if account.is_empty() != was_empty {
                return false;
            }
        }
        if let Some(after) = &mut read.after.balance {
            let balance = corrected(after.balance);
            if after.bare && balance.is_zero() != after.balance.is_zero() {
                return false;
            }
            after.balance = balance;
            if let Some(entry) = after.entry {
                memory.correct_balance(entry, balance);
            }
        }
    }
    true
}

/// Whether an incarnation that has just ended would still read the same from the multi-version
/// memory. Cheaper than finding out at its turn; may be wrong both ways, which only costs time.
pub(super) fn still_reads_the_same(memory: &MvMemory, reader: Writer, reads: &ReadSet) -> bool {
    let all_observed = reads.all_balances_observed;
    let slot_same = |read: &SlotRead| {
        let place = (read.account_hash, read.hash);
        let now = memory.slot(place, &read.address, &read.slot, reader);
        now.is_none_or(|(_, value)| value == read.value)
    };
    let account_same = |read: &AccountRead| {
        let now = memory.account(read.hash, &read.address, reader, Known::default());
        now.code.is_none_or(|code| code.0 == read.code_hash)
            && now.balance.is_none_or(|now| read.balance_suffices(all_observed, now))
    };
    reads.slots.iter().all(slot_same) && reads.accounts.iter().all(account_same)
}

#[cfg(test)]
mod tests;
