//! A device that fails while a block's senders are recovered: the block comes out right.

use std::{
    io::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use alloy_consensus::{Block, BlockBody, Header, TxEnvelope};
use alloy_primitives::U256;
use pleach_engine::{
    AheadOptions, BlockError, BlockOutput, ChainSpec, Engine, EngineConfig, ExecuteOptions,
    RecoverAhead, RecoveredBlock, SignedBlock, execute_serial,
};
use pleach_gpu_accel::{
    Accelerator,
    gpu::{AdapterChoice, DeviceOptions, FaultPlan, GpuOptions, InjectedFault, adapters},
};
use pleach_state::{FlatAccount, FlatState};
use revm::state::AccountInfo;

use crate::signed::{account, legacy};

/// Enough transactions that the device takes several batches.
const TXS: u64 = 600;
/// Signatures of a device's batch.
const CHUNK: usize = 64;

fn block(number: u64) -> Block<TxEnvelope> {
    // Homestead: nothing else happens in a block.
    let header = Header {
        number: 1_500_000 + number,
        gas_limit: 30_000_000,
        gas_used: 21_000 * TXS,
        ..Header::default()
    };
    let first = number * TXS;
    let transactions = (first..first + TXS).map(|key| legacy(key, None)).collect();
    Block { header, body: BlockBody { transactions, ..BlockBody::default() } }
}

fn prestate(blocks: u64) -> Arc<FlatState> {
    let mut state = FlatState::new();
    for key in 0..blocks * TXS {
        let balance = U256::from(1_000_000_000_000_000_000u64);
        let info = AccountInfo { balance, ..AccountInfo::default() };
        state.insert_account(account(key), FlatAccount { info, ..FlatAccount::default() });
    }
    Arc::new(state)
}

/// What serial execution gives with senders that were recovered one by one.
fn expected(
    chain: &Arc<ChainSpec>,
    block: &Block<TxEnvelope>,
    state: &Arc<FlatState>,
) -> BlockOutput {
    let block = RecoveredBlock::recover(block.clone(), true, &Accelerator::calling_thread());
    execute_serial(chain, &block.expect("all are signed"), state, false).expect("it is valid")
}

/// The first adapter, software ones included, and this fault from the second batch on; none, and a
/// line on standard error, where there is no adapter.
fn faulty(fault: Option<InjectedFault>) -> Option<Accelerator> {
    let choice = AdapterChoice { software: true, name: None };
    let Some(adapter) = adapters(&choice).into_iter().next() else {
        // Past the test harness, which would keep it to itself.
        let _ = writeln!(io::stderr(), "skipped: a block with a device that fails (no adapter)");
        return None;
    };
    let deadline = match fault {
        Some(InjectedFault::Hang(_)) => Duration::from_secs(1),
        _ => Duration::from_secs(60),
    };
    let options = DeviceOptions {
        choice: AdapterChoice { software: true, name: Some(adapter.name().to_owned()) },
        gpu: GpuOptions { deadline, ..GpuOptions::default() },
        self_test: 16,
        chunk: Some(CHUNK),
        faults: fault.map_or(FaultPlan::default(), |fault| FaultPlan::after(1, fault)),
    };
    Some(Accelerator::with_devices(2, &options, &mut |_| {}).expect("threads start"))
}

#[test]
fn a_block_comes_out_right_whatever_the_device_does() {
    let chain = Arc::new(ChainSpec::mainnet());
    let engine = Engine::new(EngineConfig { threads: 3 }).expect("threads start");
    let (state, block) = (prestate(1), block(0));
    let expected = expected(&chain, &block, &state);
    assert_eq!(expected.receipts.len() as u64, TXS);
    let hang = InjectedFault::Hang(Duration::from_secs(8));
    let faults =
        [InjectedFault::LostDevice, InjectedFault::WrongAnswer, hang, InjectedFault::OutOfMemory];
    for fault in [None].into_iter().chain(faults.map(Some)) {
        let Some(accelerator) = faulty(fault) else { return };
        // Once it has failed, and mostly the second time, the device is gone. On a busy machine the
        // threads may be done before the device has begun.
        let took_part = || {
            let metrics = &accelerator.device_metrics()[0];
            if fault.is_some() { metrics.failure.is_some() } else { metrics.recovered > 0 }
        };
        for time in 1..=50 {
            let block = RecoveredBlock::recover(block.clone(), true, &accelerator);
            let block = Arc::new(block.expect("all are signed"));
            let options = ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() };
            let executed = engine.execute(&chain, &block, &state, options);
            let (output, _) = executed.expect("the block is valid");
            assert_eq!(output.difference(&expected), None, "{fault:?}, time {time}");
            if time > 1 && took_part() {
                break;
            }
        }
        let metrics = &accelerator.device_metrics()[0];
        assert!(metrics.recovered > 0 || fault.is_some(), "{metrics:?}");
        assert_eq!(metrics.failure.is_some(), fault.is_some(), "{fault:?}: {metrics:?}");
    }
}

/// The device is lost while blocks are recovered ahead of execution.
#[test]
fn a_chain_goes_on_when_the_device_is_lost() {
    const BLOCKS: u64 = 3;
    let chain = Arc::new(ChainSpec::mainnet());
    let engine = Engine::new(EngineConfig { threads: 2 }).expect("threads start");
    let state = prestate(BLOCKS);
    let Some(accelerator) = faulty(Some(InjectedFault::LostDevice)) else { return };
    let accelerator = Arc::new(accelerator);
    let is_lost = || accelerator.device_metrics()[0].failure.is_some();
    // On a busy machine the threads may be done before the device has begun: then once more.
    for _ in 0..20 {
        execute_chain(BLOCKS, &chain, &engine, &state, &accelerator);
        if is_lost() {
            break;
        }
    }
    assert!(is_lost());
}

/// Executes a chain whose senders are recovered ahead, each block compared with serial execution.
fn execute_chain(
    blocks: u64,
    chain: &Arc<ChainSpec>,
    engine: &Engine,
    state: &Arc<FlatState>,
    accelerator: &Arc<Accelerator>,
) {
    let blocks = (0..blocks)
        .map(|number| Ok::<_, BlockError>(SignedBlock { block: block(number), homestead: true }));
    let options = AheadOptions { blocks: 1, batch: 1 };
    let ahead = RecoverAhead::start(blocks, Arc::clone(accelerator), options);
    for (number, recovered) in ahead.expect("a thread starts").enumerate() {
        let recovered = Arc::new(recovered.expect("all are signed"));
        let options = ExecuteOptions { force_parallel: true, ..ExecuteOptions::default() };
        let executed = engine.execute(chain, &recovered, state, options);
        let (output, _) = executed.expect("the block is valid");
        let expected = expected(chain, &block(number as u64), state);
        assert_eq!(output.difference(&expected), None, "block {number}");
    }
}
