//! `--bal`: blocks executed with their access lists (EIP-7928).

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_eips::eip7928::BlockAccessList;
use alloy_primitives::hex;
use alloy_rlp::{Decodable, Encodable};
use flate2::read::GzDecoder;
use pleach_engine::{
    AccessList, ChainSpec, ExecuteError, ListFault, RecoveredBlock, execute_serial,
};
use pleach_state::FlatState;

use super::{
    check::{Checks, Mismatch},
    report::Measured,
    stats::{milliseconds, timed},
};

/// Where blocks' lists come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lists {
    /// One serial execution of each block makes its list.
    Made,
    /// One list for the one block that is replayed.
    Given(BlockAccessList),
}

/// A file that holds no list.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub(super) struct ListFileError {
    path: PathBuf,
    kind: ListFileErrorKind,
}

#[derive(Debug, thiserror::Error)]
enum ListFileErrorKind {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is JSON, but not of an EIP-7928 access list: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is not JSON, nor is it the RLP of an access list, in hex or plain: {0}")]
    Rlp(alloy_rlp::Error),
}

impl Lists {
    /// Reads a list: JSON, RLP or RLP in hex, gzipped or not.
    pub(super) fn read(path: &Path) -> Result<Self, ListFileError> {
        let list = read(path).map_err(|kind| ListFileError { path: path.to_owned(), kind })?;
        Ok(Self::Given(list))
    }

    /// The list of a block, as it comes with it: encoded.
    fn encoded(
        &self,
        chain: &Arc<ChainSpec>,
        block: &RecoveredBlock,
        prestate: &Arc<FlatState>,
    ) -> Result<Vec<u8>, ExecuteError> {
        let list = match self {
            Self::Given(list) => list.clone(),
            Self::Made => {
                let output = execute_serial(chain, block, prestate, true)?;
                output.access_list.unwrap_or_default()
            }
        };
        let mut encoded = Vec::with_capacity(list.length());
        list.encode(&mut encoded);
        Ok(encoded)
    }

    /// Makes a block's list ready for execution, and tells how long that took.
    ///
    /// # Errors
    /// If the block cannot be executed, or the list is out of order.
    pub(super) fn prepare(
        &self,
        chain: &Arc<ChainSpec>,
        block: &RecoveredBlock,
        prestate: &Arc<FlatState>,
        checks: &mut Checks,
        measured: &mut Measured,
    ) -> Result<Arc<AccessList>, ListError> {
        let encoded = self.encoded(chain, block, prestate)?;
        let transactions = block.transactions().len();
        let (list, time) = timed(|| AccessList::decode(&encoded, transactions));
        let list = list.map_err(Box::new)?;
        measured.list_ms = Some(milliseconds(time));
        measured.list_bytes = Some(encoded.len());
        if let Some(hash) = block.header().block_access_list_hash {
            checks.compare("access_list_hash", hash, list.hash());
        }
        Ok(Arc::new(list))
    }
}

/// Why a block has no list.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListError {
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    #[error(transparent)]
    Fault(#[from] Box<ListFault>),
}

fn read(path: &Path) -> Result<BlockAccessList, ListFileErrorKind> {
    let mut bytes = fs::read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        GzDecoder::new(&bytes[..]).read_to_end(&mut unpacked)?;
        bytes = unpacked;
    }
    let text = std::str::from_utf8(&bytes).map(str::trim).unwrap_or_default();
    if text.starts_with(['{', '[']) {
        return Ok(serde_json::from_str(text)?);
    }
    if let Ok(decoded) = hex::decode(text)
        && !text.is_empty()
    {
        bytes = decoded;
    }
    let mut rest = bytes.as_slice();
    let list = BlockAccessList::decode(&mut rest).map_err(ListFileErrorKind::Rlp)?;
    match rest.is_empty() {
        true => Ok(list),
        false => Err(ListFileErrorKind::Rlp(alloy_rlp::Error::UnexpectedLength)),
    }
}

/// Notes whether the list was the block's. A fault is told in full, both values included.
pub(super) fn check_fault(checks: &mut Checks, fault: Option<ListFault>) {
    const WHAT: &str = "access_list";
    checks.checked.push(WHAT);
    checks.mismatches.extend(fault.map(|fault| Mismatch {
        what: WHAT,
        expected: "exactly what the block does".to_owned(),
        got: fault.to_string(),
    }));
}
