//! Blocks and transactions, from parts. Senders are given, so nothing but EIP-7702 authorizations
//! is signed.

use std::sync::Arc;

use alloy_consensus::{
    Block, BlockBody, Header, SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702,
    TxEnvelope, TxLegacy, crypto::secp256k1,
};
use alloy_eips::{
    eip2930::AccessList,
    eip4895::Withdrawals,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use pleach_engine::RecoveredBlock;
use pleach_state::FlatState;

use super::{
    compare::Case,
    forks::{CHAIN_ID, Fork},
    prestate::{SlowState, put},
};

/// What the base fee is from London on, in wei per gas.
pub(crate) const BASE_FEE: u64 = 7;
pub(crate) const BLOCK_NUMBER: u64 = 1_000;
pub(crate) const BENEFICIARY: Address = Address::repeat_byte(0xbe);

/// An account that can sign: its secret is its number.
pub(crate) fn signer(number: u8) -> Address {
    let signature = sign(number, B256::ZERO);
    secp256k1::recover_signer_unchecked(&signature, B256::ZERO).expect("it has just been signed")
}

fn sign(number: u8, hash: B256) -> Signature {
    secp256k1::sign_message(B256::with_last_byte(number), hash).expect("the secret is in range")
}

/// An authorization of this signer to run the code at `delegate`.
pub(crate) fn authorize(number: u8, delegate: Address, nonce: u64) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address: delegate, nonce };
    let signature = sign(number, authorization.signature_hash());
    authorization.into_signed(signature)
}

/// How a transaction is priced, and so of which type it is.
#[derive(Debug, Clone, Default)]
pub(crate) enum Style {
    #[default]
    Legacy,
    AccessList(AccessList),
    DynamicFee {
        tip: u128,
    },
    Blob {
        tip: u128,
        hashes: Vec<B256>,
        max_blob_fee: u128,
    },
    Delegation {
        tip: u128,
        authorizations: Vec<SignedAuthorization>,
    },
}

/// A transaction in the making, with its sender.
#[derive(Debug, Clone)]
pub(crate) struct Tx {
    pub(crate) from: Address,
    pub(crate) to: TxKind,
    pub(crate) nonce: u64,
    pub(crate) value: U256,
    pub(crate) gas_limit: u64,
    /// Wei per gas; the fee cap for types that have one.
    pub(crate) gas_price: u128,
    pub(crate) input: Vec<u8>,
    pub(crate) style: Style,
}

impl Tx {
    pub(crate) fn call(from: Address, nonce: u64, to: Address) -> Self {
        Self {
            from,
            to: TxKind::Call(to),
            nonce,
            value: U256::ZERO,
            gas_limit: 500_000,
            gas_price: 10,
            input: Vec::new(),
            style: Style::Legacy,
        }
    }

    pub(crate) fn create(from: Address, nonce: u64, init: &[u8]) -> Self {
        let call = Self::call(from, nonce, Address::ZERO);
        Self { to: TxKind::Create, ..call }.input(init)
    }

    pub(crate) fn value(self, value: impl super::machine::Word) -> Self {
        Self { value: value.word(), ..self }
    }

    pub(crate) fn input(self, input: &[u8]) -> Self {
        Self { input: input.to_vec(), ..self }
    }

    pub(crate) fn gas_limit(self, gas_limit: u64) -> Self {
        Self { gas_limit, ..self }
    }

    pub(crate) fn gas_price(self, gas_price: u128) -> Self {
        Self { gas_price, ..self }
    }

    /// Makes it an EIP-7702 transaction.
    pub(crate) fn delegating(self, authorizations: Vec<SignedAuthorization>) -> Self {
        Self { style: Style::Delegation { tip: 1, authorizations }, ..self }
    }

    fn envelope(&self, replay_protected: bool) -> TxEnvelope {
        match self.style.clone() {
            Style::Legacy => signed(TxLegacy {
                chain_id: replay_protected.then_some(CHAIN_ID),
                nonce: self.nonce,
                gas_price: self.gas_price,
                gas_limit: self.gas_limit,
                to: self.to,
                value: self.value,
                input: self.data(),
            }),
            Style::AccessList(access_list) => signed(TxEip2930 {
                chain_id: CHAIN_ID,
                nonce: self.nonce,
                gas_price: self.gas_price,
                gas_limit: self.gas_limit,
                to: self.to,
                value: self.value,
                access_list,
                input: self.data(),
            }),
            Style::DynamicFee { tip } => signed(self.dynamic_fee(tip)),
            Style::Blob { tip, hashes, max_blob_fee } => signed(TxEip4844 {
                chain_id: CHAIN_ID,
                nonce: self.nonce,
                gas_limit: self.gas_limit,
                max_fee_per_gas: self.gas_price,
                max_priority_fee_per_gas: tip,
                to: self.target(),
                value: self.value,
                access_list: AccessList::default(),
                blob_versioned_hashes: hashes,
                max_fee_per_blob_gas: max_blob_fee,
                input: self.data(),
            }),
            Style::Delegation { tip, authorizations } => signed(TxEip7702 {
                chain_id: CHAIN_ID,
                nonce: self.nonce,
                gas_limit: self.gas_limit,
                max_fee_per_gas: self.gas_price,
                max_priority_fee_per_gas: tip,
                to: self.target(),
                value: self.value,
                access_list: AccessList::default(),
                authorization_list: authorizations,
                input: self.data(),
            }),
        }
    }

    fn dynamic_fee(&self, tip: u128) -> TxEip1559 {
        TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.gas_price,
            max_priority_fee_per_gas: tip,
            to: self.to,
            value: self.value,
            access_list: AccessList::default(),
            input: self.data(),
        }
    }

    fn target(&self) -> Address {
        self.to.to().copied().expect("blob and delegation transactions cannot create")
    }

    fn data(&self) -> Bytes {
        Bytes::copy_from_slice(&self.input)
    }
}

/// Signs with a signature that nobody looks at.
fn signed<T: SignableTransaction<Signature>>(tx: T) -> TxEnvelope
where
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    TxEnvelope::from(tx.into_signed(Signature::test_signature()))
}

/// A block's header on a fork, with all fields that the fork asks for.
pub(crate) fn header(fork: Fork) -> Header {
    Header {
        beneficiary: BENEFICIARY,
        number: BLOCK_NUMBER,
        timestamp: 1_700_000_000,
        gas_limit: 30_000_000,
        parent_hash: keccak256("parent"),
        difficulty: U256::from(if fork < Fork::Paris { 131_072 } else { 0 }),
        mix_hash: keccak256("randao"),
        base_fee_per_gas: (fork >= Fork::London).then_some(BASE_FEE),
        excess_blob_gas: (fork >= Fork::Cancun).then_some(0),
        blob_gas_used: (fork >= Fork::Cancun).then_some(0),
        parent_beacon_block_root: (fork >= Fork::Cancun).then(|| keccak256("beacon root")),
        ..Default::default()
    }
}

/// A block on a fork, to be executed on a prestate.
pub(crate) fn case(fork: Fork, header: Header, txs: &[Tx], state: FlatState) -> Case {
    full_case(fork, header, txs, state, Vec::new(), None)
}

/// A block with ommers and withdrawals.
pub(crate) fn full_case(
    fork: Fork,
    header: Header,
    txs: &[Tx],
    state: FlatState,
    ommers: Vec<Header>,
    withdrawals: Option<Withdrawals>,
) -> Case {
    let block = recovered(fork, header, txs, ommers, withdrawals);
    Case { chain: fork.chain(), block, prestate: Arc::new(SlowState::new(state)) }
}

/// Transactions put into a block.
pub(crate) fn recovered(
    fork: Fork,
    header: Header,
    txs: &[Tx],
    ommers: Vec<Header>,
    withdrawals: Option<Withdrawals>,
) -> Arc<RecoveredBlock> {
    let replay_protected = fork >= Fork::SpuriousDragon;
    let transactions = txs.iter().map(|tx| tx.envelope(replay_protected)).collect();
    let withdrawals = withdrawals.or((fork >= Fork::Shanghai).then(Withdrawals::default));
    let body = BlockBody { transactions, ommers, withdrawals };
    let senders = txs.iter().map(|tx| tx.from).collect();
    let block = RecoveredBlock::with_senders(Block { header, body }, senders);
    Arc::new(block.expect("there is one sender per transaction"))
}

/// A state in which the first `count` signers have 10^18 wei each. The beneficiary has one: were
/// there no such account, no transaction that ran ahead would stand.
pub(crate) fn funded(count: u8) -> FlatState {
    let mut state = FlatState::new();
    put(&mut state, BENEFICIARY, 1, 0, &[], &[]);
    for number in 1..=count {
        put(&mut state, signer(number), 10_u64.pow(18), 0, &[], &[]);
    }
    state
}
