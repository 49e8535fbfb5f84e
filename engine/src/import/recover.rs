//! The second stage: senders, of several blocks that are at hand in one batch.

use std::sync::{
    Arc,
    atomic::Ordering,
    mpsc::{Receiver, SyncSender},
};

use alloy_consensus::Transaction;
use pleach_gpu_accel::Accelerator;

use super::{
    ImportError, Refused,
    input::{LinkedBlock, ReadyBlock},
    lineage::is_homestead,
    report::Clocks,
};
use crate::{RecoveredBlock, SignedBlock, backlog::Backlog};

/// Recovers blocks that come, in their order, in batches of about so many signatures at the most.
pub(super) fn recover_blocks(
    accelerator: &Accelerator,
    most: usize,
    backlog: &Backlog,
    blocks: &Receiver<Result<LinkedBlock, ImportError>>,
    next: &SyncSender<Result<ReadyBlock, ImportError>>,
    clocks: &Clocks,
) {
    clocks.time(&clocks.recover, || accelerator.prepare());
    while let Ok(first) = blocks.recv() {
        let (batch, error) = gather(first, blocks, backlog.next_batch(most));
        let recovered = clocks.time(&clocks.recover, || recover_batch(accelerator, batch));
        clocks.batches.fetch_add(1, Ordering::Relaxed);
        let answers = recovered.into_iter().chain(error.map(Err));
        for answer in answers {
            let is_last = answer.is_err();
            if let Ok(ready) = &answer {
                backlog.add(ready.block.signatures());
            }
            if next.send(answer).is_err() || is_last {
                return;
            }
        }
    }
}

/// Takes what has come, without waiting for more, until there are enough signatures or an error
/// ends it.
fn gather(
    first: Result<LinkedBlock, ImportError>,
    blocks: &Receiver<Result<LinkedBlock, ImportError>>,
    enough: usize,
) -> (Vec<LinkedBlock>, Option<ImportError>) {
    let (mut batch, mut signatures) = (Vec::new(), 0);
    let mut next = Some(first);
    while let Some(block) = next {
        match block {
            Err(error) => return (batch, Some(error)),
            Ok(block) => {
                signatures += signatures_of(&block);
                batch.push(block);
            }
        }
        next = if signatures < enough { blocks.try_recv().ok() } else { None };
    }
    (batch, None)
}

fn signatures_of(block: &LinkedBlock) -> usize {
    let txs = &block.block.body.transactions;
    let authorities = txs.iter().filter_map(|tx| tx.authorization_list().map(<[_]>::len));
    txs.len() + authorities.sum::<usize>()
}

fn recover_batch(
    accelerator: &Accelerator,
    batch: Vec<LinkedBlock>,
) -> Vec<Result<ReadyBlock, ImportError>> {
    let (blocks, places): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|LinkedBlock { block, place }| {
            let homestead = is_homestead(&place.chain, &block.header);
            let place = (block.header.number, place);
            (SignedBlock { block, homestead }, place)
        })
        .unzip();
    let recovered = RecoveredBlock::recover_all(blocks, accelerator).into_iter().zip(places);
    let ready = recovered.map(|(recovered, (number, place))| match recovered {
        Ok(block) => Ok(ReadyBlock { block: Arc::new(block), place }),
        Err(error) => {
            let (hash, origin) = (place.hash, place.origin);
            let reason = Box::new(Refused::Sender(error));
            Err(ImportError::Refused { number, hash, origin, reason })
        }
    });
    ready.collect()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{atomic::Ordering, mpsc::sync_channel},
        thread,
    };

    use alloy_consensus::{Block, BlockBody, Header, TxEnvelope, TxLegacy};
    use alloy_primitives::{B256, Signature, U256};

    use super::{super::input::Place, *};
    use crate::{ChainSpec, import::Origin};

    const BLOCKS: u64 = 600;

    /// A block with one transaction, whose signature is valid and whoever's.
    fn linked(number: u64) -> LinkedBlock {
        let signature = Signature::new(U256::ONE, U256::ONE, false);
        let tx = alloy_consensus::Signed::new_unhashed(TxLegacy::default(), signature);
        let body = BlockBody { transactions: vec![TxEnvelope::Legacy(tx)], ..Default::default() };
        let header = Header { number, ..Header::default() };
        let place = Place {
            origin: Origin { name: "a test".into(), offset: None },
            access_list: None,
            chain: Arc::new(ChainSpec::mainnet()),
            total_difficulty: U256::ZERO,
            hash: B256::ZERO,
            bytes: 0,
        };
        LinkedBlock { block: Block { header, body }, place }
    }

    /// All blocks are at hand and fit one batch: still the first is handed on long before the last
    /// is recovered, and who executes decides how fast batches grow.
    #[test]
    fn the_first_block_is_handed_on_before_most_are_recovered() {
        let (to_recovery, for_recovery) = sync_channel(BLOCKS as usize);
        (1..=BLOCKS).for_each(|number| to_recovery.send(Ok(linked(number))).unwrap());
        drop(to_recovery);
        // Nothing waits between the two: the next batch begins when the last block is taken.
        let (to_execution, for_execution) = sync_channel(0);
        let (backlog, clocks) = (&Backlog::default(), &Clocks::default());
        let accelerator = Accelerator::cpu(1).unwrap();
        thread::scope(|scope| {
            // Given up with this thread, which ends the other.
            let for_execution = for_execution;
            scope.spawn(move || {
                recover_blocks(&accelerator, 4_096, backlog, &for_recovery, &to_execution, clocks);
            });
            let first = for_execution.recv().unwrap().unwrap();
            assert_eq!(first.block.header().number, 1);
            assert_eq!(clocks.batches.load(Ordering::Relaxed), 1);
            assert!(backlog.next_batch(usize::MAX) < BLOCKS as usize / 2);
            backlog.take(first.block.signatures());
            for number in 2..=BLOCKS {
                let ready = for_execution.recv().unwrap().unwrap();
                assert_eq!(ready.block.header().number, number);
                backlog.take(ready.block.signatures());
            }
            assert!(for_execution.recv().is_err());
        });
        // Whoever takes each block at once is handed small batches to the end.
        assert_eq!(clocks.batches.load(Ordering::Relaxed), BLOCKS.div_ceil(64));
    }
}
