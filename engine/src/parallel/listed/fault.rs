//! What can be wrong with an access list.

use std::fmt;

use alloy_eips::eip7928::{AccountChanges, BlockAccessListValidationError};
use alloy_primitives::{Address, U256};

/// The first thing found wrong with a block access list. Indices are EIP-7928's: 0 comes before
/// the transactions, the transaction at place `i` has `i + 1`, and what comes after all of them has
/// the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListFault {
    /// Entries are out of order, occur twice, or name an index that the block does not have.
    #[error("the access list is malformed: {0}")]
    Structure(#[from] BlockAccessListValidationError),
    /// The bytes are no access list.
    #[error("the access list's RLP does not decode: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// The block touches an account that is not listed.
    #[error("account {address} is not listed{}", At(*index))]
    UnlistedAccount {
        /// The account.
        address: Address,
        /// Who touches it, if known.
        index: Option<u64>,
    },
    /// The block reads or writes a slot that is not listed.
    #[error("slot {slot:#x} of account {address} is not listed{}", At(*index))]
    UnlistedSlot {
        /// The account.
        address: Address,
        /// The slot.
        slot: U256,
        /// Who uses it, if known.
        index: Option<u64>,
    },
    /// A change is missing, surplus, or to another value.
    #[error(
        "{part} of account {address} at index {index}: the list has {}, execution gives {}",
        Value(*listed), Value(*found)
    )]
    Change {
        /// The account.
        address: Address,
        /// What of it.
        part: ListedPart,
        /// Whose change.
        index: u64,
        /// The value after the change as listed; `None` if no change is. Of code, its hash.
        listed: Option<U256>,
        /// The value after the change as executed; `None` if there is no change. Of code, its hash.
        found: Option<U256>,
    },
    /// A listed account is never touched.
    #[error("account {address} is listed, but the block never touches it")]
    UnusedAccount {
        /// The account.
        address: Address,
    },
    /// A listed slot is never used.
    #[error("slot {slot:#x} of account {address} is listed, but the block never uses it")]
    UnusedSlot {
        /// The account.
        address: Address,
        /// The slot.
        slot: U256,
    },
}

/// What of an account a list has changes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListedPart {
    /// A storage slot.
    Slot(U256),
    /// The balance, in wei.
    Balance,
    /// The nonce.
    Nonce,
    /// The code.
    Code,
}

impl fmt::Display for ListedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slot(slot) => write!(f, "slot {slot:#x}"),
            Self::Balance => f.write_str("the balance"),
            Self::Nonce => f.write_str("the nonce"),
            Self::Code => f.write_str("the code"),
        }
    }
}

struct Value(Option<U256>);

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(value) => write!(f, "{value:#x}"),
            None => f.write_str("no change"),
        }
    }
}

struct At(Option<u64>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(index) => write!(f, ", but used at index {index}"),
            None => Ok(()),
        }
    }
}

impl ListFault {
    /// The first difference between a list and the one that executing the block gives, account by
    /// account; `None` if they are equal. Both are in order.
    pub fn between(listed: &[AccountChanges], made: &[AccountChanges]) -> Option<Self> {
        let mut listed = listed.iter().peekable();
        for made in made {
            let address = made.address;
            match listed.next_if(|listed| listed.address <= address) {
                Some(listed) if listed.address == address => {
                    if let Some(fault) = account_fault(listed, made) {
                        return Some(fault);
                    }
                }
                Some(surplus) => return Some(Self::UnusedAccount { address: surplus.address }),
                None => return Some(Self::UnlistedAccount { address, index: None }),
            }
        }
        listed.next().map(|surplus| Self::UnusedAccount { address: surplus.address })
    }
}

type Changes = Vec<((ListedPart, u64), U256)>;

fn account_fault(listed: &AccountChanges, made: &AccountChanges) -> Option<ListFault> {
    if listed == made {
        return None;
    }
    let address = made.address;
    let (has, needs) = (slots(listed), slots(made));
    if let Some(slot) = needs.iter().find(|slot| has.binary_search(slot).is_err()) {
        return Some(ListFault::UnlistedSlot { address, slot: *slot, index: None });
    }
    if let Some(slot) = has.iter().find(|slot| needs.binary_search(slot).is_err()) {
        return Some(ListFault::UnusedSlot { address, slot: *slot });
    }
    first_change(address, &changes(listed), &changes(made))
}

/// The first change that only one of two ordered lists has, or that they have with two values.
pub(super) fn first_change(
    address: Address,
    listed: &[((ListedPart, u64), U256)],
    found: &[((ListedPart, u64), U256)],
) -> Option<ListFault> {
    let mut ours = listed.iter().peekable();
    let mut theirs = found.iter().peekable();
    loop {
        let key = ours.peek().map(|change| change.0).into_iter();
        let (part, index) = key.chain(theirs.peek().map(|change| change.0)).min()?;
        let listed = ours.next_if(|change| change.0 == (part, index)).map(|change| change.1);
        let found = theirs.next_if(|change| change.0 == (part, index)).map(|change| change.1);
        if listed != found {
            return Some(ListFault::Change { address, part, index, listed, found });
        }
    }
}

fn slots(account: &AccountChanges) -> Vec<U256> {
    let mut slots: Vec<_> = account.storage_slots().collect();
    slots.sort_unstable();
    slots
}

fn changes(account: &AccountChanges) -> Changes {
    let slots = account.storage_changes.iter().flat_map(|slot| {
        let key = |index: u64| (ListedPart::Slot(slot.slot), index);
        slot.changes.iter().map(move |c| (key(c.block_access_index.get()), c.new_value))
    });
    let balances = account.balance_changes.iter();
    let nonces = account.nonce_changes.iter();
    let codes = account.code_changes.iter();
    let balances =
        balances.map(|c| ((ListedPart::Balance, c.block_access_index.get()), c.post_balance));
    let nonces =
        nonces.map(|c| ((ListedPart::Nonce, c.block_access_index.get()), U256::from(c.new_nonce)));
    let codes = codes.map(|c| {
        let hash = alloy_primitives::keccak256(c.new_code());
        ((ListedPart::Code, c.block_access_index.get()), hash.into())
    });
    let mut changes: Changes = slots.chain(balances).chain(nonces).chain(codes).collect();
    changes.sort_unstable();
    changes
}
