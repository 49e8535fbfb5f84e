//! Ommers: stale siblings of recent ancestors that proof-of-work blocks paid for.

use alloy_consensus::Header;
use alloy_primitives::B256;

use super::{OmmerError, validate_header};
use crate::ChainSpec;

const MAX_OMMERS: usize = 2;

/// How many ancestors, the parent included, decide about ommers.
pub const MAX_OMMER_DEPTH: usize = 7;

/// What the ommer rules need of an ancestor.
#[derive(Debug, Clone, Copy)]
pub struct Ancestor<'a> {
    /// The ancestor's hash.
    pub hash: B256,
    /// The ancestor's header.
    pub header: &'a Header,
    /// The ommers in the ancestor's body.
    pub ommers: &'a [Header],
}

/// Checks a block's ommers against its ancestors, which are given nearest first: the parent, its
/// parent, and so on, up to [`MAX_OMMER_DEPTH`] of them.
///
/// # Errors
/// The first [`OmmerError`] found.
pub fn validate_ommers(
    chain: &ChainSpec,
    ommers: &[Header],
    ancestors: &[Ancestor<'_>],
) -> Result<(), OmmerError> {
    if ommers.len() > MAX_OMMERS {
        return Err(OmmerError::TooMany { count: ommers.len() });
    }
    let ancestors = &ancestors[..ancestors.len().min(MAX_OMMER_DEPTH)];
    let mut seen: Vec<B256> =
        ancestors.iter().flat_map(|a| a.ommers.iter().map(Header::hash_slow)).collect();
    for ommer in ommers {
        let hash = ommer.hash_slow();
        if seen.contains(&hash) {
            return Err(OmmerError::Duplicate { hash });
        }
        seen.push(hash);
        validate_ommer(chain, hash, ommer, ancestors)?;
    }
    Ok(())
}

fn validate_ommer(
    chain: &ChainSpec,
    hash: B256,
    ommer: &Header,
    ancestors: &[Ancestor<'_>],
) -> Result<(), OmmerError> {
    if ancestors.iter().any(|ancestor| ancestor.hash == hash) {
        return Err(OmmerError::IsAncestor { hash });
    }
    // A child of the block's own parent would be the block's sibling, which is no ommer yet.
    let elders = ancestors.iter().skip(1);
    let parent = elders.into_iter().find(|ancestor| ancestor.hash == ommer.parent_hash);
    let Some(parent) = parent else {
        return Err(OmmerError::Unrelated { hash, parent: ommer.parent_hash });
    };
    validate_header(chain, ommer, parent.header)
        .map_err(|source| OmmerError::Header { hash, source })
}
