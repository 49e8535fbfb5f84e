//! A chain of random blocks, and the state after each as plain maps.

use std::collections::BTreeMap;

use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use alloy_trie::{
    TrieAccount,
    root::{state_root_unsorted, storage_root_unhashed},
};
use pleach_state::{
    FlatAccount, FlatState,
    mpt::{NodeSource, StateChanges, StateTrie},
    store::{BlockCommit, Pending, Snapshot, Store, StoreError, encode_body},
};
use revm::{
    Database, DatabaseCommit, DatabaseRef,
    bytecode::Bytecode,
    database::{BundleState, State, WrapDatabaseRef, states::bundle_state::BundleRetention},
    state::{Account, AccountInfo, EvmStorageSlot, TransactionId},
};

use crate::rng::Rng;

/// An account with its slots that are not zero.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ModelAccount {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code: Bytes,
    pub(crate) slots: BTreeMap<U256, U256>,
}

/// A state by address.
pub(crate) type Model = BTreeMap<Address, ModelAccount>;

impl ModelAccount {
    pub(crate) fn code_hash(&self) -> B256 {
        if self.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&self.code) }
    }

    fn info(&self) -> AccountInfo {
        let code = Bytecode::new_raw(self.code.clone());
        AccountInfo {
            nonce: self.nonce,
            balance: self.balance,
            code_hash: self.code_hash(),
            code: Some(code),
            ..AccountInfo::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code.is_empty()
    }
}

/// The root by `alloy-trie`, from all accounts.
pub(crate) fn root(model: &Model) -> B256 {
    state_root_unsorted(model.iter().map(|(address, account)| {
        let slots = account.slots.iter().map(|(slot, value)| (B256::from(*slot), *value));
        let leaf = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: storage_root_unhashed(slots),
            code_hash: account.code_hash(),
        };
        (keccak256(address), leaf)
    }))
}

pub(crate) fn flat(model: &Model) -> FlatState {
    let mut state = FlatState::new();
    for (address, account) in model {
        let info = AccountInfo { code: None, ..account.info() };
        let storage = account.slots.iter().map(|(slot, value)| (*slot, *value)).collect();
        state.insert_account(*address, FlatAccount { info, storage });
        if !account.code.is_empty() {
            state.insert_code(account.code.clone());
        }
    }
    state
}

const MOST_ADDRESSES: u64 = 34;

/// A chain as it should be in the store.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    pub(crate) rng: Rng,
    /// The headers so far, and the state after each.
    pub(crate) blocks: Vec<(Header, Model)>,
    /// Addresses that blocks are about.
    pub(crate) addresses: u64,
}

impl Chain {
    /// A chain with a random genesis state, not in any store yet.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let addresses = 4 + rng.below(MOST_ADDRESSES - 3);
        let mut model = Model::new();
        for _ in 0..rng.below(addresses) {
            let account = contract(&mut rng);
            model.insert(address(rng.below(addresses)), account);
        }
        let header =
            Header { state_root: root(&model), extra_data: salt(seed), ..Header::default() };
        Self { rng, blocks: vec![(header, model)], addresses }
    }

    /// A chain that goes on where a store is, which is all that is known of it.
    #[cfg_attr(
        not(feature = "mdbx"),
        expect(dead_code, reason = "what is in memory does not last")
    )]
    pub(crate) fn resume(seed: u64, snapshot: &Snapshot) -> Self {
        let header = snapshot.header(snapshot.head().number).expect("readable").expect("there");
        let read = |at: Address| {
            let info = snapshot.basic_ref(at).expect("readable")?;
            let code = snapshot.code_by_hash_ref(info.code_hash).expect("readable");
            let slot = |slot| (slot, snapshot.storage_ref(at, slot).expect("readable"));
            let mut slots: BTreeMap<_, _> = (0..12).map(U256::from).map(slot).collect();
            slots.retain(|_, value| !value.is_zero());
            let AccountInfo { nonce, balance, .. } = info;
            let code = Bytes::copy_from_slice(code.original_byte_slice());
            Some((at, ModelAccount { nonce, balance, code, slots }))
        };
        let model: Model = (0..MOST_ADDRESSES).map(address).filter_map(read).collect();
        assert_eq!(root(&model), header.state_root, "the flat state is that of the head");
        Self { rng: Rng(seed), blocks: vec![(header, model)], addresses: MOST_ADDRESSES }
    }

    /// Puts the genesis block into a store.
    pub(crate) fn init(&self, store: &Store) -> Result<(), StoreError> {
        let (header, model) = &self.blocks[0];
        store.init(header, &flat(model)).map(drop)
    }

    pub(crate) fn head(&self) -> &(Header, Model) {
        self.blocks.last().expect("there is a genesis block")
    }

    /// Executes some blocks and commits them together. After an error the chain is as before.
    pub(crate) fn commit(&mut self, store: &Store, count: usize) -> Result<(), StoreError> {
        let before = self.blocks.len();
        let (blocks, mut tries) = self.execute(&store.snapshot()?, count);
        let committed = store.commit(&blocks, &tries.take_node_changes());
        if committed.is_err() {
            self.blocks.truncate(before);
        }
        committed.map(drop)
    }

    /// Random blocks on top of a snapshot of the chain's head, and the tries after them.
    pub(crate) fn execute(
        &mut self,
        snapshot: &Snapshot,
        count: usize,
    ) -> (Vec<BlockCommit>, StateTrie) {
        let mut tries = StateTrie::new(snapshot.head().state_root).recording_nodes();
        let mut pending = Pending::new(snapshot);
        let blocks = (0..count).map(|_| {
            let block = self.block(&pending, &mut tries, snapshot);
            pending.push(block.header.number, block.hash, &block.bundle);
            block
        });
        (blocks.collect(), tries)
    }

    fn block(
        &mut self,
        prestate: &Pending<&Snapshot>,
        tries: &mut StateTrie,
        nodes: &dyn NodeSource,
    ) -> BlockCommit {
        let (parent, model) = self.head().clone();
        let mut block = Running {
            state: State::builder()
                .with_database(WrapDatabaseRef(prestate))
                .with_bundle_update()
                .build(),
            model,
            rng: &mut self.rng,
            addresses: self.addresses,
        };
        for _ in 0..block.rng.below(8) {
            block.transaction();
        }
        block.state.merge_transitions(BundleRetention::Reverts);
        let (bundle, model) = (block.state.take_bundle(), block.model);
        let header = Header {
            number: parent.number + 1,
            parent_hash: parent.hash_slow(),
            state_root: root(&model),
            extra_data: salt(self.rng.next()),
            ..Header::default()
        };
        let found = update(tries, &bundle, nodes);
        assert_eq!(found, header.state_root, "the tries agree with the model");
        self.blocks.push((header.clone(), model));
        BlockCommit {
            hash: header.hash_slow(),
            total_difficulty: U256::from(header.number * 7),
            body: encode_body(&BlockBody::default()),
            receipts: salt(header.number),
            header,
            bundle,
        }
    }
}

fn update(tries: &mut StateTrie, bundle: &BundleState, nodes: &dyn NodeSource) -> B256 {
    let changes = StateChanges::from_bundle(bundle, tries.workers());
    tries.update(&changes, nodes).unwrap_or_else(|error| panic!("{error}"))
}

/// A block that is being made, through revm's own state.
struct Running<'a, D: DatabaseRef> {
    state: State<WrapDatabaseRef<D>>,
    model: Model,
    rng: &'a mut Rng,
    addresses: u64,
}

impl<D: DatabaseRef<Error = StoreError>> Running<'_, D> {
    /// Changes an account as a transaction might: writes, creates, destroys, or some of it.
    fn transaction(&mut self) {
        let at = address(self.rng.below(self.addresses));
        let before = self.load(at);
        let choice = self.rng.below(10);
        let (mut account, after) = match (before, choice) {
            (Some(before), 0..=5) => self.written(at, before),
            (Some(before), 6) if !before.code.is_empty() => (self.loaded(&before), None),
            (Some(mut before), _) if before.code.is_empty() && before.slots.is_empty() => {
                // Spent to nothing, the account goes (EIP-161).
                before.balance = U256::from(self.rng.below(2));
                before.nonce = self.rng.below(2);
                let is_empty = before.is_empty();
                (self.loaded(&before), (!is_empty).then_some(before))
            }
            (Some(before), _) => self.written(at, before),
            (None, _) => self.created(choice),
        };
        account.mark_touch();
        match after {
            Some(after) => self.model.insert(at, after),
            None => {
                if !account.info.is_empty() {
                    account.mark_selfdestruct();
                }
                self.model.remove(&at)
            }
        };
        self.state.commit([(at, account)].into_iter().collect());
    }

    /// What the state says of an account, which must be what the model says.
    fn load(&mut self, at: Address) -> Option<ModelAccount> {
        let info = self.state.basic(at).expect("the store is readable");
        let model = self.model.get(&at).cloned();
        let fields = model.as_ref().map(|held| (held.nonce, held.balance, held.code_hash()));
        assert_eq!(info.map(|info| (info.nonce, info.balance, info.code_hash)), fields, "{at}");
        model
    }

    fn loaded(&self, account: &ModelAccount) -> Account {
        Account::from(account.info())
    }

    fn written(&mut self, at: Address, mut held: ModelAccount) -> (Account, Option<ModelAccount>) {
        let mut slots = Vec::new();
        // Only code writes slots, and revm relies on it.
        let writes = if held.code.is_empty() { 0 } else { self.rng.below(5) };
        for _ in 0..writes {
            let slot = U256::from(self.rng.below(12));
            if slots.iter().any(|(known, _)| *known == slot) {
                continue;
            }
            let before = self.state.storage(at, slot).expect("the store is readable");
            assert_eq!(before, held.slots.get(&slot).copied().unwrap_or_default());
            let value = value(self.rng);
            let changed = EvmStorageSlot::new_changed(before, value, TransactionId::default());
            slots.push((slot, changed));
            match value.is_zero() {
                true => held.slots.remove(&slot),
                false => held.slots.insert(slot, value),
            };
        }
        if self.rng.chance(50) {
            held.balance += U256::from(1);
        }
        held.nonce += self.rng.below(2);
        // An account that only its slots keep would be gone once it is touched.
        if held.is_empty() {
            held.nonce = 1;
        }
        let mut account = self.loaded(&held);
        account.storage = slots.into_iter().collect();
        (account, Some(held))
    }

    /// A new account: a contract, one that is gone at once, or just some balance.
    fn created(&mut self, choice: u64) -> (Account, Option<ModelAccount>) {
        if choice < 4 {
            let balance = U256::from(1 + self.rng.below(9));
            let held = ModelAccount { balance, ..ModelAccount::default() };
            return (self.loaded(&held), Some(held));
        }
        let held = contract(self.rng);
        let mut account = self.loaded(&held);
        account.mark_created();
        let slots = held.slots.iter().map(|(slot, value)| {
            let written = EvmStorageSlot::new_changed(U256::ZERO, *value, TransactionId::default());
            (*slot, written)
        });
        account.storage = slots.collect();
        (account, (choice < 8).then_some(held))
    }
}

pub(crate) fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn contract(rng: &mut Rng) -> ModelAccount {
    let slots = (0..rng.below(10)).map(|_| (U256::from(rng.below(12)), value(rng)));
    let mut slots: BTreeMap<_, _> = slots.collect();
    slots.retain(|_, value| !value.is_zero());
    let balance = U256::from(rng.below(3));
    // Few codes, so that accounts share them; each begins with a stop.
    let code = Bytes::from(vec![0, rng.below(4) as u8]);
    ModelAccount { nonce: 1, balance, code, slots }
}

fn value(rng: &mut Rng) -> U256 {
    match rng.below(3) {
        0 => U256::ZERO,
        1 => U256::from(rng.below(300)),
        _ => U256::from(rng.next()) << rng.below(192) as usize,
    }
}

fn salt(word: u64) -> Bytes {
    Bytes::copy_from_slice(&word.to_be_bytes())
}
