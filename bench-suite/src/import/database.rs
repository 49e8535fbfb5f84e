//! A folder with a chain in it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_primitives::B256;
use pleach_engine::{
    ChainSpec, genesis_header, genesis_state, genesis_state_root, import::ImportConfig,
};
use pleach_state::store::{MdbxBackend, MdbxConfig, Store, StoreConfig, StoreError};

use super::{ChainArgs, Network, NetworkError};

/// The part of the folder that the store has for itself.
const STORE: &str = "store";

/// A store whose chain has begun, and the chain's rules.
#[derive(Debug)]
pub struct Database {
    /// The rules.
    pub chain: Arc<ChainSpec>,
    /// Where the blocks are.
    pub store: Arc<Store>,
}

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The chain cannot be set up.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The store cannot be opened or begun.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis file gives another first block than the chain has.
    #[error(
        "the genesis file gives the first block {given}, but {chain} begins with {expected}: give \
         that chain's file"
    )]
    GenesisHash {
        /// The chain.
        chain: String,
        /// The hash of the block that the file gives.
        given: B256,
        /// The hash of the chain's first block.
        expected: B256,
    },
    /// There is no database in the folder.
    #[error("there is no database in {path}: import blocks first", path = .path.display())]
    Missing {
        /// The folder.
        path: PathBuf,
    },
}

impl Database {
    /// Opens the database that the arguments name, and begins the chain if it is empty.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn open(args: &ChainArgs) -> Result<Self, DatabaseError> {
        let network = Network::load(&args.chain, args.genesis.as_deref())?;
        let hash = first_block(&network)?;
        // Nothing is made in the folder before it is known that something can be.
        if network.genesis.is_none() && !args.datadir.join(STORE).exists() {
            network.genesis()?;
        }
        let store = open(&args.datadir)?;
        match (store.genesis()?, hash) {
            (None, _) => begin(&network, &store)?,
            (Some(_), Some(hash)) => store.expect_chain(hash)?,
            (Some(_), None) => {}
        }
        let hash = store.genesis()?.ok_or(StoreError::Uninitialised)?;
        Ok(Self { chain: network.recognised(hash).chain, store: Arc::new(store) })
    }

    /// Opens the store in a folder, whatever chain it holds.
    ///
    /// # Errors
    /// [`DatabaseError::Missing`] if there is none.
    pub fn open_existing(datadir: &Path) -> Result<Store, DatabaseError> {
        if !datadir.join(STORE).is_dir() {
            return Err(DatabaseError::Missing { path: datadir.to_owned() });
        }
        Ok(open(datadir)?)
    }
}

fn open(datadir: &Path) -> Result<Store, StoreError> {
    // Whoever reads ahead waits for the disk most of the time.
    let config = MdbxConfig::default();
    let readers = config.readers + ImportConfig::default().prefetch_threads;
    let backend = MdbxBackend::open(&datadir.join(STORE), MdbxConfig { readers, ..config })?;
    Store::open(backend, StoreConfig::default())
}

/// The hash of a network's first block; none if it is known neither beforehand nor from a file.
fn first_block(network: &Network) -> Result<Option<B256>, DatabaseError> {
    let Some(genesis) = &network.genesis else { return Ok(network.genesis_hash) };
    let header = genesis_header(&network.chain, genesis, genesis_state_root(genesis));
    let given = header.hash_slow();
    match network.genesis_hash {
        Some(expected) if expected != given => {
            let chain = network.chain.name().to_owned();
            Err(DatabaseError::GenesisHash { chain, given, expected })
        }
        _ => Ok(Some(given)),
    }
}

fn begin(network: &Network, store: &Store) -> Result<(), DatabaseError> {
    let genesis = network.genesis()?;
    let header = genesis_header(&network.chain, genesis, genesis_state_root(genesis));
    store.init(&header, &genesis_state(genesis))?;
    Ok(())
}
