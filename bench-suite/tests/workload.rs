//! The built-in workloads: deterministic, valid, and doing what their contracts promise.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use alloy_consensus::{
    TxReceipt,
    proofs::{calculate_receipt_root, calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_primitives::{Address, B256, Log, U256, address, b256, keccak256};
use pleach_bench_suite::workload::{
    BUILTIN_GAS, Kind, Workload,
    artifact::{Artifact, Contract, mapping_slot},
    builtin, generate, state_root,
};
use pleach_engine::{BlockOutput, ExecuteError, RecoveredBlock, execute_serial};
use pleach_gpu_accel::Accelerator;
use pleach_state::FlatState;
use revm::database::{BundleAccount, BundleState};

/// Gas of the small blocks that most tests make.
const GAS: u64 = 6_000_000;

/// A block whose output is known, and which is known to match its header.
struct Executed {
    workload: Workload,
    prestate: Arc<FlatState>,
    output: BlockOutput,
}

fn execute(workload: &Workload) -> Result<BlockOutput, ExecuteError> {
    // Through bytes and signatures, as a block from elsewhere would come.
    let block = RecoveredBlock::decode(&alloy_rlp::encode(&workload.block)).expect("it decodes");
    let block = RecoveredBlock::recover(block, true, &Accelerator::cpu(2).expect("threads start"))
        .expect("all signed");
    assert_eq!(block.senders(), workload.senders);
    execute_serial(&workload.chain, &block, &Arc::new(workload.prestate.clone()), false)
}

/// Executes a block and compares everything that its header says.
fn checked(workload: Workload) -> Executed {
    let name = workload.name;
    let output = execute(&workload).unwrap_or_else(|error| panic!("{name}: {error}"));
    let header = &workload.block.header;
    let body = &workload.block.body;
    assert_eq!(header.gas_used, output.gas_used, "{name}");
    assert_eq!(header.logs_bloom, output.logs_bloom(), "{name}");
    assert_eq!(header.receipts_root, calculate_receipt_root(&output.receipts), "{name}");
    assert_eq!(header.requests_hash, Some(output.requests.requests_hash()), "{name}");
    assert_eq!(header.state_root, state_root(&workload.prestate, &output.bundle), "{name}");
    assert_eq!(header.blob_gas_used, Some(output.blob_gas_used), "{name}");
    assert_eq!(header.transactions_root, calculate_transaction_root(&body.transactions), "{name}");
    let withdrawals = body.withdrawals.as_deref().expect("there are withdrawals");
    assert_eq!(withdrawals.len(), 16, "{name}");
    assert_eq!(header.withdrawals_root, Some(calculate_withdrawals_root(withdrawals)), "{name}");
    let prestate = Arc::new(workload.prestate.clone());
    Executed { workload, prestate, output }
}

impl Executed {
    fn all_succeed(&self) -> bool {
        self.output.receipts.iter().all(TxReceipt::status)
    }

    fn logs(&self) -> impl Iterator<Item = &Log> {
        self.output.receipts.iter().flat_map(|receipt| receipt.logs())
    }

    /// Accounts that run a contract and whose storage changed, in order of address.
    fn changed(&self, contract: Contract) -> Vec<(Address, &BundleAccount)> {
        let hash = keccak256(Artifact::load(contract).deployed_bytecode);
        let runs = |account: &BundleAccount| {
            account.info.as_ref().is_some_and(|info| info.code_hash == hash)
        };
        let accounts = self.output.bundle.state.iter();
        let mut found: Vec<_> = accounts
            .filter(|(_, account)| runs(account) && !account.storage.is_empty())
            .map(|(address, account)| (*address, account))
            .collect();
        found.sort_unstable_by_key(|(address, _)| *address);
        found
    }

    fn slot_after(&self, account: Address, slot: U256) -> U256 {
        let changed = self.output.bundle.account(&account);
        let before = self.prestate.account(&account).and_then(|a| a.storage.get(&slot)).copied();
        changed.and_then(|changed| changed.storage_slot(slot)).or(before).unwrap_or_default()
    }
}

#[test]
fn artifacts_are_those_of_the_committed_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("contracts");
    let read = |path: &str| std::fs::read(root.join(path)).expect("a recorded source exists");
    let package: serde_json::Value = serde_json::from_slice(&read("package.json")).unwrap();
    let pinned = package["devDependencies"]["solc"].as_str().unwrap();
    let mut compiled = BTreeSet::new();
    for contract in Contract::ALL {
        let artifact = Artifact::load(contract);
        assert_eq!(artifact.contract, format!("{contract:?}"));
        assert!(artifact.compiler.starts_with(&format!("{pinned}+")), "{}", artifact.compiler);
        assert!(artifact.sources.contains_key(&format!("src/{contract:?}.sol")));
        for (path, hash) in artifact.sources {
            let stale = "stale: run `npm ci && node build.mjs` in bench-suite/contracts";
            assert_eq!(keccak256(read(&path)), hash, "{contract:?}: {path} is {stale}");
            compiled.insert(root.join(path));
        }
    }
    let sources = std::fs::read_dir(root.join("src")).unwrap();
    let sources: BTreeSet<_> = sources.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(sources, compiled, "every source goes into an artifact");
}

#[test]
fn constructors_leave_the_recorded_runtime_code() {
    use revm::{
        Context, ExecuteEvm, MainBuilder, MainContext, context::TxEnv,
        context_interface::result::ExecutionResult, primitives::TxKind,
    };
    for contract in Contract::ALL {
        let artifact = Artifact::load(contract);
        let arguments = match contract {
            Contract::Token => vec![U256::from(1000)],
            Contract::Pair => vec![U256::from(0xa11ce), U256::from(0xb0b)],
            _ => Vec::new(),
        };
        let words = arguments.iter().flat_map(|word| word.to_be_bytes::<32>());
        let data = artifact.bytecode.iter().copied().chain(words).collect();
        let create = TxEnv { kind: TxKind::Create, data, gas_limit: 5_000_000, ..TxEnv::default() };
        let result = Context::mainnet().build_mainnet().transact(create).unwrap().result;
        let ExecutionResult::Success { output, .. } = result else {
            panic!("{contract:?}: {result:?}");
        };
        assert_eq!(output.into_data(), artifact.deployed_bytecode, "{contract:?}");
    }
}

#[test]
fn system_contracts_have_the_code_of_mainnet() {
    // Hashes of the codes in the execution witness of mainnet block 24,628,607.
    let expected = [
        (
            address!("0x0000F90827F1C53a10cb7A02335B175320002935"),
            b256!("0x6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d"),
        ),
        (
            address!("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02"),
            b256!("0xf57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c"),
        ),
        (
            address!("0x00000961Ef480Eb55e80D19ad83579A64c007002"),
            b256!("0x0345a365d2f4c5975b9f1599abe0a2ee76b7a3a731bc68781bd04c84e4858f50"),
        ),
        (
            address!("0x0000BBdDc7CE488642fb579F8B00f3a590007251"),
            b256!("0x78c6cb5202685228bbcbfb992b1c4e116c7ec5ef11e25b8e92716cfc628ddd60"),
        ),
    ];
    let prestate = generate(Kind::Transfers, 21_000, 1).prestate;
    for (address, hash) in expected {
        assert_eq!(prestate.account(&address).unwrap().info.code_hash, hash, "{address}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let empty = BundleState::default();
    let made = |kind, seed| {
        let workload = generate(kind, 1_000_000, seed);
        let hash = keccak256(alloy_rlp::encode(&workload.block));
        (hash, workload.senders, state_root(&workload.prestate, &empty))
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (one, three) = (pool(1), pool(3));
    for kind in Kind::ALL {
        let first = one.install(|| made(kind, 7));
        assert_eq!(first, three.install(|| made(kind, 7)), "{kind:?}");
        let other = made(kind, 8);
        assert_ne!(first.0, other.0, "{kind:?}");
        assert_ne!(first.2, other.2, "{kind:?}");
    }
}

#[test]
fn built_in_blocks_are_valid_and_have_all_transaction_types() {
    for workload in builtin(1) {
        let executed = checked(workload);
        let name = executed.workload.name;
        assert!(executed.all_succeed(), "{name}");
        let txs = &executed.workload.block.body.transactions;
        let types: BTreeSet<_> = txs.iter().map(|tx| tx.tx_type() as u8).collect();
        assert_eq!(types, BTreeSet::from([0, 1, 2]), "{name}");
    }
}

#[test]
fn every_kind_but_the_invalid_one_is_valid_and_of_the_size_asked_for() {
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Invalid) {
        let workload = generate(kind, BUILTIN_GAS, 3);
        assert_eq!(workload.invalid, None);
        assert_eq!(Kind::by_name(workload.name), Some(kind));
        let executed = checked(workload);
        assert!(executed.all_succeed(), "{kind:?}");
        let gas = executed.output.gas_used;
        assert!(gas.abs_diff(BUILTIN_GAS) < BUILTIN_GAS / 20, "{kind:?}: {gas}");
    }
}

#[test]
fn blocks_of_other_sizes_are_valid() {
    for gas in [0, 21_000, 100_000, 1_000_000] {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Invalid) {
            assert!(checked(generate(kind, gas, 5)).all_succeed(), "{kind:?} {gas}");
        }
    }
}

#[test]
fn the_gas_limit_is_the_least_that_suffices() {
    for kind in [Kind::Transfers, Kind::Swaps, Kind::Contended] {
        let mut workload = generate(kind, 1_000_000, 2);
        workload.block.header.gas_limit -= 1;
        assert!(execute(&workload).is_err_and(|error| error.is_invalid_block()), "{kind:?}");
    }
}

#[test]
fn the_invalid_transaction_is_refused_and_its_twin_lacks_only_that() {
    let mut invalid = generate(Kind::Invalid, GAS, 4);
    let twin = generate(Kind::WithoutInvalid, GAS, 4);
    let index = invalid.invalid.expect("there is an invalid transaction");
    assert_eq!(index, twin.senders.len() / 2);
    let error = execute(&invalid).expect_err("the block is invalid");
    assert!(error.is_invalid_block());
    assert_eq!(error.index(), Some(index));
    invalid.block.body.transactions.remove(index);
    assert_eq!(invalid.block.body, twin.block.body);
    assert_eq!(invalid.block.header.state_root, twin.block.header.state_root);
}

#[test]
fn the_self_destructing_transaction_destroys_and_pays_its_heir() {
    let with = checked(generate(Kind::SelfDestruct, GAS, 4));
    let twin = generate(Kind::WithoutSelfDestruct, GAS, 4);
    let index = twin.senders.len() / 2;
    let [log] = with.output.receipts[index].logs() else { panic!("there is one log") };
    let [event, mayfly, heir] = log.topics() else { panic!("three topics: {log:?}") };
    assert_eq!(*event, keccak256("Perished(address,address)"));
    let balance = |account: &BundleAccount| account.info.as_ref().map(|info| info.balance);
    assert_eq!(with.output.bundle.account(&Address::from_word(*mayfly)).and_then(balance), None);
    let heir = Address::from_word(*heir);
    let after = with.output.bundle.account(&heir).and_then(balance).expect("the heir is paid");
    let before = with.prestate.account(&heir).map_or(U256::ZERO, |account| account.info.balance);
    assert_eq!(after - before, U256::from(1_000_000_000_000_000_u64));
    let mut without = with.workload.block.body.clone();
    without.transactions.remove(index);
    assert_eq!(without, twin.block.body);
}

#[test]
fn token_transfers_conserve_the_supply() {
    for kind in [Kind::Erc20, Kind::HotErc20Recipient, Kind::Swaps, Kind::Contended] {
        let executed = checked(generate(kind, GAS, 6));
        let tokens = executed.changed(Contract::Token);
        assert!(!tokens.is_empty(), "{kind:?}");
        for (token, account) in tokens {
            // Allowances are infinite and stay; all slots that change are balances.
            let slots = account.storage.values();
            let (before, after) = slots.fold((U256::ZERO, U256::ZERO), |(before, after), slot| {
                (before + slot.previous_or_original_value, after + slot.present_value)
            });
            assert_eq!(before, after, "{kind:?}: {token}");
            let supply = Artifact::load(Contract::Token).slot("totalSupply");
            assert!(executed.slot_after(token, supply) >= after, "{kind:?}: {token}");
            assert!(!account.storage.contains_key(&supply), "{kind:?}: {token}");
        }
    }
}

#[test]
fn trades_do_not_lower_a_pools_product() {
    let artifact = Artifact::load(Contract::Pair);
    let balances = Artifact::load(Contract::Token).slot("balanceOf");
    for kind in [Kind::Swaps, Kind::IndependentSwaps, Kind::HotPool, Kind::Contended] {
        let executed = checked(generate(kind, GAS, 6));
        let pairs = executed.changed(Contract::Pair);
        assert!(!pairs.is_empty() && (kind != Kind::HotPool || pairs.len() == 1), "{kind:?}");
        for (pair, account) in pairs {
            let slot = &account.storage[&artifact.slot("reserve0")];
            let before = reserves(slot.previous_or_original_value);
            let after = reserves(slot.present_value);
            assert!(after[0] * after[1] > before[0] * before[1], "{kind:?}: {pair}");
            for (label, reserve) in [("token0", after[0]), ("token1", after[1])] {
                let token = executed.slot_after(pair, artifact.slot(label));
                let token = Address::from_word(token.into());
                let held = mapping_slot(balances, pair.into_word());
                assert_eq!(executed.slot_after(token, held), reserve, "{kind:?}: {pair}");
            }
        }
    }
}

fn reserves(packed: U256) -> [U256; 2] {
    let mask = (U256::ONE << 112) - U256::ONE;
    [packed & mask, (packed >> 112) & mask]
}

#[test]
fn minted_collectibles_belong_to_who_minted_them() {
    let transfer = keccak256("Transfer(address,address,uint256)");
    let owners = Artifact::load(Contract::OpenCollectible).slot("owners");
    assert_eq!(owners, Artifact::load(Contract::NumberedCollectible).slot("owners"));
    let executed = checked(generate(Kind::Mints, GAS, 9));
    let logs: Vec<_> = executed.logs().collect();
    assert_eq!(logs.len(), executed.workload.senders.len());
    for (log, sender) in logs.into_iter().zip(&executed.workload.senders) {
        assert_eq!(log.topics()[..3], [transfer, B256::ZERO, sender.into_word()]);
        let owner = executed.slot_after(log.address, mapping_slot(owners, log.topics()[3]));
        assert_eq!(owner, U256::from_be_bytes(sender.into_word().0));
    }
}

#[test]
fn the_contended_mix_has_every_hot_spot() {
    let executed = checked(generate(Kind::Contended, BUILTIN_GAS, 1));
    let count = executed.workload.senders.len();
    let share = |percent: usize| count * percent / 100;
    let longest = most_frequent(executed.workload.senders.iter());
    assert!(longest >= share(10), "one sender's nonce chain: {longest}");
    let swap = keccak256("Swap(address,uint256,uint256,uint256,uint256,address)");
    let swaps = executed.logs().filter(|log| log.topics()[0] == swap).map(|log| log.address);
    assert!(most_frequent(swaps) >= share(25), "one pool");
    let counter = Artifact::load(Contract::NumberedCollectible).slot("totalSupply");
    let minted = executed.changed(Contract::NumberedCollectible).into_iter();
    let most = minted.map(|(address, _)| executed.slot_after(address, counter)).max();
    assert!(most >= Some(U256::from(share(10))), "one counter: {most:?}");
    let transfer = keccak256("Transfer(address,address,uint256)");
    let paid = executed.logs().filter(|log| log.topics()[0] == transfer && log.topics().len() == 3);
    let to_user = paid.filter(|log| !executed.is_pair(Address::from_word(log.topics()[2])));
    let to_user = to_user.map(|log| (log.address, log.topics()[2]));
    assert!(most_frequent(to_user) >= share(15), "one recipient");
}

impl Executed {
    fn is_pair(&self, address: Address) -> bool {
        self.changed(Contract::Pair).iter().any(|(pair, _)| *pair == address)
    }
}

fn most_frequent<T: Ord>(items: impl Iterator<Item = T>) -> usize {
    let mut items: Vec<_> = items.collect();
    items.sort_unstable();
    items.chunk_by(|a, b| a == b).map(<[_]>::len).max().unwrap_or_default()
}

#[test]
fn the_state_root_is_that_of_the_changes_written_into_the_prestate() {
    let executed = checked(generate(Kind::SelfDestruct, GAS, 11));
    let mut after = (*executed.prestate).clone();
    executed.output.bundle.state.iter().for_each(|(address, changed)| {
        let mut account = after.remove_account(address).unwrap_or_default();
        let Some(info) = &changed.info else { return };
        account.info = info.clone();
        let slots = changed.storage.iter().map(|(slot, value)| (*slot, value.present_value));
        account.storage.extend(slots);
        after.insert_account(*address, account);
    });
    let root = state_root(&after, &BundleState::default());
    assert_eq!(root, executed.workload.block.header.state_root);
    assert_ne!(root, state_root(&executed.prestate, &BundleState::default()));
}
