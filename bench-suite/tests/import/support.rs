//! A small chain, and places to import it into.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Arc, LazyLock, atomic::AtomicBool},
};

use alloy_consensus::{Block, TxEnvelope};
use alloy_genesis::Genesis;
use pleach_bench_suite::workload::{TestChain, chain};
use pleach_engine::{
    ChainSpec, Engine, EngineConfig, genesis_header, genesis_state, genesis_state_root,
    import::{
        ImportConfig, ImportError, ImportEvent, ImportFailure, ImportReport, Importer, Origin,
        SourcedBlock,
    },
};
use pleach_gpu_accel::Accelerator;
use pleach_state::{
    mpt::TrieWorkers,
    store::{
        Backend, BackendStats, Batch, Head, MemoryBackend, Store, StoreConfig, StoreError, Table,
        Tables,
    },
};
use serde_json::Value;

/// Blocks 1 to 12, of 10 transactions each.
pub(super) static CHAIN: LazyLock<TestChain> = LazyLock::new(|| chain(1, 12, 10));

/// Tables in memory that can be looked at from outside.
#[derive(Debug, Clone, Default)]
struct SharedTables(Arc<MemoryBackend>);

impl Backend for SharedTables {
    fn snapshot(&self) -> Result<Arc<dyn Tables>, StoreError> {
        self.0.snapshot()
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.0.write(batch)
    }

    fn stats(&self) -> Result<BackendStats, StoreError> {
        self.0.stats()
    }
}

/// An importer into tables in memory.
pub(super) struct InMemory {
    pub(super) importer: Importer,
    tables: SharedTables,
}

impl InMemory {
    /// With the chain's genesis, and commits of so many blocks.
    pub(super) fn new(commit_blocks: usize) -> Self {
        Self::with_genesis(&CHAIN.genesis, commit_blocks)
    }

    pub(super) fn with_genesis(genesis: &Genesis, commit_blocks: usize) -> Self {
        let tables = SharedTables::default();
        Self { importer: importer_of(genesis, tables.clone(), commit_blocks), tables }
    }

    pub(super) fn import(
        &self,
        blocks: impl IntoIterator<Item = Block<TxEnvelope>, IntoIter: Send>,
    ) -> Result<ImportReport, ImportFailure> {
        let blocks = blocks.into_iter().map(|block| Ok(sourced(block)));
        self.importer.import(blocks, &AtomicBool::new(false), &mut |_| ())
    }

    pub(super) fn import_all(
        &self,
        blocks: impl Iterator<Item = Result<SourcedBlock, ImportError>> + Send,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(ImportEvent),
    ) -> Result<ImportReport, ImportFailure> {
        self.importer.import(blocks, stop, tell)
    }

    pub(super) fn head(&self) -> Head {
        self.importer.head().unwrap().unwrap()
    }

    /// Everything in the tables.
    pub(super) fn dump(&self) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
        let snapshot = self.tables.snapshot().unwrap();
        let mut entries = Vec::new();
        for table in Table::ALL {
            let mut add = |key: &[u8], value: &[u8]| {
                entries.push((table, key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            };
            snapshot.scan(table, &[], &mut add).unwrap();
        }
        entries
    }
}

/// An importer into empty tables, with the chain's genesis, and commits of so many blocks.
pub(super) fn importer(tables: impl Backend, commit_blocks: usize) -> Importer {
    importer_of(&CHAIN.genesis, tables, commit_blocks)
}

fn importer_of(genesis: &Genesis, tables: impl Backend, commit_blocks: usize) -> Importer {
    let chain = Arc::new(ChainSpec::from_genesis(genesis).unwrap());
    let store = Store::open(tables, StoreConfig::default()).unwrap();
    let header = genesis_header(&chain, genesis, genesis_state_root(genesis));
    store.init(&header, &genesis_state(genesis)).unwrap();
    Importer {
        chain,
        store: Arc::new(store),
        engine: Arc::new(Engine::new(EngineConfig { threads: 2 }).unwrap()),
        accelerator: Arc::new(Accelerator::cpu(2).unwrap()),
        workers: TrieWorkers::default(),
        config: ImportConfig { commit_blocks, ..ImportConfig::default() },
    }
}

pub(super) fn sourced(block: Block<TxEnvelope>) -> SourcedBlock {
    let origin = Origin { name: "a test".into(), offset: None };
    SourcedBlock { block, origin, access_list: None }
}

/// An empty folder of its own for a test.
pub(super) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("import-{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A chain's genesis and blocks as files.
pub(super) fn write_chain(folder: &Path, chain: &TestChain) -> (PathBuf, PathBuf) {
    let (genesis, blocks) = (folder.join("genesis.json"), folder.join("chain.rlp"));
    fs::write(&genesis, serde_json::to_vec(&chain.genesis).unwrap()).unwrap();
    fs::write(&blocks, chain.blocks.iter().flat_map(alloy_rlp::encode).collect::<Vec<_>>())
        .unwrap();
    (genesis, blocks)
}

/// The command, ready for arguments.
pub(super) fn pleach() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pleach"));
    command.env_remove("RUST_LOG");
    command
}

/// What the command printed, each line an object of one field.
pub(super) fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// Runs the command with `--json`. Returns its last line's object and whether it succeeded.
pub(super) fn run(command: &mut Command) -> (Value, bool) {
    let output = command.arg("--json").output().unwrap();
    let last = lines(&output).pop().unwrap_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::json!({ "error": error })
    });
    (last, output.status.success())
}

/// Arguments of an import.
pub(super) fn import(genesis: &Path, datadir: &Path, files: &[&Path]) -> Command {
    let mut command = pleach();
    command.arg("import").arg("--chain").arg(genesis).arg("--datadir").arg(datadir).args(files);
    command
}
