//! The whole engine under a model of threads: `bash .ci/run shuttle`. Without the model there is
//! nothing to run here.
//!
//! Small random blocks that collide are executed by the engine as it is: scheduler, pool, workers,
//! committer, memory, the making of the bundle. Only what threads are made of is not the machine's
//! but shuttle's (`engine/src/sync.rs`, `scheduler/src/sync.rs`): at every atomic operation and
//! every lock a seed decides who runs next. Each output is compared with serial execution's; a
//! deadlock, or an execution without end, is a failure too.
//!
//! A failure prints the seed that replays it, in this process or another: `PLEACH_SEED=S` runs the
//! same block under the same schedules. It also prints the one schedule that failed; with both
//! `PLEACH_SEED=S` and `PLEACH_SCHEDULE=…` that one alone is run. `PLEACH_CASES=N` sets how many
//! blocks are tried, `PLEACH_FROM=S` the first one's seed.
//!
//! What this cannot see is the effect of orderings weaker than sequential consistency: loom looks
//! for that in the scheduler's parts (`scheduler/tests/loom.rs`).
#![cfg(shuttle)]

mod schedule;
#[path = "../properties/support/mod.rs"]
#[expect(dead_code, reason = "the property tests use the rest")]
mod support;

use std::{
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use pleach_engine::{Engine, EngineConfig, ExecuteOptions, Follower, execute_serial};
use pleach_state::mpt::TouchedKey;
use shuttle::{
    Config, Runner,
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler},
};

use schedule::Bursts;
use support::{
    compare::{Case, Outcome, difference},
    generate::generate_sized,
    rng::Rng,
};

/// Blocks that are tried unless the environment says otherwise: some ten seconds on one core.
const DEFAULT_CASES: u64 = 600;
/// Schedules of each kind that a block is executed under.
const SCHEDULES: usize = 8;
/// As many as the machine's main thread has: the EVM's calls nest on it.
const STACK_BYTES: usize = 8 << 20;
/// Some hundred times as many scheduling points as such an execution has.
const MOST_STEPS: usize = 5_000_000;

/// One block and how to execute it, with what serial execution gives: with an access list, and
/// without.
struct Trial {
    case: Case,
    expected: [Outcome; 2],
    threads: usize,
    rehearse: bool,
    /// Whether somebody follows the executions.
    followed: bool,
    /// For each execution, one after the other on one engine, whether it asks for an access list.
    access_lists: Vec<bool>,
}

/// What all executions together have cost.
#[derive(Default)]
struct Totals {
    executions: AtomicU64,
    aborts: AtomicU64,
    listener: Arc<Listener>,
}

/// Counts the transactions that it is told of before they commit.
#[derive(Debug, Default)]
struct Listener(AtomicU64);

impl Follower for Listener {
    fn committed(&self, _: &mut dyn Iterator<Item = TouchedKey>) {}

    fn executed(&self, _: &mut dyn Iterator<Item = TouchedKey>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn idle(&self) -> bool {
        false
    }
}

impl Trial {
    fn new(seed: u64) -> Self {
        let case = generate_sized(seed, [3, 8]);
        let serial = |list| execute_serial(&case.chain, &case.block, &case.prestate, list);
        let expected = [true, false].map(serial);
        let mut rng = Rng::new(!seed);
        // Two blocks in a row: a worker may still be at the first when the second begins.
        let access_lists = (0..2).map(|_| rng.chance(25)).collect();
        let threads = rng.between(2, 4) as usize;
        let rehearse = rng.chance(25);
        let followed = rng.chance(25);
        Self { case, expected, threads, rehearse, followed, access_lists }
    }

    /// Executes the block as often as is planned and says where an output differs.
    fn run(&self, totals: &Totals) -> Option<String> {
        let Case { chain, block, prestate } = &self.case;
        let engine = Engine::new(EngineConfig { threads: self.threads }).expect("threads start");
        self.access_lists.iter().find_map(|list| {
            let options = ExecuteOptions {
                access_list: *list,
                force_parallel: true,
                rehearse: self.rehearse,
            };
            let parallel = if self.followed {
                let listener = Arc::clone(&totals.listener) as Arc<dyn Follower>;
                engine.execute_followed(chain, block, prestate, options, listener)
            } else {
                engine.execute(chain, block, prestate, options)
            };
            if let Ok((_, metrics)) = &parallel {
                totals.executions.fetch_add(metrics.executions, Ordering::Relaxed);
                totals.aborts.fetch_add(metrics.aborts, Ordering::Relaxed);
            }
            let parallel = parallel.map(|(output, _)| output);
            difference(&self.expected[usize::from(!list)], &parallel)
        })
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = shuttle::MaxSteps::FailAfter(MOST_STEPS);
    config.silence_warnings = true;
    config
}

/// Runs a trial under a scheduler of threads as often as that wants.
fn explore(trial: &Arc<Trial>, totals: &Arc<Totals>, scheduler: impl Scheduler + 'static) -> usize {
    let (trial, totals) = (Arc::clone(trial), Arc::clone(totals));
    Runner::new(scheduler, config()).run(move || {
        let difference = trial.run(&totals);
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    })
}

/// Runs the trial of a seed under all its schedules. Says how many there were.
fn try_seed(seed: u64, totals: &Arc<Totals>) -> usize {
    let trial = Arc::new(Trial::new(seed));
    if let Ok(schedule) = env::var("PLEACH_SCHEDULE") {
        return explore(&trial, totals, ReplayScheduler::new_from_encoded(&schedule));
    }
    let depth = 2 + seed as usize % 4;
    explore(&trial, totals, RandomScheduler::new_from_seed(seed, SCHEDULES))
        + explore(&trial, totals, Bursts::new(seed, SCHEDULES))
        + explore(&trial, totals, PctScheduler::new_from_seed(seed, depth, SCHEDULES))
}

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value:?}")))
}

/// Small random blocks execute under any schedule as they do serially.
#[test]
fn every_schedule_gives_what_serial_execution_gives() {
    let totals = Arc::new(Totals::default());
    let one = number("PLEACH_SEED");
    let first = one.or(number("PLEACH_FROM")).unwrap_or_default();
    let cases = if one.is_some() { 1 } else { number("PLEACH_CASES").unwrap_or(DEFAULT_CASES) };
    let mut schedules = 0;
    for seed in first..first + cases {
        match catch_unwind(AssertUnwindSafe(|| try_seed(seed, &totals))) {
            Ok(tried) => schedules += tried,
            Err(panic) => {
                eprintln!("PLEACH_SEED={seed} replays this");
                resume_unwind(panic);
            }
        }
    }
    let [executions, aborts] =
        [&totals.executions, &totals.aborts].map(|total| total.load(Ordering::Relaxed));
    let told = totals.listener.0.load(Ordering::Relaxed);
    eprintln!(
        "{cases} blocks from seed {first} on, {schedules} schedules, {executions} executions of \
         transactions, {aborts} aborts, {told} told of before their commit"
    );
    assert!(one.is_some() || aborts > 0 && told > 0, "what never collides tests little");
}
