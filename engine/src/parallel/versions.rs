//! What different writers gave one location.

use alloy_primitives::{Address, B256, U256};
use revm::{
    bytecode::Bytecode,
    state::{Account, AccountInfo},
};
use smallvec::SmallVec;

use super::location::Writer;

/// A code hash and, where the block created the code, the code.
pub(super) type Code = (B256, Option<Bytecode>);

/// The values that writers gave one location, in ascending order of writer. Reading and writing at
/// the end, where nearly all happens, take no search.
#[derive(Debug)]
pub(super) struct Versions<T>(SmallVec<[(Writer, T); 1]>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T> Versions<T> {
    /// The value of the closest writer before `reader`.
    pub(super) fn before(&self, reader: Writer) -> Option<(Writer, &T)> {
        let found = self.0.iter().rev().find(|(writer, _)| *writer < reader)?;
        Some((found.0, &found.1))
    }

    pub(super) fn insert(&mut self, writer: Writer, value: T) {
        match self.0.iter().rposition(|(existing, _)| *existing <= writer) {
            Some(at) if self.0[at].0 == writer => self.0[at].1 = value,
            Some(at) => self.0.insert(at + 1, (writer, value)),
            None => self.0.insert(0, (writer, value)),
        }
    }

    /// Sets the value of a writer that has one, and does nothing for others.
    pub(super) fn replace(&mut self, writer: Writer, value: T) {
        if let Ok(at) = self.0.binary_search_by_key(&writer, |(existing, _)| *existing) {
            self.0[at].1 = value;
        }
    }

    pub(super) fn remove(&mut self, writer: Writer) {
        if let Ok(at) = self.0.binary_search_by_key(&writer, |(existing, _)| *existing) {
            self.0.remove(at);
        }
    }

    fn insert_if_some(&mut self, writer: Writer, value: Option<T>) {
        if let Some(value) = value {
            self.insert(writer, value);
        }
    }
}

/// The parts of an account that one writer changed. The parts are locations of their own:
/// who pays an account does not touch what others know of its nonce or code.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) balance: Option<U256>,
    pub(super) nonce: Option<u64>,
    pub(super) exists: Option<bool>,
    pub(super) code: Option<Box<Code>>,
}

impl Parts {
    /// What a transaction changed of an account it touched.
    pub(super) fn changed(account: &Account) -> Self {
        // EIP-161 deletes what is touched and empty; before it, the journal has unmarked or created
        // such accounts, so that the rule is the same for all forks.
        let deleted = account.is_selfdestructed() || (account.is_empty() && !account.is_created());
        let existed = !account.is_loaded_as_not_existing();
        let gone = AccountInfo::default();
        let before = account.original_info();
        let after = if deleted { &gone } else { &account.info };
        let code = || Box::new((after.code_hash, after.code.clone()));
        Self {
            balance: (after.balance != before.balance).then_some(after.balance),
            nonce: (after.nonce != before.nonce).then_some(after.nonce),
            exists: (existed == deleted).then_some(!deleted),
            code: (after.code_hash != before.code_hash).then(code),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.balance.is_none()
            && self.nonce.is_none()
            && self.exists.is_none()
            && self.code.is_none()
    }
}

/// An account as earlier writers left it: each part is `None` where none of them wrote it.
#[derive(Debug, Default)]
pub(super) struct AccountOverlay {
    pub(super) balance: Option<U256>,
    pub(super) nonce: Option<u64>,
    pub(super) exists: Option<bool>,
    pub(super) code: Option<Box<Code>>,
    /// The latest writer of a part that is compared by value. Balances mostly are not.
    pub(super) latest: Option<Writer>,
}

/// All versions of one account.
#[derive(Debug)]
pub(super) struct AccountVersions {
    address: Address,
    pub(super) balance: Versions<U256>,
    nonce: Versions<u64>,
    exists: Versions<bool>,
    code: Versions<Box<Code>>,
    /// Writers after which no earlier slot value counts: creation and deletion.
    pub(super) resets: Versions<()>,
}

impl AccountVersions {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            balance: Versions::default(),
            nonce: Versions::default(),
            exists: Versions::default(),
            code: Versions::default(),
            resets: Versions::default(),
        }
    }

    pub(super) fn is_of(&self, address: &Address) -> bool {
        self.address == *address
    }

    pub(super) fn before(&self, reader: Writer) -> AccountOverlay {
        let nonce = self.nonce.before(reader);
        let exists = self.exists.before(reader);
        let code = self.code.before(reader);
        let writers = [nonce.map(|n| n.0), exists.map(|e| e.0), code.map(|c| c.0)];
        AccountOverlay {
            balance: self.balance.before(reader).map(|(_, balance)| *balance),
            nonce: nonce.map(|(_, nonce)| *nonce),
            exists: exists.map(|(_, exists)| *exists),
            code: code.map(|(_, code)| code.clone()),
            latest: writers.into_iter().flatten().max(),
        }
    }

    pub(super) fn insert(&mut self, writer: Writer, parts: Parts, reset: bool) {
        self.balance.insert_if_some(writer, parts.balance);
        self.nonce.insert_if_some(writer, parts.nonce);
        self.exists.insert_if_some(writer, parts.exists);
        self.code.insert_if_some(writer, parts.code);
        self.resets.insert_if_some(writer, reset.then_some(()));
    }

    pub(super) fn remove(&mut self, writer: Writer) {
        self.balance.remove(writer);
        self.nonce.remove(writer);
        self.exists.remove(writer);
        self.code.remove(writer);
        self.resets.remove(writer);
    }
}

/// All versions of one slot.
#[derive(Debug)]
pub(super) struct SlotVersions {
    address: Address,
    slot: U256,
    pub(super) values: Versions<U256>,
}

impl SlotVersions {
    pub(super) fn new(address: Address, slot: U256) -> Self {
        Self { address, slot, values: Versions::default() }
    }

    pub(super) fn is_of(&self, address: &Address, slot: &U256) -> bool {
        self.slot == *slot && self.address == *address
    }
}
