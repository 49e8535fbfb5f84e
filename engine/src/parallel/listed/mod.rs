//! Execution with an access list (EIP-7928).
//!
//! The list says what every transaction changes. So each one starts from its exact prestate,
//! whatever else has run by then: nothing waits, nothing is run twice, nothing is re-read.
//!
//! Where the list is right it has the state after the block as well, so that the state root is
//! computed beside execution ([`root`]).
//!
//! The list is not trusted. Whoever runs a transaction compares all that it touched and changed
//! with the list's entries at its index ([`check`]). By induction over the block: if the
//! transactions below one changed exactly what the list has, then the list over the prestate is the
//! state that this one finds in serial execution, so it did what it does there; and if that is as
//! listed, the same holds for the next. Where it is not, the list is at fault, the fault is named,
//! and the block is executed without it.

mod bundle;
mod check;
mod evm;
mod fault;
mod list;
mod root;
mod session;
mod state;
mod tickets;
mod view;

use std::sync::Arc;

use alloy_evm::{EthEvmFactory, Evm, EvmFactory, eth::EthBlockExecutor};
use revm::{context::TxEnv, database::BundleState, primitives::hardfork::SpecId};

pub use fault::{ListFault, ListedPart};
pub use list::AccessList;
pub(crate) use root::ListedRoot;

use super::{
    pool::{Pool, Work},
    receipts::{HandedBloom, HandedBloomReceipts},
    view::SharedPrestate,
};
use crate::{
    AfterBlock, BlockOutput, ChainSpec, ExecuteOptions, RecoveredBlock,
    serial::{execution_ctx, output_with, run_block},
};
use bundle::{Addresses, Oddities, redo_odd};
use check::Fall;
use evm::HandingEvm;
use session::Session;
use state::ListedState;
use view::Source;

/// What execution with a list gave.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// The block is executed.
    Done(Box<Done>),
    /// The list is wrong.
    Wrong(Box<ListFault>),
    /// The block cannot be executed with the list, be it right or wrong.
    Impossible,
}

/// What execution with a list ends with.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) output: BlockOutput,
    /// An unused entry leaves the output right, but the list is not the block's.
    pub(crate) fault: Option<ListFault>,
    pub(crate) after: AfterBlock,
}

/// A block that came with a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListedBlock<'a> {
    pub(crate) chain: &'a Arc<ChainSpec>,
    pub(crate) block: &'a Arc<RecoveredBlock>,
    pub(crate) list: &'a Arc<AccessList>,
    pub(crate) options: ExecuteOptions,
}

/// Executes a block with a list. Returns how many transactions were run as well.
pub(crate) fn attempt(
    pool: Option<&Pool>,
    ListedBlock { chain, block, list, .. }: ListedBlock<'_>,
    prestate: Arc<dyn SharedPrestate>,
    root: Option<ListedRoot>,
) -> (Attempt, u64) {
    if list.transactions() != block.transactions().len() {
        return (Attempt::Impossible, 0);
    }
    let header = block.header();
    let env = chain.evm_env(header);
    let spec = env.cfg_env.spec;
    let empty_is_something =
        !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) || spec.is_enabled_in(SpecId::PRAGUE);
    let source = Source { list: Arc::clone(list), prestate, empty_is_something };
    let threads = pool.map_or(1, |pool| pool.len() + 1);
    let txs = block.shared_tx_envs();
    let session = Session::new(source.clone(), env.clone(), txs, header.gas_used, threads, root);
    let session = Arc::new(session);
    if let Some(pool) = pool {
        let work: Arc<dyn Work> = session.clone();
        pool.submit(Arc::downgrade(&work), pool.len());
    }
    let attempt = drive(chain, block, &session);
    session.halt();
    (attempt, session.executions())
}

/// Drives the chain's block executor through the block.
fn drive(chain: &Arc<ChainSpec>, block: &Arc<RecoveredBlock>, session: &Arc<Session>) -> Attempt {
    let state = ListedState::new(Arc::clone(session));
    let bloom = HandedBloom::default();
    let receipts = HandedBloomReceipts::new(bloom.clone());
    let inner = EthEvmFactory::default().create_evm(state, chain.evm_env(block.header()));
    let evm = HandingEvm::new(inner, Arc::clone(session), bloom);
    let executor = EthBlockExecutor::new(evm, execution_ctx(block), &**chain, receipts);
    let ran = run_block(executor, chain, block, |_| (), |_, _| TxEnv::default(), |_| ());
    let Ok((mut evm, result)) = ran else {
        return match session.fall.lock().take() {
            Some(Fall::Wrong(fault)) => Attempt::Wrong(fault),
            _ => Attempt::Impossible,
        };
    };
    // In a block without transactions nobody has asked yet.
    if let Some(Fall::Wrong(fault)) = session.fall.lock().take() {
        return Attempt::Wrong(fault);
    }
    evm.end();
    let mut seen = session.take_seen();
    let odd = std::mem::take(&mut evm.odd);
    let (mut state, _) = evm.finish();
    if let Some(fault) = state.check_end(&mut seen) {
        return Attempt::Wrong(Box::new(fault));
    }
    let calls = std::mem::take(&mut state.committed);
    let Some((bundle, odd)) = finish_bundle(session, Oddities { odd, calls }) else {
        return Attempt::Impossible;
    };
    let fault = seen.unused(&session.source.list);
    let root = session.root.as_ref();
    let after = root.and_then(|root| root.take(&session.source, &bundle, odd));
    Attempt::Done(Box::new(Done { output: output_with(bundle, result), fault, after }))
}

/// Waits for the bundle's parts that others still make, and puts the odd accounts in, which are
/// returned as well.
fn finish_bundle(session: &Session, oddities: Oddities) -> Option<(BundleState, Addresses)> {
    let mut bundle = session.bundling.take()?;
    let odd = redo_odd(&mut bundle, &session.source, oddities).ok()?;
    Some((bundle, odd))
}
