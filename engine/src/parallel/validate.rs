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
    mv_memory::{MvMemory, Writer},
    read_set::{AccountRead, ReadSet, SlotRead},
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

/// A balance that the committed state knows better than the incarnation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Correction {
    read: usize,
    committed: U256,
}

/// What an incarnation read agrees with the committed state, balances in need of correction apart.
#[derive(Debug)]
pub(super) struct Verdict {
    corrections: Vec<Correction>,
}

/// Compares what an incarnation read with the committed state. `None` if it differs, or if the
/// database fails, in which case running the transaction on it says how.
pub(super) fn validate<DB: Database>(
    db: &mut DB,
    memory: &MvMemory,
    reads: &ReadSet,
    validation: Validation,
) -> Option<Verdict> {
    let everything = validation == Validation::Everything;
    for read in &reads.slots {
        let written = everything || memory.slot_written(read.account_hash, read.hash);
        if written && !slot_holds(db, read) {
            return None;
        }
    }
    let mut corrections = Vec::new();
    for (at, read) in reads.accounts.iter().enumerate() {
        if !everything && !memory.info_written(read.hash) {
            continue;
        }
        let info = db.basic(read.address).ok()?;
        let committed = account_holds(reads, read, info.as_ref())?;
        if committed != read.balance {
            corrections.push(Correction { read: at, committed });
        }
    }
    Some(Verdict { corrections })
}

fn slot_holds<DB: Database>(db: &mut DB, read: &SlotRead) -> bool {
    db.storage(read.address, read.slot).is_ok_and(|value| value == read.value)
}

/// The committed balance, if the read stands.
fn account_holds(reads: &ReadSet, read: &AccountRead, info: Option<&AccountInfo>) -> Option<U256> {
    let exists = info.is_some();
    let absent = AccountInfo::default();
    let info = info.unwrap_or(&absent);
    let same = exists == read.exists
        && info.nonce == read.nonce
        && info.code_hash == read.code_hash
        && reads.balance_suffices(read, info.balance);
    same.then_some(info.balance)
}

impl Verdict {
    /// Rewrites balances in the result: what the transaction added to or took from the balance it
    /// read, it adds to or takes from the committed one.
    pub(super) fn correct(
        &self,
        reads: &ReadSet,
        state: &mut EvmState,
        index: TxIdx,
        memory: &MvMemory,
    ) {
        for correction in &self.corrections {
            let read = &reads.accounts[correction.read];
            let Some(account) = state.get_mut(&read.address) else { continue };
            let change = account.info.balance.wrapping_sub(read.balance);
            if account.is_touched() {
                account.info.balance = correction.committed.wrapping_add(change);
                account.original_info_mut().balance = correction.committed;
                if !change.is_zero() {
                    let writer = Writer::transaction(index);
                    memory.correct_balance(writer, &read.address, account.info.balance);
                }
            } else {
                account.info.balance = correction.committed;
                account.original_info_mut().balance = correction.committed;
            }
        }
    }
}

/// Whether an incarnation that has just ended would still read the same from the multi-version
/// memory. Cheaper than finding out at its turn; may be wrong both ways, which only costs time.
pub(super) fn still_reads_the_same(memory: &MvMemory, index: TxIdx, reads: &ReadSet) -> bool {
    let slot_same = |read: &SlotRead| {
        if !memory.slot_written(read.account_hash, read.hash) {
            return true;
        }
        let now = memory.slot(read.account_hash, &read.address, &read.slot, index);
        now.is_none_or(|(_, value)| value == read.value)
    };
    let account_same = |read: &AccountRead| {
        if !memory.info_written(read.hash) {
            return true;
        }
        let now = memory.account(read.hash, &read.address, index);
        now.code.is_none_or(|(code_hash, _)| code_hash == read.code_hash)
            && now.balance.is_none_or(|balance| reads.balance_suffices(read, balance))
    };
    reads.slots.iter().all(slot_same) && reads.accounts.iter().all(account_same)
}
