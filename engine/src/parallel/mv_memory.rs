//! The multi-version memory: per location, what each transaction of the block wrote.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use alloy_primitives::{Address, U256};
use pleach_scheduler::{Chains, EntryId, Head, Pen};
use revm::state::{Account, EvmState};

use super::{
    location::{AccountHash, LocationHasher, SlotHash, Writer},
    parts::{AccountOverlay, Code, Parts},
};

/// The multi-version memory of one block.
///
/// Readers see the writes of lower transactions as soon as those have executed, long before they
/// commit. What a reader gets may be overtaken; it is checked when the reader commits. Seen from
/// the frontier, the memory over the prestate is the committed state.
#[derive(Debug)]
pub(super) struct MvMemory {
    hasher: LocationHasher,
    writes: Chains<Write>,
    accounts: Box<[AccountHeads]>,
    slots: Box<[Head]>,
    /// The lowest rank of a writer that wiped an account's storage.
    lowest_reset: AtomicU32,
    /// Everybody pays the beneficiary and hardly anybody looks: once it has a balance, the balance
    /// is left out, so that the fee does not make one location of the whole block.
    beneficiary: Address,
}

/// Where the lists of accounts with one hash begin, side by side in one cache line.
#[derive(Debug, Default)]
#[repr(align(16))]
struct AccountHeads {
    balance: Head,
    nonce: Head,
    /// Existence, code and wiped storage, which hardly ever change.
    rest: Head,
}

/// What one writer gave one location.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) address: Address,
    pub(super) place: Place,
    /// A number's limbs. Balances are corrected in place: who reads one meanwhile may get a
    /// mixture of old and new, as harmless as any other overtaken value.
    value: [AtomicU64; 4],
    pub(super) code: Option<Box<Code>>,
}

/// Which part of an account a write went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Balance,
    Nonce,
    Exists,
    Code,
    /// The storage was wiped: no earlier slot value counts.
    Reset,
    Slot(U256),
}

impl Write {
    fn number(address: &Address, place: Place, value: U256) -> Self {
        let value = value.into_limbs().map(AtomicU64::new);
        Self { address: *address, place, value, code: None }
    }

    fn code(address: &Address, code: Box<Code>) -> Self {
        Self { code: Some(code), ..Self::number(address, Place::Code, U256::ZERO) }
    }

    /// Relaxed: the list publishes a write; corrections may be seen at any time.
    pub(super) fn value(&self) -> U256 {
        U256::from_limbs([0, 1, 2, 3].map(|limb| self.value[limb].load(Ordering::Relaxed)))
    }
}

/// A balance that a transaction left changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewBalance {
    pub(super) balance: U256,
    /// Whether the account would be empty (EIP-161) without a balance.
    pub(super) bare: bool,
    /// The write in the memory, if the balance is kept there.
    pub(super) entry: Option<EntryId>,
}

/// Slot lists for each transaction of the block: several times what one writes.
const SLOTS_PER_TX: usize = 64;
/// Account lists for each transaction.
const ACCOUNTS_PER_TX: usize = 8;

impl MvMemory {
    pub(super) fn new(transactions: usize, beneficiary: Address) -> Self {
        let lists = |each: usize, most| (transactions * each).next_power_of_two().clamp(256, most);
        Self {
            hasher: LocationHasher::default(),
            writes: Chains::default(),
            accounts: (0..lists(ACCOUNTS_PER_TX, 1 << 18)).map(|_| Default::default()).collect(),
            slots: (0..lists(SLOTS_PER_TX, 1 << 20)).map(|_| Head::default()).collect(),
            lowest_reset: AtomicU32::new(u32::MAX),
            beneficiary,
        }
    }

    pub(super) fn account_hash(&self, address: &Address) -> AccountHash {
        self.hasher.account(address)
    }

    pub(super) fn slot_hash(&self, account: AccountHash, slot: &U256) -> SlotHash {
        self.hasher.slot(account, slot)
    }

    pub(super) const fn beneficiary(&self) -> &Address {
        &self.beneficiary
    }

    /// Whether a writer before `reader` may have changed the account's balance, nonce, code or
    /// existence.
    pub(super) fn account_written(
        &self,
        hash: AccountHash,
        address: &Address,
        reader: Writer,
    ) -> bool {
        let heads = self.account_heads(hash);
        let written = |head| self.before(head, reader).any(|(_, write)| write.address == *address);
        *address == self.beneficiary
            || written(&heads.balance)
            || written(&heads.nonce)
            || written(&heads.rest)
    }

    /// The account as `reader` finds it.
    pub(super) fn account(
        &self,
        hash: AccountHash,
        address: &Address,
        reader: Writer,
    ) -> AccountOverlay {
        let heads = self.account_heads(hash);
        let mut overlay = self.account_but_balance(hash, address, reader);
        let balance = self.before(&heads.balance, reader).find(|(_, w)| w.address == *address);
        overlay.balance = balance.map(|(_, write)| write.value());
        overlay
    }

    /// The account as `reader` finds it, its balance left out.
    pub(super) fn account_but_balance(
        &self,
        hash: AccountHash,
        address: &Address,
        reader: Writer,
    ) -> AccountOverlay {
        let heads = self.account_heads(hash);
        let mut overlay = AccountOverlay::default();
        let nonce = self.before(&heads.nonce, reader).find(|(_, write)| write.address == *address);
        if let Some((writer, write)) = nonce {
            overlay.nonce = Some(write.value().to());
            overlay.latest = Some(writer);
        }
        for (writer, write) in self.before(&heads.rest, reader) {
            let news = write.address == *address
                && match write.place {
                    Place::Exists if overlay.exists.is_none() => {
                        overlay.exists = Some(!write.value().is_zero());
                        true
                    }
                    Place::Code if overlay.code.is_none() => {
                        overlay.code.clone_from(&write.code);
                        true
                    }
                    _ => false,
                };
            if news {
                overlay.latest = overlay.latest.max(Some(writer));
            }
        }
        overlay
    }

    /// The slot as `reader` finds it, if an earlier writer set or wiped it.
    pub(super) fn slot(
        &self,
        (account, hash): (AccountHash, SlotHash),
        address: &Address,
        slot: &U256,
        reader: Writer,
    ) -> Option<(Writer, U256)> {
        let is_it = |write: &Write| write.place == Place::Slot(*slot) && write.address == *address;
        let mut writes = self.before(self.slot_head(account, hash), reader);
        let written = writes.find(|(_, write)| is_it(write));
        match (written, self.last_reset(account, address, reader)) {
            (Some((writer, write)), reset) if reset <= Some(writer) => {
                Some((writer, write.value()))
            }
            (_, Some(reset)) => Some((reset, U256::ZERO)),
            (_, None) => None,
        }
    }

    /// The last writer before `reader` that wiped the account's storage.
    fn last_reset(&self, hash: AccountHash, address: &Address, reader: Writer) -> Option<Writer> {
        if self.lowest_reset.load(Ordering::Acquire) >= reader.rank() {
            return None;
        }
        let is_it = |write: &Write| write.place == Place::Reset && write.address == *address;
        let mut writes = self.before(&self.account_heads(hash).rest, reader);
        writes.find(|(_, write)| is_it(write)).map(|(writer, _)| writer)
    }

    /// Makes visible what a writer changed, notes the writes' names, and reports each balance that
    /// changed.
    pub(super) fn publish(
        &self,
        (pen, names): (&mut Pen, &mut Vec<EntryId>),
        writer: Writer,
        state: &EvmState,
        mut new_balance: impl FnMut(&Address, NewBalance),
    ) {
        #[expect(clippy::iter_over_hash_type, reason = "each entry goes to a location of its own")]
        for (address, account) in state {
            if account.is_touched() {
                let mut author = Author { memory: self, pen, names, writer };
                if let Some(changed) = author.publish_account(address, account) {
                    new_balance(address, changed);
                }
            }
        }
    }

    /// Takes back writes.
    pub(super) fn retract(&self, names: &[EntryId]) {
        for name in names {
            self.writes.bury(*name);
        }
    }

    /// Corrects a balance that was computed from an overtaken one.
    pub(super) fn correct_balance(&self, entry: EntryId, balance: U256) {
        let write = self.writes.get(entry);
        for (limb, value) in write.value.iter().zip(balance.into_limbs()) {
            limb.store(value, Ordering::Relaxed);
        }
    }

    /// In how many parts the memory is walked: see [`Self::walk_accounts`].
    pub(super) const PARTITIONS: usize = 16;

    /// All that was written to the accounts of one partition, list by list, each from the last
    /// writer down. A list may hold several accounts.
    pub(super) fn walk_accounts(
        &self,
        partition: usize,
    ) -> impl Iterator<Item = [&Head; 3]> {
        let size = self.accounts.len() / Self::PARTITIONS;
        let heads = &self.accounts[partition * size..][..size];
        let heads = heads.iter().map(|heads| [&heads.balance, &heads.nonce, &heads.rest]);
        heads.filter(|heads| heads.iter().any(|head| !head.is_empty()))
    }

    /// The lists of slots of the same accounts.
    pub(super) fn walk_slots(&self, partition: usize) -> impl Iterator<Item = &Head> {
        let size = self.slots.len() / Self::PARTITIONS;
        let heads = &self.slots[partition * size..][..size];
        heads.iter().filter(|head| !head.is_empty())
    }

    /// What stands in a list, from the last writer down.
    pub(super) fn list<'a>(&'a self, head: &'a Head) -> impl Iterator<Item = (Writer, &'a Write)> {
        self.writes.iter(head).map(|(rank, write)| (Writer::of_rank(rank), write))
    }

    fn before<'a>(
        &'a self,
        head: &'a Head,
        reader: Writer,
    ) -> impl Iterator<Item = (Writer, &'a Write)> {
        self.list(head).skip_while(move |(writer, _)| *writer >= reader)
    }

    /// The partition of an account, its storage included.
    pub(super) const fn partition(hash: AccountHash) -> usize {
        (hash.0 >> 60) as usize % Self::PARTITIONS
    }

    fn account_heads(&self, hash: AccountHash) -> &AccountHeads {
        &self.accounts[in_partition(Self::partition(hash), hash.0, self.accounts.len())]
    }

    fn slot_head(&self, account: AccountHash, slot: SlotHash) -> &Head {
        &self.slots[in_partition(Self::partition(account), slot.0, self.slots.len())]
    }
}

/// The list for a hash, within the partition's share of `lists`, a power of two.
const fn in_partition(partition: usize, hash: u64, lists: usize) -> usize {
    let share = lists / MvMemory::PARTITIONS;
    partition * share + ((hash >> 16) as usize & (share - 1))
}

/// One writer at work on one account.
struct Author<'a> {
    memory: &'a MvMemory,
    pen: &'a mut Pen,
    names: &'a mut Vec<EntryId>,
    writer: Writer,
}

impl Author<'_> {
    fn write(&mut self, head: &Head, write: Write) -> EntryId {
        let name = self.memory.writes.insert(self.pen, head, self.writer.rank(), write);
        self.names.push(name);
        name
    }

    fn publish_account(&mut self, address: &Address, account: &Account) -> Option<NewBalance> {
        let hash = self.memory.account_hash(address);
        let parts = Parts::changed(account);
        // EIP-161 may delete an account that is empty but for its storage.
        let deleted = account.is_selfdestructed() || parts.exists == Some(false);
        let reset = deleted || account.is_created();
        let heads = self.memory.account_heads(hash);
        if let Some(nonce) = parts.nonce {
            let nonce = Write::number(address, Place::Nonce, U256::from(nonce));
            self.write(&heads.nonce, nonce);
        }
        if let Some(exists) = parts.exists {
            let exists = Write::number(address, Place::Exists, U256::from(exists));
            self.write(&heads.rest, exists);
        }
        if let Some(code) = parts.code {
            self.write(&heads.rest, Write::code(address, code));
        }
        if reset {
            self.memory.lowest_reset.fetch_min(self.writer.rank(), Ordering::AcqRel);
            self.write(&heads.rest, Write::number(address, Place::Reset, U256::ZERO));
        }
        if !deleted {
            self.publish_slots(hash, address, account);
        }
        let balance = parts.balance?;
        let paid_before = !account.original_info().balance.is_zero();
        let left_out = *address == self.memory.beneficiary && paid_before && !reset;
        let write = || Write::number(address, Place::Balance, balance);
        let entry = (!left_out).then(|| self.write(&heads.balance, write()));
        let bare = account.info.nonce == 0 && account.info.is_empty_code_hash();
        Some(NewBalance { balance, bare, entry })
    }

    fn publish_slots(&mut self, hash: AccountHash, address: &Address, account: &Account) {
        for (slot, value) in account.changed_storage_slots() {
            let head = self.memory.slot_head(hash, self.memory.slot_hash(hash, slot));
            let write = Write::number(address, Place::Slot(*slot), value.present_value);
            self.write(head, write);
        }
    }
}
