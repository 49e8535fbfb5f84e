//! ethrex-trie behind a pipe: changes in, the root and the time it took out.
//!
//! A request is the number of accounts (`u32`), and for each: 32 bytes of hashed address; a byte,
//! of which bit 0 says that the account exists and bit 1 that its storage is wiped; nonce (`u64`),
//! balance (32 bytes, big-endian) and code hash; the number of slots (`u32`), and for each its 32
//! bytes of hashed number and 32 of value, big-endian. The answer is 32 bytes of root and the
//! nanoseconds (`u64`). Integers are little-endian. Reading a request is not timed.

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    time::Instant,
};

use alloy_primitives::{B256, U256, b256};
use alloy_rlp::RlpEncodable;
use ethrex_crypto::NativeCrypto;
use ethrex_trie::{Trie, TrieError};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EMPTY_ROOT: B256 = b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");

/// An account's leaf.
#[derive(Debug, Clone, RlpEncodable)]
struct Leaf {
    nonce: u64,
    balance: U256,
    storage_root: B256,
    code_hash: B256,
}

struct Change {
    address: B256,
    exists: bool,
    wiped: bool,
    leaf: Leaf,
    slots: Vec<(B256, U256)>,
}

/// A trie of accounts and tries of slots, all in memory. Nothing is ever written to a database.
struct State {
    accounts: Trie,
    storages: HashMap<B256, (Trie, B256)>,
}

fn main() -> io::Result<()> {
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    let mut state = State { accounts: Trie::new_temp(), storages: HashMap::new() };
    while let Some(changes) = read_request(&mut input)? {
        let start = Instant::now();
        let root = state.update(changes).map_err(io::Error::other)?;
        let nanoseconds = start.elapsed().as_nanos() as u64;
        output.write_all(root.as_slice())?;
        output.write_all(&nanoseconds.to_le_bytes())?;
        output.flush()?;
    }
    Ok(())
}

impl State {
    fn update(&mut self, changes: Vec<Change>) -> Result<B256, TrieError> {
        for change in changes {
            self.update_account(change)?;
        }
        Ok(B256::from(self.accounts.hash_no_commit(&NativeCrypto).0))
    }

    fn update_account(&mut self, change: Change) -> Result<(), TrieError> {
        let Change { address, exists, wiped, mut leaf, slots } = change;
        if wiped || !exists {
            self.storages.remove(&address);
        }
        if !exists {
            self.accounts.remove(address.as_slice())?;
            return Ok(());
        }
        if !slots.is_empty() {
            let storage = self.storages.entry(address);
            let (trie, root) = storage.or_insert_with(|| (Trie::new_temp(), EMPTY_ROOT));
            for (slot, value) in slots {
                if value.is_zero() {
                    trie.remove(slot.as_slice())?;
                } else {
                    trie.insert(slot.to_vec(), alloy_rlp::encode(value))?;
                }
            }
            *root = B256::from(trie.hash_no_commit(&NativeCrypto).0);
        }
        leaf.storage_root = self.storages.get(&address).map_or(EMPTY_ROOT, |(_, root)| *root);
        self.accounts.insert(address.to_vec(), alloy_rlp::encode(leaf))
    }
}

/// The next request; none at the end of the input.
fn read_request(input: &mut impl Read) -> io::Result<Option<Vec<Change>>> {
    let count = match read::<4>(input) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        count => u32::from_le_bytes(count?),
    };
    (0..count).map(|_| read_change(input)).collect::<io::Result<_>>().map(Some)
}

fn read_change(input: &mut impl Read) -> io::Result<Change> {
    let address = B256::new(read(input)?);
    let [flags] = read(input)?;
    let leaf = Leaf {
        nonce: u64::from_le_bytes(read(input)?),
        balance: U256::from_be_bytes(read::<32>(input)?),
        storage_root: EMPTY_ROOT,
        code_hash: B256::new(read(input)?),
    };
    let slots = (0..u32::from_le_bytes(read(input)?))
        .map(|_| Ok((B256::new(read(input)?), U256::from_be_bytes(read::<32>(input)?))));
    let slots = slots.collect::<io::Result<_>>()?;
    Ok(Change { address, exists: flags & 1 != 0, wiped: flags & 2 != 0, leaf, slots })
}

fn read<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
