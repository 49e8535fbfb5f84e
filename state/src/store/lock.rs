//! One store to a folder.

use std::{
    fs::{self, File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    process,
};

use super::error::StoreError;

/// The lock on a folder. The operating system gives it up when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FolderLock(File);

impl FolderLock {
    /// Locks a folder, which is there, and leaves the process's id for others to read.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("LOCK");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| io_error("cannot open", &path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Only who holds the lock is lost where this cannot be read.
                let read = file.read_to_string(&mut holder);
                let holder = read.ok().and_then(|_| holder.trim().parse().ok());
                return Err(StoreError::InUse { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => {
                return Err(io_error("cannot lock", &path, source));
            }
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", process::id()));
        written.map_err(|source| io_error("cannot write to", &path, source))?;
        Ok(Self(file))
    }
}

impl Drop for FolderLock {
    /// Closing the file would do, were it not that a process which this one is about to start may
    /// have it open for a moment as well.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

pub(super) fn create_folder(folder: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(folder).map_err(|source| io_error("cannot create", folder, source))
}

/// An error of the operating system's; that there is no more room is one of its own.
pub(super) fn io_error(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    match source.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => {
            let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            StoreError::DiskFull { folder, reason: source.to_string() }
        }
        _ => StoreError::Io { doing, path: path.to_owned(), source },
    }
}
