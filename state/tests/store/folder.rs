//! A folder for a test's store, gone after the test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use pleach_state::store::{MdbxBackend, MdbxConfig, Store, StoreConfig, StoreError};

static COUNT: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("pleach-{name}-{}-{count}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn open(&self) -> Result<Store, StoreError> {
        self.open_with(StoreConfig::default())
    }

    pub(crate) fn open_with(&self, config: StoreConfig) -> Result<Store, StoreError> {
        open(&self.0, MdbxConfig::default(), config)
    }
}

pub(crate) fn open(
    path: &Path,
    mdbx: MdbxConfig,
    config: StoreConfig,
) -> Result<Store, StoreError> {
    Store::open(MdbxBackend::open(path, mdbx)?, config)
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
