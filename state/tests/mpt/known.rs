//! Random states whose hashed keys are hashes of something that is known.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256, keccak256};
use pleach_state::mpt::{AccountChange, AccountFields, StateChanges, TouchedKey};

use crate::model::{Model, ModelAccount, Rng};

/// A state whose keys are hashes of addresses and slots that are known, as hints need them.
pub(crate) struct Known {
    pub(crate) model: Model,
    pub(crate) addresses: Vec<Address>,
}

pub(crate) const SLOTS: u64 = 40;

fn slot_key(slot: u64) -> B256 {
    keccak256(B256::from(U256::from(slot)))
}

impl Known {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let count = [3, 40, 400][rng.below(3) as usize];
        let addresses: Vec<_> = (0..count).map(|_| address(rng)).collect();
        let mut model = Model::default();
        for address in &addresses {
            let fields = fields(rng);
            let slots = (0..SLOTS).filter(|_| rng.chance(30)).collect::<Vec<_>>();
            let slots = slots.into_iter().map(|slot| (slot_key(slot), rng.value())).collect();
            model.accounts.insert(keccak256(address), ModelAccount { fields, slots });
        }
        Self { model, addresses }
    }

    /// Changes of a block, in the model as well, and the keys that it writes, in commit order.
    pub(crate) fn block(&mut self, rng: &mut Rng) -> (StateChanges, Vec<TouchedKey>) {
        let mut changes = BTreeMap::new();
        let mut keys = Vec::new();
        for _ in 0..rng.below(60) {
            let known = self.addresses[rng.below(self.addresses.len() as u64) as usize];
            let address = if rng.chance(80) { known } else { address(rng) };
            // One change an account.
            if changes.contains_key(&keccak256(address)) {
                continue;
            }
            keys.push(TouchedKey::Account(address));
            let change = self.change(rng, address, &mut keys);
            changes.insert(change.hashed_address, change);
        }
        (StateChanges::new(changes.into_values().collect()), keys)
    }

    /// All of the state, as changes of an empty one.
    pub(crate) fn all(&self) -> StateChanges {
        let accounts = self.model.accounts.iter().map(|(hashed_address, account)| AccountChange {
            hashed_address: *hashed_address,
            account: Some(account.fields),
            wiped: false,
            slots: account.slots.iter().map(|(slot, value)| (*slot, *value)).collect(),
        });
        StateChanges::new(accounts.collect())
    }

    fn change(
        &mut self,
        rng: &mut Rng,
        address: Address,
        keys: &mut Vec<TouchedKey>,
    ) -> AccountChange {
        let hashed_address = keccak256(address);
        if rng.chance(10) {
            self.model.accounts.remove(&hashed_address);
            return AccountChange { hashed_address, account: None, wiped: true, slots: Vec::new() };
        }
        let new = ModelAccount { fields: fields(rng), slots: BTreeMap::new() };
        let account = self.model.accounts.entry(hashed_address).or_insert(new);
        account.fields = fields(rng);
        let mut slots = BTreeMap::new();
        let written: Vec<_> = (0..SLOTS).filter(|_| rng.chance(20)).collect();
        for slot in written {
            keys.push(TouchedKey::Slot(address, U256::from(slot)));
            let (key, value) = (slot_key(slot), rng.value());
            let value = if rng.chance(40) { U256::ZERO } else { value };
            account.slots.insert(key, value);
            slots.insert(key, value);
        }
        account.slots.retain(|_, value| !value.is_zero());
        let slots = slots.into_iter().collect();
        AccountChange { hashed_address, account: Some(account.fields), wiped: false, slots }
    }
}

pub(crate) fn address(rng: &mut Rng) -> Address {
    Address::from_word(keccak256(rng.next().to_be_bytes()))
}

fn fields(rng: &mut Rng) -> AccountFields {
    let balance = U256::from(rng.next());
    AccountFields { nonce: rng.below(9), balance, code_hash: B256::ZERO }
}
