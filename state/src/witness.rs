//! The part of Ethereum's state that one block touches, as trie nodes.

use std::collections::HashMap;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::decode_exact;
use alloy_trie::TrieAccount;
use foldhash::fast::RandomState;
use revm::{DatabaseRef, bytecode::Bytecode, primitives::KECCAK_EMPTY, state::AccountInfo};

use crate::{
    StateError,
    analysis::analyse,
    mpt::{NodePlace, NodeSource, SourceError},
    trie::{NodeMap, lookup},
};

/// A prestate made of trie nodes, as `debug_executionWitness` hands it out.
///
/// Every answer is proven by the nodes: an account or slot is absent only if the trie shows so, and
/// a node that is needed but not there is an error. Nodes and codes are filed under hashes that are
/// computed here, so a witness cannot lie; it can only be incomplete. Each read walks the trie from
/// its root, which takes microseconds: wrap it in a [`Recorder`](crate::Recorder) before measuring.
#[derive(Debug, Clone)]
pub struct WitnessState {
    root: B256,
    nodes: NodeMap,
    codes: HashMap<B256, Bytecode, RandomState>,
    block_hashes: HashMap<u64, B256, RandomState>,
}

impl WitnessState {
    /// A witness without nodes for the state under `root`.
    pub fn new(root: B256) -> Self {
        Self {
            root,
            nodes: NodeMap::default(),
            codes: HashMap::default(),
            block_hashes: HashMap::default(),
        }
    }

    /// The state root that reads start from.
    pub const fn root(&self) -> B256 {
        self.root
    }

    /// Adds a node of the account trie or of any storage trie, and returns its Keccak-256 hash.
    pub fn insert_node(&mut self, rlp: Bytes) -> B256 {
        let hash = keccak256(&rlp);
        self.nodes.insert(hash, rlp);
        hash
    }

    /// Adds bytecode, analysed, and returns its Keccak-256 hash.
    pub fn insert_code(&mut self, code: Bytes) -> B256 {
        let hash = keccak256(&code);
        self.codes.insert(hash, analyse(code));
        hash
    }

    /// Adds the hash of an ancestor block, for `BLOCKHASH`.
    pub fn insert_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// Adds an ancestor's header: its own hash, and through it its parent's.
    pub fn insert_ancestor(&mut self, header: &Header) {
        self.insert_block_hash(header.number, header.hash_slow());
        if let Some(parent) = header.number.checked_sub(1) {
            self.insert_block_hash(parent, header.parent_hash);
        }
    }

    /// The node with this hash, as RLP.
    pub fn node(&self, hash: &B256) -> Option<&Bytes> {
        self.nodes.get(hash)
    }

    /// The number of nodes, of all tries together.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// An account as its trie leaf holds it; `None` if the trie proves that there is none.
    ///
    /// # Errors
    /// [`StateError::MissingNode`] and [`StateError::CorruptNode`].
    pub fn trie_account(&self, address: Address) -> Result<Option<TrieAccount>, StateError> {
        let hashed = keccak256(address);
        let leaf = lookup(&self.nodes, self.root, hashed, &|| format!("account {address}"))?;
        leaf.map(|value| decode_leaf(hashed, &value, "account")).transpose()
    }
}

/// Nodes are found by their hash, whichever trie they lie in.
impl NodeSource for WitnessState {
    fn node(&self, place: NodePlace<'_>) -> Result<Option<Bytes>, SourceError> {
        Ok(self.nodes.get(place.hash).cloned())
    }
}

impl DatabaseRef for WitnessState {
    type Error = StateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.trie_account(address)?.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            // Code is asked for by its hash; the default would say that there is none.
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, StateError> {
        if code_hash == KECCAK_EMPTY || code_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        self.codes.get(&code_hash).cloned().ok_or(StateError::MissingCode { code_hash })
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StateError> {
        let Some(account) = self.trie_account(address)? else {
            return Ok(U256::ZERO);
        };
        let hashed = keccak256(B256::from(slot));
        let what = || format!("slot {slot:#x} of account {address}");
        let leaf = lookup(&self.nodes, account.storage_root, hashed, &what)?;
        leaf.map_or(Ok(U256::ZERO), |value| decode_leaf(hashed, &value, "slot"))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StateError> {
        self.block_hashes.get(&number).copied().ok_or(StateError::MissingBlockHash { number })
    }
}

/// Decodes a leaf's value. A leaf has no hash of its own at hand here, so the error names its key.
fn decode_leaf<T: alloy_rlp::Decodable>(
    key: B256,
    value: &[u8],
    kind: &'static str,
) -> Result<T, StateError> {
    decode_exact(value).map_err(|error| StateError::corrupt_leaf(kind, key, error, value))
}
