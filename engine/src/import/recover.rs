//! The second stage: senders, of all blocks that are at hand in one batch.

use std::sync::{
    Arc,
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
use crate::{RecoveredBlock, SignedBlock};

/// Recovers blocks that come, in their order, in batches of about so many signatures.
pub(super) fn recover_blocks(
    accelerator: &Accelerator,
    batch_size: usize,
    blocks: &Receiver<Result<LinkedBlock, ImportError>>,
    next: &SyncSender<Result<ReadyBlock, ImportError>>,
    clocks: &Clocks,
) {
    while let Ok(first) = blocks.recv() {
        let (batch, error) = gather(first, blocks, batch_size);
        let recovered = clocks.time(&clocks.recover, || recover_batch(accelerator, batch));
        let answers = recovered.into_iter().chain(error.map(Err));
        for answer in answers {
            let is_last = answer.is_err();
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
    batch_size: usize,
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
        next = if signatures < batch_size { blocks.try_recv().ok() } else { None };
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
