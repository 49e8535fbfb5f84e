//! One block in flight, its access list known: every transaction runs once, on its own prestate, in
//! whatever order suits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy_evm::{EthEvm, EthEvmFactory, Evm, EvmEnv, EvmFactory, precompiles::PrecompilesMap};
use alloy_primitives::{Address, Bloom};
use parking_lot::{Condvar, Mutex};
use revm::{
    context::{
        TxEnv,
        result::{ExecutionResult, HaltReason},
    },
    inspector::NoOpInspector,
    state::Account,
};

use super::{
    super::{blooms::logs_bloom, pool::Work, session::SPIN_ROUNDS},
    bundle::Bundling,
    check::{Fall, Seen, check},
    root::ListedRoot,
    tickets::{Ticket, Tickets},
    view::{ListedView, Source},
};

/// What running a transaction gave that is as listed.
#[derive(Debug)]
pub(super) struct Stands {
    pub(super) result: ExecutionResult<HaltReason>,
    pub(super) bloom: Option<Bloom>,
    /// Accounts that were created, emptied or destroyed.
    pub(super) odd: Vec<(Address, Account)>,
}

/// What became of a transaction.
pub(super) type Outcome = Result<Box<Stands>, Fall>;

/// One block in flight.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) source: Source,
    env: EvmEnv,
    txs: Arc<[TxEnv]>,
    tickets: Tickets,
    outcomes: Box<[Mutex<Option<Outcome>>]>,
    pub(super) bundling: Bundling,
    /// The state root, if it is to be made from the list.
    pub(super) root: Option<ListedRoot>,
    /// What threads that ran out of transactions have seen, and how many they had run.
    seen: Mutex<(Seen, usize)>,
    /// Set when nobody waits for the rest any more.
    halted: AtomicBool,
    executions: AtomicUsize,
    /// Why the block stopped, if the list or a transaction stopped it.
    pub(super) fall: Mutex<Option<Fall>>,
    /// Whether the committer sleeps until something is done.
    asleep: AtomicBool,
    bed: Mutex<()>,
    done: Condvar,
}

impl Session {
    pub(super) fn new(
        source: Source,
        env: EvmEnv,
        txs: Arc<[TxEnv]>,
        gas: u64,
        threads: usize,
        root: Option<ListedRoot>,
    ) -> Self {
        let tickets = Tickets::new(&txs, gas, threads, Bundling::parts(&source.list));
        Self {
            tickets,
            outcomes: txs.iter().map(|_| Mutex::new(None)).collect(),
            bundling: Bundling::new(&source.list),
            root,
            seen: Mutex::new((Seen::new(&source.list), 0)),
            source,
            env,
            txs,
            halted: AtomicBool::new(false),
            executions: AtomicUsize::new(0),
            fall: Mutex::default(),
            asleep: AtomicBool::new(false),
            bed: Mutex::default(),
            done: Condvar::new(),
        }
    }

    /// The next thing to do, if anything is left.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.tickets.take()
    }

    /// Takes a transaction's outcome, if it is there.
    pub(super) fn outcome(&self, index: usize) -> Option<Outcome> {
        self.outcomes[index].lock().take()
    }

    /// Tells all threads to leave.
    pub(super) fn halt(&self) {
        // Relaxed: a thread that sees it late does a little more for nothing.
        self.halted.store(true, Ordering::Relaxed);
    }

    /// Transactions run so far.
    pub(super) fn executions(&self) -> u64 {
        self.executions.load(Ordering::Relaxed) as u64
    }

    /// What all threads together have seen, once every transaction is accounted for. Threads hand
    /// in their part right after their last transaction.
    pub(super) fn take_seen(&self) -> Seen {
        let mut rounds = 0;
        loop {
            let mut seen = self.seen.lock();
            if seen.1 == self.txs.len() {
                return std::mem::replace(&mut seen.0, Seen::new(&self.source.list));
            }
            drop(seen);
            pause(&mut rounds);
        }
    }

    /// Sleeps until something is done, or a little while. Whoever stores an outcome looks at
    /// `asleep` afterwards; should it miss the flag, the time limit wakes the sleeper.
    fn sleep(&self, has_come: impl FnOnce() -> bool) {
        let mut bed = self.bed.lock();
        self.asleep.store(true, Ordering::SeqCst);
        if !has_come() {
            self.done.wait_for(&mut bed, LONGEST_SLEEP);
        }
        self.asleep.store(false, Ordering::Relaxed);
    }

    fn store(&self, index: usize, outcome: Outcome) {
        *self.outcomes[index].lock() = Some(outcome);
        if self.asleep.load(Ordering::SeqCst) {
            drop(self.bed.lock());
            self.done.notify_all();
        }
    }

    /// Waits for a transaction that another thread is at.
    pub(super) fn wait(&self, index: usize) -> Outcome {
        for _ in 0..SPIN_ROUNDS {
            if let Some(outcome) = self.outcome(index) {
                return outcome;
            }
            std::hint::spin_loop();
        }
        loop {
            self.sleep(|| self.outcomes[index].lock().is_some());
            if let Some(outcome) = self.outcome(index) {
                return outcome;
            }
        }
    }
}

const LONGEST_SLEEP: Duration = Duration::from_micros(500);

/// Waits a moment for another thread, longer each time.
pub(super) fn pause(rounds: &mut u32) {
    *rounds += 1;
    if *rounds < SPIN_ROUNDS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

impl Work for Session {
    fn work(&self) {
        // The longest piece of work there is. The committer leaves it to others if there are any.
        if let Some(root) = &self.root {
            root.make_if_nobody_does(&self.source);
        }
        let mut runner = None;
        while !self.halted.load(Ordering::Relaxed)
            && let Some(ticket) = self.ticket()
        {
            runner.get_or_insert_with(|| Runner::new(self)).redeem(self, ticket);
        }
        runner.iter_mut().for_each(|runner| runner.hand_in(self));
    }
}

type ListedEvm = EthEvm<ListedView, NoOpInspector, PrecompilesMap>;

/// One thread's EVM, reused from transaction to transaction.
pub(super) struct Runner {
    evm: ListedEvm,
    seen: Seen,
    ran: usize,
}

impl Runner {
    pub(super) fn new(session: &Session) -> Self {
        Self { evm: new_evm(session), seen: Seen::new(&session.source.list), ran: 0 }
    }

    /// Does what a ticket asks for.
    pub(super) fn redeem(&mut self, session: &Session, ticket: Ticket) {
        match ticket {
            Ticket::Transactions(places) => {
                for place in places {
                    self.run(session, session.tickets.order[place] as usize);
                }
            }
            Ticket::Part(part) => {
                let making = || session.bundling.make(&session.source, part);
                if !matches!(catch_unwind(AssertUnwindSafe(making)), Ok(Ok(()))) {
                    session.bundling.fail();
                }
            }
        }
    }

    /// Hands in what this thread has seen. After this it runs nothing.
    pub(super) fn hand_in(&mut self, session: &Session) {
        if self.ran > 0 {
            let mut seen = session.seen.lock();
            seen.0.merge(&self.seen);
            seen.1 += std::mem::take(&mut self.ran);
        }
    }

    fn run(&mut self, session: &Session, index: usize) {
        self.ran += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(session, index)));
        let outcome = outcome.unwrap_or_else(|_| {
            self.evm = new_evm(session);
            Err(Fall::Failed)
        });
        session.store(index, outcome);
    }

    fn execute(&mut self, session: &Session, index: usize) -> Outcome {
        session.executions.fetch_add(1, Ordering::Relaxed);
        let place = index as u32 + 1;
        self.evm.db_mut().index = place;
        let ran = self.evm.transact_raw(session.txs[index].clone());
        let mut ran = ran.map_err(|_| Fall::Failed)?;
        let odd = check(&session.source, place, &mut ran.state, &mut self.seen)?;
        ran.state.clear();
        self.evm.ctx_mut().journaled_state.inner.state = ran.state;
        let logs = ran.result.logs();
        let bloom = (!logs.is_empty()).then(|| logs_bloom(logs));
        Ok(Box::new(Stands { result: ran.result, bloom, odd }))
    }
}

fn new_evm(session: &Session) -> ListedEvm {
    let view = ListedView { source: session.source.clone(), index: 0 };
    EthEvmFactory::default().create_evm(view, session.env.clone())
}
