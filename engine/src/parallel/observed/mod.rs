//! Any chain's EVM, made able to run ahead by an inspector.
//!
//! A chain brings opcodes, precompiles, transaction types and fee rules of its own. [`Observed`]
//! knows none of them. It lets the chain's EVM run with an inspector that notes which balances the
//! transaction may have learnt, and takes for learnt whatever it cannot judge.

mod watcher;

use std::sync::Arc;

use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use alloy_primitives::{Address, Bytes};
use revm::{
    Inspector,
    context::{CfgEnv, DBErrorMarker, result::ResultAndState, transaction::Transaction},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
};

pub use watcher::BalanceWatcher;
use watcher::WatchRules;

use super::{observe::SpeculativeEvmFactory, view::View};

/// What drawing on an account makes known of its balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Debits {
    /// The balance itself. Right for all chains, also those that keep a reserve.
    #[default]
    Observe,
    /// Whether there is enough, and no more: as on Ethereum, a transfer between frames fails if
    /// and only if the balance is lower than the value. Lets several transactions draw on one
    /// contract side by side.
    Suffice,
}

/// Makes any chain's [`EvmFactory`] one whose EVMs can run ahead.
///
/// ```
/// use alloy_evm::EthEvmFactory;
/// use pleach_engine::{Observed, PleachEvmFactory};
/// let factory = PleachEvmFactory::new(Observed::new(EthEvmFactory::default()));
/// # let _ = factory;
/// ```
///
/// Transactions that only add to a balance, as all do to the beneficiary's or to a fee vault's,
/// commute. All other use of a balance counts as observed: it must be found unchanged when the
/// transaction's turn comes, or the transaction runs again. That is so for
///
/// - every account that is loaded before a transaction's first frame, such as who pays for it, but
///   for an unchanged callee;
/// - every account whose nonce changes, or whose balance falls;
/// - what `BALANCE`, `SELFBALANCE` and `SELFDESTRUCT` ask for, and who sends value, see [`Debits`];
/// - all accounts, if an opcode runs that is not Ethereum's at this fork, or a precompile is called
///   that is not, or the inspector saw no frame.
///
/// What is asked of the chain:
///
/// - Its EVM gives the same with an inspector as without.
/// - Its result for a transaction depends on the environment, the transaction, and what is read
///   through the database; nothing that could change is kept beside these.
/// - Ethereum's opcodes and precompiles learn no balance that they do not learn on Ethereum. Those
///   that do can be named: [`Observed::with_opaque_opcodes`].
/// - Outside of frames it does not decide by the balance of a callee that it leaves as it is, nor
///   of an account that it loads after the last frame and then credits.
///
/// A chain of which this is not true implements [`SpeculativeEvmFactory`] itself, or is wrapped
/// with [`Observed::exact`].
#[derive(Debug, Clone)]
pub struct Observed<E> {
    inner: E,
    debits: Debits,
    exact: bool,
    opaque_opcodes: Arc<[u8]>,
    blind_precompiles: Arc<[Address]>,
}

impl<E> Observed<E> {
    /// Wraps a chain's EVM factory.
    pub fn new(inner: E) -> Self {
        Self {
            inner,
            debits: Debits::default(),
            exact: false,
            opaque_opcodes: Arc::default(),
            blind_precompiles: Arc::default(),
        }
    }

    /// Wraps a chain's EVM factory, every balance that is read counting as observed. Then fees to
    /// one beneficiary do not commute, and transactions run one after the other unless the
    /// beneficiary's account stays unread.
    pub fn exact(inner: E) -> Self {
        Self { exact: true, ..Self::new(inner) }
    }

    /// Says what drawing on an account makes known of its balance.
    pub const fn with_debits(mut self, debits: Debits) -> Self {
        self.debits = debits;
        self
    }

    /// Names opcodes that learn balances although Ethereum's opcode of that number does not.
    pub fn with_opaque_opcodes(mut self, opcodes: impl Into<Arc<[u8]>>) -> Self {
        self.opaque_opcodes = opcodes.into();
        self
    }

    /// Names precompiles of the chain that learn no balance, neither through the journal nor
    /// through the database. Those of Ethereum need not be named.
    pub fn with_blind_precompiles(mut self, addresses: impl Into<Arc<[Address]>>) -> Self {
        self.blind_precompiles = addresses.into();
        self
    }
}

impl<E: EvmFactory> EvmFactory for Observed<E> {
    type Evm<DB: Database, I: Inspector<E::Context<DB>>> = E::Evm<DB, I>;
    type Context<DB: Database> = E::Context<DB>;
    type Tx = E::Tx;
    type Error<DBError: DBErrorMarker> = E::Error<DBError>;
    type HaltReason = E::HaltReason;
    type Spec = E::Spec;
    type BlockEnv = E::BlockEnv;
    type Precompiles = E::Precompiles;

    fn create_evm<DB: Database>(
        &self,
        db: DB,
        env: EvmEnv<E::Spec, E::BlockEnv>,
    ) -> E::Evm<DB, NoOpInspector> {
        self.inner.create_evm(db, env)
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<E::Context<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<E::Spec, E::BlockEnv>,
        inspector: I,
    ) -> E::Evm<DB, I> {
        self.inner.create_evm_with_inspector(db, env, inspector)
    }
}

/// Transaction types from here on are not Ethereum's, and their nonce may be something else.
const FIRST_FOREIGN_TYPE: u8 = 5;

impl<E> SpeculativeEvmFactory for Observed<E>
where
    E: EvmFactory<
            Tx: Transaction + Clone + PartialEq + Send + Sync + 'static,
            Spec: Into<SpecId>,
            BlockEnv: Send + Sync + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    type Speculative = ObservedEvm<E>;

    fn create_speculative(
        &self,
        view: View,
        env: EvmEnv<E::Spec, E::BlockEnv>,
    ) -> Self::Speculative {
        let rules = Arc::new(WatchRules::new(
            env.cfg_env.spec.into(),
            self.debits,
            &self.opaque_opcodes,
            &self.blind_precompiles,
        ));
        let watcher = BalanceWatcher::new(Arc::clone(&rules));
        let evm = self.inner.create_evm_with_inspector(view, env, watcher);
        ObservedEvm { evm: Some(evm), factory: self.inner.clone(), rules, exact: self.exact }
    }

    fn sender(tx: &E::Tx) -> Option<(Address, u64)> {
        (tx.tx_type() < FIRST_FOREIGN_TYPE).then(|| (tx.caller(), tx.nonce()))
    }

    fn target(tx: &E::Tx) -> Option<Address> {
        tx.kind().to().copied()
    }

    /// Nothing is left to report: [`ObservedEvm`] reports as it runs.
    fn after_transaction(_tx: &E::Tx, _evm: &mut Self::Speculative) {}
}

/// A chain's EVM that runs ahead under a [`BalanceWatcher`].
///
/// Each transaction gets an EVM of its own. A chain may keep things in its EVM from transaction to
/// transaction, such as fee parameters read from storage; a later transaction would then rest on a
/// read that it never made.
pub struct ObservedEvm<E: EvmFactory> {
    /// `None` only while one EVM is exchanged for the next.
    evm: Option<E::Evm<View, BalanceWatcher>>,
    factory: E,
    rules: Arc<WatchRules>,
    exact: bool,
}

impl<E: EvmFactory> std::fmt::Debug for ObservedEvm<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObservedEvm").field("exact", &self.exact).finish_non_exhaustive()
    }
}

const PRESENT: &str = "an EVM is absent only inside `renew`, or after a panic there";

impl<E: EvmFactory> ObservedEvm<E> {
    fn evm(&self) -> &E::Evm<View, BalanceWatcher> {
        self.evm.as_ref().expect(PRESENT)
    }

    fn evm_mut(&mut self) -> &mut E::Evm<View, BalanceWatcher> {
        self.evm.as_mut().expect(PRESENT)
    }

    /// Puts a new EVM, and with it a new watcher, around the view.
    fn renew(&mut self) -> &mut E::Evm<View, BalanceWatcher> {
        let (view, env) = self.evm.take().expect(PRESENT).finish();
        let watcher = BalanceWatcher::new(Arc::clone(&self.rules));
        self.evm.insert(self.factory.create_evm_with_inspector(view, env, watcher))
    }
}

impl<E: EvmFactory> Evm for ObservedEvm<E> {
    type DB = View;
    type Tx = E::Tx;
    type Error = E::Error<super::view::ViewError>;
    type HaltReason = E::HaltReason;
    type Spec = E::Spec;
    type BlockEnv = E::BlockEnv;
    type Precompiles = E::Precompiles;
    type Inspector = BalanceWatcher;

    fn block(&self) -> &Self::BlockEnv {
        self.evm().block()
    }

    fn cfg_env(&self) -> &CfgEnv<Self::Spec> {
        self.evm().cfg_env()
    }

    fn chain_id(&self) -> u64 {
        self.evm().chain_id()
    }

    fn transact_raw(
        &mut self,
        tx: Self::Tx,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let exact = self.exact;
        let evm = self.renew();
        let ran = evm.transact_raw(tx)?;
        let (view, watcher, _) = evm.components_mut();
        watcher.report(&ran.state, view);
        if exact || view.has_read_an_account_twice() {
            view.observe_all_balances();
        }
        Ok(ran)
    }

    fn transact_system_call(
        &mut self,
        caller: Address,
        contract: Address,
        data: Bytes,
    ) -> Result<ResultAndState<Self::HaltReason>, Self::Error> {
        let called = self.evm_mut().transact_system_call(caller, contract, data);
        self.evm_mut().db_mut().observe_all_balances();
        called
    }

    fn finish(self) -> (View, EvmEnv<Self::Spec, Self::BlockEnv>) {
        self.evm.expect(PRESENT).finish()
    }

    fn set_inspector_enabled(&mut self, enabled: bool) {
        self.evm_mut().set_inspector_enabled(enabled);
    }

    fn components(&self) -> (&View, &BalanceWatcher, &Self::Precompiles) {
        self.evm().components()
    }

    fn components_mut(&mut self) -> (&mut View, &mut BalanceWatcher, &mut Self::Precompiles) {
        self.evm_mut().components_mut()
    }
}
