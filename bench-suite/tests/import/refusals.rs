//! Blocks that must be refused, each with one thing wrong, and for that thing.

use alloy_consensus::{
    Block, TxEnvelope,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{B256, Bloom, U256};
use pleach_engine::{
    import::{ImportError, Refused},
    validate::{BodyError, HeaderError, OutputError},
};

use super::support::{CHAIN, InMemory};

/// Imports the chain with its seventh block replaced; that block must be refused, all before it
/// stay, and the right block must be taken afterwards.
fn refused(change: impl FnOnce(&mut Block<TxEnvelope>)) -> Refused {
    let store = InMemory::new(4);
    let mut blocks = CHAIN.blocks.clone();
    change(&mut blocks[6]);
    let hash = blocks[6].header.hash_slow();
    let failed = store.import(blocks).unwrap_err();
    assert_eq!(failed.report.as_ref().map(|report| report.head), Some(store.head()));
    let ImportError::Refused { number, hash: named, reason, .. } = failed.error else {
        panic!("{failed}");
    };
    assert_eq!((number, named), (CHAIN.blocks[6].header.number, hash));
    assert_eq!(store.head().number, 6);
    let whole = InMemory::new(4);
    whole.import(CHAIN.blocks.clone()).unwrap();
    let report = store.import(CHAIN.blocks.clone()).unwrap();
    assert_eq!((report.known, report.blocks), (6, 6));
    assert!(store.dump() == whole.dump());
    *reason
}

#[test]
fn wrong_headers() {
    let number = refused(|block| block.header.timestamp -= 10);
    assert!(matches!(number, Refused::Header(HeaderError::Timestamp { .. })), "{number}");
    let parent = refused(|block| block.header.parent_hash = B256::ZERO);
    assert!(matches!(parent, Refused::Header(HeaderError::ParentHash { .. })), "{parent}");
    let fee = refused(|block| block.header.base_fee_per_gas = Some(1));
    assert!(matches!(fee, Refused::Header(HeaderError::BaseFee { .. })), "{fee}");
}

#[test]
fn wrong_bodies() {
    let fewer = refused(|block| block.body.transactions.truncate(3));
    assert!(matches!(fewer, Refused::Body(BodyError::TransactionsRoot { .. })), "{fewer}");
    let given = refused(|block| {
        block.body.withdrawals = Some(Withdrawals::new(vec![Withdrawal::default()]));
    });
    assert!(matches!(given, Refused::Body(BodyError::WithdrawalsRoot { .. })), "{given}");
}

#[test]
fn wrong_outputs() {
    let gas = refused(|block| block.header.gas_used -= 1);
    assert!(matches!(gas, Refused::Output(OutputError::GasUsed { .. })), "{gas}");
    let receipts = refused(|block| block.header.receipts_root = B256::ZERO);
    assert!(matches!(receipts, Refused::Output(OutputError::ReceiptsRoot { .. })), "{receipts}");
    let bloom = refused(|block| block.header.logs_bloom = Bloom::repeat_byte(1));
    assert!(matches!(bloom, Refused::Output(OutputError::LogsBloom)), "{bloom}");
    let requests = refused(|block| block.header.requests_hash = Some(B256::ZERO));
    assert!(matches!(requests, Refused::Output(OutputError::RequestsHash { .. })), "{requests}");
}

/// The tries have taken the changes when the root shows that they are wrong.
#[test]
fn wrong_state_roots() {
    let root = refused(|block| block.header.state_root = B256::ZERO);
    let Refused::StateRoot { computed, header } = root else { panic!("{root}") };
    assert_eq!((computed, header), (CHAIN.blocks[6].header.state_root, B256::ZERO));
    let paid = refused(|block| {
        let withdrawal = Withdrawal { amount: 1, ..Withdrawal::default() };
        block.header.withdrawals_root = Some(calculate_withdrawals_root(&[withdrawal]));
        block.body.withdrawals = Some(Withdrawals::new(vec![withdrawal]));
    });
    assert!(matches!(paid, Refused::StateRoot { .. }), "{paid}");
}

#[test]
fn wrong_transactions() {
    let twice = refused(|block| {
        let txs = &mut block.body.transactions;
        txs.push(txs[0].clone());
        block.header.transactions_root = calculate_transaction_root(txs);
    });
    assert!(matches!(twice, Refused::Execution(_)), "{twice}");
    let unsigned = refused(|block| {
        let txs = &mut block.body.transactions;
        txs.iter_mut().take(1).for_each(unsign);
        block.header.transactions_root = calculate_transaction_root(txs);
    });
    assert!(matches!(unsigned, Refused::Sender(_)), "{unsigned}");
}

/// Gives a transaction a signature that no key makes.
fn unsign(tx: &mut TxEnvelope) {
    let none = alloy_primitives::Signature::new(U256::ZERO, U256::ZERO, false);
    *tx = match tx.clone() {
        TxEnvelope::Legacy(signed) => {
            alloy_consensus::Signed::new_unhashed(signed.strip_signature(), none).into()
        }
        TxEnvelope::Eip1559(signed) => {
            alloy_consensus::Signed::new_unhashed(signed.strip_signature(), none).into()
        }
        TxEnvelope::Eip2930(signed) => {
            alloy_consensus::Signed::new_unhashed(signed.strip_signature(), none).into()
        }
        other => panic!("the generator makes no {other:?}"),
    };
}

#[test]
fn blocks_out_of_order() {
    let store = InMemory::new(4);
    let reason = |blocks: Vec<Block<TxEnvelope>>| match store.import(blocks).unwrap_err().error {
        ImportError::Refused { reason, .. } => *reason,
        other => panic!("{other}"),
    };
    let gap = reason(vec![CHAIN.blocks[0].clone(), CHAIN.blocks[2].clone()]);
    assert!(matches!(gap, Refused::Gap { head: 1 }), "{gap}");
    assert_eq!(store.head().number, 1);
    let mut side = CHAIN.blocks[0].clone();
    side.header.extra_data = vec![1].into();
    let side = reason(vec![side]);
    let ours = CHAIN.blocks[0].header.hash_slow();
    assert!(matches!(side, Refused::SideBlock { ours: named } if named == ours), "{side}");
    // A block twice in a row is known the second time.
    let twice = [1, 1, 2, 2, 0].map(|index| CHAIN.blocks[index].clone());
    let report = store.import(twice).unwrap();
    assert_eq!((report.blocks, report.known), (2, 3));
}
