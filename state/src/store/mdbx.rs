//! Tables on disk, in MDBX: B+-trees in a memory map, whose pages are copied when they change.
//!
//! A batch is one transaction. Its pages are written beside those that the last commit holds, then
//! flushed, then one page that points to them is written and flushed: whenever the process or the
//! machine stops, the file holds the one state or the other.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
};

use parking_lot::{Mutex, MutexGuard};
use signet_libmdbx::{
    Database, DatabaseFlags, Environment, EnvironmentFlags, Geometry, MdbxError, ReadError, Ro,
    TxUnsync, WriteFlags,
};

use super::{
    backend::{Backend, BackendStats, Batch, Table, TableStats, Tables, Visit},
    error::StoreError,
    lock::{FolderLock, create_folder, io_error},
};

/// Read transactions that can be open at a time, over all snapshots.
const MAX_READERS: u64 = 2_048;
/// Bytes that a reader takes in the file of readers.
const READER: u64 = 64;
/// The most bytes by which the file grows at a time.
const MAX_GROWTH: u64 = 64 << 20;
/// The operating system's number for an error of input or output.
const EIO: i32 = 5;
/// Bytes written to see whether there is room.
const PROBE: usize = 1 << 20;
/// The least bytes that a database takes: MDBX takes a shorter file for none.
const LEAST_FILE: u64 = 3 * 4_096;
/// The file that says that the tables were made, and which must be there from then on.
const MARK: &str = "STORE";

/// How tables on disk behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MdbxConfig {
    /// The most bytes that the tables may take. So much address space is reserved, no more room
    /// than needed is taken.
    pub size_limit: u64,
    /// Threads that can read one snapshot at a time without waiting for each other.
    pub readers: usize,
}

impl Default for MdbxConfig {
    /// 1 TiB, and a reader for each processor.
    fn default() -> Self {
        let readers = thread::available_parallelism().map_or(1, usize::from);
        Self { size_limit: 1 << 40, readers }
    }
}

/// Tables in a folder of their own.
#[derive(Debug)]
pub struct MdbxBackend {
    environment: Environment,
    tables: [Database; Table::ALL.len()],
    folder: PathBuf,
    config: MdbxConfig,
    // Behind the environment, so that it is given up last.
    _lock: FolderLock,
}

impl MdbxBackend {
    /// Opens the tables in a folder, which is made if there is none.
    ///
    /// # Errors
    /// If another process has the folder, if its files are damaged, or if there is no room.
    pub fn open(folder: &Path, config: MdbxConfig) -> Result<Self, StoreError> {
        create_folder(folder)?;
        let lock = FolderLock::take(folder)?;
        check_files(folder)?;
        reserve_readers(folder)?;
        let environment = open_environment(folder, config)?;
        let tables = open_tables(&environment, folder, config)?;
        mark(folder)?;
        Ok(Self { environment, tables, folder: folder.to_owned(), config, _lock: lock })
    }

    /// The folder that the tables lie in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn error(&self, doing: &'static str, error: MdbxError) -> StoreError {
        store_error(&self.folder, self.config, doing, error)
    }

    /// An error of a write. MDBX says of a write that was cut short only that there was one, which
    /// is what a full disk does first.
    fn write_error(&self, error: MdbxError) -> StoreError {
        let is_short = error == MdbxError::Other(EIO);
        let full = is_short.then(|| self.probe().err()).flatten();
        full.unwrap_or_else(|| self.error("writing", error))
    }

    /// Whether there is any room on the disk.
    fn probe(&self) -> Result<(), StoreError> {
        let path = self.folder.join("PROBE");
        let written = fs::write(&path, vec![0; PROBE]);
        let _ = fs::remove_file(&path);
        written.map_err(|source| io_error("cannot write", &path, source))
    }

    fn write_all(&self, batch: &Batch) -> Result<(), MdbxError> {
        let transaction = self.environment.begin_rw_unsync()?;
        for (table, changes) in batch.tables() {
            let database = self.tables[table as usize];
            let mut cursor = transaction.cursor(database)?;
            for (key, value) in changes {
                match value {
                    Some(value) => cursor.put(key, value, WriteFlags::UPSERT)?,
                    None => match cursor.set::<()>(key) {
                        Ok(Some(())) => cursor.del()?,
                        Ok(None) => {}
                        Err(error) => return Err(mdbx_error(error)),
                    },
                }
            }
        }
        transaction.commit()
    }
}

/// A file that was there and is not, or has lost all it held, would pass for a new store.
fn check_files(folder: &Path) -> Result<(), StoreError> {
    let data = folder.join("mdbx.dat");
    let is_new = !folder.join(MARK).exists();
    let length = match fs::metadata(&data) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(source) => return Err(io_error("cannot look at", &data, source)),
    };
    if !is_new && length < LEAST_FILE {
        let reason = format!("it was written once, and has {length} bytes now");
        return Err(StoreError::corrupt(data.display(), reason));
    }
    Ok(())
}

/// Takes the room for the file of readers, which is written through a memory map: without room,
/// that would end the process.
fn reserve_readers(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("mdbx.lck");
    let needed = (MAX_READERS + 256) * READER;
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= MAX_READERS * READER) {
        return Ok(());
    }
    let zeros = vec![0; needed as usize];
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&zeros)?;
        file.sync_all()
    });
    written.map_err(|source| {
        // Half a file would pass for room that was taken.
        let _ = fs::remove_file(&path);
        io_error("cannot write", &path, source)
    })
}

fn mark(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join(MARK);
    if path.exists() {
        return Ok(());
    }
    let text = "A store of Pleach: see its documentation before changing anything here.\n";
    fs::write(&path, text).map_err(|source| io_error("cannot write", &path, source))?;
    sync_folder(folder)
}

/// Makes the names in a folder durable, where that is not done with the files themselves.
fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|source| io_error("cannot make durable", folder, source))?;
    }
    Ok(())
}

fn open_environment(folder: &Path, config: MdbxConfig) -> Result<Environment, StoreError> {
    let limit = usize::try_from(config.size_limit).unwrap_or(usize::MAX);
    let growth = (config.size_limit / 16).clamp(64 << 10, MAX_GROWTH) as isize;
    let mut builder = Environment::builder();
    builder
        .set_max_dbs(Table::ALL.len())
        .set_max_readers(MAX_READERS)
        .set_flags(EnvironmentFlags {
            exclusive: true,
            no_rdahead: true,
            ..EnvironmentFlags::default()
        })
        .set_geometry(Geometry {
            size: Some(0..limit),
            growth_step: Some(growth),
            shrink_threshold: Some(0),
            page_size: None,
        });
    builder.open(folder).map_err(|error| store_error(folder, config, "opening it", error))
}

fn open_tables(
    environment: &Environment,
    folder: &Path,
    config: MdbxConfig,
) -> Result<[Database; Table::ALL.len()], StoreError> {
    let open = || -> Result<_, MdbxError> {
        let transaction = environment.begin_rw_unsync()?;
        let mut tables = [Database::freelist_db(); Table::ALL.len()];
        for table in Table::ALL {
            tables[table as usize] =
                transaction.create_db(Some(table.name()), DatabaseFlags::empty())?;
        }
        transaction.commit()?;
        Ok(tables)
    };
    open().map_err(|error| store_error(folder, config, "opening its tables", error))
}

fn mdbx_error(error: ReadError) -> MdbxError {
    match error {
        ReadError::Mdbx(error) => error,
        ReadError::Decoding(_) => MdbxError::DecodeError,
    }
}

fn store_error(
    folder: &Path,
    config: MdbxConfig,
    doing: &'static str,
    error: MdbxError,
) -> StoreError {
    match error {
        MdbxError::MapFull => StoreError::SizeLimit { limit: config.size_limit },
        MdbxError::Corrupted
        | MdbxError::PageNotFound
        | MdbxError::Invalid
        | MdbxError::VersionMismatch
        | MdbxError::PageFull
        | MdbxError::WannaRecovery => {
            let what = folder.join("mdbx.dat");
            StoreError::corrupt(what.display(), format!("{error}, while {doing}"))
        }
        MdbxError::Busy => StoreError::InUse { folder: folder.to_owned(), holder: None },
        MdbxError::Other(code) => {
            io_error(doing, &folder.join("mdbx.dat"), io::Error::from_raw_os_error(code))
        }
        error => StoreError::Backend { doing, source: Box::new(error) },
    }
}

impl Backend for MdbxBackend {
    fn snapshot(&self) -> Result<Arc<dyn Tables>, StoreError> {
        let begun = self.environment.begin_ro_unsync();
        let first = begun.map_err(|error| self.error("beginning to read", error))?;
        let id = first.id().map_err(|error| self.error("beginning to read", error))?;
        let more = self.config.readers.max(1) - 1;
        Ok(Arc::new(MdbxTables {
            environment: self.environment.clone(),
            tables: self.tables,
            folder: self.folder.clone(),
            config: self.config,
            id,
            first: Mutex::new(first),
            more: (0..more).map(|_| OnceLock::new()).collect(),
        }))
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.write_all(batch).map_err(|error| self.write_error(error))
    }

    fn stats(&self) -> Result<BackendStats, StoreError> {
        let stats = || -> Result<_, MdbxError> {
            let transaction = self.environment.begin_ro_unsync()?;
            let mut tables = Vec::with_capacity(Table::ALL.len());
            for table in Table::ALL {
                let stat = transaction.db_stat(&self.tables[table as usize])?;
                let pages = stat.branch_pages() + stat.leaf_pages() + stat.overflow_pages();
                let bytes = pages as u64 * u64::from(stat.page_size());
                tables.push(TableStats { table, entries: stat.entries() as u64, bytes });
            }
            let page_size = u64::from(self.environment.stat()?.page_size());
            let pages = self.environment.info()?.last_pgno() as u64 + 1;
            let free = self.environment.freelist().map_err(mdbx_error)? as u64;
            let (bytes, free_bytes) = (pages * page_size, free * page_size);
            Ok(BackendStats { bytes, free_bytes, tables })
        };
        stats().map_err(|error| self.error("counting", error))
    }
}

/// A read transaction for each thread that reads at the same time, all of the same state.
#[derive(Debug)]
struct MdbxTables {
    environment: Environment,
    tables: [Database; Table::ALL.len()],
    folder: PathBuf,
    config: MdbxConfig,
    id: u64,
    first: Mutex<Reading>,
    /// Begun when they are needed; none if a commit came first.
    more: Vec<OnceLock<Option<Mutex<Reading>>>>,
}

type Reading = TxUnsync<Ro>;

impl MdbxTables {
    /// A transaction that no other thread is using, or else one that will soon be free.
    fn reading(&self) -> MutexGuard<'_, Reading> {
        let start = thread_mark() % (self.more.len() + 1);
        for offset in 0..=self.more.len() {
            let slot = self.slot((start + offset) % (self.more.len() + 1));
            if let Some(reading) = slot.and_then(Mutex::try_lock) {
                return reading;
            }
        }
        self.slot(start).unwrap_or(&self.first).lock()
    }

    fn slot(&self, index: usize) -> Option<&Mutex<Reading>> {
        let Some(index) = index.checked_sub(1) else { return Some(&self.first) };
        let begin = || {
            let reading = self.environment.begin_ro_unsync().ok()?;
            (reading.id() == Ok(self.id)).then(|| Mutex::new(reading))
        };
        self.more[index].get_or_init(begin).as_ref()
    }

    fn error(&self, error: ReadError) -> StoreError {
        store_error(&self.folder, self.config, "reading", mdbx_error(error))
    }
}

/// A number that differs between threads that are alive, most likely also by a small modulus.
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    let address = MARK.with(|mark| std::ptr::from_ref(mark).addr());
    (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20) as usize & 0xffff
}

impl Tables for MdbxTables {
    fn get(
        &self,
        table: Table,
        key: &[u8],
        found: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, StoreError> {
        let reading = self.reading();
        let value: Option<Cow<'_, [u8]>> = reading
            .get(self.tables[table as usize].dbi(), key)
            .map_err(|error| self.error(error))?;
        value.as_deref().inspect(|value| found(value));
        Ok(value.is_some())
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let reading = self.reading();
        let mut scan = || -> Result<(), ReadError> {
            let mut cursor = reading.cursor(self.tables[table as usize])?;
            let mut entries = match from {
                [] => cursor.iter_start::<Cow<'_, [u8]>, Cow<'_, [u8]>>()?,
                from => cursor.iter_from(from)?,
            };
            while let Some((key, value)) = entries.borrow_next()? {
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        };
        scan().map_err(|error| self.error(error))
    }
}
