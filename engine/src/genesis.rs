//! The first block of a chain, from its genesis file.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_eips::{eip1559::INITIAL_BASE_FEE, eip7685::EMPTY_REQUESTS_HASH};
use alloy_genesis::Genesis;
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B64, B256, keccak256};

use pleach_state::{
    FlatAccount, FlatState,
    mpt::{AccountChange, AccountFields, NoNodes, StateChanges, StateTrie},
};
use revm::{primitives::KECCAK_EMPTY, state::AccountInfo};

use crate::ChainSpec;

/// The RLP of a list without entries, as a block without changes has it for an access list.
const EMPTY_LIST_RLP: [u8; 1] = [0xC0];

/// The header of a chain's first block, whose state has this root. Fields that a fork adds are
/// there if that fork is active from the beginning.
pub fn genesis_header(chain: &ChainSpec, genesis: &Genesis, state_root: B256) -> Header {
    let time = genesis.timestamp;
    let number = genesis.number.unwrap_or_default();
    let london = chain.is_london_active_at_block(number);
    let shanghai = chain.is_shanghai_active_at_timestamp(time);
    let cancun = chain.is_cancun_active_at_timestamp(time);
    let prague = chain.is_prague_active_at_timestamp(time);
    let amsterdam = chain.is_amsterdam_active_at_timestamp(time);
    let base_fee = genesis.base_fee_per_gas.and_then(|fee| fee.try_into().ok());
    Header {
        parent_hash: genesis.parent_hash.unwrap_or_default(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        difficulty: genesis.difficulty,
        number,
        gas_limit: genesis.gas_limit,
        timestamp: time,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: B64::from(genesis.nonce),
        base_fee_per_gas: london.then(|| base_fee.unwrap_or(INITIAL_BASE_FEE)),
        withdrawals_root: shanghai.then_some(EMPTY_ROOT_HASH),
        parent_beacon_block_root: cancun.then_some(B256::ZERO),
        blob_gas_used: cancun.then(|| genesis.blob_gas_used.unwrap_or_default()),
        excess_blob_gas: cancun.then(|| genesis.excess_blob_gas.unwrap_or_default()),
        requests_hash: prague.then_some(EMPTY_REQUESTS_HASH),
        block_access_list_hash: amsterdam.then(|| keccak256(EMPTY_LIST_RLP)),
        slot_number: amsterdam.then(|| genesis.slot_number.unwrap_or_default()),
        ..Header::default()
    }
}

/// The state that a genesis file lists.
pub fn genesis_state(genesis: &Genesis) -> FlatState {
    let mut state = FlatState::new();
    for (address, account) in &genesis.alloc {
        let code = account.non_empty_code();
        let code_hash = code.map_or(KECCAK_EMPTY, |code| state.insert_code(code.clone()));
        let info = AccountInfo {
            balance: account.balance,
            nonce: account.nonce.unwrap_or_default(),
            code_hash,
            code: None,
            ..AccountInfo::default()
        };
        let slots = account.storage_slots();
        let storage = slots.map(|(slot, value)| (slot.into(), value)).collect();
        state.insert_account(*address, FlatAccount { info, storage });
    }
    state
}

/// The root of the state that a genesis file lists.
pub fn genesis_state_root(genesis: &Genesis) -> B256 {
    let accounts = genesis.alloc.iter().map(|(address, account)| {
        let slots = account.storage_slots().filter(|(_, value)| !value.is_zero());
        AccountChange {
            hashed_address: keccak256(address),
            account: Some(AccountFields {
                nonce: account.nonce.unwrap_or_default(),
                balance: account.balance,
                code_hash: account.code_hash().unwrap_or(KECCAK_EMPTY),
            }),
            wiped: false,
            slots: slots.map(|(slot, value)| (keccak256(slot), value)).collect(),
        }
    });
    let changes = StateChanges::new(accounts.collect());
    let root = StateTrie::empty().update(&changes, &NoNodes);
    root.expect("tries that begin empty hide nothing")
}
