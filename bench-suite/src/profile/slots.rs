//! What a storage slot holds, as far as its number tells.
//!
//! Compilers lay storage out by rule: a plain state variable is at a small number, an entry of a
//! mapping at a hash of its key and the mapping's number. Hashes cannot be undone, but keys can be
//! guessed: most are addresses that the block mentions.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, b256, keccak256};

/// Mappings and arrays are looked for at the numbers below this.
const NUMBERS: u64 = 24;
/// Elements of arrays are looked for at the places below this.
const ELEMENTS: u64 = 4096;
/// Small numbers are plain variables.
const VARIABLES: u64 = 1 << 16;

/// Slots that standards fix.
const STANDARD: [(B256, &str); 3] = [
    (
        b256!("360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"),
        "the address of a proxy's implementation (EIP-1967)",
    ),
    (
        b256!("b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103"),
        "the address of a proxy's admin (EIP-1967)",
    ),
    (
        b256!("a3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6cb3582b35133d50"),
        "the address of a proxy's beacon (EIP-1967)",
    ),
];

/// What a slot is, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A plain state variable.
    Variable(U256),
    /// An address's entry in the mapping at this number.
    Entry(u64, Address),
    /// An element of the array at this number.
    Element(u64, u64),
    /// A slot that a standard fixes.
    Standard(&'static str),
    /// An entry of a mapping or an array, or a part of one.
    Hashed,
}

/// Finds out what some slots hold. `addresses` are guesses at keys.
pub(super) fn meanings(
    slots: &BTreeSet<U256>,
    addresses: &BTreeSet<Address>,
) -> BTreeMap<U256, Meaning> {
    let mut found = BTreeMap::new();
    for slot in slots {
        let standard = STANDARD.iter().find(|(number, _)| *number == B256::from(*slot));
        if let Some((_, meaning)) = standard {
            found.insert(*slot, Meaning::Standard(meaning));
        } else if *slot < U256::from(VARIABLES) {
            found.insert(*slot, Meaning::Variable(*slot));
        } else if let Some(element) = element(*slot) {
            found.insert(*slot, element);
        }
    }
    if found.len() < slots.len() {
        for key in addresses {
            find_entries(*key, slots, &mut found);
        }
    }
    for slot in slots {
        found.entry(*slot).or_insert(Meaning::Hashed);
    }
    found
}

fn element(slot: U256) -> Option<Meaning> {
    let start = |number: u64| U256::from_be_bytes(keccak256(word(U256::from(number))).0);
    (0..NUMBERS).find_map(|number| {
        let place = slot.checked_sub(start(number))?;
        let place = u64::try_from(place).ok().filter(|place| *place < ELEMENTS)?;
        Some(Meaning::Element(number, place))
    })
}

fn find_entries(key: Address, slots: &BTreeSet<U256>, found: &mut BTreeMap<U256, Meaning>) {
    let key_word = key.into_word().0;
    for number in 0..NUMBERS {
        let number_word = word(U256::from(number));
        // Solidity hashes the key before the number, Vyper the number before the key.
        for parts in [[key_word, number_word], [number_word, key_word]] {
            let slot = U256::from_be_bytes(keccak256(parts.concat()).0);
            if slots.contains(&slot) {
                found.entry(slot).or_insert(Meaning::Entry(number, key));
            }
        }
    }
}

fn word(number: U256) -> [u8; 32] {
    number.to_be_bytes()
}

impl Meaning {
    /// In words.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Variable(number) => format!("the state variable at slot {number}"),
            Self::Entry(number, key) => {
                format!("the entry of {key} in the mapping at slot {number}")
            }
            Self::Element(number, place) => {
                format!("word {place} of the array at slot {number}")
            }
            Self::Standard(meaning) => meaning.to_owned(),
            Self::Hashed => "an entry of a mapping or an array".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::artifact::mapping_slot;

    #[test]
    fn slots_are_told_apart() {
        let key = Address::repeat_byte(7);
        let entry = mapping_slot(U256::from(3), key.into_word());
        let element = U256::from_be_bytes(keccak256(word(U256::from(5))).0) + U256::from(2);
        let proxy = STANDARD[0].0.into();
        let unknown = U256::MAX >> 1;
        let slots = BTreeSet::from([U256::from(8), entry, element, proxy, unknown]);
        let found = meanings(&slots, &BTreeSet::from([key, Address::ZERO]));
        assert_eq!(found[&U256::from(8)], Meaning::Variable(U256::from(8)));
        assert_eq!(found[&entry], Meaning::Entry(3, key));
        assert_eq!(found[&element], Meaning::Element(5, 2));
        assert!(matches!(found[&proxy], Meaning::Standard(_)));
        assert_eq!(found[&unknown], Meaning::Hashed);
    }

    /// EIP-1967 derives its slots so.
    #[test]
    fn standard_slots_are_hashes_minus_one() {
        let names = ["implementation", "admin", "beacon"];
        for ((slot, _), name) in STANDARD.iter().zip(names) {
            let hash = keccak256(format!("eip1967.proxy.{name}"));
            assert_eq!(U256::from_be_bytes(slot.0), U256::from_be_bytes(hash.0) - U256::from(1));
        }
    }
}
