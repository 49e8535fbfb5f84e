//! Plain payments, which need no interpreter.
//!
//! Who sends ether to an account without code asks the EVM for nothing: the fee is taken, the value
//! changes hands, the rest of the fee is given back, the beneficiary is rewarded. Half of all
//! transactions do no more, and most of their time goes into frames, journals and maps. Here the
//! same is computed from the three accounts that take part. Whether the transaction is valid, and
//! what it costs, revm's own functions say. Whatever is out of the ordinary is left to the EVM.

use alloy_primitives::{Address, Bytes, U256};
use revm::{
    Database,
    context::{
        Block, Cfg, ContextTr, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason, Output, ResultGas, SuccessReason},
        transaction::{Transaction, TransactionType},
    },
    handler::{pre_execution::calculate_caller_fee, validation},
    primitives::{KECCAK_EMPTY, hardfork::SpecId},
    state::AccountInfo,
};

use smallvec::SmallVec;

use super::view::{View, ViewError};

/// What a transaction did that called no code.
#[derive(Debug)]
pub struct Payment<H> {
    /// The transaction's result; it has no logs.
    pub result: ExecutionResult<H>,
    /// The accounts that took part, each once: sender, recipient, beneficiary.
    pub parties: SmallVec<[Party; 3]>,
}

/// An account before and after a payment. Neither makes it empty (EIP-161).
#[derive(Debug, Clone, Copy)]
pub struct Party {
    /// Whose account it is.
    pub address: Address,
    /// Whether the account existed.
    pub existed: bool,
    /// Whether it has code.
    pub has_code: bool,
    /// Its balance before and after, in wei.
    pub balance: [U256; 2],
    /// Its nonce before and after.
    pub nonce: [u64; 2],
}

impl Party {
    fn of(address: Address, info: Option<&AccountInfo>) -> Self {
        let existed = info.is_some();
        let absent = AccountInfo::default();
        let info = info.unwrap_or(&absent);
        Self {
            address,
            existed,
            has_code: info.code_hash != KECCAK_EMPTY,
            balance: [info.balance; 2],
            nonce: [info.nonce; 2],
        }
    }

    fn earn(&mut self, amount: U256) -> Option<()> {
        self.balance[1] = self.balance[1].checked_add(amount)?;
        Some(())
    }

    /// Whether the account is not empty in the end.
    fn is_left(&self) -> bool {
        self.has_code || self.nonce[1] > 0 || !self.balance[1].is_zero()
    }
}

/// Whether a transaction may turn out to be a plain payment.
pub(crate) fn may_be_payment(tx: &TxEnv) -> bool {
    let known_type = matches!(
        TransactionType::from(tx.tx_type),
        TransactionType::Legacy | TransactionType::Eip2930 | TransactionType::Eip1559
    );
    let bare = tx.data.is_empty()
        && tx.access_list.is_empty()
        && tx.blob_hashes.is_empty()
        && tx.authorization_list.is_empty();
    // Precompiles have numbers for addresses.
    let to = tx.kind.to().filter(|to| to[..18] != [0; 18] && **to != tx.caller);
    known_type && bare && to.is_some()
}

/// Carries out a payment, as the EVM would. `None`, and nothing done but reading, if it takes the
/// EVM to say what the transaction does.
pub(super) fn pay<CTX>(context: &mut CTX) -> Option<Payment<HaltReason>>
where
    CTX: ContextTr<Tx = TxEnv, Db = View>,
    CTX::Cfg: Cfg<Spec = SpecId>,
{
    let (tx, cfg) = (context.tx(), context.cfg());
    let ordinary = cfg.spec() < SpecId::AMSTERDAM
        && !cfg.is_fee_charge_disabled()
        && !cfg.is_balance_check_disabled()
        && !cfg.is_nonce_check_disabled();
    let to = *tx.kind.to()?;
    let (from, beneficiary) = (tx.caller, context.block().beneficiary());
    if !ordinary {
        return None;
    }
    validation::validate_env::<_, EVMError<ViewError>>(&mut *context).ok()?;
    let gas = intrinsic_gas(context)?;

    let mut read = |address| context.db_mut().basic(address).ok();
    let sender = read(from)?;
    let recipient = read(to)?;
    let mut sender = Party::of(from, Some(&sender?));
    let mut recipient = Party::of(to, recipient.as_ref());

    let (block, tx, cfg) = (context.block(), context.tx(), context.cfg());
    if sender.has_code || recipient.has_code || sender.nonce[0] != tx.nonce {
        return None;
    }
    sender.nonce[1] = tx.nonce.checked_add(1)?;
    let charged = calculate_caller_fee(sender.balance[0], tx, block, cfg).ok()?;
    sender.balance[1] = charged.checked_sub(tx.value)?;
    recipient.earn(tx.value)?;
    let base_fee = u128::from(block.basefee());
    let price = tx.effective_gas_price(base_fee);
    let unused = u128::from(tx.gas_limit.checked_sub(gas.total_gas_spent())?);
    sender.earn(U256::from(price.checked_mul(unused)?))?;
    // EIP-1559: the base fee is burnt.
    let burnt = if cfg.spec() >= SpecId::LONDON { base_fee } else { 0 };
    let reward = price.checked_sub(burnt)?.checked_mul(u128::from(gas.total_gas_spent()))?;
    let mut parties = SmallVec::from_iter([sender, recipient]);
    reward_beneficiary(&mut parties, beneficiary, U256::from(reward), context.db_mut())?;

    let (reason, output) = (SuccessReason::Stop, Output::Call(Bytes::new()));
    let result = ExecutionResult::Success { reason, gas, logs: Vec::new(), output };
    parties.iter().all(Party::is_left).then_some(Payment { result, parties })
}

/// The beneficiary may be one of the parties.
fn reward_beneficiary(
    parties: &mut SmallVec<[Party; 3]>,
    beneficiary: Address,
    reward: U256,
    view: &mut View,
) -> Option<()> {
    if let Some(party) = parties.iter_mut().find(|party| party.address == beneficiary) {
        return party.earn(reward);
    }
    let mut party = Party::of(beneficiary, view.basic(beneficiary).ok()?.as_ref());
    party.earn(reward)?;
    parties.push(party);
    Some(())
}

/// What the payment costs; `None` if the gas limit does not suffice or a floor applies.
fn intrinsic_gas<CTX: ContextTr<Tx = TxEnv>>(context: &CTX) -> Option<ResultGas>
where
    CTX::Cfg: Cfg<Spec = SpecId>,
{
    let cfg = context.cfg();
    let gas = validation::validate_initial_tx_gas_with_gas_params(
        context.tx(),
        cfg.spec(),
        cfg.gas_params(),
        cfg.is_eip7623_disabled(),
        false,
        cfg.tx_gas_limit_cap(),
        None,
    )
    .ok()?;
    let spent = gas.initial_total_gas();
    let result = ResultGas::default().with_total_gas_spent(spent).with_floor_gas(gas.floor_gas());
    (gas.floor_gas() <= spent).then_some(result)
}

#[cfg(test)]
mod tests;
