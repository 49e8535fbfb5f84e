//! Whether running ahead pays, judged from what a block shows before it starts.

use alloy_primitives::Address;

use crate::{RecoveredBlock, parallel::may_be_payment};

/// How a block was executed, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Decision {
    /// In parallel, because the caller insisted.
    #[default]
    Forced,
    /// In parallel, because that was expected to be faster.
    Parallel,
    /// Serially, because there is no second thread.
    OneThread,
    /// Serially, because handing results over was expected to cost more than running ahead saves.
    TooLittleWork,
    /// Serially, because a few accounts, or contracts whose calls have shown to rest on one
    /// another, take part in nearly all: the block is a chain.
    Chain,
    /// In parallel at first; serially from where most results had turned out not to stand.
    GaveUp,
}

impl Decision {
    /// Whether workers ran ahead, be it for a part of the block.
    pub const fn runs_ahead(self) -> bool {
        match self {
            Self::Forced | Self::Parallel | Self::GaveUp => true,
            Self::OneThread | Self::TooLittleWork | Self::Chain => false,
        }
    }

    /// The decision as reports name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forced => "forced",
            Self::Parallel => "parallel",
            Self::OneThread => "one_thread",
            Self::TooLittleWork => "too_little_work",
            Self::Chain => "chain",
            Self::GaveUp => "gave_up",
        }
    }
}

/// What execution costs, in nanoseconds, as measured over real blocks on one machine. Other
/// machines differ in all of these by about the same factor, and only ratios decide.
mod cost {
    /// The least that any transaction takes serially.
    pub(super) const TRANSACTION: f64 = 2_200.0;
    /// Each gas beyond the 21,000 of a plain transfer.
    pub(super) const GAS: f64 = 0.35;
    /// What running a transaction ahead adds: recording and checking what it reads, making visible
    /// what it writes, and carrying the result from one core to another.
    pub(super) const AHEAD: f64 = 1_200.0;
    /// What a payment takes that is run ahead, which no interpreter does.
    pub(super) const PAYMENT: f64 = 1_600.0;
    /// The least that the committer has to do for a transaction that somebody else ran.
    pub(super) const COMMIT: f64 = 800.0;
    /// What each unit of serial work comes to on a second core, which has it in no cache.
    pub(super) const SPREAD: f64 = 1.05;
    /// Waking the workers, and what only one thread does before and after the transactions.
    pub(super) const WAKE: f64 = 70_000.0;
}

/// Fewer transactions than this mostly rest on one another, or one of them is most of the block.
const FEW: f64 = 6.0;

/// Running ahead must promise at least this share of serial time less.
const WORTHWHILE: f64 = 0.97;

/// Transactions that are looked at to see whether a few accounts do all.
const SAMPLED: usize = 64;

/// Whether so few accounts send and are called that transactions must rest on one another. Calls of
/// contracts do not count: one contract may serve many who have nothing to do with each other.
fn few_accounts_do_all(block: &RecoveredBlock) -> bool {
    let sample = &block.tx_envs()[..block.tx_envs().len().min(SAMPLED)];
    let plain = sample.iter().filter(|tx| tx.data.is_empty()).count();
    let few = sample.len() / 8;
    if plain * 2 <= sample.len() {
        return false;
    }
    let mut distinct: Vec<Address> = Vec::with_capacity(few);
    for party in sample.iter().flat_map(|tx| [Some(tx.caller), tx.kind.to().copied()]).flatten() {
        if !distinct.contains(&party) {
            if distinct.len() == few {
                return false;
            }
            distinct.push(party);
        }
    }
    true
}

/// Decides whether a block that has an access list is worth waking workers for. With a list nothing
/// rests on anything, so the work alone decides.
pub(crate) fn decide_listed(block: &RecoveredBlock, threads: usize) -> Decision {
    if threads < 2 {
        return Decision::OneThread;
    }
    match serial_cost(block) * (1.0 - 1.0 / threads as f64) > cost::WAKE {
        true => Decision::Parallel,
        false => Decision::TooLittleWork,
    }
}

/// How many of so many workers a block has enough work for to be worth waking them.
pub(crate) fn fit_workers(block: &RecoveredBlock, workers: usize) -> usize {
    let worth_waking = (serial_cost(block) / cost::WAKE) as usize;
    worth_waking.min(block.transactions().len().saturating_sub(1)).clamp(1, workers.max(1))
}

/// What executing a block serially costs.
fn serial_cost(block: &RecoveredBlock) -> f64 {
    let transactions = block.transactions().len() as f64;
    let gas = block.header().gas_used as f64;
    transactions * cost::TRANSACTION + (gas - 21_000.0 * transactions).max(0.0) * cost::GAS
}

/// Decides for a block, `hot` of whose transactions call one target that earlier blocks found to
/// make them rest on one another. The gas in its header is a hint: a wrong one costs time and
/// nothing else.
pub(crate) fn decide(block: &RecoveredBlock, threads: usize, hot: usize) -> Decision {
    if threads < 2 {
        return Decision::OneThread;
    }
    if hot > 0 && hot * 4 >= block.transactions().len() * 3 || few_accounts_do_all(block) {
        return Decision::Chain;
    }
    let transactions = block.transactions().len() as f64;
    let payments = block.tx_envs().iter().filter(|tx| may_be_payment(tx)).count() as f64;
    let calls = transactions - payments;
    let gas = block.header().gas_used as f64;
    let called = calls * cost::TRANSACTION + (gas - 21_000.0 * transactions).max(0.0) * cost::GAS;
    let serial = called + payments * cost::TRANSACTION;
    let work = called * cost::SPREAD + calls * cost::AHEAD + payments * cost::PAYMENT;
    let parallel = work / threads as f64 + cost::WAKE;
    // However many threads there are, one of them takes every result in turn.
    let parallel = parallel.max(transactions * cost::COMMIT);
    if transactions >= FEW && parallel < serial * WORTHWHILE {
        Decision::Parallel
    } else {
        Decision::TooLittleWork
    }
}
