//! A chain with a precompile of its own, run in parallel without a word about balances.
//!
//! Run with `cargo run --release --example custom_chain -p pleach-engine`.

mod common;

use std::{error::Error, sync::Arc};

use alloy_evm::{
    Database, EthEvm, EthEvmFactory, Evm, EvmEnv, EvmFactory,
    block::{BlockExecutor, BlockExecutorFactory},
    eth::{
        EthBlockExecutionCtx, EthBlockExecutorFactory, EthEvmContext,
        receipt_builder::AlloyReceiptBuilder,
    },
    precompiles::{DynPrecompile, PrecompileInput, PrecompilesMap},
};
use alloy_primitives::{Address, Bytes};
use pleach_engine::{
    ChainSpec, Engine, EngineConfig, Observed, ParallelExecutionCtx, PleachEvmFactory, Speculation,
};
use revm::{
    Inspector,
    context::{
        BlockEnv, DBErrorMarker, TxEnv,
        result::{EVMError, HaltReason},
    },
    database::{State, WrapDatabaseRef},
    inspector::NoOpInspector,
    precompile::{PrecompileId, PrecompileOutput, PrecompileResult},
    primitives::hardfork::SpecId,
};

/// Where the precompile is: it returns its input backwards.
const REVERSE: Address = Address::repeat_byte(0x0f);

fn reverse(input: PrecompileInput<'_>) -> PrecompileResult {
    let reversed: Vec<u8> = input.data.iter().rev().copied().collect();
    Ok(PrecompileOutput::new(15, reversed.into(), input.reservoir))
}

/// The chain's EVM factory. It knows nothing of Pleach.
#[derive(Debug, Clone, Copy)]
struct MirrorEvmFactory;

fn with_reverse<DB: Database, I: Inspector<EthEvmContext<DB>>>(
    mut evm: EthEvm<DB, I, PrecompilesMap>,
) -> EthEvm<DB, I, PrecompilesMap> {
    let precompile = DynPrecompile::new(PrecompileId::custom("reverse"), reverse);
    evm.precompiles_mut().extend_precompiles([(REVERSE, precompile)]);
    evm
}

impl EvmFactory for MirrorEvmFactory {
    type Evm<DB: Database, I: Inspector<EthEvmContext<DB>>> = EthEvm<DB, I, PrecompilesMap>;
    type Context<DB: Database> = EthEvmContext<DB>;
    type Tx = TxEnv;
    type Error<DBError: DBErrorMarker> = EVMError<DBError>;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(&self, db: DB, env: EvmEnv) -> Self::Evm<DB, NoOpInspector> {
        with_reverse(EthEvmFactory::default().create_evm(db, env))
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<EthEvmContext<DB>>>(
        &self,
        db: DB,
        env: EvmEnv,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        with_reverse(EthEvmFactory::default().create_evm_with_inspector(db, env, inspector))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let chain = ChainSpec::mainnet();
    let block = common::block(Some((REVERSE, Bytes::from_static(b"level"))))?;
    let state = Arc::new(common::state());
    let env = chain.evm_env(block.header());

    // `Observed` makes any EVM factory fit. The precompile is named because it looks at no balance;
    // left unnamed it is taken to look at all, which is as right and slower.
    let observed = Observed::new(MirrorEvmFactory).with_blind_precompiles([REVERSE]);
    let engine = Arc::new(Engine::new(EngineConfig { threads: 4 })?);
    let factory = engine.executor_factory(EthBlockExecutorFactory::new(
        AlloyReceiptBuilder::default(),
        chain,
        PleachEvmFactory::new(observed),
    ));

    let mut db = State::builder().with_database(WrapDatabaseRef(Arc::clone(&state))).build();
    let evm = factory.evm_factory().create_evm(&mut db, env);
    let ctx = EthBlockExecutionCtx {
        parent_hash: block.header().parent_hash,
        parent_beacon_block_root: block.header().parent_beacon_block_root,
        ommers: &[],
        withdrawals: None,
        extra_data: Bytes::new(),
        tx_count_hint: None,
        slot_number: None,
    };
    let ctx = ParallelExecutionCtx::parallel(ctx, Speculation::new(state));
    let transactions = (0..block.transactions().len()).map(|index| block.recovered(index));
    let result = factory.create_executor(evm, ctx).execute_block(transactions)?;
    let succeeded = result.receipts.iter().filter(|receipt| receipt.status()).count();
    println!("{succeeded} of {} calls succeeded", result.receipts.len());
    println!("gas used  {}", result.gas_used);
    Ok(())
}
