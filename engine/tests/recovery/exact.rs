//! Senders and authorities are those of the keys that signed.

use alloy_consensus::{TxEnvelope, crypto::RecoveryError as AlloyError};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, U256};
use pleach_engine::{BlockError, RecoveredBlock, SignedBlock};
use pleach_gpu_accel::{Accelerator, RecoveryError};
use revm::context_interface::either::Either;

use crate::signed::{
    ORDER, TARGET, account, authorization, block, delegating, every_type, high_s, legacy,
    with_signature,
};

fn recover(txs: Vec<TxEnvelope>, homestead: bool) -> Result<RecoveredBlock, BlockError> {
    // Through bytes, as a block from elsewhere comes: v is encoded and decoded.
    let bytes = alloy_rlp::encode(block(1, txs));
    let block = RecoveredBlock::decode(&bytes).expect("it decodes");
    let accelerator = Accelerator::cpu(2).expect("threads start");
    RecoveredBlock::recover(block, homestead, &accelerator)
}

#[test]
fn each_type_of_transaction_has_its_signer() {
    // Many enough that they are recovered in vectors, on more threads than one.
    let txs: Vec<_> = (0..40).flat_map(|_| every_type()).collect();
    let expected: Vec<_> = (0..txs.len()).map(|index| account(index as u64 % 6)).collect();
    for homestead in [false, true] {
        let recovered = recover(txs.clone(), homestead).expect("all are signed");
        assert_eq!(recovered.senders(), expected);
    }
    // One by one, by alloy.
    let one = |tx: &TxEnvelope| -> Result<Address, AlloyError> {
        use alloy_consensus::transaction::SignerRecoverable;
        tx.recover_signer()
    };
    let alloy: Vec<_> = txs.iter().map(|tx| one(tx).expect("all are signed")).collect();
    assert_eq!(alloy, expected);
}

#[test]
fn a_high_s_is_a_sender_only_before_homestead() {
    for others in [0, 20] {
        let mut txs: Vec<_> = (0..others).map(|number| legacy(number, None)).collect();
        txs.push(high_s(77));
        let frontier = recover(txs.clone(), false).expect("EIP-2 does not hold yet");
        assert_eq!(frontier.senders().last(), Some(&account(77)));
        let error = recover(txs, true).expect_err("EIP-2 holds");
        let BlockError::Recovery { index, source } = error else { panic!("{error}") };
        assert_eq!((index as u64, source), (others, RecoveryError::HighS));
    }
}

#[test]
fn the_first_transaction_without_a_sender_is_named() {
    for bad in [with_signature(U256::ZERO, U256::from(1)), with_signature(ORDER, U256::from(5))] {
        let mut txs: Vec<_> = (0..30).map(|number| legacy(number, Some(1))).collect();
        txs[11] = bad.clone();
        txs[29] = bad;
        let error = recover(txs, true).expect_err("nobody signed");
        let BlockError::Recovery { index: 11, source: RecoveryError::Invalid } = error else {
            panic!("{error}")
        };
    }
}

/// The authorities of a block's transactions, in order.
fn authorities(block: &RecoveredBlock) -> Vec<Option<Address>> {
    let lists = block.tx_envs().iter().flat_map(|tx| &tx.authorization_list);
    let authority = |authorization: &Either<_, alloy_eips::eip7702::RecoveredAuthorization>| {
        let Either::Right(recovered) = authorization else { panic!("recovered again") };
        recovered.authority()
    };
    lists.map(authority).collect()
}

#[test]
fn authorities_are_recovered_or_left_invalid() {
    let good = authorization(20, 1, 3);
    let (r, s) = (good.r(), good.s());
    let inner = good.inner().clone();
    let made = |parity: u8, r: U256, s: U256| {
        SignedAuthorization::new_unchecked(inner.clone(), parity, r, s)
    };
    let parity = good.y_parity();
    let other_chain = Authorization { chain_id: U256::from(5), address: TARGET, nonce: 3 };
    let list = vec![
        good.clone(),
        // EIP-2 holds for authorities, whatever the fork.
        made(1 - parity, r, ORDER - s),
        // No parity at all.
        made(2, r, s),
        made(255, r, s),
        made(parity, U256::ZERO, s),
        made(parity, r, U256::ZERO),
        made(parity, ORDER, s),
        authorization(21, 0, u64::MAX),
        // The signature of another message: some key, or none, but not the signer's.
        SignedAuthorization::new_unchecked(other_chain, parity, r, s),
    ];
    for others in [0, 25] {
        let mut txs: Vec<_> = (0..others).map(|number| legacy(number, None)).collect();
        txs.push(delegating(1, list.clone()));
        txs.push(delegating(2, vec![authorization(22, 1, 0)]));
        let recovered = recover(txs.clone(), true).expect("all transactions are signed");
        let found = authorities(&recovered);
        let alloy: Vec<_> = list.iter().map(|one| one.recover_authority().ok()).collect();
        assert_eq!(found[..list.len()], alloy);
        assert_eq!(found[0], Some(account(20)));
        assert_eq!(found[1..7], [None; 6]);
        assert_eq!(found[7], Some(account(21)));
        assert_ne!(found[8], Some(account(20)));
        assert_eq!(found[9..], [Some(account(22))]);
        let senders = recovered.senders().to_vec();
        let known = RecoveredBlock::with_senders(block(1, txs), senders).expect("as many");
        assert_eq!(authorities(&known), found);
    }
}

#[test]
fn blocks_recovered_together_are_as_each_alone() {
    let accelerator = Accelerator::cpu(3).expect("threads start");
    // Authorizations in every portion that a thread takes.
    let many: Vec<_> = (0..300)
        .map(|number| match number % 3 {
            0 => legacy(number, None),
            _ => {
                let list = (0..number % 5).map(|nonce| authorization(number + nonce, 1, nonce));
                delegating(number, list.collect())
            }
        })
        .collect();
    let mut unsigned = many.clone();
    unsigned[170] = with_signature(ORDER, U256::ONE);
    unsigned[290] = high_s(1);
    let bodies = [
        many,
        unsigned,
        every_type(),
        vec![],
        vec![high_s(3)],
        vec![delegating(4, vec![authorization(9, 1, 1), authorization(8, 1, 1)]), legacy(6, None)],
        vec![legacy(1, None), with_signature(U256::ZERO, U256::ZERO)],
        (0..50).map(|number| legacy(number, Some(1))).collect(),
    ];
    let signed = bodies.iter().enumerate().map(|(number, txs)| SignedBlock {
        block: block(number as u64, txs.clone()),
        homestead: number % 2 == 1,
    });
    let signed: Vec<_> = signed.collect();
    let together = RecoveredBlock::recover_all(signed.clone(), &accelerator);
    assert_eq!(together.len(), signed.len());
    for (together, SignedBlock { block, homestead }) in together.into_iter().zip(signed) {
        let alone = RecoveredBlock::recover(block, homestead, &accelerator);
        match (together, alone) {
            (Ok(together), Ok(alone)) => {
                assert_eq!(together.senders(), alone.senders());
                assert_eq!(together.tx_envs(), alone.tx_envs());
                assert_eq!(together.hash(), alone.hash());
            }
            (Err(together), Err(alone)) => assert_eq!(together.to_string(), alone.to_string()),
            (together, alone) => panic!("{together:?} where alone {alone:?}"),
        }
    }
}
