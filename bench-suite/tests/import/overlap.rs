//! Stages run beside one another, and what one of them does wrong comes out as it should. Nothing
//! here looks at a clock: a stage that waited for another would wait for ever.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    time::Duration,
};

use pleach_engine::import::{ImportError, ImportEvent};
use pleach_state::store::{
    Backend, BackendStats, Batch, MemoryBackend, Store, StoreConfig, StoreError, Tables,
};

use super::support::{CHAIN, InMemory, importer, sourced};

/// Longer than any stage takes; who waits so long was not run beside.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Tables that are written when the test says so, or not at all.
#[derive(Debug, Clone, Default)]
struct Gated(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    tables: MemoryBackend,
    /// Each write waits for a word from here, if there is one.
    words: Mutex<Option<Receiver<Word>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Write,
    Fail,
}

impl Backend for Gated {
    fn snapshot(&self) -> Result<Arc<dyn Tables>, StoreError> {
        self.0.tables.snapshot()
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let words = self.0.words.lock().unwrap();
        let word = words.as_ref().map(|words| words.recv_timeout(FOR_EVER));
        match word {
            None | Some(Ok(Word::Write)) => self.0.tables.write(batch),
            Some(Ok(Word::Fail)) => Err(StoreError::Backend {
                doing: "writing",
                source: Box::new(io::Error::other("the disk is gone")),
            }),
            Some(Err(_)) => panic!("nothing was executed while this batch was written"),
        }
    }

    fn stats(&self) -> Result<BackendStats, StoreError> {
        self.0.tables.stats()
    }
}

/// The source gives its last block only when the first has been executed.
#[test]
fn the_first_block_is_executed_before_the_source_ends() {
    let store = InMemory::new(1_024);
    let (first_stands, first) = channel();
    let last = CHAIN.blocks.len() - 1;
    let blocks = CHAIN.blocks.iter().enumerate().map(move |(index, block)| {
        if index == last {
            first.recv_timeout(FOR_EVER).expect("block 1 was not executed meanwhile");
        }
        Ok(sourced(block.clone()))
    });
    let report = store.import_all(blocks, &AtomicBool::new(false), &mut |event| {
        if let ImportEvent::Valid { number: 1, .. } = event {
            first_stands.send(()).unwrap();
        }
    });
    assert_eq!(report.unwrap().blocks, 12);
}

/// A batch of four is written only when the seventh block has been executed: not before that is it
/// said to be durable, and the tables are those of an import without all this.
#[test]
fn blocks_are_executed_while_others_are_written() {
    let gate = Gated::default();
    let importer = importer(gate.clone(), 4);
    let (word, words) = channel();
    *gate.0.words.lock().unwrap() = Some(words);
    let mut told = Vec::new();
    let blocks = CHAIN.blocks.iter().map(|block| Ok(sourced(block.clone())));
    let report = importer.import(blocks, &AtomicBool::new(false), &mut |event| match event {
        ImportEvent::Valid { number, .. } => {
            told.push(number);
            // The last batch is written without anything to execute.
            if [7, 11, 12].contains(&number) {
                word.send(Word::Write).unwrap();
            }
        }
        ImportEvent::Durable(head) => {
            assert_eq!(importer.head().unwrap(), Some(head));
            told.push(100 + head.number);
        }
        _ => {}
    });
    assert_eq!(report.unwrap().commits, 3);
    let at = |event| told.iter().position(|told| *told == event).unwrap();
    assert!(at(104) > at(7) && at(108) > at(11) && at(112) > at(12), "{told:?}");
    let expected = InMemory::new(4);
    expected.import(CHAIN.blocks.clone()).unwrap();
    drop(importer);
    let tables = Store::open(gate.clone(), StoreConfig::default()).unwrap();
    assert_eq!(tables.head().unwrap(), Some(expected.head()));
    tables.verify(&mut |_| ()).unwrap();
}

/// A batch cannot be written while later blocks are executed: the import ends with the store's
/// error, nothing of the batch or after it is said to be durable, and all goes on later.
#[test]
fn a_batch_that_is_not_written_ends_the_import() {
    for refused in [false, true] {
        let gate = Gated::default();
        let importer = importer(gate.clone(), 4);
        let (word, words) = channel();
        *gate.0.words.lock().unwrap() = Some(words);
        word.send(Word::Write).unwrap();
        let mut blocks = CHAIN.blocks.clone();
        if refused {
            // It is found while the second batch is written, whose failure is what matters.
            blocks[9].header.state_root = blocks[8].header.state_root;
        }
        let (mut durable, stop) = (Vec::new(), AtomicBool::new(false));
        let blocks = blocks.into_iter().map(|block| Ok(sourced(block)));
        let failed = importer.import(blocks, &stop, &mut |event| match event {
            ImportEvent::Valid { number: 9, .. } => word.send(Word::Fail).unwrap(),
            ImportEvent::Durable(head) => durable.push(head.number),
            _ => {}
        });
        let failed = failed.unwrap_err();
        assert!(matches!(failed.error, ImportError::Store(StoreError::Backend { .. })), "{failed}");
        assert_eq!((durable, failed.report.unwrap().head.number), (vec![4], 4));
        assert_eq!(importer.head().unwrap().unwrap().number, 4);
        assert!(!stop.load(Ordering::Relaxed));
        *gate.0.words.lock().unwrap() = None;
        let blocks = CHAIN.blocks.iter().map(|block| Ok(sourced(block.clone())));
        let report = importer.import(blocks, &stop, &mut |_| ()).unwrap();
        assert_eq!((report.known, report.blocks, report.head.number), (4, 8, 12));
        importer.store.verify(&mut |_| ()).unwrap();
    }
}
