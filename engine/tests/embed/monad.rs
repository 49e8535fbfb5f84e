//! A real chain that is not Ethereum: Monad, from its own crates, which know nothing of Pleach.
//!
//! It charges the gas limit instead of the gas used, prices memory and storage its own way, has a
//! stateful staking precompile, and keeps a reserve in accounts, which it looks at on every debit.

use alloy_evm::EvmEnv;
use alloy_monad_evm::MonadEvmFactory;
use alloy_primitives::{Address, Bytes, U256, hex};
use monad_revm::{
    MonadHardfork,
    reserve_balance::abi::{DIPPED_INTO_RESERVE_SELECTOR, RESERVE_BALANCE_ADDRESS},
    staking::STAKING_ADDRESS,
};
use pleach_engine::{Observed, Validation};
use revm::context::{BlockEnv, CfgEnv};

use crate::{
    drive::{OneByOne, compare, metrics, parallel_factory},
    scenario::{BENEFICIARY, TestBlock, block, header, insert, sender, tx},
};

fn env(fork: MonadHardfork) -> EvmEnv<MonadHardfork> {
    let header = header();
    let block = BlockEnv {
        number: U256::from(header.number),
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        basefee: header.base_fee_per_gas.unwrap_or_default(),
        beneficiary: header.beneficiary,
        ..BlockEnv::default()
    };
    EvmEnv::new(CfgEnv::new_with_spec(fork).with_chain_id(1), block)
}

#[test]
fn blocks_of_all_forks() {
    let callees = [
        // getEpoch() of the staking precompile, and whether the reserve was drawn on.
        (STAKING_ADDRESS, Bytes::from_static(&hex!("757991a8"))),
        (RESERVE_BALANCE_ADDRESS, Bytes::copy_from_slice(&DIPPED_INTO_RESERVE_SELECTOR)),
        (Address::with_last_byte(2), Bytes::from_static(b"hash me")),
    ];
    let forks = [MonadHardfork::MonadEight, MonadHardfork::MonadNine, MonadHardfork::MonadTen];
    for fork in forks {
        for seed in 0..3 {
            let block = block(seed, 60, &callees);
            let caller = (&OneByOne, &[Validation::Everything, Validation::Written][..]);
            let evm = Observed::new(MonadEvmFactory::default());
            let plain = MonadEvmFactory::default();
            let outcome = compare(&plain, &evm, &env(fork), &block, caller);
            let succeeded = outcome.receipts().iter().filter(|receipt| receipt.status()).count();
            assert!(succeeded > 40, "{succeeded} of 60 transactions did what they were meant to");
        }
    }
}

#[test]
fn fees_to_one_beneficiary_commute() {
    let mut block: TestBlock = block(0, 0, &[]);
    let mut state = (*block.state).clone();
    for number in 0..150 {
        let (from, to) = (sender(1_000 + number), sender(2_000 + number));
        insert(&mut state, from, u64::MAX, &[]);
        insert(&mut state, to, 1, &[]);
        block.txs.push(tx(from, 0, to, 5, Bytes::new()));
    }
    insert(&mut state, BENEFICIARY, 1, &[]);
    block.state = state.into();
    let factory = parallel_factory(&Observed::new(MonadEvmFactory::default()), 4);
    let metrics = metrics(&factory, env(MonadHardfork::MonadTen), &block);
    assert_eq!(metrics.reexecuted_gas, 0, "no result was thrown away");
}
