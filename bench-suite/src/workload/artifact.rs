//! The compiled contracts: what `contracts/build.mjs` wrote, embedded.

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, U256, keccak256};
use serde::Deserialize;

/// A contract of `bench-suite/contracts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// An ERC-20 token.
    Token,
    /// A constant-product market between two tokens.
    Pair,
    /// Finds pairs and trades along a path of them.
    Router,
    /// An ERC-721 token whose ids are chosen by who mints.
    OpenCollectible,
    /// An ERC-721 token whose ids are counted up.
    NumberedCollectible,
    /// Makes a contract and destroys it in the same transaction.
    Cradle,
}

/// One compiled contract.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// The contract's name.
    pub contract: String,
    /// The compiler's full version.
    pub compiler: String,
    /// Keccak-256 of every source file that went in, by path below `bench-suite/contracts`.
    pub sources: BTreeMap<String, B256>,
    /// State variables and their places.
    pub storage_layout: Vec<Variable>,
    /// The creation code, without constructor arguments.
    pub bytecode: Bytes,
    /// The runtime code.
    pub deployed_bytecode: Bytes,
}

/// A state variable's place in storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Variable {
    /// Its name in the source.
    pub label: String,
    /// Its slot.
    pub slot: U256,
    /// Its first byte in the slot, counted from the least significant.
    pub offset: usize,
}

impl Contract {
    /// All contracts.
    pub const ALL: [Self; 6] = [
        Self::Token,
        Self::Pair,
        Self::Router,
        Self::OpenCollectible,
        Self::NumberedCollectible,
        Self::Cradle,
    ];

    const fn json(self) -> &'static str {
        match self {
            Self::Token => include_str!("../../contracts/artifacts/Token.json"),
            Self::Pair => include_str!("../../contracts/artifacts/Pair.json"),
            Self::Router => include_str!("../../contracts/artifacts/Router.json"),
            Self::OpenCollectible => {
                include_str!("../../contracts/artifacts/OpenCollectible.json")
            }
            Self::NumberedCollectible => {
                include_str!("../../contracts/artifacts/NumberedCollectible.json")
            }
            Self::Cradle => include_str!("../../contracts/artifacts/Cradle.json"),
        }
    }
}

impl Artifact {
    /// Reads a contract's embedded artifact.
    ///
    /// # Panics
    /// If the committed artifact is malformed, which a test would have shown.
    pub fn load(contract: Contract) -> Self {
        serde_json::from_str(contract.json()).expect("a committed artifact is well formed")
    }

    /// The slot of a state variable.
    ///
    /// # Panics
    /// If the contract has no such variable.
    pub fn slot(&self, label: &str) -> U256 {
        let variable = self.storage_layout.iter().find(|variable| variable.label == label);
        variable.unwrap_or_else(|| panic!("{} has no variable {label}", self.contract)).slot
    }
}

/// The slot of a mapping's value: Keccak-256 of the key and the mapping's own slot.
pub fn mapping_slot(mapping: U256, key: B256) -> U256 {
    let mut preimage = [0; 64];
    preimage[..32].copy_from_slice(key.as_slice());
    preimage[32..].copy_from_slice(&mapping.to_be_bytes::<32>());
    keccak256(preimage).into()
}
