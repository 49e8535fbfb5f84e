//! Recovery ahead of execution: in order, bounded, and with errors in their place.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use alloy_primitives::U256;
use pleach_engine::{AheadOptions, BlockError, RecoverAhead, SignedBlock};
use pleach_gpu_accel::Accelerator;

use crate::signed::{account, block, legacy, with_signature};

#[derive(Debug)]
enum Failure {
    Block(BlockError),
    Source(&'static str),
}

impl From<BlockError> for Failure {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

type Item = Result<SignedBlock, Failure>;

/// Block n has n % 5 transactions, by the keys from n on.
fn signed(number: u64) -> Item {
    let txs = (number..number + number % 5).map(|key| legacy(key, Some(1))).collect();
    Ok(SignedBlock { block: block(number, txs), homestead: true })
}

fn start(
    items: impl IntoIterator<Item = Item, IntoIter: Send + 'static>,
    options: AheadOptions,
) -> RecoverAhead<Failure> {
    let accelerator = Arc::new(Accelerator::cpu(2).expect("threads start"));
    RecoverAhead::start(items, accelerator, options).expect("a thread starts")
}

#[test]
fn blocks_come_in_order_with_their_senders() {
    for (blocks, batch) in [(1, 1), (1, 64), (8, 1), (3, 7), (100, 10_000), (0, 0)] {
        let mut ahead = start((1..=60).map(signed), AheadOptions { blocks, batch });
        for number in 1..=60 {
            let block = ahead.next().expect("there are 60").expect("all are signed");
            assert_eq!(block.header().number, number);
            let senders: Vec<_> = (number..number + number % 5).map(account).collect();
            assert_eq!(block.senders(), senders);
        }
        assert!(ahead.next().is_none() && ahead.next().is_none());
        let metrics = ahead.metrics();
        assert_eq!((metrics.blocks, metrics.signatures), (60, 120));
        let batches = if batch <= 1 { 60..=60 } else { 1..=59 };
        assert!(batches.contains(&metrics.batches), "{metrics:?}");
        assert!((0.0..=1.0).contains(&metrics.hidden()), "{metrics:?}");
    }
}

#[test]
fn an_error_comes_in_its_place_and_nothing_after_it() {
    let broken = |number: u64| match number {
        30 => Err(Failure::Source("the file ends early")),
        _ => signed(number),
    };
    for batch in [1, 16, 1000] {
        let items = (1..=60).map(broken);
        let ahead = start(items, AheadOptions { blocks: 4, batch });
        let items: Vec<_> = ahead.collect();
        assert_eq!(items.len(), 30);
        assert!(items[..29].iter().all(Result::is_ok));
        assert!(matches!(items[29], Err(Failure::Source("the file ends early"))));
    }
    let unsigned = |number: u64| match number {
        20 => {
            let tx = with_signature(U256::ZERO, U256::from(1));
            Ok(SignedBlock { block: block(number, vec![legacy(1, None), tx]), homestead: true })
        }
        _ => signed(number),
    };
    let items: Vec<_> = start((1..=60).map(unsigned), AheadOptions::default()).collect();
    assert_eq!(items.len(), 20);
    let Some(Err(Failure::Block(BlockError::Recovery { index: 1, .. }))) = items.last() else {
        panic!("{:?}", items.last());
    };
}

/// The source is not read further than the options allow: k blocks wait, one batch is in work.
#[test]
fn no_more_blocks_wait_than_asked_for() {
    let read = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&read);
    let items = (1..).map(move |number| {
        // Ordering: the count is only compared with a bound that it may never pass.
        counter.fetch_add(1, Ordering::Relaxed);
        signed(5 * number)
    });
    let mut ahead = start(items, AheadOptions { blocks: 3, batch: 1 });
    for taken in 1..=50 {
        assert!(ahead.next().is_some());
        // Taken, waiting, and one that was pulled and has no place yet.
        assert!(read.load(Ordering::Relaxed) <= taken + 3 + 1, "after {taken}");
    }
    // Dropping it ends an endless source.
    drop(ahead);
}

#[test]
fn a_panic_of_the_source_reaches_the_caller() {
    let items =
        (1..=9).map(|number| if number == 4 { panic!("no block 4") } else { signed(number) });
    let mut ahead = start(items, AheadOptions { blocks: 2, batch: 1 });
    assert!((1..=3).all(|_| matches!(ahead.next(), Some(Ok(_)))));
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ahead.next()));
    let panic = panic.expect_err("it panicked");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no block 4"));
}
