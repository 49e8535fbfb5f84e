//! The committed state where the multi-version memory keeps it.
//!
//! Serial execution collects changes in revm's `State`. In parallel execution they are in the
//! multi-version memory already, put there by whoever ran the transaction. So nothing is committed
//! a second time: the committed state *is* the memory, seen from the frontier, over the prestate.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
};

use alloy_evm::{block::BalIndexedDatabase, eth::EthEvmFactory};
use alloy_primitives::{Address, B256, U256};
use pleach_scheduler::{EntryId, Pen, Scheduler, TxIdx};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    database::BundleState,
    database_interface::bal::EvmDatabaseError,
    primitives::AddressMap,
    state::{Account, AccountInfo, EvmState},
};

use super::{
    bundle::{Gathering, gather},
    early::{Expected, early_starts},
    hot::Hot,
    location::Writer,
    mv_memory::{After, MvMemory},
    observe::SpeculativeEvmFactory,
    parts::Known,
    read_set::{AccountRead, ReadSet},
    session::MAX_INCARNATIONS,
    view::{Shared, SharedPrestate},
};
use crate::{
    Follower, Prestate, RecoveredBlock,
    follow::written,
    sync::{Mutex, RandomState},
};

/// The committer's notes on what the memory does not show at a glance.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Committed balances and nonces of accounts that many transactions change: who is paid or
    /// pays again and again, the beneficiary above all. Finding one in the memory means stepping
    /// over all that was done to it ahead of the frontier.
    known: HashMap<Address, Known, RandomState>,
    /// Accounts as transactions left them that created, emptied or destroyed them, in commit order.
    /// What such an account's changes amount to depends on all its steps.
    odd: Vec<(Writer, Address, Account)>,
}

/// Whether a transaction did more to an account than change its values.
pub(super) fn is_odd(account: &Account) -> bool {
    account.is_touched()
        && (account.is_created() || account.is_selfdestructed() || account.is_empty())
}

impl Ledger {
    pub(super) fn known(&self, address: &Address) -> Known {
        self.known.get(address).copied().unwrap_or_default()
    }

    pub(super) fn balance(&self, address: &Address) -> Option<U256> {
        self.known(address).balance
    }

    pub(super) fn odd(&self) -> &[(Writer, Address, Account)] {
        &self.odd
    }

    /// A speculative result was committed, which read this and left these odd accounts.
    pub(super) fn enter(&mut self, index: TxIdx, reads: &ReadSet, odd: EvmState) {
        for read in &reads.accounts {
            let AccountRead { address, after, .. } = read;
            if let Some(new) = after.balance {
                let often = read.written.balance || read.correction.is_some();
                let often = often || new.entry.is_none();
                self.enter_balance(address, new.balance, often);
            }
            if let Some(nonce) = after.nonce {
                let often = read.written.nonce || read.found_nonce != read.nonce;
                self.enter_nonce(address, nonce, often);
            }
        }
        let writer = Writer::transaction(index);
        self.odd.extend(odd.into_iter().map(|(address, account)| (writer, address, account)));
    }

    /// Enters a balance if it is entered already, or changes often.
    fn enter_balance(&mut self, address: &Address, balance: U256, often: bool) {
        if often {
            self.known.entry(*address).or_default().balance = Some(balance);
        } else if let Some(Known { balance: Some(known), .. }) = self.known.get_mut(address) {
            *known = balance;
        }
    }

    /// The same for nonces.
    fn enter_nonce(&mut self, address: &Address, nonce: u64, often: bool) {
        if often {
            self.known.entry(*address).or_default().nonce = Some(nonce);
        } else if let Some(Known { nonce: Some(known), .. }) = self.known.get_mut(address) {
            *known = nonce;
        }
    }
}

/// A block's memory, kept for the next block: fresh memory has to be fetched from the operating
/// system, and then into the processor's caches.
#[derive(Debug, Default)]
pub(crate) struct SpareMemory(Mutex<Option<Arc<MvMemory>>>);

impl SpareMemory {
    fn take(&self, transactions: usize, gas: u64, beneficiary: Address) -> Arc<MvMemory> {
        // A thread that is still about to leave the last block keeps that block's memory.
        let spare = self.0.lock().take().and_then(Arc::into_inner);
        let memory = match spare {
            Some(spare) => spare.reset(transactions, gas, beneficiary),
            None => MvMemory::new(transactions, gas, beneficiary),
        };
        Arc::new(memory)
    }

    fn keep(&self, memory: &Arc<MvMemory>) {
        *self.0.lock() = Some(Arc::clone(memory));
    }
}

/// The gas to make room in the memory for. The header's is not checked before the end: whoever
/// states too little would make lists long, and every step along them is a step for nothing. What
/// transactions use is most often more than a quarter of what they may use.
fn room_for(block: &RecoveredBlock) -> u64 {
    let limits = block.tx_envs().iter().map(|tx| tx.gas_limit);
    block.header().gas_used.max(limits.fold(0, u64::saturating_add) / 4)
}

/// The committed state of a block in flight, as the block executor's database.
#[derive(Debug)]
pub(crate) struct Committed<P> {
    shared: Arc<Shared>,
    prestate: Arc<P>,
    pen: Pen,
    names: Vec<EntryId>,
    /// Changes outside of transactions so far.
    calls: usize,
}

impl<P: Prestate> Committed<P> {
    /// The state before a block that so many threads work on. `weights` say how long each
    /// transaction is expected to take, in gas, and `hot` which are expected to rest on one
    /// another.
    pub(crate) fn new(
        prestate: Arc<P>,
        block: &RecoveredBlock,
        (weights, hot): (&[u64], &[Hot]),
        threads: usize,
        spare: &SpareMemory,
        follower: Option<Arc<dyn Follower>>,
    ) -> Self {
        let header = block.header();
        let transactions = block.transactions().len();
        let targets = block.tx_envs().iter().map(EthEvmFactory::target);
        let txs = Expected::of(hot, weights.iter().copied().zip(targets));
        let early = early_starts(txs, header.gas_used, threads);
        let memory = spare.take(transactions, room_for(block), header.beneficiary);
        let shared = Shared {
            memory,
            scheduler: Scheduler::new(transactions, MAX_INCARNATIONS).with_early_starts(early),
            prestate: prestate.clone() as Arc<dyn SharedPrestate>,
            ledger: Some(Mutex::default()),
            gathering: Gathering::default(),
            follower,
            is_over: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        Self { shared, prestate, pen: Pen::default(), names: Vec::new(), calls: 0 }
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// What the block changed, all transactions being committed.
    ///
    /// # Errors
    /// The prestate's, if it cannot be read any more.
    pub(crate) fn into_bundle(self, spare: &SpareMemory) -> Result<BundleState, P::Error> {
        let bundle = gather(&self.shared, &*self.prestate)?;
        spare.keep(&self.shared.memory);
        Ok(bundle)
    }

    /// Who reads or writes now.
    fn now(&self) -> Writer {
        let frontier = self.shared.scheduler.frontier();
        match frontier == self.shared.scheduler.len() && frontier > 0 {
            true => Writer::LAST,
            false => Writer::transaction(frontier),
        }
    }

    fn next_change(&mut self) -> Writer {
        let call = self.calls;
        self.calls += 1;
        match self.shared.scheduler.frontier() {
            0 => Writer::before_transactions(call),
            frontier => Writer::after_transactions(frontier, call),
        }
    }
}

impl<P> Drop for Committed<P> {
    /// Lets go of workers that wait to help with the bundle of a block that failed.
    fn drop(&mut self) {
        self.shared.gathering.call_off();
    }
}

impl Shared {
    /// Makes visible what the committer's thread has run at the frontier, or outside of
    /// transactions, and notes it in the ledger.
    pub(super) fn publish_committed(
        &self,
        (pen, names): (&mut Pen, &mut Vec<EntryId>),
        writer: Writer,
        state: &EvmState,
    ) {
        let mut ledger = self.ledger.as_ref().map(|ledger| ledger.lock());
        let enter = |address: &Address, after: After| {
            let Some(ledger) = &mut ledger else { return };
            if let Some(new) = after.balance {
                ledger.enter_balance(address, new.balance, new.entry.is_none());
            }
            if let Some(nonce) = after.nonce {
                ledger.enter_nonce(address, nonce, false);
            }
        };
        names.clear();
        self.memory.publish((pen, names), writer, state, enter);
        if let Some(ledger) = &mut ledger {
            let odd = state.iter().filter(|(_, account)| is_odd(account));
            ledger.odd.extend(odd.map(|(address, account)| (writer, *address, account.clone())));
        }
    }
}

type ReadResult<T, P> = Result<T, EvmDatabaseError<<P as revm::DatabaseRef>::Error>>;

impl<P: Prestate> Database for Committed<P> {
    type Error = EvmDatabaseError<P::Error>;

    fn basic(&mut self, address: Address) -> ReadResult<Option<AccountInfo>, P> {
        let before = self.prestate.basic_ref(address).map_err(EvmDatabaseError::Database)?;
        let Shared { memory, ledger, .. } = &*self.shared;
        let hash = memory.account_hash(&address);
        let known = ledger.as_ref().map(|ledger| ledger.lock().known(&address));
        let overlay = memory.account(hash, &address, self.now(), known.unwrap_or_default());
        Ok(overlay.over(before))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> ReadResult<Bytecode, P> {
        self.prestate.code_by_hash_ref(code_hash).map_err(EvmDatabaseError::Database)
    }

    fn storage(&mut self, address: Address, slot: U256) -> ReadResult<U256, P> {
        let memory = &self.shared.memory;
        let account = memory.account_hash(&address);
        let place = (account, memory.slot_hash(account, &slot));
        match memory.slot(place, &address, &slot, self.now()) {
            Some((_, value)) => Ok(value),
            None => self.prestate.storage_ref(address, slot).map_err(EvmDatabaseError::Database),
        }
    }

    fn block_hash(&mut self, number: u64) -> ReadResult<B256, P> {
        self.prestate.block_hash_ref(number).map_err(EvmDatabaseError::Database)
    }
}

/// Access lists are built elsewhere.
impl<P: Prestate> BalIndexedDatabase for Committed<P> {
    fn set_bal_index(&mut self, _index: u64) {}

    fn bump_bal_index(&mut self) {}
}

impl<P: Prestate> DatabaseCommit for Committed<P> {
    /// Takes changes that come before or after the transactions. Those of transactions never
    /// come here: the committer has published them, and hands out none.
    fn commit(&mut self, changes: AddressMap<Account>) {
        if !changes.is_empty() {
            let writer = self.next_change();
            self.shared.tell(written(&changes));
            let Self { pen, names, .. } = self;
            self.shared.publish_committed((pen, names), writer, &changes);
        }
    }

    fn commit_iter(&mut self, changes: &mut dyn Iterator<Item = (Address, Account)>) {
        self.commit(changes.collect());
    }
}

#[cfg(test)]
mod tests {
    use alloy_consensus::{Block, BlockBody, Header, SignableTransaction, TxLegacy};
    use alloy_primitives::Signature;

    use super::*;

    fn block(gas_used: u64, limits: &[u64]) -> RecoveredBlock {
        let tx = |limit: &u64| TxLegacy { gas_limit: *limit, ..TxLegacy::default() };
        let sign = |tx: TxLegacy| tx.into_signed(Signature::test_signature()).into();
        let transactions = limits.iter().map(tx).map(sign).collect();
        let header = Header { gas_used, ..Header::default() };
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
        let senders = limits.iter().map(|_| Address::ZERO).collect();
        RecoveredBlock::with_senders(Block { header, body }, senders).expect("as many senders")
    }

    /// A header that states no gas must not make the lists of a block's slots long.
    #[test]
    fn there_is_room_whatever_the_header_says() {
        assert_eq!(room_for(&block(0, &[300_000_000, 100_000_000])), 100_000_000);
        assert_eq!(room_for(&block(30_000_000, &[40_000_000])), 30_000_000);
        assert_eq!(room_for(&block(0, &[u64::MAX, u64::MAX])), u64::MAX / 4);
        assert_eq!(room_for(&block(0, &[])), 0);
    }
}
