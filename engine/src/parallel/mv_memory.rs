//! The multi-version memory: per location, what each transaction of the block wrote.

use alloy_primitives::{Address, U256};
use pleach_scheduler::{Chains, EntryId, Head, Pen};
use revm::state::{Account, EvmState};

use super::{
    location::{AccountHash, LocationHasher, SlotHash, Writer},
    parts::{AccountOverlay, Code, Known, Parts},
    payment::Party,
};
use crate::sync::{AtomicU8, AtomicU32, AtomicU64, MODEL, Mutex, Ordering};

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
    /// Codes that the block made or set.
    codes: Mutex<Vec<Code>>,
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

/// What one writer gave one location. All atomics, set before anybody else can see them; relaxed,
/// for the list publishes them.
#[derive(Debug, Default)]
pub(super) struct Write {
    address: [AtomicU64; 3],
    part: AtomicU8,
    slot: [AtomicU64; 4],
    /// A number's limbs. Balances are corrected in place: who reads one meanwhile may get a
    /// mixture of old and new, as harmless as any other overtaken value. For a code, its place
    /// among the block's codes.
    value: [AtomicU64; 4],
}

/// Which part of an account a write went to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Slot,
    Balance,
    Nonce,
    Exists,
    Code,
    /// The storage was wiped: no earlier slot value counts.
    Reset,
}

/// An address as the memory stores it.
#[derive(Debug, Clone, Copy)]
struct AddressWords([u64; 3]);

impl AddressWords {
    fn of(address: &Address) -> Self {
        let mut padded = [0; 24];
        padded[..20].copy_from_slice(address.as_slice());
        let word = |at: usize| {
            u64::from_le_bytes(*padded[at * 8..].first_chunk().expect("a word has eight bytes"))
        };
        Self([word(0), word(1), word(2)])
    }
}

impl Write {
    fn fill(&self, address: AddressWords, part: Part, slot: &U256, value: &U256) {
        set(&self.address, &address.0);
        self.part.store(part as u8, Ordering::Relaxed);
        set(&self.slot, slot.as_limbs());
        set(&self.value, value.as_limbs());
    }

    fn is_of(&self, address: AddressWords) -> bool {
        get(&self.address) == address.0
    }

    fn is_slot(&self, slot: &U256) -> bool {
        get(&self.slot) == *slot.as_limbs()
    }

    pub(super) fn address(&self) -> Address {
        let [a, b, c] = get(&self.address).map(u64::to_le_bytes);
        let mut address = Address::ZERO;
        address[..8].copy_from_slice(&a);
        address[8..16].copy_from_slice(&b);
        address[16..].copy_from_slice(&c[..4]);
        address
    }

    /// Whether both went to one location.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        self.is_of(AddressWords(get(&other.address)))
            && self.part() == other.part()
            && get(&self.slot) == get(&other.slot)
    }

    pub(super) fn part(&self) -> Part {
        match self.part.load(Ordering::Relaxed) {
            0 => Part::Slot,
            1 => Part::Balance,
            2 => Part::Nonce,
            3 => Part::Exists,
            4 => Part::Code,
            5 => Part::Reset,
            _ => unreachable!("only parts are stored"),
        }
    }

    pub(super) fn slot(&self) -> U256 {
        U256::from_limbs(get(&self.slot))
    }

    pub(super) fn value(&self) -> U256 {
        U256::from_limbs(get(&self.value))
    }
}

fn get<const N: usize>(words: &[AtomicU64; N]) -> [u64; N] {
    std::array::from_fn(|word| words[word].load(Ordering::Relaxed))
}

fn set<const N: usize>(words: &[AtomicU64; N], values: &[u64; N]) {
    for (word, value) in words.iter().zip(values) {
        word.store(*value, Ordering::Relaxed);
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

/// The numbers of an account that a transaction left changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct After {
    pub(super) balance: Option<NewBalance>,
    pub(super) nonce: Option<u64>,
}

/// Lists of accounts for each transaction.
const ACCOUNTS_PER_TX: usize = 2;
/// Gas beyond the 21,000 of each transaction for which there is one list of slots.
const GAS_PER_SLOT: u64 = 6_000;
/// Lists of each kind that there are at least; one for each partition.
const FEWEST_LISTS: usize = if MODEL { MvMemory::PARTITIONS } else { 256 };

impl MvMemory {
    /// The memory of a block of so many transactions that use about so much gas.
    pub(super) fn new(transactions: usize, gas: u64, beneficiary: Address) -> Self {
        let lists = |wanted: usize| wanted.next_power_of_two().clamp(FEWEST_LISTS, 1 << 20);
        let slots = gas.saturating_sub(21_000 * transactions as u64) / GAS_PER_SLOT;
        Self {
            hasher: LocationHasher::default(),
            writes: Chains::default(),
            accounts: (0..lists(transactions * ACCOUNTS_PER_TX)).map(|_| <_>::default()).collect(),
            slots: (0..lists(slots as usize)).map(|_| Head::default()).collect(),
            codes: Mutex::default(),
            lowest_reset: AtomicU32::new(u32::MAX),
            beneficiary,
        }
    }

    /// The memory of another block, in the same place.
    pub(super) fn reset(mut self, transactions: usize, gas: u64, beneficiary: Address) -> Self {
        let new = Self::new(transactions, gas, beneficiary);
        self.writes.reset();
        Self { writes: self.writes, ..new }
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

    /// The account as `reader` finds it. Lists of what is known already are not walked.
    pub(super) fn account(
        &self,
        hash: AccountHash,
        address: &Address,
        reader: Writer,
        known: Known,
    ) -> AccountOverlay {
        let heads = self.account_heads(hash);
        let words = AddressWords::of(address);
        let latest = |head| self.before(head, reader).find(|(_, write)| write.is_of(words));
        let balance = || latest(&heads.balance).map(|(_, write)| write.value());
        let mut overlay = AccountOverlay {
            balance: known.balance.or_else(balance),
            nonce: known.nonce,
            ..AccountOverlay::default()
        };
        if known.nonce.is_none()
            && let Some((writer, write)) = latest(&heads.nonce)
        {
            overlay.nonce = Some(write.value().to());
            overlay.latest = Some(writer);
        }
        for (writer, write) in self.before(&heads.rest, reader) {
            let news = write.is_of(words)
                && match write.part() {
                    Part::Exists if overlay.exists.is_none() => {
                        overlay.exists = Some(!write.value().is_zero());
                        true
                    }
                    Part::Code if overlay.code.is_none() => {
                        overlay.code = Some(self.code(write.value()));
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
        let words = AddressWords::of(address);
        let is_it = |write: &Write| write.is_slot(slot) && write.is_of(words);
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
        let words = AddressWords::of(address);
        let is_it = |write: &Write| write.part() == Part::Reset && write.is_of(words);
        let mut writes = self.before(&self.account_heads(hash).rest, reader);
        writes.find(|(_, write)| is_it(write)).map(|(writer, _)| writer)
    }

    /// Makes visible what a writer changed, notes the writes' names, and reports whose numbers
    /// changed.
    pub(super) fn publish(
        &self,
        (pen, names): (&mut Pen, &mut Vec<EntryId>),
        writer: Writer,
        state: &EvmState,
        mut changed: impl FnMut(&Address, After),
    ) {
        #[expect(clippy::iter_over_hash_type, reason = "each entry goes to a location of its own")]
        for (address, account) in state {
            if account.is_touched() {
                let mut author = Author { memory: self, pen, names, writer };
                let after = author.publish_account(address, account);
                if after.balance.is_some() || after.nonce.is_some() {
                    changed(address, after);
                }
            }
        }
    }

    /// The same for the parties of a payment.
    pub(super) fn publish_payment(
        &self,
        (pen, names): (&mut Pen, &mut Vec<EntryId>),
        writer: Writer,
        parties: &[Party],
        mut changed: impl FnMut(&Address, After),
    ) {
        for party in parties {
            let mut author = Author { memory: self, pen, names, writer };
            changed(&party.address, author.publish_party(party));
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
        set(&self.writes.get(entry).value, balance.as_limbs());
    }

    /// What was written under this name.
    pub(super) fn write(&self, name: EntryId) -> &Write {
        self.writes.get(name)
    }

    /// Whether anything stands in the memory for the account, be it slots.
    pub(super) fn has_writes(&self, hash: AccountHash, address: &Address) -> bool {
        let words = AddressWords::of(address);
        let AccountHeads { balance, nonce, rest } = self.account_heads(hash);
        let accounts = [balance, nonce, rest].into_iter();
        let lists = accounts.chain(self.walk_slots(Self::partition(hash)));
        lists.flat_map(|head| self.list(head)).any(|(_, write)| write.is_of(words))
    }

    /// In how many parts the memory is walked: see [`Self::walk_accounts`].
    pub(super) const PARTITIONS: usize = 16;

    /// All that was written to the accounts of one partition, list by list, each from the last
    /// writer down. A list may hold several accounts.
    pub(super) fn walk_accounts(&self, partition: usize) -> impl Iterator<Item = [&Head; 3]> {
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

    /// The code that a write set, which is what its value names.
    pub(super) fn code(&self, value: U256) -> Box<Code> {
        let place: usize = value.to();
        Box::new(self.codes.lock()[place].clone())
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
    fn write(&mut self, head: &Head, words: AddressWords, part: Part, value: U256) -> EntryId {
        self.write_to(head, words, (part, &U256::ZERO), &value)
    }

    fn write_to(
        &mut self,
        head: &Head,
        words: AddressWords,
        (part, slot): (Part, &U256),
        value: &U256,
    ) -> EntryId {
        let fill = |write: &Write| write.fill(words, part, slot, value);
        let name = self.memory.writes.insert(self.pen, head, self.writer.rank(), fill);
        self.names.push(name);
        name
    }

    fn publish_account(&mut self, address: &Address, account: &Account) -> After {
        let hash = self.memory.account_hash(address);
        let words = AddressWords::of(address);
        let parts = Parts::changed(account);
        // EIP-161 may delete an account that is empty but for its storage.
        let deleted = account.is_selfdestructed() || parts.exists == Some(false);
        let reset = deleted || account.is_created();
        let heads = self.memory.account_heads(hash);
        if let Some(nonce) = parts.nonce {
            self.write(&heads.nonce, words, Part::Nonce, U256::from(nonce));
        }
        if let Some(exists) = parts.exists {
            self.write(&heads.rest, words, Part::Exists, U256::from(exists));
        }
        if let Some(code) = parts.code {
            let mut codes = self.memory.codes.lock();
            codes.push(*code);
            let place = U256::from(codes.len() - 1);
            drop(codes);
            self.write(&heads.rest, words, Part::Code, place);
        }
        if reset {
            self.memory.lowest_reset.fetch_min(self.writer.rank(), Ordering::AcqRel);
            self.write(&heads.rest, words, Part::Reset, U256::ZERO);
        }
        if !deleted {
            self.publish_slots(hash, words, account);
        }
        let balance = parts.balance.map(|balance| {
            let paid_before = !account.original_info().balance.is_zero();
            let left_out = *address == self.memory.beneficiary && paid_before && !reset;
            let entry =
                (!left_out).then(|| self.write(&heads.balance, words, Part::Balance, balance));
            let bare = account.info.nonce == 0 && account.info.is_empty_code_hash();
            NewBalance { balance, bare, entry }
        });
        After { balance, nonce: parts.nonce }
    }

    fn publish_party(&mut self, party: &Party) -> After {
        let heads = self.memory.account_heads(self.memory.account_hash(&party.address));
        let words = AddressWords::of(&party.address);
        let [found, balance] = party.balance;
        let nonce = (party.nonce[0] != party.nonce[1]).then_some(party.nonce[1]);
        if let Some(nonce) = nonce {
            self.write(&heads.nonce, words, Part::Nonce, U256::from(nonce));
        }
        if !party.existed {
            self.write(&heads.rest, words, Part::Exists, U256::from(true));
        }
        let balance = (balance != found).then(|| {
            let left_out = party.address == self.memory.beneficiary && !found.is_zero();
            let entry =
                (!left_out).then(|| self.write(&heads.balance, words, Part::Balance, balance));
            NewBalance { balance, bare: party.nonce[1] == 0 && !party.has_code, entry }
        });
        After { balance, nonce }
    }

    fn publish_slots(&mut self, hash: AccountHash, words: AddressWords, account: &Account) {
        for (slot, value) in account.changed_storage_slots() {
            let head = self.memory.slot_head(hash, self.memory.slot_hash(hash, slot));
            self.write_to(head, words, (Part::Slot, slot), &value.present_value);
        }
    }
}

#[cfg(test)]
mod tests;
