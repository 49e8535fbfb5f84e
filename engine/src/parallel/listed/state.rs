//! The block executor's own database: for what comes before and after the transactions.
//!
//! In between it is never asked: results bring no changes, since the list has them.

use std::sync::Arc;

use alloy_evm::block::BalIndexedDatabase;
use alloy_primitives::{Address, B256, U256};
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    database::{State, WrapDatabaseRef},
    database_interface::bal::EvmDatabaseError,
    primitives::AddressMap,
    state::{
        Account, AccountInfo,
        bal::{Bal, BlockAccessIndex},
    },
};

use super::{
    super::{location::Writer, view::ViewError},
    check::{Fall, Seen, Touched, first_fault},
    fault::{ListFault, ListedPart},
    list::AccessList,
    session::Session,
    view::{ListedView, Source},
};

type Inner = State<WrapDatabaseRef<ListedView>>;

/// The state outside of transactions: before the first one the prestate, after the last one what
/// the list has.
#[derive(Debug)]
pub(super) struct ListedState {
    session: Arc<Session>,
    state: Inner,
    index: u64,
    /// What was used outside of transactions.
    seen: Seen,
    calls: usize,
    /// What was committed, in order.
    pub(super) committed: Vec<(Writer, Address, Account)>,
}

impl ListedState {
    pub(super) fn new(session: Arc<Session>) -> Self {
        let state = at(&session.source, 0);
        let seen = Seen::new(&session.source.list);
        Self { session, state, index: 0, seen, calls: 0, committed: Vec::new() }
    }

    fn last_index(&self) -> u32 {
        self.session.source.list.transactions() as u32 + 1
    }

    /// Moves on to an index. Between the first and the last, nothing is read or written here.
    fn go_to(&mut self, index: u64) {
        if self.index == 0 && index > 0 {
            // Before any transaction counts: all of them rest on this.
            if let Some(fault) = self.check_phase(0) {
                *self.session.fall.lock() = Some(Fall::Wrong(Box::new(fault)));
            }
            self.state = at(&self.session.source, self.last_index());
            self.state.bal_state.bal_index = BlockAccessIndex::new(u64::from(self.last_index()));
            self.calls = 0;
        }
        self.index = index;
    }

    fn note(&mut self, changes: impl Iterator<Item = (Address, Account)>) {
        let writer = match self.index {
            0 => Writer::before_transactions(self.calls),
            _ => Writer::after_transactions(self.session.source.list.transactions(), self.calls),
        };
        self.calls += 1;
        self.committed.extend(changes.map(|(address, account)| (writer, address, account)));
    }

    fn check_phase(&mut self, index: u32) -> Option<ListFault> {
        let made = self.state.bal_state.take_built_bal().unwrap_or_default();
        check_phase(&self.session.source.list, index, &made, &mut self.seen)
    }

    /// Compares what was done after the transactions with the list, and adds what was used before
    /// and after them.
    pub(super) fn check_end(&mut self, seen: &mut Seen) -> Option<ListFault> {
        let fault = self.check_phase(self.last_index());
        seen.merge(&self.seen);
        fault
    }
}

fn at(source: &Source, index: u32) -> Inner {
    let view = ListedView { source: source.clone(), index };
    State::builder().with_database(WrapDatabaseRef(view)).with_bal_builder().build()
}

fn check_phase(list: &AccessList, index: u32, made: &Bal, seen: &mut Seen) -> Option<ListFault> {
    let mut touched: Vec<Touched> = Vec::with_capacity(made.accounts.len());
    let mut changes = 0;
    for (address, account) in &made.accounts {
        let slots: Vec<U256> = account.storage.storage.keys().copied().collect();
        if let Some(id) = list.account_id(address) {
            seen.account(id);
            slots.iter().filter_map(|slot| list.slot_id(id, *slot)).for_each(|s| seen.slot(s));
        }
        let written = account.storage.storage.iter().filter_map(|(slot, value)| {
            value.writes.last().map(|(_, value)| (ListedPart::Slot(*slot), *value))
        });
        let info = &account.account_info;
        let balance = info.balance.writes.last().map(|(_, b)| (ListedPart::Balance, *b));
        let nonce = info.nonce.writes.last().map(|(_, n)| (ListedPart::Nonce, U256::from(*n)));
        let code = info.code.writes.last().map(|(_, c)| (ListedPart::Code, c.0.into()));
        let parts = written.chain(balance).chain(nonce).chain(code);
        let parts: Vec<_> = parts.map(|(part, v)| ((part, u64::from(index)), v)).collect();
        changes += parts.len() as u32;
        touched.push((*address, slots, parts));
    }
    touched.sort_unstable_by_key(|touched| touched.0);
    let as_listed = |(address, slots, parts): &Touched| {
        list.account_id(address).is_some_and(|id| {
            slots.iter().all(|slot| list.slot_id(id, *slot).is_some())
                && list.account_changes_at(id, index) == *parts
        })
    };
    if changes == list.changes_at(index) && touched.iter().all(as_listed) {
        return None;
    }
    first_fault(list, index, &touched)
}

type Read<T> = Result<T, EvmDatabaseError<ViewError>>;

impl Database for ListedState {
    type Error = EvmDatabaseError<ViewError>;

    fn basic(&mut self, address: Address) -> Read<Option<AccountInfo>> {
        self.state.basic(address)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Read<Bytecode> {
        self.state.code_by_hash(code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Read<U256> {
        self.state.storage(address, slot)
    }

    fn block_hash(&mut self, number: u64) -> Read<B256> {
        self.state.block_hash(number)
    }
}

impl BalIndexedDatabase for ListedState {
    fn set_bal_index(&mut self, index: u64) {
        self.go_to(index);
    }

    fn bump_bal_index(&mut self) {
        self.go_to(self.index + 1);
    }
}

impl DatabaseCommit for ListedState {
    fn commit(&mut self, changes: AddressMap<Account>) {
        if !changes.is_empty() {
            self.note(changes.clone().into_iter());
            self.state.commit(changes);
        }
    }

    fn commit_iter(&mut self, changes: &mut dyn Iterator<Item = (Address, Account)>) {
        self.commit(changes.collect());
    }
}
