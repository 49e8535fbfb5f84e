//! A rollup in miniature: deposits that mint, a second fee read from storage and paid into a vault
//! outside of all frames, a transaction type of its own, and an EVM that keeps the fee's rate from
//! transaction to transaction.

use std::sync::Arc;

use alloy_consensus::TxEnvelope;
use alloy_evm::{
    Database, EthEvm, EthEvmFactory, Evm, EvmEnv, EvmFactory, FromRecoveredTx, FromTxWithEncoded,
    IntoTxEnv,
    block::{BlockExecutor, BlockExecutorFactory},
    eth::EthEvmContext,
    precompiles::PrecompilesMap,
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex, map::hash_map::Entry};
use pleach_engine::{
    ChainSpec, Debits, Engine, EngineConfig, Metrics, Observed, ParallelExecutionCtx,
    PleachEvmFactory, Speculation,
};
use revm::{
    Inspector,
    context::{
        BlockEnv, CfgEnv, DBErrorMarker, Transaction, TxEnv,
        result::{EVMError, HaltReason, ResultAndState},
    },
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
    state::{Account, EvmState, TransactionId},
};

use crate::{
    drive::{ctx, database, factory},
    scenario::{COUNTER, TestBlock, block, header, insert, sender, tx, word},
};

/// Whoever sends from here makes a deposit.
const DEPOSITOR: Address = Address::repeat_byte(0xd0);
/// What a deposit mints, in wei.
const MINTED: u64 = 1_000_000_000_000_000;
/// Holds the rate of the second fee (wei per transaction) in slot 0; stores its call data there.
const RATE: Address = Address::repeat_byte(0x11);
const VAULT: Address = Address::repeat_byte(0x7a);

/// A transaction of the rollup.
#[derive(Debug, Clone, Default, PartialEq)]
struct RollupTx {
    base: TxEnv,
    deposit: bool,
}

impl IntoTxEnv<Self> for RollupTx {
    fn into_tx_env(self) -> Self {
        self
    }
}

impl FromRecoveredTx<TxEnvelope> for RollupTx {
    fn from_recovered_tx(tx: &TxEnvelope, sender: Address) -> Self {
        let base = TxEnv::from_recovered_tx(tx, sender);
        Self { base, deposit: sender == DEPOSITOR }
    }
}

impl FromTxWithEncoded<TxEnvelope> for RollupTx {
    fn from_encoded_tx(tx: &TxEnvelope, sender: Address, _encoded: Bytes) -> Self {
        Self::from_recovered_tx(tx, sender)
    }
}

macro_rules! as_base {
    ($($name:ident -> $type:ty),* $(,)?) => {
        $(fn $name(&self) -> $type {
            self.base.$name()
        })*
    };
}

impl Transaction for RollupTx {
    type AccessListItem<'a> = <TxEnv as Transaction>::AccessListItem<'a>;
    type Authorization<'a> = <TxEnv as Transaction>::Authorization<'a>;

    as_base!(
        caller -> Address,
        gas_limit -> u64,
        value -> U256,
        input -> &Bytes,
        nonce -> u64,
        kind -> TxKind,
        chain_id -> Option<u64>,
        gas_price -> u128,
        blob_versioned_hashes -> &[B256],
        max_fee_per_blob_gas -> u128,
        authorization_list_len -> usize,
        max_priority_fee_per_gas -> Option<u128>,
        access_list -> Option<impl Iterator<Item = Self::AccessListItem<'_>>>,
        authorization_list -> impl Iterator<Item = Self::Authorization<'_>>,
    );

    fn tx_type(&self) -> u8 {
        if self.deposit { 0x7e } else { self.base.tx_type() }
    }
}

struct RollupEvm<DB: Database, I> {
    inner: EthEvm<DB, I, PrecompilesMap>,
    /// Read once per EVM: only the block's first transaction may change it.
    rate: Option<U256>,
}

impl<DB: Database, I: Inspector<EthEvmContext<DB>>> RollupEvm<DB, I> {
    /// The account as the transaction leaves it.
    fn account<'a>(
        &mut self,
        state: &'a mut EvmState,
        address: Address,
    ) -> Result<&'a mut Account, EVMError<DB::Error>> {
        let account = match state.entry(address) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let info = self.inner.db_mut().basic(address).map_err(EVMError::Database)?;
                let new = || Account::new_not_existing(TransactionId::ZERO);
                entry.insert(info.map_or_else(new, Account::from))
            }
        };
        account.mark_touch();
        Ok(account)
    }

    /// A deposit's nonce is the account's, whatever the transaction says; what it mints is added.
    fn deposit(
        &mut self,
        mut tx: TxEnv,
    ) -> Result<ResultAndState<HaltReason>, EVMError<DB::Error>> {
        let info = self.inner.db_mut().basic(tx.caller).map_err(EVMError::Database)?;
        let caller = tx.caller;
        tx.nonce = info.unwrap_or_default().nonce;
        let mut ran = self.inner.transact_raw(tx)?;
        self.account(&mut ran.state, caller)?.info.balance += U256::from(MINTED);
        Ok(ran)
    }
}

impl<DB: Database, I: Inspector<EthEvmContext<DB>>> Evm for RollupEvm<DB, I> {
    type DB = DB;
    type Tx = RollupTx;
    type Error = EVMError<DB::Error>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;
    type Inspector = I;

    fn block(&self) -> &BlockEnv {
        self.inner.block()
    }

    fn cfg_env(&self) -> &CfgEnv<SpecId> {
        self.inner.cfg_env()
    }

    fn chain_id(&self) -> u64 {
        self.inner.chain_id()
    }

    fn transact_raw(&mut self, tx: RollupTx) -> Result<ResultAndState<HaltReason>, Self::Error> {
        if tx.deposit {
            return self.deposit(tx.base);
        }
        let rate = match self.rate {
            Some(rate) => rate,
            None => self.inner.db_mut().storage(RATE, U256::ZERO).map_err(EVMError::Database)?,
        };
        self.rate = Some(rate);
        let caller = tx.base.caller;
        // For no good reason but that a chain may: the vault is read a first time.
        if tx.base.value.bit(0) {
            self.inner.db_mut().basic(VAULT).map_err(EVMError::Database)?;
        }
        let mut ran = self.inner.transact_raw(tx.base)?;
        let payer = self.account(&mut ran.state, caller)?;
        let Some(rest) = payer.info.balance.checked_sub(rate) else {
            return Err(EVMError::Custom("the second fee cannot be paid".to_owned()));
        };
        payer.info.balance = rest;
        self.account(&mut ran.state, VAULT)?.info.balance += rate;
        Ok(ran)
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<HaltReason>, Self::Error> {
        self.inner.transact_system_call(caller, contract, data)
    }

    fn finish(self) -> (DB, EvmEnv) {
        self.inner.finish()
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inner.set_inspector_enabled(enabled);
    }

    fn components(&self) -> (&DB, &I, &PrecompilesMap) {
        self.inner.components()
    }

    fn components_mut(&mut self) -> (&mut DB, &mut I, &mut PrecompilesMap) {
        self.inner.components_mut()
    }
}

#[derive(Debug, Clone, Copy)]
struct RollupEvmFactory;

impl EvmFactory for RollupEvmFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = RollupEvm<DB, I>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = RollupTx;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> Self::Evm<DB, NoOpInspector> {
        RollupEvm { inner: EthEvmFactory::default().create_evm(db, env), rate: None }
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let inner = EthEvmFactory::default().create_evm_with_inspector(db, env, inspector);
        RollupEvm { inner, rate: None }
    }
}

fn env() -> EvmEnv {
    ChainSpec::mainnet().evm_env(header())
}

fn with_accounts(mut block: TestBlock) -> TestBlock {
    let mut state = (*block.state).clone();
    insert(&mut state, DEPOSITOR, u64::MAX, &[]);
    insert(&mut state, VAULT, 1, &[]);
    insert(&mut state, RATE, 0, &hex!("60003560005500"));
    state.insert_slot(RATE, U256::ZERO, U256::from(1_000));
    block.state = state.into();
    block
}

/// What the block leaves, on the parallel executor and on the rollup's own.
fn check(block: &TestBlock, threads: usize, debits: Debits) -> Metrics {
    let own = factory(RollupEvmFactory);
    let mut expected_db = database(block);
    let evm = own.evm_factory().create_evm(&mut expected_db, env());
    let expected = own.create_executor(evm, ctx(block)).execute_block(&block.txs);

    let evm_factory = PleachEvmFactory::new(Observed::new(RollupEvmFactory).with_debits(debits));
    let engine = Engine::new(EngineConfig { threads }).expect("threads start");
    let parallel = Arc::new(engine).executor_factory(factory(evm_factory));
    let list: Vec<RollupTx> = block.txs.iter().map(alloy_evm::ToTxEnv::to_tx_env).collect();
    let speculation = Speculation::new(Arc::clone(&block.state)).with_transactions(list);
    let mut db = database(block);
    let evm = parallel.evm_factory().create_evm(&mut db, env());
    let ctx = ParallelExecutionCtx::parallel(ctx(block), speculation);
    let mut executor = parallel.create_executor(evm, ctx);
    executor.apply_pre_execution_changes().expect("executes");
    crate::drive::let_workers_run_ahead();
    for tx in &block.txs {
        executor.execute_transaction(tx).expect("executes");
    }
    let metrics = executor.metrics();
    let found = executor.apply_post_execution_changes();
    assert_eq!(found.expect("executes"), expected.expect("executes"));
    assert_eq!(db.transition_state, expected_db.transition_state, "{threads} threads");
    metrics
}

#[test]
fn deposits_and_a_rate_that_changes() {
    for seed in 0..4 {
        let mut block = with_accounts(block(seed, 60, &[]));
        let new_rate = U256::from(5_000 + seed).to_be_bytes_vec();
        block.txs.insert(0, tx(DEPOSITOR, 99, RATE, 0, new_rate.into()));
        block.txs.insert(20, tx(DEPOSITOR, 7, COUNTER, 0, Bytes::new()));
        block.txs.insert(40, tx(DEPOSITOR, 7, sender(3), 77, word(COUNTER)));
        for threads in [1, 2, 8] {
            check(&block, threads, Debits::Observe);
            check(&block, threads, Debits::Suffice);
        }
    }
}

#[test]
fn fees_to_the_vault_commute() {
    let mut block = with_accounts(block(0, 0, &[]));
    let mut state = (*block.state).clone();
    for number in 0..150 {
        let (from, to) = (sender(1_000 + number), sender(2_000 + number));
        insert(&mut state, from, u64::MAX, &[]);
        insert(&mut state, to, 1, &[]);
        block.txs.push(tx(from, 0, to, 4, Bytes::new()));
    }
    block.state = state.into();
    let metrics = check(&block, 4, Debits::Observe);
    assert_eq!(metrics.reexecuted_gas, 0, "no result was thrown away");
}
