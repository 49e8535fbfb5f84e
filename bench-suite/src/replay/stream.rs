//! All blocks as one stream: senders of the next ones are recovered while a block executes.
//!
//! Each repetition executes the blocks twice: with recovery and execution apart, one after the
//! other, and with recovery ahead, on its own thread and the accelerator's. Every output is
//! compared with the one that the block's checks passed.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_consensus::{Block, TxEnvelope};
use pleach_engine::{
    AheadMetrics, AheadOptions, BlockError, BlockOutput, ChainSpec, Engine, ExecuteOptions,
    RecoverAhead, RecoveredBlock, SignedBlock,
};
use pleach_gpu_accel::Accelerator;
use pleach_state::FlatState;
use serde::Serialize;

use super::stats::{median, milliseconds};

/// A block of the stream.
#[derive(Debug)]
pub(super) struct StreamBlock {
    pub(super) chain: Arc<ChainSpec>,
    pub(super) block: Block<TxEnvelope>,
    pub(super) homestead: bool,
    pub(super) prestate: Arc<FlatState>,
    pub(super) expected: BlockOutput,
}

/// What the stream took; times are medians over the repetitions, in milliseconds. Serialised, the
/// JSON object under `stream` in the summary.
#[derive(Debug, Clone, Serialize)]
pub struct StreamReport {
    /// Blocks executed, one after another.
    pub blocks: usize,
    /// Signatures recovered.
    pub signatures: u64,
    /// Recovery of one block, execution, recovery of the next …
    pub apart_ms: f64,
    /// Of that, recovery.
    pub apart_recover_ms: f64,
    /// Recovery ahead of execution: the whole stream, from the first signature on.
    pub stream_ms: f64,
    /// Of that, time in which nothing was executed because senders were not known yet.
    pub waited_ms: f64,
    /// Of that, time in which senders were recovered, in the background.
    pub recover_ms: f64,
    /// The share of `recover_ms` that execution did not wait for.
    pub hidden: f64,
    /// `apart_ms` over `stream_ms`.
    pub speedup: f64,
    /// Blocks whose output was another in the stream.
    pub mismatches: usize,
}

/// Who executes and recovers.
pub(super) struct Crew<'a> {
    pub(super) engine: &'a Engine,
    pub(super) accelerator: &'a Arc<Accelerator>,
    pub(super) options: ExecuteOptions,
}

/// One way through all blocks.
#[derive(Debug, Default)]
struct Run {
    took: Duration,
    recover: Duration,
    waited: Duration,
    signatures: u64,
    mismatches: usize,
}

/// Times both ways, in turns. None of no blocks.
pub(super) fn measure(
    blocks: &[StreamBlock],
    crew: &Crew<'_>,
    repeat: usize,
) -> io::Result<Option<StreamReport>> {
    let (mut apart, mut stream) = (Vec::new(), Vec::new());
    for _ in 0..repeat {
        apart.push(crew.apart(blocks));
        stream.push(crew.ahead(blocks)?);
    }
    let all = || apart.iter().chain(&stream);
    let of = |runs: &[Run], time: fn(&Run) -> Duration| {
        median(runs.iter().map(|run| milliseconds(time(run))).collect())
    };
    let (Some(apart_ms), Some(stream_ms)) = (of(&apart, |run| run.took), of(&stream, |r| r.took))
    else {
        return Ok(None);
    };
    let (waited_ms, recover_ms) = (of(&stream, |run| run.waited), of(&stream, |run| run.recover));
    let (waited_ms, recover_ms) = (waited_ms.unwrap_or_default(), recover_ms.unwrap_or_default());
    let mismatches = all().map(|run| run.mismatches).max().unwrap_or_default();
    let report = StreamReport {
        blocks: blocks.len(),
        signatures: stream.iter().map(|run| run.signatures).max().unwrap_or_default(),
        apart_ms,
        apart_recover_ms: of(&apart, |run| run.recover).unwrap_or_default(),
        stream_ms,
        waited_ms,
        recover_ms,
        hidden: if recover_ms > 0.0 { (1.0 - waited_ms / recover_ms).max(0.0) } else { 1.0 },
        speedup: apart_ms / stream_ms,
        mismatches,
    };
    Ok((!blocks.is_empty()).then_some(report))
}

impl Crew<'_> {
    fn apart(&self, blocks: &[StreamBlock]) -> Run {
        let signed: Vec<_> = blocks.iter().map(|block| block.block.clone()).collect();
        let mut run = Run::default();
        for (block, signed) in blocks.iter().zip(signed) {
            let start = Instant::now();
            let recovered = RecoveredBlock::recover(signed, block.homestead, self.accelerator);
            run.recover += start.elapsed();
            let output = self.execute(block, recovered);
            run.took += start.elapsed();
            run.compare(block, output);
        }
        run
    }

    fn ahead(&self, blocks: &[StreamBlock]) -> io::Result<Run> {
        let signed = |block: &StreamBlock| {
            let homestead = block.homestead;
            Ok::<_, BlockError>(SignedBlock { block: block.block.clone(), homestead })
        };
        let signed: Vec<_> = blocks.iter().map(signed).collect();
        let mut run = Run::default();
        let start = Instant::now();
        // Comparing outputs is no part of what is timed, though recovery goes on meanwhile; so
        // that this hides nothing, outputs are kept and compared at the end.
        let mut outputs = Vec::with_capacity(blocks.len());
        let accelerator = Arc::clone(self.accelerator);
        let mut ahead = RecoverAhead::start(signed, accelerator, AheadOptions::default())?;
        for block in blocks {
            let recovered = ahead.next();
            outputs.push(recovered.and_then(|recovered| self.execute(block, recovered)));
        }
        run.took = start.elapsed();
        let AheadMetrics { recover, waited, signatures, .. } = ahead.metrics();
        (run.recover, run.waited, run.signatures) = (recover, waited, signatures);
        for (block, output) in blocks.iter().zip(outputs) {
            run.compare(block, output);
        }
        Ok(run)
    }

    fn execute(
        &self,
        block: &StreamBlock,
        recovered: Result<RecoveredBlock, BlockError>,
    ) -> Option<BlockOutput> {
        let recovered = Arc::new(recovered.ok()?);
        let StreamBlock { chain, prestate, .. } = block;
        let executed = self.engine.execute(chain, &recovered, prestate, self.options);
        executed.ok().map(|(output, _)| output)
    }
}

impl Run {
    fn compare(&mut self, block: &StreamBlock, output: Option<BlockOutput>) {
        let same = output.is_some_and(|output| block.expected.difference(&output).is_none());
        self.mismatches += usize::from(!same);
    }
}
