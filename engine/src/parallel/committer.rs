//! The committer: takes results in block order, checks each against the committed state, and runs
//! itself what cannot stand.

use std::sync::{Arc, atomic::Ordering};

use alloy_evm::Database;
use pleach_scheduler::{EntryId, Frontier, Pen, TxIdx, Version};
use revm::{context::result::ResultAndState, state::EvmState};

use super::{
    hot::{Heat, Record},
    location::Writer,
    observe::SpeculativeEvmFactory,
    receipts::HandedBloom,
    session::{Clash, Clock, Runner, SPIN_ROUNDS, Session, Speculated, pause},
    trace::Lane,
    validate::{Validation, correct_balances, stale_writer, validate},
};
use crate::{
    Decision, Metrics,
    durations::{Call, unexpected},
    follow::written,
};

/// What the committer's EVM does for the next transaction.
pub(super) enum Step<H> {
    /// Hand out this result: it is what running the transaction now would give.
    Result(ResultAndState<H>),
    /// Run the transaction on the committed state, then call [`Committer::ran`].
    Run,
}

/// How hard to hold on to running ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Give up where most results turn out not to stand.
    Adaptive,
    /// Never give up.
    Persistent,
    /// Never give up, and run ahead even what could be run in its turn, so that every result passes
    /// through validation.
    Rehearsing,
}

impl Effort {
    /// The effort that a decision asks for; `None` for serial execution.
    pub(crate) const fn of(decision: Decision, rehearse: bool) -> Option<Self> {
        match decision {
            _ if rehearse => Some(Self::Rehearsing),
            Decision::Forced => Some(Self::Persistent),
            Decision::Parallel => Some(Self::Adaptive),
            Decision::OneThread | Decision::TooLittleWork | Decision::Chain | Decision::GaveUp => {
                None
            }
        }
    }
}

/// The one thread's part in a block that moves the frontier. It lives inside the block executor's
/// EVM and helps the workers while the frontier is busy.
pub(super) struct Committer<E: SpeculativeEvmFactory> {
    session: Arc<Session<E>>,
    validation: Validation,
    effort: Effort,
    helper: Option<Runner<E>>,
    record: Record,
    /// Whether most of what is to come rests on one another.
    mostly_hot: bool,
    bloom: HandedBloom,
    /// What the transaction at the frontier published before it was found not to stand. It stays
    /// in place as an estimate until the transaction has been run again.
    overtaken: Vec<EntryId>,
    pen: Pen,
    names: Vec<EntryId>,
    next: TxIdx,
    /// Calls that took longer than expected, with their durations in nanoseconds.
    long_calls: Vec<(Call, u32)>,
    /// Since when the committer itself runs a transaction.
    clock: Option<Clock>,
    lane: Lane,
}

impl<E: SpeculativeEvmFactory> Committer<E> {
    pub(super) fn new(
        session: Arc<Session<E>>,
        validation: Validation,
        effort: Effort,
        bloom: HandedBloom,
    ) -> Self {
        let record = Record::of(&session.hot);
        let (overtaken, pen) = (Vec::new(), Pen::default());
        let lane = Lane::of(&session);
        Self {
            session,
            validation,
            effort,
            helper: None,
            record,
            mostly_hot: false,
            bloom,
            overtaken,
            pen,
            names: Vec::new(),
            next: 0,
            long_calls: Vec::new(),
            clock: None,
            lane,
        }
    }

    /// Whether the block's next transaction is the one that is asked for. A caller that departs
    /// from the list it announced gets serial execution from there on.
    pub(super) fn expects(&self, tx: &E::Tx) -> bool {
        self.next_tx() == Some(tx)
    }

    /// The block's next transaction, as announced.
    pub(super) fn next_tx(&self) -> Option<&E::Tx> {
        self.session.txs.get(self.next)
    }

    /// Whether running ahead is a waste of time in this block. The rest of it then runs serially.
    fn gives_up(&self) -> bool {
        self.effort == Effort::Adaptive && (self.mostly_hot || self.record.is_hopeless())
    }

    /// Whether the block's executor had better go on alone.
    pub(super) fn leaves(&self) -> bool {
        self.gives_up() && self.session.shared.ledger.is_none()
    }

    /// What to do about the next transaction, given the committed state.
    pub(super) fn step<DB: Database>(&mut self, db: &mut DB) -> Step<E::HaltReason> {
        let session = Arc::clone(&self.session);
        for Clash { index, culprit } in session.take_clashes() {
            self.learn(index, culprit);
        }
        if self.gives_up() && !session.scheduler().is_halted() {
            session.scheduler().halt();
            self.lane.stops();
        }
        let mut idle_rounds = 0;
        self.lane.turns_to(self.next);
        loop {
            let frontier = session.scheduler().at_frontier();
            if idle_rounds > 0 && frontier != Frontier::Busy {
                session.scheduler().set_committer_waits(false);
            }
            match frontier {
                Frontier::Claimed(version) if self.rehearses(version) => {
                    self.run_ahead(version);
                    continue;
                }
                Frontier::Claimed(version) => return self.run_in_turn(version.index),
                Frontier::Executed(version) => return self.settle(db, version),
                Frontier::Busy => {}
            }
            let helper = self.helper.get_or_insert_with(|| Runner::new(&session));
            if let Some(version) = helper.claim(&session) {
                session.scheduler().set_committer_waits(false);
                helper.run(&session, version);
                idle_rounds = 0;
            } else if session.idle() {
                // That took no longer than a few rounds do.
                continue;
            } else if idle_rounds < SPIN_ROUNDS {
                session.scheduler().set_committer_waits(true);
                idle_rounds += 1;
                pause(idle_rounds);
            } else {
                session.scheduler().sleep_until_frontier();
            }
        }
    }

    /// Whether to run ahead what could be run in its turn: to put it through validation, or because
    /// it is a payment, for which running ahead is the shorter way.
    fn rehearses(&self, version: Version) -> bool {
        let payment =
            self.session.shared.ledger.is_some() && self.next_tx().is_some_and(E::may_be_payment);
        version.incarnation == 0 && (payment || self.effort == Effort::Rehearsing)
    }

    fn run_ahead(&mut self, version: Version) {
        let session = &self.session;
        self.helper.get_or_insert_with(|| Runner::new(session)).run(session, version);
    }

    /// Hands out a speculative result if it stands, else takes the transaction over.
    fn settle<DB: Database>(&mut self, db: &mut DB, version: Version) -> Step<E::HaltReason> {
        let session = &Arc::clone(&self.session);
        let index = version.index;
        let target = session.callee(index);
        let mut speculated = session.take(index);
        let result = speculated.as_mut().and_then(|speculated| speculated.result.take());
        if let (Some(mut speculated), Some(mut result)) = (speculated, result) {
            let memory = &session.shared.memory;
            let Speculated { reads, .. } = &mut *speculated;
            if validate(db, &session.shared, Writer::transaction(index), reads, self.validation)
                && correct_balances(reads, &mut result.state, memory)
            {
                if let Some(ledger) = &session.shared.ledger {
                    let odd = std::mem::take(&mut result.state);
                    ledger.lock().enter(index, reads, odd);
                }
                session.shared.tell(session.shared.written(&speculated.writes));
                self.bloom.hand(speculated.bloom.take());
                self.lane.stands(index, memory, &speculated);
                let (explored, nanos) = (speculated.explored, speculated.nanos);
                session.give_back(index, speculated);
                assert!(session.scheduler().commit(index), "the committer found it executed");
                self.next = index + 1;
                self.record.stood(target, explored, &self.session.hot);
                self.note_duration(index, nanos);
                return Step::Result(result);
            }
            let gas = result.result.tx_gas_used();
            session.counters().count_abort(gas);
            let culprit = stale_writer(&session.shared, Writer::transaction(index), reads);
            self.record.fell();
            self.learn(index, culprit);
            self.lane.falls(index, gas, reads, memory, db, self.validation);
            self.overtaken = std::mem::take(&mut speculated.writes);
        } else {
            session.counters().count_abort(0);
        }
        self.bloom.hand(None);
        assert!(session.scheduler().reclaim(version), "the committer found it executed");
        self.run_in_turn(index)
    }

    /// Learns from an incarnation that did not stand, because of what `culprit` wrote if that is
    /// known.
    fn learn(&mut self, index: TxIdx, culprit: Option<TxIdx>) {
        let session = &self.session;
        let target = session.callee(index);
        let culprit = culprit.and_then(|writer| E::target(&session.txs[writer]));
        let newly_hot = self.record.aborted(target, culprit, &session.hot);
        let chain = |target| newly_hot && session.is_mostly_hot(index, target);
        self.mostly_hot |= target.is_some_and(chain);
    }

    fn run_in_turn(&mut self, index: TxIdx) -> Step<E::HaltReason> {
        self.lane.begins_in_turn(index);
        self.clock = Clock::start::<E>(&self.session.txs[index]);
        Step::Run
    }

    /// Notes how long a transaction took, if that was longer than expected.
    fn note_duration(&mut self, index: TxIdx, nanos: Option<u32>) {
        let Some(nanos) = nanos else { return };
        let tx = &self.session.txs[index];
        if unexpected(nanos, E::gas_limit(tx)).is_some() {
            let call = E::target(tx).zip(E::selector(tx));
            self.long_calls.extend(call.map(|call| (call, nanos)));
        }
    }

    /// Calls that took longer than expected, with their durations in nanoseconds.
    pub(super) fn long_calls(&self) -> Vec<(Call, u32)> {
        self.long_calls.clone()
    }

    /// The transaction at the frontier has been run on the committed state and gave this. Takes the
    /// state where the memory keeps the block's changes.
    pub(super) fn ran(&mut self, state: &mut EvmState) {
        let nanos = self.clock.take().map(Clock::nanos);
        self.note_duration(self.next, nanos);
        let session = &self.session;
        session.counters().count_execution();
        session.shared.memory.retract(&self.overtaken);
        self.overtaken.clear();
        session.shared.tell(written(state));
        // Every write must be published, be it only for validation to see what was written, unless
        // nobody ever runs ahead.
        let kept_in_memory = session.shared.ledger.is_some();
        if kept_in_memory || session.workers() > 0 || self.effort == Effort::Rehearsing {
            let writer = Writer::transaction(self.next);
            session.shared.publish_committed((&mut self.pen, &mut self.names), writer, state);
        }
        self.lane.ran_in_turn(self.next, state);
        if kept_in_memory {
            *state = EvmState::default();
        }
        assert!(session.scheduler().commit(self.next), "the committer holds what it claimed");
        self.next += 1;
    }

    /// What has been learnt of targets whose transactions rest on one another.
    pub(super) fn heat(&self) -> Heat {
        self.record.heat(&self.session.hot, self.mostly_hot)
    }

    /// What the block has cost up to here.
    pub(super) fn metrics(&self) -> Metrics {
        let [executions, aborts, reexecuted_gas] = self.session.costs();
        let decision = match self.effort {
            Effort::Adaptive if self.gives_up() => Decision::GaveUp,
            Effort::Adaptive => Decision::Parallel,
            Effort::Persistent | Effort::Rehearsing => Decision::Forced,
        };
        let workers = self.session.workers();
        Metrics { decision, workers, executions, aborts, reexecuted_gas }
    }
}

impl<E: SpeculativeEvmFactory> Drop for Committer<E> {
    fn drop(&mut self) {
        self.lane.stops();
        self.session.scheduler().halt();
        // Relaxed: helpers are sent away, and nothing that they did is read because of it.
        self.session.shared.is_over.store(true, Ordering::Relaxed);
    }
}
