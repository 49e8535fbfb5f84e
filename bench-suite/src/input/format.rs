//! The two JSON formats of blocks: with a full witness, and with a flat prestate.
//!
//! Both have `network`, `number`, `hash` and `block` (RLP of the whole block, in hex). A witness
//! block adds `pre_state_root` and `witness`, the answer of `debug_executionWitness`; a flat one
//! adds `accounts` and `codes`. Either may give `block_hashes`, by number, for `BLOCKHASH`.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    sync::Arc,
};

use alloy_consensus::{Block, Header, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rlp::decode_exact;
use flate2::bufread::MultiGzDecoder;
use pleach_engine::{ChainSpec, RecoveredBlock};
use pleach_state::{FlatAccount, FlatState, WitnessState};
use revm::state::AccountInfo;
use serde::{Deserialize, de::IgnoredAny};

use super::{BlockFile, BlockInput, InputError, InputErrorKind, InputState};

/// Reads a block from a file, gzipped or not.
///
/// `None` if the file was met in a folder and is JSON of another kind.
///
/// # Errors
/// [`InputError`] says what is wrong with the file.
pub fn read(file: &BlockFile) -> Result<Option<BlockInput>, InputError> {
    let path = &file.path;
    let text = read_text(path).map_err(|kind| kind.at(path))?;
    if !file.named && !looks_like_block(&text).map_err(|kind| kind.at(path))? {
        return Ok(None);
    }
    let input = parse(&text, path.display().to_string());
    input.map(Some).map_err(|kind| kind.at(path))
}

fn read_text(path: &Path) -> Result<Vec<u8>, InputErrorKind> {
    let mut reader = BufReader::new(File::open(path).map_err(InputErrorKind::Io)?);
    let mut text = Vec::new();
    if is_gzip(&mut reader).map_err(InputErrorKind::Io)? {
        let read = MultiGzDecoder::new(reader).read_to_end(&mut text);
        read.map_err(InputErrorKind::Gzip)?;
    } else {
        reader.read_to_end(&mut text).map_err(InputErrorKind::Io)?;
    }
    Ok(text)
}

/// Whether gzip's two magic bytes come first; the name of the file does not matter.
fn is_gzip(reader: &mut impl io::BufRead) -> io::Result<bool> {
    Ok(reader.fill_buf()?.starts_with(&[0x1f, 0x8b]))
}

/// Whether JSON is a block: an object with the fields that both formats have. Text that is no JSON
/// is an error, in a folder too: it may be a block that was damaged.
fn looks_like_block(text: &[u8]) -> Result<bool, InputErrorKind> {
    match serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(text) {
        Ok(fields) => Ok(["network", "block"].iter().all(|name| fields.contains_key(*name))),
        Err(error) if error.is_data() => Ok(false),
        Err(error) => Err(InputErrorKind::Json(error)),
    }
}

/// Both formats in one; which it is, is told by `witness` and `accounts`.
#[derive(Deserialize)]
struct BlockJson {
    network: String,
    number: u64,
    hash: B256,
    block: Bytes,
    pre_state_root: Option<B256>,
    witness: Option<WitnessJson>,
    accounts: Option<BTreeMap<Address, AccountJson>>,
    #[serde(default)]
    codes: Vec<Bytes>,
    #[serde(default)]
    block_hashes: BTreeMap<u64, B256>,
}

/// The answer of `debug_executionWitness`. `keys` are preimages, which nothing here needs.
#[derive(Deserialize)]
struct WitnessJson {
    state: Vec<Bytes>,
    codes: Vec<Bytes>,
    #[serde(default)]
    headers: Vec<Bytes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountJson {
    nonce: U64,
    balance: U256,
    code_hash: B256,
    #[serde(default)]
    storage: BTreeMap<U256, U256>,
}

fn parse(text: &[u8], origin: String) -> Result<BlockInput, InputErrorKind> {
    let json: BlockJson = serde_json::from_slice(text).map_err(|error| {
        if error.is_data() { InputErrorKind::Format(error) } else { InputErrorKind::Json(error) }
    })?;
    let chain = Arc::new(ChainSpec::by_name(&json.network)?);
    let block = RecoveredBlock::decode(&json.block)?;
    agree("hash", json.hash, block.header.hash_slow())?;
    agree("number", json.number, block.header.number)?;
    let prestate = prestate(json, &block)?;
    Ok(BlockInput { origin, workload: None, chain, block, prestate })
}

fn agree<T: PartialEq + ToString>(
    field: &'static str,
    expected: T,
    got: T,
) -> Result<(), InputErrorKind> {
    if expected == got {
        return Ok(());
    }
    let (expected, got) = (expected.to_string(), got.to_string());
    Err(InputErrorKind::Disagrees { field, expected, got })
}

fn prestate(json: BlockJson, block: &Block<TxEnvelope>) -> Result<InputState, InputErrorKind> {
    match (json.witness, json.pre_state_root, json.accounts) {
        (Some(witness), Some(root), _) => {
            witness_state(witness, root, json.block_hashes, &block.header)
        }
        (None, _, Some(accounts)) => {
            Ok(InputState::Flat(flat_state(accounts, json.codes, json.block_hashes)))
        }
        _ => Err(InputErrorKind::NoPrestate),
    }
}

fn flat_state(
    accounts: BTreeMap<Address, AccountJson>,
    codes: Vec<Bytes>,
    block_hashes: BTreeMap<u64, B256>,
) -> FlatState {
    let mut state = FlatState::new();
    for (address, account) in accounts {
        let info = AccountInfo {
            nonce: account.nonce.to(),
            balance: account.balance,
            code_hash: account.code_hash,
            // Code is found by its hash; the default would say that there is none.
            code: None,
            ..AccountInfo::default()
        };
        let storage = account.storage.into_iter().collect();
        state.insert_account(address, FlatAccount { info, storage });
    }
    for code in codes {
        state.insert_code(code);
    }
    for (number, hash) in block_hashes {
        state.insert_block_hash(number, hash);
    }
    state
}

fn witness_state(
    witness: WitnessJson,
    root: B256,
    block_hashes: BTreeMap<u64, B256>,
    header: &Header,
) -> Result<InputState, InputErrorKind> {
    let ancestors = ancestors(&witness.headers, header)?;
    let parent_state_root = ancestors.last().map(|parent| parent.state_root);
    let mut state = WitnessState::new(root);
    for (number, hash) in block_hashes {
        state.insert_block_hash(number, hash);
    }
    for ancestor in &ancestors {
        state.insert_ancestor(ancestor);
    }
    for node in witness.state {
        state.insert_node(node);
    }
    for code in witness.codes {
        state.insert_code(code);
    }
    let numbers = ancestors.iter().map(|ancestor| ancestor.number);
    let ancestors = numbers.zip(witness.headers).collect();
    Ok(InputState::Witness { state, parent_state_root, ancestors })
}

/// Decodes the ancestors' headers and proves that they lead, without a gap, to the block.
fn ancestors(headers: &[Bytes], block: &Header) -> Result<Vec<Header>, InputErrorKind> {
    let decoded = headers.iter().enumerate().map(|(index, rlp)| {
        decode_exact::<Header>(rlp).map_err(|source| InputErrorKind::Ancestor { index, source })
    });
    let ancestors = decoded.collect::<Result<Vec<_>, _>>()?;
    let broken = ancestors.windows(2).position(|pair| pair[1].parent_hash != pair[0].hash_slow());
    if let Some(before) = broken {
        return Err(InputErrorKind::BrokenAncestry { index: before + 1 });
    }
    match ancestors.last().map(Header::hash_slow) {
        Some(given) if given != block.parent_hash => {
            Err(InputErrorKind::NotTheParent { given, parent: block.parent_hash })
        }
        _ => Ok(ancestors),
    }
}
