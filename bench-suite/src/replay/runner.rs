//! One block's way: recovered, checked, executed, compared, timed.

use std::{collections::BTreeMap, io, sync::Arc};

use alloy_consensus::{Block, TxEnvelope};
use alloy_hardforks::EthereumHardforks;
use alloy_primitives::{B256, Bytes};
use pleach_crew::Crew;
use pleach_engine::{
    AccessList, BlockError, BlockOutput, ChainSpec, Engine, EngineConfig, ExecuteError,
    ExecuteOptions, IntermediateRootError, ListFault, Listed, Metrics, RecoveredBlock,
    execute_serial,
};
use pleach_gpu_accel::Accelerator;
use pleach_state::{
    FlatState,
    mpt::{StateChanges, TrieError, TrieWorkers},
    stateless::Reads,
};

use super::{
    args::{Mode, ReplayArgs},
    check::Checks,
    list::{ListError, Lists, check_fault},
    report::{BlockReport, Measured},
    roots::RootCheck,
    scaling,
    stats::{median, median_count, milliseconds, timed},
    stream::{self, StreamBlock, StreamReport},
    whole::{self, Means, WholeBlock},
    witness_out::{self, AnyState, Source, WitnessOut, WitnessOutError, read_serially},
};
use crate::{
    gpu::DeviceReport,
    input::{BlockInput, InputState},
    profile::{self, BlockProfile, Profiler},
    trie_workers::trie_workers_sharing,
};

/// Replays blocks, one after another, on the same engine.
#[derive(Debug)]
pub(super) struct Runner {
    /// Who helps with all that is not execution.
    crew: Arc<Crew>,
    accelerator: Arc<Accelerator>,
    engine: Engine,
    trie_workers: TrieWorkers,
    options: ExecuteOptions,
    mode: Mode,
    whole: bool,
    lists: Option<Lists>,
    repeat: usize,
    profiler: Option<Profiler>,
    witness_out: Option<WitnessOut>,
    /// The blocks that came out right, if they are to be timed as a stream.
    stream: Option<Vec<StreamBlock>>,
}

/// A block as the timed runs take it: senders known, prestate flat in memory.
struct Subject {
    chain: Arc<ChainSpec>,
    block: Arc<RecoveredBlock>,
    prestate: Arc<FlatState>,
    /// The witness that the prestate was read from, if it was one.
    roots: Option<RootCheck>,
    /// The block's access list, if it is to be executed with one.
    list: Option<Arc<AccessList>>,
    /// What the block read, if a serial run on the witness told.
    reads: Option<Reads>,
    name: String,
    ancestors: BTreeMap<u64, Bytes>,
    /// What serial execution, untimed, gave; `None` where the mode leaves it out.
    oracle: Option<Result<BlockOutput, ExecuteError>>,
}

/// Why a block was given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error("the state root could not be computed: {0}")]
    Root(#[from] TrieError),
    #[error(transparent)]
    List(#[from] ListError),
    #[error(transparent)]
    RootBetween(#[from] IntermediateRootError),
    #[error(transparent)]
    WitnessOut(#[from] WitnessOutError),
    #[error("threads could not be started: {0}")]
    Threads(#[from] io::Error),
}

/// What parallel execution gave and cost, and what is wrong with the list.
type Parallel = (Result<BlockOutput, ExecuteError>, Metrics, Option<ListFault>);

/// The times and counts of the timed runs.
#[derive(Debug, Default)]
struct Runs {
    serial_ms: Vec<f64>,
    parallel_ms: Vec<f64>,
    metrics: Vec<Metrics>,
}

impl Subject {
    fn new(chain: Arc<ChainSpec>, block: Arc<RecoveredBlock>, prestate: Arc<FlatState>) -> Self {
        let (name, ancestors) = (String::new(), BTreeMap::new());
        let (roots, reads, oracle) = (None, None, None);
        let list = None;
        Self { chain, block, prestate, roots, list, reads, name, ancestors, oracle }
    }

    /// The state root after each transaction, where receipts hold it and there is a trie.
    fn roots_between(&self) -> Result<Option<Vec<B256>>, IntermediateRootError> {
        let Self { chain, block, prestate, roots, .. } = self;
        let needed = !chain.is_byzantium_active_at_block(block.header().number);
        let roots = roots.as_ref().filter(|_| needed);
        roots.map(|roots| roots.between(chain, block, prestate)).transpose()
    }
}

impl Runner {
    /// Starts the threads that the arguments ask for.
    ///
    /// # Errors
    /// What the operating system says if it refuses.
    pub(super) fn new(args: &ReplayArgs, lists: Option<Lists>) -> io::Result<Self> {
        let threads = args.threads();
        // A block's stages come one after another, so that the engine's threads serve them all.
        let crew = Arc::new(Crew::of_guests(threads - 1));
        Ok(Self {
            crew: Arc::clone(&crew),
            accelerator: Arc::new(args.device.accelerator_sharing(Arc::clone(&crew))?),
            engine: Engine::new(EngineConfig { threads })?,
            trie_workers: trie_workers_sharing(crew),
            options: ExecuteOptions {
                force_parallel: args.force_parallel,
                ..ExecuteOptions::default()
            },
            mode: args.mode,
            whole: args.whole,
            lists,
            repeat: args.repeat,
            witness_out: args.witness_out.as_deref().map(WitnessOut::into).transpose()?,
            profiler: args.profile.as_ref().map(|_| Profiler::new(args.repeat)).transpose()?,
            stream: args.stream.then(Vec::new),
        })
    }

    /// Replays one block and reports on it, whatever happens.
    pub(super) fn replay(&mut self, input: BlockInput) -> BlockReport {
        let report = BlockReport::begin(&input);
        let mut checks = Checks::default();
        let mut measured = Measured::default();
        checks.check_body(&input.block);
        let outcome = self.execute(input, &mut checks, &mut measured);
        let mut report = report.measured(measured);
        match outcome {
            Ok((gas_used, profile)) => {
                (report.gas_used, report.profile) = (Some(gas_used), profile);
                report.conclude(checks, None)
            }
            Err(stop) => report.conclude(checks, Some(stop.to_string())),
        }
    }

    /// Times the blocks that came out right as one stream, if that was asked for and there are
    /// any.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(super) fn stream(&self) -> io::Result<Option<StreamReport>> {
        let Some(blocks) = &self.stream else { return Ok(None) };
        let Self { engine, accelerator, options, .. } = self;
        stream::measure(
            blocks,
            &stream::Crew { engine, accelerator, options: *options },
            self.repeat,
        )
    }

    /// What each device did so far.
    pub(super) fn devices(&self) -> Vec<DeviceReport> {
        self.accelerator.device_metrics().into_iter().map(DeviceReport::from).collect()
    }

    /// Recovers, executes and times. Returns the gas used, and the profile if one is asked for.
    fn execute(
        &mut self,
        input: BlockInput,
        checks: &mut Checks,
        measured: &mut Measured,
    ) -> Result<(u64, Option<Box<BlockProfile>>), Stop> {
        let name = witness_out::name(&input);
        let BlockInput { chain, block, prestate, .. } = input;
        let homestead = chain.is_homestead_active_at_block(block.header.number);
        let signed = (self.whole || self.stream.is_some()).then(|| block.clone());
        let lent = self.engine.lend_threads(&self.crew);
        let (block, time) = timed(|| RecoveredBlock::recover(block, homestead, &self.accelerator));
        drop(lent);
        measured.recover_ms = Some(milliseconds(time));
        let mut subject = self.subject(chain, Arc::new(block?), prestate, checks)?;
        subject.name = name;
        if let Some(lists) = &self.lists {
            let Subject { chain, block, prestate, .. } = &subject;
            subject.list = Some(lists.prepare(chain, block, prestate, checks, measured)?);
        }
        let output = self.untimed(&mut subject, checks)?;
        let roots = subject.roots_between()?;
        checks.check_output(&subject.chain, subject.block.header(), &output, roots.as_deref());
        self.write_witness(&subject, &output, checks)?;
        let runs = self.take_turns(&subject, &output, checks)?;
        self.tell(&runs, measured);
        if let (Mode::Both, Some(serial_ms)) = (self.mode, measured.serial_ms) {
            let Subject { chain, block, prestate, .. } = &subject;
            let threads = self.engine.threads();
            let scaling = scaling::measure(chain, block, prestate, threads, serial_ms)?;
            measured.machine_scaling = Some(scaling);
        }
        if let (Some(signed), true) = (&signed, self.whole) {
            self.time_whole(&subject, signed, homestead, checks, measured)?;
        }
        let profile = self.profile(&subject, &output, checks)?;
        let gas_used = output.gas_used;
        if let (Some(stream), Some(block), true) =
            (&mut self.stream, signed, checks.mismatches.is_empty())
        {
            let Subject { chain, prestate, .. } = subject;
            stream.push(StreamBlock { chain, block, homestead, prestate, expected: output });
        }
        Ok((gas_used, profile))
    }

    fn profile(
        &self,
        subject: &Subject,
        expected: &BlockOutput,
        checks: &mut Checks,
    ) -> Result<Option<Box<BlockProfile>>, ExecuteError> {
        let Some(profiler) = &self.profiler else { return Ok(None) };
        let Subject { chain, block, prestate, .. } = subject;
        let subject = profile::Subject { chain, block, prestate, expected };
        let profiled = profiler.profile(&self.engine, self.options, subject)?;
        if profiled.difference.is_some() {
            checks.compare_with_serial(profiled.difference);
        }
        Ok(Some(Box::new(profiled.profile)))
    }

    /// Times the whole block, if there is a witness to compute roots from.
    fn time_whole(
        &self,
        subject: &Subject,
        signed: &Block<TxEnvelope>,
        homestead: bool,
        checks: &mut Checks,
        measured: &mut Measured,
    ) -> Result<(), Stop> {
        let Some(roots) = &subject.roots else { return Ok(()) };
        let Subject { chain, prestate, .. } = subject;
        let witness = roots.witness();
        let list = subject.list.as_ref();
        let block = WholeBlock { chain, block: signed, homestead, prestate, witness, list };
        let means = Means {
            engine: &self.engine,
            crew: &self.crew,
            accelerator: &self.accelerator,
            workers: &self.trie_workers,
            options: self.options,
        };
        let whole = whole::measure(&block, &means, self.repeat)?;
        checks.check_state_roots(subject.block.header(), &whole.roots);
        measured.whole = Some(whole.parallel);
        measured.whole_serial = Some(whole.serial);
        Ok(())
    }

    /// Brings the prestate flat into memory, which for a witness takes one serial run that writes
    /// down what it reads, and gets the oracle's output.
    fn subject(
        &self,
        chain: Arc<ChainSpec>,
        block: Arc<RecoveredBlock>,
        prestate: InputState,
        checks: &mut Checks,
    ) -> Result<Subject, Stop> {
        let mut subject = match prestate {
            InputState::Flat(flat) => Subject::new(chain, block, Arc::new(flat)),
            InputState::Witness { state, parent_state_root, ancestors } => {
                checks.check_pre_state_root(parent_state_root, state.root());
                let witness = Arc::new(state);
                let any = AnyState::Witness(Arc::clone(&witness));
                let (output, flat, reads) = read_serially(&chain, &block, any);
                let roots = RootCheck::new(witness, self.trie_workers.clone());
                let (roots, reads) = (Some(roots), Some(reads));
                let subject = Subject::new(chain, block, Arc::new(flat));
                Subject { roots, reads, ancestors, oracle: Some(output), ..subject }
            }
        };
        subject.oracle = match subject.oracle.take() {
            // An incomplete witness is at fault; running on would compare guesses.
            Some(Err(error)) if !error.is_invalid_block() => return Err(error.into()),
            _ if !self.mode.serial() => None,
            Some(oracle) => Some(oracle),
            None => Some(execute_serial(&subject.chain, &subject.block, &subject.prestate, false)),
        };
        Ok(subject)
    }

    /// Writes the block with its witness, if that is asked for.
    fn write_witness(
        &self,
        subject: &Subject,
        output: &BlockOutput,
        checks: &mut Checks,
    ) -> Result<(), Stop> {
        let Some(out) = &self.witness_out else { return Ok(()) };
        let Subject { chain, block, prestate, roots, reads, ancestors, name, .. } = subject;
        let source = match (roots, reads) {
            (Some(roots), Some(reads)) => Source::witness(roots, reads, ancestors),
            _ => Source::whole(chain, block, prestate, &self.trie_workers),
        };
        let changes = StateChanges::from_bundle(&output.bundle, &self.trie_workers);
        let root = out.write(name, chain, block, &source, &changes)?;
        checks.check_state_roots(block.header(), &[("stateless", root)]);
        Ok(())
    }

    /// One run of each kind that is not timed, for what is loaded on first use and for the output
    /// to check. Both kinds must also agree on refusing the block.
    fn untimed(&self, subject: &mut Subject, checks: &mut Checks) -> Result<BlockOutput, Stop> {
        const NO_TWIN: &str = "--mode leaves out the execution to compare with";
        let parallel = self.mode.parallel().then(|| self.run_parallel(subject));
        let parallel = parallel.map(|(output, _, fault)| {
            if subject.list.is_some() {
                check_fault(checks, fault);
            }
            output
        });
        let serial = subject.oracle.take();
        check_roots(subject, [("serial", &serial), ("parallel", &parallel)], checks)?;
        match (serial, parallel) {
            (Some(serial), Some(parallel)) => {
                checks.compare_with_serial(difference(&serial, &parallel));
                Ok(serial?)
            }
            (Some(output), None) | (None, Some(output)) => {
                checks.skip("serial_equal", NO_TWIN);
                Ok(output?)
            }
            (None, None) => unreachable!("every mode runs something"),
        }
    }

    /// The timed runs. Each repetition runs both kinds, and which goes first alternates, so that
    /// what the machine does meanwhile hits both alike. Outputs are compared and freed off the
    /// clock.
    fn take_turns(
        &self,
        subject: &Subject,
        expected: &BlockOutput,
        checks: &mut Checks,
    ) -> Result<Runs, Stop> {
        let mut runs = Runs::default();
        for repetition in 0..self.repeat {
            let parallel_first = repetition % 2 == 1;
            for parallel in [parallel_first, !parallel_first] {
                if parallel && self.mode.parallel() {
                    self.time_parallel(subject, expected, &mut runs, checks);
                } else if !parallel && self.mode.serial() {
                    time_serial(subject, &mut runs)?;
                }
            }
        }
        Ok(runs)
    }

    fn time_parallel(
        &self,
        subject: &Subject,
        expected: &BlockOutput,
        runs: &mut Runs,
        checks: &mut Checks,
    ) {
        let ((output, metrics, _), time) = timed(|| self.run_parallel(subject));
        runs.parallel_ms.push(milliseconds(time));
        runs.metrics.push(metrics);
        // The first run's output passed or failed its checks; any later one must equal it.
        let difference = match output {
            Ok(output) => expected.difference(&output),
            Err(error) => Some(format!("an error: {error}")),
        };
        if difference.is_some() {
            checks.compare_with_serial(difference);
        }
    }

    /// Executes in parallel, with the list if there is one, and says what is wrong with the list.
    fn run_parallel(&self, subject: &Subject) -> Parallel {
        let Subject { chain, block, prestate, list, .. } = subject;
        let listed = match list {
            Some(list) => self.engine.execute_listed(chain, block, prestate, list, self.options),
            None => self
                .engine
                .execute(chain, block, prestate, self.options)
                .map(|(output, metrics)| Listed { output, metrics, fault: None }),
        };
        match listed {
            Ok(Listed { output, metrics, fault }) => (Ok(output), metrics, fault),
            Err(error) => (Err(error), Metrics::default(), None),
        }
    }

    fn tell(&self, runs: &Runs, measured: &mut Measured) {
        measured.serial_ms = median(runs.serial_ms.clone());
        measured.parallel_ms = median(runs.parallel_ms.clone());
        if self.mode.parallel() {
            let median_of = |count: fn(&Metrics) -> u64| {
                Some(median_count(runs.metrics.iter().map(count).collect()))
            };
            measured.threads = Some(self.engine.threads());
            measured.executions = median_of(|metrics| metrics.executions);
            measured.aborts = median_of(|metrics| metrics.aborts);
            measured.reexecuted_gas = median_of(|metrics| metrics.reexecuted_gas);
            measured.decision = runs.metrics.last().map(|metrics| metrics.decision.name());
            measured.workers = runs.metrics.last().map(|metrics| metrics.workers);
        }
    }
}

fn time_serial(subject: &Subject, runs: &mut Runs) -> Result<(), ExecuteError> {
    let Subject { chain, block, prestate, .. } = subject;
    let (output, time) = timed(|| execute_serial(chain, block, prestate, false));
    runs.serial_ms.push(milliseconds(time));
    output.map(drop)
}

/// Checks the root after each execution that gave an output.
fn check_roots(
    subject: &Subject,
    executions: [(&'static str, &Option<Result<BlockOutput, ExecuteError>>); 2],
    checks: &mut Checks,
) -> Result<(), TrieError> {
    let header = subject.block.header();
    let Some(roots) = &subject.roots else {
        checks.skip("state_root", "a flat prestate holds no trie");
        return Ok(());
    };
    let mut after = Vec::new();
    for (execution, output) in executions {
        if let Some(Ok(output)) = output {
            after.push((execution, roots.after(output, header.state_root)?));
        }
    }
    checks.check_state_roots(header, &after);
    Ok(())
}

/// How parallel execution differs from serial, errors included.
fn difference(
    serial: &Result<BlockOutput, ExecuteError>,
    parallel: &Result<BlockOutput, ExecuteError>,
) -> Option<String> {
    match (serial, parallel) {
        (Ok(serial), Ok(parallel)) => serial.difference(parallel),
        (Err(serial), Err(parallel)) => {
            let (serial, parallel) = (serial.to_string(), parallel.to_string());
            (serial != parallel).then(|| format!("another error: {parallel}"))
        }
        (Ok(_), Err(parallel)) => Some(format!("an error: {parallel}")),
        (Err(_), Ok(_)) => Some("an output where serial gives an error".to_owned()),
    }
}
