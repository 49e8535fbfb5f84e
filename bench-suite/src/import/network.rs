//! Which chain it is: its rules and its first block, by name or from a genesis file.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use alloy_genesis::Genesis;
use alloy_primitives::{B256, b256};
use flate2::read::MultiGzDecoder;
use pleach_engine::{ChainError, ChainSpec};

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];
/// No genesis file is longer.
const MAX_GENESIS_BYTES: u64 = 1 << 30;

/// The genesis files that are built in, gzipped, with the hashes of the blocks that they must
/// give. `genesis/README.md` says where they come from.
const BUILT_IN: [(&str, B256, Option<&[u8]>); 4] = [
    (
        "mainnet",
        b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"),
        Some(include_bytes!("../../genesis/mainnet.json.gz")),
    ),
    (
        "sepolia",
        b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"),
        Some(include_bytes!("../../genesis/sepolia.json.gz")),
    ),
    (
        "holesky",
        b256!("b5f7f912443c940f21fd611f12828d75b534364ed9e95ca4e307729a4661bde4"),
        Some(include_bytes!("../../genesis/holesky.json.gz")),
    ),
    ("hoodi", b256!("bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b"), None),
];

/// A chain's rules, and where it begins.
#[derive(Debug, Clone)]
pub struct Network {
    /// The rules.
    pub chain: Arc<ChainSpec>,
    /// The first block and the state after it; none where they must be in the database already.
    pub genesis: Option<Genesis>,
    /// The first block's hash, if it is known beforehand.
    pub genesis_hash: Option<B256>,
}

/// A chain that cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The genesis file cannot be read.
    #[error("cannot read the genesis file {path}: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no genesis file.
    #[error(
        "{path} is no genesis file in geth's format: {source}",
        path = .path.display()
    )]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where parsing ended, and why.
        source: serde_json::Error,
    },
    /// Its rules are none that the engine has.
    #[error("{path}: {source}", path = .path.display())]
    Rules {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ChainError,
    },
    /// `--chain` names neither a chain nor a file.
    #[error(
        "{name:?} is neither a chain known here (mainnet, sepolia, holesky, hoodi) nor a genesis \
         file ({source})"
    )]
    Unknown {
        /// What was given.
        name: String,
        /// Why it is no file.
        source: io::Error,
    },
    /// A chain whose genesis file is not built in.
    #[error(
        "the genesis file of {name} is not built in, and the database is empty: give the file with \
         --genesis"
    )]
    GenesisNeeded {
        /// The chain.
        name: String,
    },
}

impl Network {
    /// The chain that `--chain` and `--genesis` name: a known one, its own genesis file replaced
    /// if one is given, or one from a genesis file.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn load(chain: &str, genesis: Option<&Path>) -> Result<Self, NetworkError> {
        let Ok(known) = ChainSpec::by_name(chain) else {
            return Self::from_file(chain, genesis);
        };
        let built_in = BUILT_IN.iter().find(|(name, ..)| *name == chain);
        let given = genesis.map(read).transpose()?;
        let file = built_in.and_then(|(.., file)| *file);
        let genesis = match (given, file) {
            (Some(given), _) => Some(given),
            (None, Some(file)) => Some(parse(Path::new(chain), &unpacked(file))?),
            (None, None) => None,
        };
        let genesis_hash = built_in.map(|(_, hash, _)| *hash);
        Ok(Self { chain: Arc::new(known), genesis, genesis_hash })
    }

    fn from_file(chain: &str, genesis: Option<&Path>) -> Result<Self, NetworkError> {
        let path = Path::new(chain);
        if let Err(source) = path.metadata() {
            return Err(NetworkError::Unknown { name: chain.to_owned(), source });
        }
        let rules = read(path)?;
        let spec = ChainSpec::from_genesis(&rules)
            .map_err(|source| NetworkError::Rules { path: path.to_owned(), source })?;
        let genesis = genesis.map(read).transpose()?.unwrap_or(rules);
        Ok(Self { chain: Arc::new(spec), genesis: Some(genesis), genesis_hash: None })
    }

    /// The genesis, which an empty database needs.
    ///
    /// # Errors
    /// [`NetworkError::GenesisNeeded`].
    pub fn genesis(&self) -> Result<&Genesis, NetworkError> {
        let name = self.chain.name();
        self.genesis.as_ref().ok_or_else(|| NetworkError::GenesisNeeded { name: name.to_owned() })
    }

    /// The known chain that begins with this block, whose rules then hold: a genesis file says of
    /// its chain's later forks only what was known when it was written.
    #[must_use]
    pub fn recognised(self, genesis_hash: B256) -> Self {
        if self.genesis_hash.is_some() {
            return self;
        }
        let known = BUILT_IN.iter().find(|(_, hash, _)| *hash == genesis_hash);
        match known.and_then(|(name, ..)| ChainSpec::by_name(name).ok()) {
            Some(chain) => {
                Self { chain: Arc::new(chain), genesis_hash: Some(genesis_hash), ..self }
            }
            None => self,
        }
    }
}

fn read(path: &Path) -> Result<Genesis, NetworkError> {
    let failed = |source| NetworkError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = BufReader::new(File::open(path).map_err(failed)?);
    file.take(MAX_GENESIS_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.starts_with(&GZIP_MAGIC) {
        let packed = std::mem::take(&mut bytes);
        let content = MultiGzDecoder::new(&*packed).take(MAX_GENESIS_BYTES);
        { content }.read_to_end(&mut bytes).map_err(failed)?;
    }
    parse(path, &bytes)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Genesis, NetworkError> {
    serde_json::from_slice(bytes)
        .map_err(|source| NetworkError::Parse { path: path.to_owned(), source })
}

fn unpacked(file: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(file).read_to_end(&mut bytes).expect("built-in files are whole");
    bytes
}
