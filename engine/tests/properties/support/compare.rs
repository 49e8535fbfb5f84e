//! The check that everything rests on: parallel execution gives what serial execution gives.

use std::sync::{Arc, mpsc};
use std::{thread, time::Duration};

use pleach_engine::{
    BlockOutput, ChainSpec, Engine, EngineConfig, ExecuteError, ExecuteOptions, Metrics,
    RecoveredBlock, execute_serial,
};

use super::prestate::SlowState;

/// A block with all that executing it takes.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) chain: Arc<ChainSpec>,
    pub(crate) block: Arc<RecoveredBlock>,
    pub(crate) prestate: Arc<SlowState>,
}

/// One engine per number of threads.
#[derive(Debug)]
pub(crate) struct Engines(Vec<Engine>);

/// The numbers of threads that every block is executed with.
const THREADS: [usize; 4] = [1, 2, 3, 8];

pub(crate) type Outcome = Result<BlockOutput, ExecuteError>;

/// Far more than any test block takes, be the machine ever so busy: past it, threads wait for each
/// other in vain.
const WATCHDOG: Duration = Duration::from_secs(300);

impl Engines {
    pub(crate) fn new() -> Self {
        let engine = |threads| Engine::new(EngineConfig { threads }).expect("threads start");
        Self(THREADS.into_iter().map(engine).collect())
    }

    /// Executes a block serially, and `repeats` times in parallel on each engine, and says where
    /// they differ. Gives the serial outcome.
    pub(crate) fn compare(&self, case: &Case, repeats: usize) -> Result<Outcome, String> {
        case.prestate.set_stalls(0);
        let serial = |list| execute_serial(&case.chain, &case.block, &case.prestate, list);
        // With a list the executor's database collects the changes, without one the memory does.
        let expected = [true, false].map(serial);
        for repeat in 0..repeats {
            let access_list = repeat % 2 == 1;
            let serial = &expected[usize::from(!access_list)];
            case.prestate.set_stalls([0, 5, 25][repeat % 3]);
            for engine in &self.0 {
                let parallel = execute_with(engine, case, access_list).map(|(output, _)| output);
                if let Some(difference) = difference(serial, &parallel) {
                    return Err(format!("{} threads: {difference}", engine.threads()));
                }
            }
        }
        let [with_list, _] = expected;
        Ok(with_list)
    }

    /// As [`Self::compare`], as a test's assertion. Fails as well if execution does not end.
    pub(crate) fn check(case: &Case) -> Outcome {
        let (done, result) = mpsc::channel();
        let watched = case.clone();
        let worker = thread::spawn(move || {
            let _ = done.send(Self::new().compare(&watched, 12));
        });
        match result.recv_timeout(WATCHDOG) {
            Ok(compared) => compared.unwrap_or_else(|difference| panic!("{difference}")),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("execution does not end"),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                std::panic::resume_unwind(worker.join().expect_err("it sent nothing"))
            }
        }
    }

    /// As [`Self::check`], for a block that is valid.
    pub(crate) fn check_valid(case: &Case) -> BlockOutput {
        Self::check(case).unwrap_or_else(|error| panic!("the block is valid, but: {error}"))
    }
}

/// Executes a block in parallel, whatever its size.
pub(crate) fn execute(
    engine: &Engine,
    case: &Case,
) -> Result<(BlockOutput, Metrics), ExecuteError> {
    execute_with(engine, case, true)
}

/// The same, with an access list or without.
pub(crate) fn execute_with(
    engine: &Engine,
    case: &Case,
    access_list: bool,
) -> Result<(BlockOutput, Metrics), ExecuteError> {
    // Alone, the committer would run each transaction in its turn: then there is nothing to test.
    let rehearse = engine.threads() == 1;
    let options = ExecuteOptions { access_list, force_parallel: true, rehearse };
    engine.execute(&case.chain, &case.block, &case.prestate, options)
}

/// How a parallel outcome differs from the serial one.
pub(crate) fn difference(serial: &Outcome, parallel: &Outcome) -> Option<String> {
    match (serial, parallel) {
        (Ok(serial), Ok(parallel)) => {
            let field = serial.difference(parallel)?;
            Some(format!("{field} differs:\n{}", detail(serial, parallel)))
        }
        (Err(serial), Err(parallel)) => {
            let same = serial.to_string() == parallel.to_string()
                && serial.index() == parallel.index()
                && serial.is_invalid_block() == parallel.is_invalid_block();
            (!same).then(|| format!("serial stops with {serial:?}, parallel with {parallel:?}"))
        }
        (Ok(_), Err(error)) => Some(format!("parallel alone stops with {error}")),
        (Err(error), Ok(_)) => Some(format!("serial alone stops with {error}")),
    }
}

/// The first differing receipt or account, in full.
fn detail(serial: &BlockOutput, parallel: &BlockOutput) -> String {
    let mut receipts = serial.receipts.iter().zip(&parallel.receipts);
    if let Some((ours, theirs)) = receipts.find(|(ours, theirs)| ours != theirs) {
        return format!("serial {ours:?}\nparallel {theirs:?}");
    }
    let mut addresses: Vec<_> = serial.bundle.state.keys().collect();
    addresses.extend(parallel.bundle.state.keys());
    addresses.sort_unstable();
    let differing = addresses
        .into_iter()
        .find(|address| serial.bundle.state.get(*address) != parallel.bundle.state.get(*address));
    let Some(address) = differing else { return access_list_detail(serial, parallel) };
    let (ours, theirs) = (serial.bundle.state.get(address), parallel.bundle.state.get(address));
    format!("{address}\nserial {ours:?}\nparallel {theirs:?}")
}

/// The differing accounts of the access lists.
fn access_list_detail(serial: &BlockOutput, parallel: &BlockOutput) -> String {
    let (ours, theirs) =
        (serial.access_list.iter().flatten(), parallel.access_list.iter().flatten());
    let differing = ours.zip(theirs).filter(|(ours, theirs)| ours != theirs);
    differing.map(|(ours, theirs)| format!("serial {ours:?}\nparallel {theirs:?}\n")).collect()
}
