//! An access list as execution looks things up in it.

use std::{collections::HashMap, ops::Range};

use alloy_consensus::Header;
use alloy_eips::eip7928::{AccountChanges, validate_block_access_list};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use foldhash::fast::RandomState;
use revm::{
    bytecode::Bytecode,
    primitives::KECCAK_EMPTY,
    state::{AccountId, AccountInfo, bal::alloy::AlloyBal},
};

use super::fault::{ListFault, ListedPart};

/// An EIP-7928 block access list whose order has been checked, indexed for execution.
///
/// A transaction's prestate is what the list has below its index, over the block's prestate.
#[derive(Debug, Clone)]
pub struct AccessList {
    entries: AlloyBal,
    accounts: Box<[ListedAccount]>,
    slots: Box<[ListedSlot]>,
    balances: Box<[(u32, U256)]>,
    nonces: Box<[(u32, u64)]>,
    codes: Box<[(u32, (B256, Bytecode))]>,
    values: Box<[(u32, U256)]>,
    by_address: HashMap<Address, u32, RandomState>,
    by_slot: HashMap<(u32, U256), u32, RandomState>,
    /// How many changes each index has.
    changes: Box<[u32]>,
}

/// Where an account's changes are.
#[derive(Debug, Clone)]
pub(super) struct ListedAccount {
    pub(super) address: Address,
    balances: Span,
    nonces: Span,
    codes: Span,
    slots: Span,
}

/// Where a slot's changes are; nowhere, if it is only read.
#[derive(Debug, Clone)]
pub(super) struct ListedSlot {
    pub(super) key: U256,
    values: Span,
}

#[derive(Debug, Clone, Copy)]
struct Span(u32, u32);

impl Span {
    const fn range(self) -> Range<usize> {
        self.0 as usize..self.1 as usize
    }
}

/// The changes of one location, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct History<'a, T>(&'a [(u32, T)]);

impl<'a, T> History<'a, T> {
    /// The last value from before an index.
    pub(super) fn before(self, index: u32) -> Option<&'a T> {
        let end = self.0.partition_point(|change| change.0 < index);
        self.0[..end].last().map(|change| &change.1)
    }

    /// The value set at an index.
    pub(super) fn at(self, index: u32) -> Option<&'a T> {
        let at = self.0.binary_search_by_key(&index, |change| change.0);
        at.ok().map(|at| &self.0[at].1)
    }

    /// All changes, each with its index.
    pub(super) const fn all(self) -> &'a [(u32, T)] {
        self.0
    }

    /// The value after the block.
    pub(super) fn last(self) -> Option<&'a T> {
        self.0.last().map(|change| &change.1)
    }
}

impl AccessList {
    /// Checks the list's order and indexes it, for a block of so many transactions.
    ///
    /// # Errors
    /// [`ListFault::Structure`] names what is out of order, doubled or out of range.
    #[expect(clippy::result_large_err, reason = "a fault has all that it names; once a block")]
    pub fn new(entries: AlloyBal, transactions: usize) -> Result<Self, ListFault> {
        validate_block_access_list(&entries, transactions)?;
        let mut builder = Builder::new(transactions);
        for account in &entries {
            builder.add(account);
        }
        Ok(builder.finish(entries))
    }

    /// Decodes a list's RLP, for a block of so many transactions.
    ///
    /// # Errors
    /// [`ListFault::Rlp`], trailing bytes included, and [`ListFault::Structure`].
    #[expect(clippy::result_large_err, reason = "a fault has all that it names; once a block")]
    pub fn decode(rlp: &[u8], transactions: usize) -> Result<Self, ListFault> {
        let mut rest = rlp;
        let entries = AlloyBal::decode(&mut rest)?;
        if !rest.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        Self::new(entries, transactions)
    }

    /// The list itself.
    pub const fn entries(&self) -> &AlloyBal {
        &self.entries
    }

    /// The hash that a header has of it: Keccak-256 of its RLP.
    pub fn hash(&self) -> B256 {
        keccak256(alloy_rlp::encode(&self.entries))
    }

    /// Whether it is the list that a header names, where the header names one.
    pub fn is_of(&self, header: &Header) -> bool {
        header.block_access_list_hash.is_none_or(|hash| hash == self.hash())
    }

    /// What the block will touch: every account with its slots. A prestate that takes long to read
    /// can load all of it ahead of execution and beside it, in whatever order suits its storage.
    pub fn touched(&self) -> impl Iterator<Item = (Address, impl Iterator<Item = U256> + '_)> + '_ {
        self.accounts.iter().map(|account| {
            (account.address, self.slots[account.slots.range()].iter().map(|slot| slot.key))
        })
    }

    pub(super) fn accounts(&self) -> &[ListedAccount] {
        &self.accounts
    }

    pub(super) fn slots(&self) -> &[ListedSlot] {
        &self.slots
    }

    pub(super) fn account_id(&self, address: &Address) -> Option<u32> {
        self.by_address.get(address).copied()
    }

    /// The same, given what may be it.
    pub(super) fn account_id_from(
        &self,
        hint: Option<AccountId>,
        address: &Address,
    ) -> Option<u32> {
        let hinted = hint.and_then(|id| Some((id, self.accounts.get(id.get())?)));
        match hinted {
            Some((id, account)) if account.address == *address => Some(id.get() as u32),
            _ => self.account_id(address),
        }
    }

    pub(super) fn slot_id(&self, account: u32, slot: U256) -> Option<u32> {
        self.by_slot.get(&(account, slot)).copied()
    }

    pub(super) fn slots_of(&self, account: u32) -> Range<usize> {
        self.accounts[account as usize].slots.range()
    }

    pub(super) fn balances(&self, account: u32) -> History<'_, U256> {
        History(&self.balances[self.accounts[account as usize].balances.range()])
    }

    pub(super) fn nonces(&self, account: u32) -> History<'_, u64> {
        History(&self.nonces[self.accounts[account as usize].nonces.range()])
    }

    pub(super) fn codes(&self, account: u32) -> History<'_, (B256, Bytecode)> {
        History(&self.codes[self.accounts[account as usize].codes.range()])
    }

    /// Whether anything of an account but its slots changes.
    pub(super) fn has_account_changes(&self, account: u32) -> bool {
        let ListedAccount { balances, nonces, codes, .. } = &self.accounts[account as usize];
        [balances, nonces, codes].into_iter().any(|span| !span.range().is_empty())
    }

    pub(super) fn values(&self, slot: u32) -> History<'_, U256> {
        History(&self.values[self.slots[slot as usize].values.range()])
    }

    /// How many changes an index has.
    pub(super) fn changes_at(&self, index: u32) -> u32 {
        self.changes[index as usize]
    }

    /// Number of transactions of the block.
    pub(super) fn transactions(&self) -> usize {
        self.changes.len() - 2
    }

    /// The account before an index, given it before the block.
    pub(super) fn account_before(
        &self,
        account: u32,
        index: u32,
        before: Option<AccountInfo>,
    ) -> Option<AccountInfo> {
        let exists = before.is_some();
        let mut info = before.unwrap_or_default();
        let mut changed = false;
        if let Some(balance) = self.balances(account).before(index) {
            (info.balance, changed) = (*balance, true);
        }
        if let Some(nonce) = self.nonces(account).before(index) {
            (info.nonce, changed) = (*nonce, true);
        }
        if let Some((hash, code)) = self.codes(account).before(index) {
            (info.code_hash, info.code, changed) = (*hash, Some(code.clone()), true);
        }
        info.account_id = AccountId::new(account as usize);
        // What is left empty is gone (EIP-161).
        let exists = if changed { !info.is_empty() } else { exists };
        exists.then_some(info)
    }

    /// An account's changes at an index, in order.
    pub(super) fn account_changes_at(
        &self,
        account: u32,
        index: u32,
    ) -> Vec<((ListedPart, u64), U256)> {
        let slots = self.slots_of(account).filter_map(|slot| {
            let value = self.values(slot as u32).at(index)?;
            Some((ListedPart::Slot(self.slots[slot].key), *value))
        });
        let balance = self.balances(account).at(index).map(|b| (ListedPart::Balance, *b));
        let nonce = self.nonces(account).at(index).map(|n| (ListedPart::Nonce, U256::from(*n)));
        let code = self.codes(account).at(index).map(|c| (ListedPart::Code, c.0.into()));
        let changes = slots.chain(balance).chain(nonce).chain(code);
        let mut changes: Vec<_> =
            changes.map(|(part, value)| ((part, u64::from(index)), value)).collect();
        changes.sort_unstable();
        changes
    }
}

#[derive(Default)]
struct Builder {
    accounts: Vec<ListedAccount>,
    slots: Vec<ListedSlot>,
    balances: Vec<(u32, U256)>,
    nonces: Vec<(u32, u64)>,
    codes: Vec<(u32, (B256, Bytecode))>,
    values: Vec<(u32, U256)>,
    changes: Vec<u32>,
}

fn span<T>(all: &mut Vec<T>, more: impl Iterator<Item = T>) -> Span {
    let start = all.len();
    all.extend(more);
    Span(short(start), short(all.len()))
}

/// Lists are held in memory, and each change takes more than four bytes of their encoding.
fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a list has fewer than 2^32 changes")
}

impl Builder {
    fn new(transactions: usize) -> Self {
        Self { changes: vec![0; transactions + 2], ..Self::default() }
    }

    fn add(&mut self, account: &AccountChanges) {
        let Self { accounts, slots, balances, nonces, codes, values, changes } = self;
        // Checked before: no index is beyond the block.
        let mut at = |index: u64| {
            changes[index as usize] += 1;
            index as u32
        };
        let balance = account.balance_changes.iter();
        let balance = balance.map(|c| (at(c.block_access_index.get()), c.post_balance));
        let balances = span(balances, balance);
        let nonce = account.nonce_changes.iter();
        let nonces = span(nonces, nonce.map(|c| (at(c.block_access_index.get()), c.new_nonce)));
        let code = account.code_changes.iter();
        let code = code.map(|c| (at(c.block_access_index.get()), bytecode(c.new_code())));
        let codes = span(codes, code);
        let changed = account.storage_changes.iter().map(|slot| {
            let value = slot.changes.iter();
            let value = value.map(|c| (at(c.block_access_index.get()), c.new_value));
            ListedSlot { key: slot.slot, values: span(values, value) }
        });
        let start = slots.len();
        slots.extend(changed);
        let read = |key: &U256| ListedSlot { key: *key, values: Span(0, 0) };
        slots.extend(account.storage_reads.iter().map(read));
        let slots = Span(short(start), short(slots.len()));
        let address = account.address;
        accounts.push(ListedAccount { address, balances, nonces, codes, slots });
    }

    fn finish(self, entries: AlloyBal) -> AccessList {
        let by_address = self.accounts.iter().enumerate();
        let by_address = by_address.map(|(id, account)| (account.address, id as u32)).collect();
        let by_slot = self.accounts.iter().enumerate().flat_map(|(id, account)| {
            let slots = account.slots.range();
            slots.map(|slot| ((id as u32, self.slots[slot].key), slot as u32)).collect::<Vec<_>>()
        });
        let by_slot = by_slot.collect();
        AccessList {
            entries,
            by_address,
            by_slot,
            accounts: self.accounts.into(),
            slots: self.slots.into(),
            balances: self.balances.into(),
            nonces: self.nonces.into(),
            codes: self.codes.into(),
            values: self.values.into(),
            changes: self.changes.into(),
        }
    }
}

/// A code with its hash, ready to run. What only begins like an EIP-7702 delegation is legacy code,
/// as contracts from before EIP-3541 may be.
fn bytecode(code: &Bytes) -> (B256, Bytecode) {
    if code.is_empty() {
        return (KECCAK_EMPTY, Bytecode::default());
    }
    let analysed = Bytecode::new_raw_checked(code.clone());
    (keccak256(code), analysed.unwrap_or_else(|_| Bytecode::new_legacy(code.clone())))
}
