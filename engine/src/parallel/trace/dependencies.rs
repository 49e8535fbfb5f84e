//! Which transactions rest on which, told from a rehearsal on one thread.

use std::collections::HashMap;

use alloy_primitives::{Address, U256};
use pleach_scheduler::{EntryId, TxIdx};
use revm::state::{Account, EvmState};

use crate::{
    parallel::{
        mv_memory::{MvMemory, Part},
        parts::Parts,
        read_set::{AccountRead, EXACT_FROM, ReadSet},
    },
    sync::RandomState,
    trace::{Dependencies, Dependency, Location},
};

/// Takes each transaction's reads and then its writes, in block order.
pub(super) struct DependencyRecorder {
    senders: Vec<(Address, u64)>,
    /// The last writer of each location but balances.
    writers: HashMap<Location, TxIdx, RandomState>,
    /// The last transaction that created or deleted the account, and with it all its slots.
    resets: HashMap<Address, TxIdx, RandomState>,
    balances: HashMap<Address, BalanceHistory, RandomState>,
    numbers: HashMap<Location, u32, RandomState>,
    found: Dependencies,
}

/// What became of a balance within the block.
struct BalanceHistory {
    before: U256,
    /// Who changed it, and what it was then, in block order.
    changes: Vec<(TxIdx, U256)>,
}

impl DependencyRecorder {
    pub(super) fn new(senders: Vec<(Address, u64)>) -> Self {
        Self {
            senders,
            writers: HashMap::default(),
            resets: HashMap::default(),
            balances: HashMap::default(),
            numbers: HashMap::default(),
            found: Dependencies::default(),
        }
    }

    pub(super) fn take_found(&mut self) -> Dependencies {
        std::mem::take(&mut self.found)
    }

    /// A transaction read this.
    pub(super) fn reads(&mut self, index: TxIdx, reads: &ReadSet) {
        for read in &reads.slots {
            let location = Location::Slot(read.address, read.slot);
            let written = self.writers.get(&location).copied();
            let reset = self.resets.get(&read.address).copied();
            self.rests_on(index, written.max(reset), location);
        }
        let sender = self.senders.get(index).map(|(sender, _)| *sender);
        for read in &reads.accounts {
            let address = read.address;
            for location in [Location::Existence(address), Location::Code(address)] {
                self.rests_on(index, self.writers.get(&location).copied(), location);
            }
            if sender != Some(address) {
                let location = Location::Nonce(address);
                self.rests_on(index, self.writers.get(&location).copied(), location);
            }
            self.reads_balance(index, read, reads.all_balances_observed);
        }
    }

    fn reads_balance(&mut self, index: TxIdx, read: &AccountRead, all_observed: bool) {
        let Some(history) = self.balances.get(&read.address) else { return };
        let needed = history.changes_needed(read, all_observed);
        let writers: Vec<_> = history.changes[..needed].iter().map(|change| change.0).collect();
        for writer in writers {
            self.rests_on(index, Some(writer), Location::Balance(read.address));
        }
    }

    fn rests_on(&mut self, index: TxIdx, writer: Option<TxIdx>, location: Location) {
        // What a transaction that did not stand had read is noted before it writes, never after.
        let Some(writer) = writer.filter(|writer| *writer < index) else { return };
        let locations = &mut self.found.locations;
        let number = *self.numbers.entry(location).or_insert_with(|| {
            locations.push(location);
            narrow(locations.len() - 1)
        });
        let (reader, writer) = (narrow(index), narrow(writer));
        self.found.edges.push(Dependency { reader, writer, location: number });
    }

    /// A transaction that ran ahead wrote this to the memory. Balances and nonces come with
    /// [`Self::left`]: the memory does not have all of them.
    pub(super) fn published(&mut self, index: TxIdx, memory: &MvMemory, names: &[EntryId]) {
        for write in names.iter().map(|name| memory.write(*name)) {
            let address = write.address();
            match write.part() {
                Part::Slot => self.wrote(index, Location::Slot(address, write.slot())),
                Part::Exists => self.wrote(index, Location::Existence(address)),
                Part::Code => self.wrote(index, Location::Code(address)),
                Part::Reset => self.wiped(index, address),
                Part::Balance | Part::Nonce => {}
            }
        }
    }

    /// A transaction that ran ahead left the accounts that it read with these balances and nonces.
    pub(super) fn left(&mut self, index: TxIdx, reads: &ReadSet) {
        for read in &reads.accounts {
            if let Some(new) = read.after.balance {
                let before = read.correction.unwrap_or(read.balance);
                self.wrote_balance(index, read.address, before, new.balance);
            }
            if let Some(nonce) = read.after.nonce {
                self.wrote_nonce(index, read.address, nonce);
            }
        }
    }

    /// A transaction that ran in its turn changed this.
    pub(super) fn ran(&mut self, index: TxIdx, state: &EvmState) {
        #[expect(clippy::iter_over_hash_type, reason = "each entry goes to a location of its own")]
        for (address, account) in state {
            if account.is_touched() {
                self.writes_account(index, *address, account);
            }
        }
    }

    fn writes_account(&mut self, index: TxIdx, address: Address, account: &Account) {
        let parts = Parts::changed(account);
        if parts.exists.is_some() {
            self.wrote(index, Location::Existence(address));
        }
        if parts.code.is_some() {
            self.wrote(index, Location::Code(address));
        }
        if let Some(nonce) = parts.nonce {
            self.wrote_nonce(index, address, nonce);
        }
        if let Some(balance) = parts.balance {
            self.wrote_balance(index, address, account.original_info().balance, balance);
        }
        let deleted = account.is_selfdestructed() || parts.exists == Some(false);
        if deleted || account.is_created() {
            self.wiped(index, address);
        }
        for (slot, _) in account.changed_storage_slots() {
            self.wrote(index, Location::Slot(address, *slot));
        }
    }

    fn wrote(&mut self, index: TxIdx, location: Location) {
        self.writers.insert(location, index);
    }

    fn wiped(&mut self, index: TxIdx, address: Address) {
        self.resets.insert(address, index);
    }

    fn wrote_nonce(&mut self, index: TxIdx, address: Address, nonce: u64) {
        if !self.is_predicted(index, address, nonce) {
            self.wrote(index, Location::Nonce(address));
        }
    }

    fn wrote_balance(&mut self, index: TxIdx, address: Address, before: U256, after: U256) {
        let new = || BalanceHistory { before, changes: Vec::new() };
        self.balances.entry(address).or_insert_with(new).changes.push((index, after));
    }

    /// Whether the nonce is what the transaction's own sender has after it, as anybody can tell
    /// beforehand.
    fn is_predicted(&self, index: TxIdx, address: Address, nonce: u64) -> bool {
        let Some((sender, before)) = self.senders.get(index) else { return false };
        *sender == address && before.checked_add(1) == Some(nonce)
    }
}

impl BalanceHistory {
    /// How many of the changes, from the first on, must be known for a read to serve as well as
    /// what serial execution reads, which is the balance after all of them; and not only after
    /// them, but after any more of them as well.
    fn changes_needed(&self, read: &AccountRead, all_observed: bool) -> usize {
        let Some(&(_, actual)) = self.changes.last() else { return 0 };
        if all_observed || read.balance_observed || actual >= EXACT_FROM {
            return self.changes.len();
        }
        let least = read.balance.saturating_sub(read.slack);
        let serves = |balance: U256| {
            let same_class = balance.is_zero() == actual.is_zero();
            balance < EXACT_FROM && same_class && balance >= least
        };
        let last_useless = self.changes.iter().rposition(|(_, balance)| !serves(*balance));
        match last_useless {
            Some(at) => (at + 2).min(self.changes.len()),
            None => usize::from(!serves(self.before)),
        }
    }
}

fn narrow(place: usize) -> u32 {
    u32::try_from(place).expect("a block has fewer than 2^32 transactions and locations")
}
