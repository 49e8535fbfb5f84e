//! Tables in memory, for tests.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    backend::{Backend, BackendStats, Batch, Table, TableStats, Tables, Visit},
    error::StoreError,
};

/// Tables that last as long as the process. A batch that is written while a snapshot is alive
/// copies all of them.
#[derive(Debug, Default)]
pub struct MemoryBackend(Mutex<Arc<MemoryTables>>);

#[derive(Debug, Clone, Default)]
struct MemoryTables(BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>);

impl MemoryBackend {
    /// Empty tables.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Backend for MemoryBackend {
    fn snapshot(&self) -> Result<Arc<dyn Tables>, StoreError> {
        Ok(self.0.lock().clone())
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut tables = self.0.lock();
        let tables = Arc::make_mut(&mut tables);
        for (table, changes) in batch.tables() {
            let held = tables.0.entry(table).or_default();
            for (key, value) in changes {
                match value {
                    Some(value) => held.insert(key.to_vec(), value.to_vec()),
                    None => held.remove(key),
                };
            }
        }
        Ok(())
    }

    fn stats(&self) -> Result<BackendStats, StoreError> {
        let held = self.0.lock().clone();
        let tables = Table::ALL.map(|table| {
            let entries = held.0.get(&table).into_iter().flatten();
            let bytes = entries.clone().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            TableStats { table, entries: entries.count() as u64, bytes: bytes as u64 }
        });
        let bytes = tables.iter().map(|table| table.bytes).sum();
        Ok(BackendStats { bytes, free_bytes: 0, tables: tables.to_vec() })
    }
}

impl Tables for MemoryTables {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StoreError> {
        let value = self.0.get(&table).and_then(|held| held.get(key));
        value.inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let held = self.0.get(&table).into_iter();
        for (key, value) in held.flat_map(|held| held.range(from.to_vec()..)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}
