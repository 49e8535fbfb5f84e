//! The parts of an account that a transaction changes.

use alloy_primitives::{B256, U256};
use revm::{
    bytecode::Bytecode,
    state::{Account, AccountInfo},
};

use super::location::Writer;

/// A code hash and, where the block created the code, the code.
pub(super) type Code = (B256, Option<Bytecode>);

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
}

/// Which parts of an account somebody wrote.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WrittenParts {
    pub(super) balance: bool,
    pub(super) nonce: bool,
    pub(super) exists: bool,
    pub(super) code: bool,
}

impl WrittenParts {
    pub(super) const fn any(self) -> bool {
        self.balance || self.nonce || self.exists || self.code
    }
}

/// What is known of an account without a look into the memory.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) balance: Option<U256>,
    pub(super) nonce: Option<u64>,
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

impl AccountOverlay {
    /// The account after these changes; `None` if it does not exist.
    pub(super) fn over(self, before: Option<AccountInfo>) -> Option<AccountInfo> {
        let exists = self.exists.unwrap_or(before.is_some());
        let mut info = before.unwrap_or_default();
        info.balance = self.balance.unwrap_or(info.balance);
        info.nonce = self.nonce.unwrap_or(info.nonce);
        if let Some(code) = self.code {
            (info.code_hash, info.code) = *code;
        }
        exists.then_some(info)
    }

    /// Which parts earlier writers wrote.
    pub(super) const fn written(&self) -> WrittenParts {
        WrittenParts {
            balance: self.balance.is_some(),
            nonce: self.nonce.is_some(),
            exists: self.exists.is_some(),
            code: self.code.is_some(),
        }
    }
}
