//! One block through both paths.

use std::{io, sync::Arc};

use pleach_engine::{
    BlockOutput, ChainSpec, Engine, EngineConfig, ExecuteError, ExecuteOptions, RecoveredBlock,
    execute_serial,
};
use pleach_gpu_accel::Accelerator;
use pleach_state::FlatState;

/// An engine and what it needs to execute a block in parallel and serially.
#[derive(Debug)]
pub struct BothPaths {
    engine: Engine,
    accelerator: Accelerator,
    access_list: bool,
}

/// Parallel and serial execution do not agree, which no test may expect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathDifference {
    /// Both executed the block, with different outputs.
    #[error("parallel and serial outputs differ: {field}")]
    Output {
        /// The first field that differs.
        field: String,
    },
    /// Both refused the block, with different errors.
    #[error("the parallel path says {parallel:?}, the serial path {serial:?}")]
    Error {
        /// The parallel path's error.
        parallel: String,
        /// The serial path's error.
        serial: String,
    },
    /// Only the serial path refused the block.
    #[error("only the serial path refuses the block: {serial}")]
    OnlySerialRefuses {
        /// The serial path's error.
        serial: String,
    },
    /// Only the parallel path refused the block.
    #[error("only the parallel path refuses the block: {parallel}")]
    OnlyParallelRefuses {
        /// The parallel path's error.
        parallel: String,
    },
}

impl BothPaths {
    /// An engine of this many threads; `access_list` has both paths build and compare the EIP-7928
    /// block access list as well.
    ///
    /// # Errors
    /// What the operating system says if it refuses to start threads.
    pub fn new(threads: usize, access_list: bool) -> io::Result<Self> {
        let engine = Engine::new(EngineConfig { threads })?;
        let accelerator = Accelerator::cpu(1).map_err(io::Error::other)?;
        Ok(Self { engine, accelerator, access_list })
    }

    /// What recovers senders.
    pub const fn accelerator(&self) -> &Accelerator {
        &self.accelerator
    }

    /// Executes a block on both paths. The inner result is what the two agree on.
    ///
    /// # Errors
    /// [`PathDifference`] if they do not agree.
    pub fn execute(
        &self,
        chain: &Arc<ChainSpec>,
        block: &Arc<RecoveredBlock>,
        state: &Arc<FlatState>,
    ) -> Result<Result<BlockOutput, ExecuteError>, PathDifference> {
        // Most test blocks have one transaction: rehearsed, it goes all the way as well.
        let options = ExecuteOptions {
            access_list: self.access_list,
            rehearse: true,
            ..ExecuteOptions::default()
        };
        let parallel = self.engine.execute(chain, block, state, options);
        let serial = execute_serial(chain, block, state, self.access_list);
        match (parallel, serial) {
            (Ok((parallel, _)), Ok(serial)) => match parallel.difference(&serial) {
                Some(field) => Err(PathDifference::Output { field }),
                None => Ok(Ok(serial)),
            },
            (Err(parallel), Err(serial)) => {
                let texts = (format!("{parallel:?}"), format!("{serial:?}"));
                if texts.0 != texts.1 {
                    return Err(PathDifference::Error { parallel: texts.0, serial: texts.1 });
                }
                Ok(Err(serial))
            }
            (Ok(_), Err(serial)) => {
                Err(PathDifference::OnlySerialRefuses { serial: serial.to_string() })
            }
            (Err(parallel), Ok(_)) => {
                Err(PathDifference::OnlyParallelRefuses { parallel: parallel.to_string() })
            }
        }
    }
}
