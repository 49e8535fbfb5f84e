//! A small block made by hand, and the command that replays it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicUsize, Ordering},
};

use alloy_consensus::{
    Block, BlockBody, Eip658Value, Header, Receipt, ReceiptEnvelope, SignableTransaction,
    TxEnvelope, TxLegacy,
    crypto::secp256k1::recover_signer,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_primitives::{
    Address, B256, Bloom, Bytes, Log, LogData, Signature, TxKind, U256, keccak256,
};
use alloy_trie::{EMPTY_ROOT_HASH, HashBuilder, KECCAK_EMPTY, Nibbles, proof::ProofRetainer};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

/// `slot 0 += 1; log0(0, 0)`
const COUNTER_CODE: [u8; 14] =
    [0x60, 0, 0x54, 0x60, 1, 0x01, 0x60, 0, 0x55, 0x60, 0, 0x60, 0, 0xa0];
/// 21000, SLOAD of a cold slot (2100), ADD and five PUSH1 (3 each), SSTORE of a warm slot from one
/// nonzero value to another (2900), LOG0 (375): counted by hand from EIP-2929 and the yellow paper.
const COUNTER_GAS: u64 = 21_000 + 2_100 + 6 * 3 + 2_900 + 375;
const TRANSFER_GAS: u64 = 21_000;
/// Between the Merge and Shanghai: no rewards, no system calls, no withdrawals.
const NUMBER: u64 = 15_600_000;
const TIMESTAMP: u64 = 1_664_000_000;

/// An account of the sample's prestate.
#[derive(Clone)]
pub(crate) struct SampleAccount {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
    pub(crate) storage: BTreeMap<U256, U256>,
}

/// A block of two transfers and a contract call, its header computed by hand rather than by the
/// engine, and the state before it.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) block: Block<TxEnvelope>,
    pub(crate) accounts: BTreeMap<Address, SampleAccount>,
    pub(crate) senders: Vec<Address>,
    pub(crate) counter: Address,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let counter = Address::repeat_byte(0xcc);
        let recipients = [Address::repeat_byte(0xa1), Address::repeat_byte(0xa2), counter];
        let (txs, senders): (Vec<_>, Vec<_>) = recipients.into_iter().map(transaction).unzip();
        let accounts = accounts(&senders, counter);
        let receipts = receipts(counter);
        let bloom =
            receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | *receipt.logs_bloom());
        let header = Header {
            parent_hash: parent(&accounts).hash_slow(),
            number: NUMBER,
            timestamp: TIMESTAMP,
            gas_limit: 30_000_000,
            base_fee_per_gas: Some(7),
            beneficiary: Address::repeat_byte(0xbe),
            gas_used: 2 * TRANSFER_GAS + COUNTER_GAS,
            transactions_root: calculate_transaction_root(&txs),
            receipts_root: calculate_receipt_root(&receipts),
            logs_bloom: bloom,
            state_root: account_trie(&accounts_after(&accounts, &senders, counter)).0,
            ..Header::default()
        };
        let block = Block { header, body: BlockBody { transactions: txs, ..BlockBody::default() } };
        Self { block, accounts, senders, counter }
    }

    /// The same block with another header.
    pub(crate) fn with_header(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.block.header);
        self
    }

    fn common(&self) -> Value {
        json!({
            "network": "mainnet",
            "number": self.block.header.number,
            "hash": self.block.header.hash_slow(),
            "block": Bytes::from(alloy_rlp::encode(&self.block)),
        })
    }

    /// As a JSON of the format with a flat prestate.
    pub(crate) fn flat(&self) -> Value {
        let accounts = self.accounts.iter().map(|(address, account)| {
            let account = json!({
                "nonce": U256::from(account.nonce),
                "balance": account.balance,
                "codeHash": account.code_hash,
                "storage": account.storage,
            });
            (address.to_string(), account)
        });
        let mut value = self.common();
        value["accounts"] = Value::Object(accounts.collect());
        value["codes"] = json!([Bytes::from_static(&COUNTER_CODE)]);
        value
    }

    /// As a JSON of the format with a full witness.
    pub(crate) fn witness(&self) -> Value {
        let (root, mut nodes) = account_trie(&self.accounts);
        nodes.extend(storage_trie(&self.accounts[&self.counter]).1);
        let mut value = self.common();
        value["pre_state_root"] = json!(root);
        value["witness"] = json!({
            "state": nodes,
            "codes": [Bytes::from_static(&COUNTER_CODE)],
            "keys": [],
            "headers": [Bytes::from(alloy_rlp::encode(parent(&self.accounts)))],
        });
        value
    }
}

/// A transaction with a made-up signature, and the sender that it happens to have: nobody needs a
/// key for an address whose account the test makes itself.
fn transaction(to: Address) -> (TxEnvelope, Address) {
    let tx = TxLegacy {
        chain_id: Some(1),
        gas_price: 10,
        gas_limit: 100_000,
        to: TxKind::Call(to),
        value: U256::from(if to == Address::repeat_byte(0xcc) { 0 } else { 5 }),
        ..TxLegacy::default()
    };
    let hash = tx.signature_hash();
    let mut candidates = (1_u64..).map(|r| Signature::new(U256::from(r), U256::from(77), false));
    let recovers = |signature: &Signature| recover_signer(signature, hash).is_ok();
    let signature = candidates.find(recovers).expect("half of all r are on the curve");
    let sender = recover_signer(&signature, hash).unwrap();
    (tx.into_signed(signature).into(), sender)
}

fn accounts(senders: &[Address], counter: Address) -> BTreeMap<Address, SampleAccount> {
    let plain = |balance: u64| SampleAccount {
        nonce: 0,
        balance: U256::from(balance),
        code_hash: KECCAK_EMPTY,
        storage: BTreeMap::new(),
    };
    // Bystanders give the trie branches in which others' absence is proven.
    let bystanders = (1..60).map(|i| (Address::with_last_byte(i), plain(1)));
    let funded = senders.iter().map(|sender| (*sender, plain(1_000_000_000)));
    let mut accounts: BTreeMap<_, _> = bystanders.chain(funded).collect();
    let storage = (0..30_u64).map(|slot| (U256::from(slot), U256::from(slot + 5))).collect();
    let code_hash = keccak256(COUNTER_CODE);
    accounts.insert(counter, SampleAccount { nonce: 1, code_hash, storage, ..plain(0) });
    accounts
}

/// The state after the block: who sent pays value and gas at a price of 10, of which the base fee
/// of 7 is burnt, and the counter counts one up from 5.
fn accounts_after(
    before: &BTreeMap<Address, SampleAccount>,
    senders: &[Address],
    counter: Address,
) -> BTreeMap<Address, SampleAccount> {
    let mut after = before.clone();
    let gas = [TRANSFER_GAS, TRANSFER_GAS, COUNTER_GAS];
    for (sender, (gas, value)) in senders.iter().zip(gas.into_iter().zip([5, 5, 0])) {
        let sender = after.get_mut(sender).unwrap();
        sender.nonce += 1;
        sender.balance -= U256::from(10 * gas + value);
    }
    let mut receives = |address: Address, amount: u64| {
        let new = SampleAccount {
            nonce: 0,
            balance: U256::ZERO,
            code_hash: KECCAK_EMPTY,
            storage: BTreeMap::new(),
        };
        after.entry(address).or_insert(new).balance += U256::from(amount);
    };
    receives(Address::repeat_byte(0xa1), 5);
    receives(Address::repeat_byte(0xa2), 5);
    receives(Address::repeat_byte(0xbe), 3 * gas.iter().sum::<u64>());
    after.get_mut(&counter).unwrap().storage.insert(U256::ZERO, U256::from(6));
    after
}

fn receipts(counter: Address) -> Vec<ReceiptEnvelope> {
    let log = Log { address: counter, data: LogData::empty() };
    let gas = [TRANSFER_GAS, 2 * TRANSFER_GAS, 2 * TRANSFER_GAS + COUNTER_GAS];
    let receipts = gas.into_iter().zip([vec![], vec![], vec![log]]);
    let receipt = |(cumulative_gas_used, logs)| Receipt {
        status: Eip658Value::Eip658(true),
        cumulative_gas_used,
        logs,
    };
    receipts.map(|parts| ReceiptEnvelope::Legacy(receipt(parts).with_bloom())).collect()
}

fn parent(accounts: &BTreeMap<Address, SampleAccount>) -> Header {
    let state_root = account_trie(accounts).0;
    Header { number: NUMBER - 1, state_root, timestamp: TIMESTAMP - 12, ..Header::default() }
}

fn account_trie(accounts: &BTreeMap<Address, SampleAccount>) -> (B256, Vec<Bytes>) {
    let leaf = |(address, account): (&Address, &SampleAccount)| {
        let SampleAccount { nonce, balance, code_hash, .. } = *account;
        let storage_root = storage_trie(account).0;
        let leaf = alloy_trie::TrieAccount::new(nonce, balance, storage_root, code_hash);
        (keccak256(address), alloy_rlp::encode(leaf))
    };
    trie(accounts.iter().map(leaf).collect())
}

fn storage_trie(account: &SampleAccount) -> (B256, Vec<Bytes>) {
    let leaf =
        |(slot, value): (&U256, &U256)| (keccak256(B256::from(*slot)), alloy_rlp::encode(value));
    trie(account.storage.iter().map(leaf).collect())
}

fn trie(leaves: BTreeMap<B256, Vec<u8>>) -> (B256, Vec<Bytes>) {
    if leaves.is_empty() {
        return (EMPTY_ROOT_HASH, Vec::new());
    }
    let keys = leaves.keys().map(Nibbles::unpack).collect();
    let mut builder = HashBuilder::default().with_proof_retainer(ProofRetainer::new(keys));
    for (key, value) in &leaves {
        builder.add_leaf(Nibbles::unpack(key), value);
    }
    let root = builder.root();
    let nodes = builder.take_proof_nodes().into_nodes_sorted();
    (root, nodes.into_iter().map(|(_, rlp)| rlp).collect())
}

/// A folder for one test's files, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        // Tests run side by side, in threads of a process and in processes of a machine. The
        // counter orders nothing; it only never gives a number twice.
        static FOLDERS: AtomicUsize = AtomicUsize::new(0);
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("pleach-{test}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in a temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// What `pleach replay … --json` did.
pub(crate) struct Replayed {
    pub(crate) code: i32,
    pub(crate) blocks: Vec<Value>,
    pub(crate) summary: Value,
}

impl Replayed {
    /// The only block's status and error text.
    pub(crate) fn only(&self) -> (&str, &str) {
        assert_eq!(self.blocks.len(), 1);
        let block = &self.blocks[0];
        (block["status"].as_str().unwrap(), block["error"].as_str().unwrap_or(""))
    }
}

/// Runs the command and makes sure of what holds for every run: it ends by itself, without a panic.
pub(crate) fn pleach(arguments: &[&str], paths: &[&Path]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_pleach"))
        .arg("replay")
        .args(arguments)
        .args(paths)
        .output()
        .expect("the built command starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert!(output.status.code().is_some(), "ended by a signal: {stderr}");
    output
}

pub(crate) fn replay(arguments: &[&str], path: &Path) -> Replayed {
    let output = pleach(&[arguments, &["--json"]].concat(), &[path]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut lines: Vec<_> = lines.collect();
    let summary = lines.pop().expect("the last line is the summary")["summary"].take();
    assert!(summary.is_object(), "{text}");
    let blocks = lines.iter_mut().map(|line| line["block"].take()).collect();
    Replayed { code: output.status.code().unwrap(), blocks, summary }
}

/// Replays one block given as JSON.
pub(crate) fn replay_json(test: &str, value: &Value, arguments: &[&str]) -> Replayed {
    let folder = Folder::new(test);
    replay(arguments, &folder.write("block.json", value.to_string()))
}
