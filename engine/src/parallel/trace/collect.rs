//! One trace out of all threads' lists.

use std::{collections::BTreeMap, sync::Arc};

use pleach_scheduler::TxIdx;

use super::{Ending, Events, Tracer, Turn};
use crate::trace::{CommitTrace, IncarnationTrace, Outcome, Trace};

impl Tracer {
    /// Stops the clock and gives the trace. What a thread has not written down by now is left out.
    pub(crate) fn finish(self: Arc<Self>) -> Trace {
        let end_ns = self.now_ns();
        let lanes: Vec<_> =
            self.lanes.lock().iter().map(|(_, events)| Arc::clone(events)).collect();
        let mut trace = Trace { workers: lanes.len(), end_ns, ..Trace::default() };
        for (worker, events) in lanes.iter().enumerate() {
            let events = std::mem::take(&mut *events.lock());
            trace.add(worker, events);
        }
        trace.incarnations.sort_by_key(|run| (run.worker, run.start_ns));
        trace.conflicts.sort_by_key(|conflict| conflict.at_ns);
        trace.settle();
        trace.dependencies = self.dependencies.as_ref().map(|found| found.lock().take_found());
        trace
    }
}

impl Trace {
    fn add(&mut self, worker: usize, events: Events) {
        let Events { spans, turns, conflicts, stopped_ns, left_out, .. } = events;
        self.stopped_ns = self.stopped_ns.max(stopped_ns.unwrap_or_default());
        self.left_out += left_out;
        self.conflicts.extend(conflicts);
        let end_ns = self.end_ns;
        self.incarnations.extend(spans.iter().map(|span| IncarnationTrace {
            worker,
            index: span.index,
            incarnation: 0,
            start_ns: span.start_ns,
            end_ns: span.end_ns.unwrap_or(end_ns),
            outcome: match (span.end_ns, span.ending) {
                (None, _) | (_, Ending::Open) => Outcome::Unfinished,
                (_, Ending::Delivered) => Outcome::Stood,
                (_, Ending::Overtaken) => Outcome::Overtaken,
                (_, Ending::Waited(on)) => Outcome::Waited(on),
                (_, Ending::Void) => Outcome::Void,
                (_, Ending::InTurn) => Outcome::InTurn,
            },
        }));
        self.add_commits(&turns);
    }

    fn add_commits(&mut self, turns: &[Turn]) {
        let nexts = turns.iter().skip(1).map(|next| next.asked_ns);
        for (turn, next_ns) in turns.iter().zip(nexts.map(Some).chain([None])) {
            if let Some(at_ns) = turn.committed_ns {
                self.commits.push(CommitTrace {
                    index: turn.index,
                    asked_ns: turn.asked_ns,
                    at_ns,
                    // What follows the last transaction is not its commit alone.
                    until_ns: next_ns.unwrap_or(at_ns),
                    ran_ahead: turn.ran_ahead,
                });
            }
        }
    }

    /// Numbers the runs of each transaction, and tells results that were committed from those
    /// that were not.
    fn settle(&mut self) {
        let ran_ahead: BTreeMap<TxIdx, bool> =
            self.commits.iter().map(|commit| (commit.index, commit.ran_ahead)).collect();
        let mut order: Vec<_> = (0..self.incarnations.len()).collect();
        order.sort_by_key(|at| self.incarnations[*at].start_ns);
        let mut seen: BTreeMap<TxIdx, u32> = BTreeMap::new();
        let mut durations: BTreeMap<TxIdx, Vec<(u64, u64)>> = BTreeMap::new();
        for at in order {
            let run = &mut self.incarnations[at];
            let number = seen.entry(run.index).or_default();
            run.incarnation = *number;
            *number += 1;
            if run.outcome == Outcome::Stood {
                run.outcome = match ran_ahead.get(&run.index) {
                    Some(true) => Outcome::Stood,
                    Some(false) => Outcome::DidNotStand,
                    None => Outcome::Unfinished,
                };
            }
            durations.entry(run.index).or_default().push((run.end_ns, run.end_ns - run.start_ns));
        }
        for conflict in &mut self.conflicts {
            // The run that had ended last when the conflict was found is the one that is void.
            let runs = durations.get(&conflict.index).into_iter().flatten();
            let ended = runs.filter(|(end_ns, _)| *end_ns <= conflict.at_ns);
            conflict.wasted_ns = ended.max().map_or(0, |(_, duration)| *duration);
        }
    }
}
