//! The state root after a block, from all accounts at once.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unsorted, storage_root_unhashed},
};
use pleach_state::{FlatAccount, FlatState};
use rayon::prelude::*;
use revm::database::{BundleAccount, BundleState};

/// The root of a flat state after a block's changes.
///
/// Every account and slot is hashed, which is simple and exact; it serves generated states, whose
/// accounts are all known.
pub fn state_root(prestate: &FlatState, bundle: &BundleState) -> B256 {
    let mut accounts: BTreeMap<&Address, (Option<&FlatAccount>, Option<&BundleAccount>)> =
        prestate.accounts().map(|(address, account)| (address, (Some(account), None))).collect();
    bundle.state.iter().for_each(|(address, changed)| {
        accounts.entry(address).or_default().1 = Some(changed);
    });
    let accounts: Vec<_> = accounts.into_iter().collect();
    let leaves = accounts.into_par_iter().with_min_len(64).filter_map(|(address, versions)| {
        let (before, changed) = versions;
        Some((keccak256(address), trie_account(before, changed)?))
    });
    state_root_unsorted(leaves.collect::<Vec<_>>())
}

/// An account as the trie holds it after the block; `None` if there is none.
fn trie_account(
    before: Option<&FlatAccount>,
    changed: Option<&BundleAccount>,
) -> Option<TrieAccount> {
    let info = match changed {
        Some(changed) => changed.info.as_ref()?,
        None => &before?.info,
    };
    let mut storage: BTreeMap<U256, U256> = BTreeMap::new();
    let destroyed = changed.is_some_and(BundleAccount::was_destroyed);
    if let Some(before) = before.filter(|_| !destroyed) {
        storage.extend(&before.storage);
    }
    if let Some(changed) = changed {
        storage.extend(changed.storage.iter().map(|(slot, value)| (*slot, value.present_value)));
    }
    let slots = storage.into_iter().filter(|(_, value)| !value.is_zero());
    Some(TrieAccount {
        nonce: info.nonce,
        balance: info.balance,
        storage_root: storage_root_unhashed(slots.map(|(slot, value)| (slot.into(), value))),
        code_hash: info.code_hash,
    })
}
