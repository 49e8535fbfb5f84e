//! A chain of blocks from its genesis on, each valid after the one before.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::{
    Block, BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, TxEnvelope,
    proofs::calculate_transaction_root,
};
use alloy_eips::{eip1559::BaseFeeParams, eip7928::compute_block_access_list_hash};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{B256, U256};
use pleach_engine::{
    ChainSpec, RecoveredBlock, execute_serial, genesis_header, genesis_state_root,
};
use pleach_state::{FlatAccount, FlatState};
use revm::{
    DatabaseRef,
    database::{BundleAccount, BundleState},
    state::AccountInfo,
};

use super::{
    BASE_FEE, CHAIN_ID, Kind, TIMESTAMP, recipe::plan, seal::fill_header, seed::Seed,
    sign::sign_all, state_root, world::World,
};

const GAS_LIMIT: u64 = 60_000_000;

/// What the blocks are made of, in turns.
const KINDS: [Kind; 6] =
    [Kind::Transfers, Kind::Erc20, Kind::Swaps, Kind::SelfDestruct, Kind::Mints, Kind::Contended];

/// A chain that a test or a trial imports.
#[derive(Debug, Clone)]
pub struct TestChain {
    /// One fork's rules from the beginning, and the accounts.
    pub genesis: Genesis,
    /// Blocks 1, 2, and so on.
    pub blocks: Vec<Block<TxEnvelope>>,
}

/// Makes a chain by Osaka's rules of so many blocks, each of so many transactions, one or more of
/// which may be left out. The same seed gives the same bytes. Signs on the threads of the current
/// rayon pool.
///
/// # Panics
/// If the generator made a block that serial execution refuses, which would be a bug here.
pub fn chain(seed: u64, blocks: usize, txs: usize) -> TestChain {
    chain_since(None, seed, blocks, txs)
}

/// The same by Amsterdam's rules: each header names its block's access list (EIP-7928).
///
/// # Panics
/// The same as [`chain`].
pub fn amsterdam_chain(seed: u64, blocks: usize, txs: usize) -> TestChain {
    chain_since(Some(0), seed, blocks, txs)
}

fn chain_since(amsterdam: Option<u64>, seed: u64, blocks: usize, txs: usize) -> TestChain {
    let mut world = World::new(Seed(seed));
    let kinds = KINDS.iter().cycle().take(blocks);
    let plans: Vec<_> = kinds.map(|kind| plan(*kind, &mut world, txs).drafts).collect();
    let transactions = plans.iter().map(|drafts| sign_all(&mut world.senders, drafts));
    let transactions: Vec<_> = transactions.collect();
    let genesis = genesis(&world.state, amsterdam);
    let chain = ChainSpec::from_genesis(&genesis).expect("the configuration is one of Osaka");
    let mut tip = Tip {
        parent: genesis_header(&chain, &genesis, genesis_state_root(&genesis)),
        chain: Arc::new(chain),
        state: Arc::new(world.state),
    };
    let blocks = transactions.into_iter().map(|txs| tip.grow(txs)).collect();
    TestChain { genesis, blocks }
}

/// The chain's end while it grows.
struct Tip {
    chain: Arc<ChainSpec>,
    parent: Header,
    state: Arc<FlatState>,
}

impl Tip {
    fn grow(&mut self, transactions: Vec<TxEnvelope>) -> Block<TxEnvelope> {
        let header = self.unsealed(&transactions);
        let body =
            BlockBody { transactions, withdrawals: Some(Default::default()), ..Default::default() };
        let block = Block { header, body };
        let accelerator = pleach_gpu_accel::Accelerator::cpu(1).expect("it needs no thread");
        let recovered = RecoveredBlock::recover(block.clone(), true, &accelerator);
        let recovered = recovered.expect("the signatures were just made");
        let amsterdam = self.parent.block_access_list_hash.is_some();
        let output = execute_serial(&self.chain, &recovered, &self.state, amsterdam)
            .expect("a generated transaction may be in its block");
        let mut block = block;
        block.header.state_root = state_root(&self.state, &output.bundle);
        let list = output.access_list.as_deref();
        block.header.block_access_list_hash = list.map(compute_block_access_list_hash);
        let gas_limit = block.header.gas_limit;
        fill_header(&mut block, &output);
        block.header.gas_limit = gas_limit;
        let state = Arc::make_mut(&mut self.state);
        apply(state, &output.bundle);
        state.insert_block_hash(block.header.number, block.header.hash_slow());
        self.parent = block.header.clone();
        block
    }

    fn unsealed(&self, transactions: &[TxEnvelope]) -> Header {
        let parent = &self.parent;
        let number = parent.number + 1;
        Header {
            parent_hash: parent.hash_slow(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: alloy_primitives::Address::with_last_byte(0xFE),
            transactions_root: calculate_transaction_root(transactions),
            number,
            gas_limit: parent.gas_limit,
            timestamp: parent.timestamp + 1,
            mix_hash: B256::from(U256::from(number)),
            base_fee_per_gas: parent.next_block_base_fee(BaseFeeParams::ethereum()),
            withdrawals_root: Some(EMPTY_ROOT_HASH),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::from(U256::from(number))),
            block_access_list_hash: parent.block_access_list_hash,
            slot_number: parent.slot_number.map(|slot| slot + 1),
            ..Header::default()
        }
    }
}

/// All forks up to Osaka from the beginning, Amsterdam if it is asked for, and a state's accounts.
fn genesis(state: &FlatState, amsterdam_time: Option<u64>) -> Genesis {
    let config = ChainConfig {
        chain_id: CHAIN_ID,
        homestead_block: Some(0),
        eip150_block: Some(0),
        eip155_block: Some(0),
        eip158_block: Some(0),
        byzantium_block: Some(0),
        constantinople_block: Some(0),
        petersburg_block: Some(0),
        istanbul_block: Some(0),
        berlin_block: Some(0),
        london_block: Some(0),
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        osaka_time: Some(0),
        amsterdam_time,
        terminal_total_difficulty: Some(U256::ZERO),
        terminal_total_difficulty_passed: true,
        ..ChainConfig::default()
    };
    let alloc = state.accounts().map(|(address, account)| (*address, listed(state, account)));
    Genesis {
        config,
        timestamp: TIMESTAMP,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(BASE_FEE.into()),
        alloc: alloc.collect::<BTreeMap<_, _>>(),
        ..Genesis::default()
    }
}

/// An account as a genesis file lists it.
fn listed(state: &FlatState, account: &FlatAccount) -> GenesisAccount {
    let code = state.code_by_hash_ref(account.info.code_hash).expect("a world has all its codes");
    let slots = account.storage.iter().map(|(slot, value)| ((*slot).into(), (*value).into()));
    let slots: BTreeMap<B256, B256> = slots.collect();
    GenesisAccount {
        nonce: Some(account.info.nonce),
        balance: account.info.balance,
        code: (!code.is_empty()).then(|| code.original_bytes()),
        storage: (!slots.is_empty()).then_some(slots),
        private_key: None,
    }
}

/// Makes a flat state the one after a block.
fn apply(state: &mut FlatState, bundle: &BundleState) {
    bundle.contracts.iter().for_each(|(hash, code)| state.insert_bytecode(*hash, code.clone()));
    let changed: BTreeMap<_, &BundleAccount> = bundle.state.iter().collect();
    for (address, change) in changed {
        let before = state.remove_account(address);
        let Some(info) = &change.info else { continue };
        let kept = before.filter(|_| !change.was_destroyed());
        let mut storage = kept.map(|account| account.storage).unwrap_or_default();
        let slots = change.storage.iter();
        storage.extend(slots.map(|(slot, value)| (*slot, value.present_value)));
        let info = AccountInfo { code: None, ..info.clone() };
        state.insert_account(*address, FlatAccount { info, storage });
    }
}
