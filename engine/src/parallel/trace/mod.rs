//! Writing down what happens when, if somebody asked for it.
//!
//! The engine's code calls a [`Lane`] at a few places, each call one line. Without a [`Tracer`]
//! a lane does nothing, not even look at the clock. Each thread writes to a list of its own, so
//! that tracing makes no thread wait for another.

mod collect;
mod dependencies;
mod stale;

use std::{sync::Arc, time::Instant};

use alloy_evm::Database;
use alloy_primitives::Address;
use pleach_scheduler::TxIdx;
use revm::state::EvmState;

use super::{
    location::Writer,
    mv_memory::MvMemory,
    read_set::ReadSet,
    session::{Session, Speculated},
    validate::Validation,
};
use crate::{
    SpeculativeEvmFactory,
    sync::{Mutex, ThreadId, current},
    trace::{ConflictTrace, StaleRead},
};
use dependencies::DependencyRecorder;

/// Runs per transaction that a lane has room for: more than the scheduler ever allows.
const MAX_RUNS_PER_TX: usize = 8;

/// Collects what the threads of one execution write down.
pub(crate) struct Tracer {
    start: Instant,
    /// One per thread that took part; the first is the committer's.
    lanes: Mutex<Vec<(ThreadId, Arc<Mutex<Events>>)>>,
    transactions: usize,
    dependencies: Option<Mutex<DependencyRecorder>>,
}

/// What one thread did.
#[derive(Default)]
struct Events {
    spans: Vec<Span>,
    /// Whether the last span has not ended.
    open: bool,
    turns: Vec<Turn>,
    conflicts: Vec<ConflictTrace>,
    stopped_ns: Option<u64>,
    left_out: u64,
}

/// A run of a transaction.
struct Span {
    index: TxIdx,
    start_ns: u64,
    end_ns: Option<u64>,
    ending: Ending,
}

/// How a run ended, as far as its own thread knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Not yet.
    Open,
    /// With a result, which waits for its turn.
    Delivered,
    /// With a result that a lower transaction had overtaken.
    Overtaken,
    /// Upon a value that this transaction was about to write anew.
    Waited(TxIdx),
    /// Without a result.
    Void,
    /// In its turn.
    InTurn,
}

/// The committer's turn to a transaction.
struct Turn {
    index: TxIdx,
    asked_ns: u64,
    committed_ns: Option<u64>,
    ran_ahead: bool,
}

impl Tracer {
    /// Starts the clock. To be called by the thread that commits. `senders` are the transactions'
    /// senders and nonces; `rehearsal` says that transactions run one after another and read
    /// exactly what serial execution reads, so that dependencies can be told.
    pub(crate) fn start(senders: Vec<(Address, u64)>, rehearsal: bool) -> Arc<Self> {
        let transactions = senders.len();
        let dependencies = rehearsal.then(|| Mutex::new(DependencyRecorder::new(senders)));
        let lanes = Mutex::new(Vec::new());
        let tracer = Self { start: Instant::now(), lanes, transactions, dependencies };
        tracer.lane_of_this_thread();
        Arc::new(tracer)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn lane_of_this_thread(&self) -> Arc<Mutex<Events>> {
        let id = current().id();
        let mut lanes = self.lanes.lock();
        if let Some((_, events)) = lanes.iter().find(|(thread, _)| *thread == id) {
            return Arc::clone(events);
        }
        let spans = Vec::with_capacity(self.transactions);
        let turns = Vec::with_capacity(if lanes.is_empty() { self.transactions } else { 0 });
        let events = Arc::new(Mutex::new(Events { spans, turns, ..Events::default() }));
        lanes.push((id, Arc::clone(&events)));
        events
    }
}

/// Where one thread writes down what it does; a place for nothing if nobody traces.
pub(super) struct Lane(Option<Traced>);

struct Traced {
    tracer: Arc<Tracer>,
    events: Arc<Mutex<Events>>,
}

impl Lane {
    /// The calling thread's lane.
    pub(super) fn of<E: SpeculativeEvmFactory>(session: &Session<E>) -> Self {
        Self(session.tracer.as_ref().map(|tracer| Traced {
            tracer: Arc::clone(tracer),
            events: tracer.lane_of_this_thread(),
        }))
    }

    /// An incarnation begins, ahead of its turn.
    pub(super) fn begins(&self, index: TxIdx) {
        if let Some(lane) = &self.0 {
            lane.begin(index, Ending::Open);
        }
    }

    /// The incarnation ends.
    pub(super) fn ends(&self, ending: Ending) {
        if let Some(lane) = &self.0 {
            lane.end(ending);
        }
    }

    /// The incarnation ends with a result that a lower transaction has overtaken.
    pub(super) fn is_overtaken(&self, index: TxIdx, gas: u64, memory: &MvMemory, reads: &ReadSet) {
        if let Some(lane) = &self.0 {
            lane.end(Ending::Overtaken);
            let stale = stale::in_memory(memory, Writer::transaction(index), reads);
            lane.conflict(index, gas, stale);
        }
    }

    /// The committer turns to a transaction.
    pub(super) fn turns_to(&self, index: TxIdx) {
        if let Some(lane) = &self.0 {
            lane.turn_to(index);
        }
    }

    /// A result that ran ahead is about to be committed, its balances corrected.
    pub(super) fn stands<H>(&self, index: TxIdx, memory: &MvMemory, speculated: &Speculated<H>) {
        if let Some(lane) = &self.0 {
            lane.committed(true);
            lane.with_dependencies(|dependencies| {
                dependencies.reads(index, &speculated.reads);
                dependencies.published(index, memory, &speculated.writes);
                dependencies.left(index, &speculated.reads);
            });
        }
    }

    /// A result that ran ahead does not stand.
    pub(super) fn falls<DB: Database>(
        &self,
        index: TxIdx,
        gas: u64,
        reads: &ReadSet,
        memory: &MvMemory,
        db: &mut DB,
        validation: Validation,
    ) {
        if let Some(lane) = &self.0 {
            let reader = Writer::transaction(index);
            lane.conflict(index, gas, stale::in_state(db, memory, reader, reads, validation));
            lane.with_dependencies(|dependencies| dependencies.reads(index, reads));
        }
    }

    /// The committer begins to run a transaction in its turn.
    pub(super) fn begins_in_turn(&self, index: TxIdx) {
        if let Some(lane) = &self.0 {
            lane.begin(index, Ending::InTurn);
        }
    }

    /// The committer has run a transaction in its turn, which left this; its commit follows.
    pub(super) fn ran_in_turn(&self, index: TxIdx, state: &EvmState) {
        if let Some(lane) = &self.0 {
            lane.end(Ending::InTurn);
            lane.committed(false);
            lane.with_dependencies(|dependencies| dependencies.ran(index, state));
        }
    }

    /// Nobody runs ahead any more. Only the first call counts.
    pub(super) fn stops(&self) {
        if let Some(lane) = &self.0 {
            let now = lane.tracer.now_ns();
            lane.events.lock().stopped_ns.get_or_insert(now);
        }
    }
}

impl Traced {
    fn begin(&self, index: TxIdx, ending: Ending) {
        let start_ns = self.tracer.now_ns();
        let mut events = self.events.lock();
        events.open = events.spans.len() < self.tracer.transactions * MAX_RUNS_PER_TX;
        if events.open {
            events.spans.push(Span { index, start_ns, end_ns: None, ending });
        } else {
            events.left_out += 1;
        }
    }

    fn end(&self, ending: Ending) {
        let end_ns = self.tracer.now_ns();
        let mut events = self.events.lock();
        if std::mem::take(&mut events.open)
            && let Some(span) = events.spans.last_mut()
        {
            (span.end_ns, span.ending) = (Some(end_ns), ending);
        }
    }

    fn conflict(&self, index: TxIdx, gas: u64, stale: Vec<StaleRead>) {
        let at_ns = self.tracer.now_ns();
        let mut events = self.events.lock();
        if events.conflicts.len() < self.tracer.transactions * MAX_RUNS_PER_TX {
            events.conflicts.push(ConflictTrace { index, at_ns, wasted_ns: 0, gas, stale });
        } else {
            events.left_out += 1;
        }
    }

    fn turn_to(&self, index: TxIdx) {
        let asked_ns = self.tracer.now_ns();
        let turn = Turn { index, asked_ns, committed_ns: None, ran_ahead: false };
        self.events.lock().turns.push(turn);
    }

    fn committed(&self, ran_ahead: bool) {
        let now = self.tracer.now_ns();
        if let Some(turn) = self.events.lock().turns.last_mut() {
            (turn.committed_ns, turn.ran_ahead) = (Some(now), ran_ahead);
        }
    }

    fn with_dependencies(&self, note: impl FnOnce(&mut DependencyRecorder)) {
        if let Some(dependencies) = &self.tracer.dependencies {
            note(&mut dependencies.lock());
        }
    }
}
