//! The EVM inside the block executor, handed results that are as listed.

use std::sync::Arc;

use alloy_evm::{EthEvm, Evm, EvmEnv, precompiles::PrecompilesMap};
use alloy_primitives::{Address, Bytes};
use revm::{
    context::{
        BlockEnv, CfgEnv, TxEnv,
        result::{EVMError, HaltReason, ResultAndState},
    },
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
    state::EvmState,
};

use super::{
    super::{location::Writer, receipts::HandedBloom},
    session::{Outcome, Runner, Session, Stands},
    state::ListedState,
};

type Inner = EthEvm<ListedState, NoOpInspector, PrecompilesMap>;

/// An EVM whose transactions are those of a listed block, whatever it is asked to run. Calls before
/// and after them are its own.
pub(super) struct HandingEvm {
    inner: Inner,
    session: Arc<Session>,
    runner: Option<Runner>,
    bloom: HandedBloom,
    next: usize,
    /// Accounts that transactions created, emptied or destroyed, in block order.
    pub(super) odd: Vec<(Writer, Address, revm::state::Account)>,
}

impl HandingEvm {
    pub(super) fn new(inner: Inner, session: Arc<Session>, bloom: HandedBloom) -> Self {
        let (runner, odd) = (None, Vec::new());
        Self { inner, session, runner, bloom, next: 0, odd }
    }

    /// The next transaction's outcome. Until it is there, this thread does its share of the rest.
    fn outcome(&mut self) -> Outcome {
        let session = Arc::clone(&self.session);
        // What comes before the transactions may have shown the list to be wrong.
        if self.next == 0
            && let Some(fall) = session.fall.lock().take()
        {
            return Err(fall);
        }
        loop {
            if let Some(outcome) = session.outcome(self.next) {
                return outcome;
            }
            match session.ticket() {
                Some(ticket) => self.runner(&session).redeem(&session, ticket),
                None => return session.wait(self.next),
            }
        }
    }

    fn runner(&mut self, session: &Session) -> &mut Runner {
        self.runner.get_or_insert_with(|| Runner::new(session))
    }

    /// Does whatever is left, and hands in what this thread has seen.
    pub(super) fn end(&mut self) {
        let session = Arc::clone(&self.session);
        while let Some(ticket) = session.ticket() {
            self.runner(&session).redeem(&session, ticket);
        }
        self.runner.iter_mut().for_each(|runner| runner.hand_in(&session));
    }
}

impl Evm for HandingEvm {
    type DB = ListedState;
    type Tx = TxEnv;
    type Error = <Inner as Evm>::Error;
    type HaltReason = HaltReason;
    type Spec = SpecId;
    type BlockEnv = BlockEnv;
    type Precompiles = PrecompilesMap;
    type Inspector = NoOpInspector;

    fn block(&self) -> &BlockEnv {
        self.inner.block()
    }

    fn cfg_env(&self) -> &CfgEnv {
        self.inner.cfg_env()
    }

    fn chain_id(&self) -> u64 {
        self.inner.chain_id()
    }

    fn transact_raw(&mut self, _: TxEnv) -> Result<ResultAndState<HaltReason>, Self::Error> {
        match self.outcome() {
            Ok(stands) => {
                let Stands { result, bloom, odd } = *stands;
                let writer = Writer::transaction(self.next);
                self.odd
                    .extend(odd.into_iter().map(|(address, account)| (writer, address, account)));
                self.bloom.hand(bloom);
                self.next += 1;
                Ok(ResultAndState { result, state: EvmState::default() })
            }
            Err(fall) => {
                *self.session.fall.lock() = Some(fall);
                Err(EVMError::Custom("not as listed".to_owned()))
            }
        }
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<HaltReason>, Self::Error> {
        self.inner.transact_system_call(caller, contract, data)
    }

    fn finish(self) -> (ListedState, EvmEnv) {
        self.inner.finish()
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.inner.set_inspector_enabled(enabled);
    }

    fn components(&self) -> (&ListedState, &NoOpInspector, &PrecompilesMap) {
        self.inner.components()
    }

    fn components_mut(&mut self) -> (&mut ListedState, &mut NoOpInspector, &mut PrecompilesMap) {
        self.inner.components_mut()
    }
}
