//! A block as the engine takes it: decoded, its senders known, its transactions ready for the EVM.

use std::sync::Arc;

use alloy_consensus::{Block, Header, TxEnvelope, transaction::Recovered};
use alloy_eips::eip7702::{RecoveredAuthority, RecoveredAuthorization};
use alloy_evm::FromRecoveredTx;
use alloy_primitives::{Address, B256};
use alloy_rlp::Decodable;
use pleach_gpu_accel::{Accelerator, RECOVER_INLINE, RecoveryError};
use revm::{context::TxEnv, context_interface::either::Either};

use crate::signing::{Recovery, Signing};

/// A decoded block whose senders are to be recovered.
#[derive(Debug, Clone)]
pub struct SignedBlock {
    /// The block.
    pub block: Block<TxEnvelope>,
    /// Whether EIP-2 holds for it: from Homestead on a high s is refused.
    pub homestead: bool,
}

/// A block whose senders, and EIP-7702 authorities, are known.
///
/// This is where sender recovery ends and execution begins: nothing behind it touches a signature.
#[derive(Debug, Clone)]
pub struct RecoveredBlock {
    block: Block<TxEnvelope>,
    hash: B256,
    senders: Vec<Address>,
    tx_envs: Arc<[TxEnv]>,
}

/// A block that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The bytes are no block.
    #[error("the block's RLP does not decode: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// The block is followed by more bytes.
    #[error("the block's RLP ends after {used} bytes, but {given} were given")]
    TrailingBytes {
        /// Bytes that the block takes.
        used: usize,
        /// Bytes given.
        given: usize,
    },
    /// A transaction's signature gives no sender.
    #[error("transaction {index}: {source}")]
    Recovery {
        /// The transaction's place in the block, from 0.
        index: usize,
        /// Why.
        source: RecoveryError,
    },
    /// The number of senders given is not that of the transactions.
    #[error("{senders} senders were given for {transactions} transactions")]
    SenderCount {
        /// Senders given.
        senders: usize,
        /// Transactions in the block.
        transactions: usize,
    },
}

impl RecoveredBlock {
    /// Decodes a block's RLP (header, transactions, ommers, withdrawals).
    ///
    /// # Errors
    /// [`BlockError::Rlp`] and [`BlockError::TrailingBytes`].
    pub fn decode(rlp: &[u8]) -> Result<Block<TxEnvelope>, BlockError> {
        let mut rest = rlp;
        let block = Block::<TxEnvelope>::decode(&mut rest)?;
        if !rest.is_empty() {
            let used = rlp.len() - rest.len();
            return Err(BlockError::TrailingBytes { used, given: rlp.len() });
        }
        Ok(block)
    }

    /// Recovers all senders and EIP-7702 authorities in one batch.
    ///
    /// `homestead` says whether EIP-2 holds for the block: from Homestead on a high s is refused.
    /// Where many blocks are to be executed, [`RecoverAhead`](crate::RecoverAhead) recovers the
    /// next ones meanwhile.
    ///
    /// # Errors
    /// [`BlockError::Recovery`] names the first transaction without a sender.
    pub fn recover(
        block: Block<TxEnvelope>,
        homestead: bool,
        accelerator: &Accelerator,
    ) -> Result<Self, BlockError> {
        if block.body.transactions.len() > RECOVER_INLINE {
            accelerator.rouse();
        }
        if accelerator.is_for_threads(block.body.transactions.len()) {
            return Self::recover_on_threads(block, homestead, accelerator);
        }
        let signed = vec![SignedBlock { block, homestead }];
        Self::recover_all(signed, accelerator).pop().expect("a block gives an answer")
    }

    /// Each thread does all there is to do about the transactions that it recovers.
    fn recover_on_threads(
        block: Block<TxEnvelope>,
        homestead: bool,
        accelerator: &Accelerator,
    ) -> Result<Self, BlockError> {
        let txs = &block.body.transactions;
        let mut each: Vec<Option<(Recovery, TxEnv)>> = txs.iter().map(|_| None).collect();
        accelerator.share(txs, &mut each, |txs, each| {
            let mut signing = Signing::default();
            signing.add_block(txs, homestead);
            let recovered = signing.recover_here();
            let (senders, authorities) = recovered.split_at(txs.len());
            let mut authorities = authorities.iter().copied();
            for ((tx, sender), place) in txs.iter().zip(senders).zip(each) {
                let env = tx_env(tx, sender.unwrap_or_default(), &mut authorities);
                *place = Some((*sender, env));
            }
        });
        let hash = block.header.hash_slow();
        let mut senders = Vec::with_capacity(txs.len());
        let mut tx_envs = Vec::with_capacity(txs.len());
        for (index, place) in each.into_iter().enumerate() {
            let (sender, env) = place.expect("each transaction is in a portion");
            senders.push(sender.map_err(|source| BlockError::Recovery { index, source })?);
            tx_envs.push(env);
        }
        Ok(Self { block, hash, senders, tx_envs: tx_envs.into() })
    }

    /// Recovers all senders and authorities of several blocks in one batch, which is faster than
    /// block by block where blocks are small. One answer for each block, in order.
    pub fn recover_all(
        blocks: Vec<SignedBlock>,
        accelerator: &Accelerator,
    ) -> Vec<Result<Self, BlockError>> {
        let mut signing = Signing::default();
        let mut ends = Vec::with_capacity(blocks.len());
        for SignedBlock { block, homestead } in &blocks {
            signing.add_block(&block.body.transactions, *homestead);
            ends.push(signing.len());
        }
        let recovered = signing.recover(accelerator);
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let parts = starts.zip(&ends).map(|(start, end)| &recovered[start..*end]);
        let each = blocks.into_iter().zip(parts);
        each.map(|(signed, part)| Self::take_recovered(signed.block, part.iter().copied()))
            .collect()
    }

    /// Takes senders that are known already; authorities are recovered on the calling thread.
    ///
    /// # Errors
    /// [`BlockError::SenderCount`].
    pub fn with_senders(
        block: Block<TxEnvelope>,
        senders: Vec<Address>,
    ) -> Result<Self, BlockError> {
        let transactions = block.body.transactions.len();
        if senders.len() != transactions {
            return Err(BlockError::SenderCount { senders: senders.len(), transactions });
        }
        let mut signing = Signing::default();
        signing.add_authorizations(&block.body.transactions);
        let authorities = signing.recover(&Accelerator::calling_thread());
        Ok(Self::assemble(block, senders, authorities.into_iter()))
    }

    /// The block with what its signatures gave: senders, then authorities.
    fn take_recovered(
        block: Block<TxEnvelope>,
        mut recovered: impl Iterator<Item = Recovery>,
    ) -> Result<Self, BlockError> {
        let senders = recovered.by_ref().take(block.body.transactions.len()).enumerate();
        let senders = senders
            .map(|(index, sender)| sender.map_err(|source| BlockError::Recovery { index, source }))
            .collect::<Result<_, _>>()?;
        Ok(Self::assemble(block, senders, recovered))
    }

    fn assemble(
        block: Block<TxEnvelope>,
        senders: Vec<Address>,
        mut authorities: impl Iterator<Item = Recovery>,
    ) -> Self {
        let txs = block.body.transactions.iter().zip(&senders);
        let tx_envs = txs.map(|(tx, sender)| tx_env(tx, *sender, &mut authorities)).collect();
        let hash = block.header.hash_slow();
        Self { block, hash, senders, tx_envs }
    }

    /// The decoded block.
    pub const fn block(&self) -> &Block<TxEnvelope> {
        &self.block
    }

    /// The block's header.
    pub const fn header(&self) -> &Header {
        &self.block.header
    }

    /// The block's hash.
    pub const fn hash(&self) -> B256 {
        self.hash
    }

    /// The transactions, in block order.
    pub fn transactions(&self) -> &[TxEnvelope] {
        &self.block.body.transactions
    }

    /// One sender per transaction.
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// Signatures that were recovered for it: of transactions and of EIP-7702 authorizations.
    pub(crate) fn signatures(&self) -> usize {
        let authorities = self.tx_envs.iter().map(|tx| tx.authorization_list.len());
        self.senders.len() + authorities.sum::<usize>()
    }

    /// One EVM environment per transaction.
    pub fn tx_envs(&self) -> &[TxEnv] {
        &self.tx_envs
    }

    /// The same environments, shared.
    pub(crate) fn shared_tx_envs(&self) -> Arc<[TxEnv]> {
        Arc::clone(&self.tx_envs)
    }

    /// A transaction with its sender.
    pub fn recovered(&self, index: usize) -> Recovered<&TxEnvelope> {
        Recovered::new_unchecked(&self.transactions()[index], self.senders[index])
    }
}

/// The EVM's view of a transaction, its authorities taken from what their signatures gave.
fn tx_env(
    tx: &TxEnvelope,
    sender: Address,
    authorities: &mut impl Iterator<Item = Recovery>,
) -> TxEnv {
    let TxEnvelope::Eip7702(signed) = tx else {
        return TxEnv::from_recovered_tx(tx, sender);
    };
    // Built without the list, so that nothing is recovered a second time.
    let mut inner = signed.tx().clone();
    let list = std::mem::take(&mut inner.authorization_list);
    let mut env = TxEnv::from_recovered_tx(&inner, sender);
    let recovered = list.into_iter().map(|authorization| {
        let authority = authorities.next().expect("each authorization asks for one");
        let authority = authority.map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
        let unsigned = authorization.strip_signature();
        Either::Right(RecoveredAuthorization::new_unchecked(unsigned, authority))
    });
    env.authorization_list = recovered.collect();
    env
}
