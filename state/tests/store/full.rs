//! Stores without room: they stay at their last block, and go on once there is room.

use pleach_state::store::{MdbxConfig, Store, StoreConfig, StoreError};

use crate::{
    chain::Chain,
    folder::{Folder, open},
};

/// Commits until there is no room, and returns the error.
fn fill(chain: &mut Chain, store: &Store) -> StoreError {
    for _ in 0..100_000 {
        if let Err(error) = chain.commit(store, 20) {
            check(chain, store);
            return error;
        }
    }
    panic!("there is always room");
}

/// The store is at the chain's head, and all is in order.
fn check(chain: &Chain, store: &Store) {
    let head = store.head().expect("readable").expect("there");
    assert_eq!(head.hash, chain.head().0.hash_slow());
    store.verify(&mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
}

fn begun(store: &Store) -> Chain {
    let chain = Chain::new(11);
    chain.init(store).expect("the genesis state has the header's root");
    chain
}

#[test]
fn a_store_at_its_limit_goes_on_with_a_larger_one() {
    let folder = Folder::new("limit");
    let limit = |size_limit| MdbxConfig { size_limit, ..MdbxConfig::default() };
    let store = open(folder.path(), limit(2 << 20), StoreConfig::default()).expect("it is new");
    let mut chain = begun(&store);
    let error = fill(&mut chain, &store);
    assert!(matches!(error, StoreError::SizeLimit { limit } if limit == 2 << 20), "{error}");
    assert!(error.to_string().contains("open it with a larger limit"), "{error}");
    drop(store);
    let store = open(folder.path(), limit(4 << 20), StoreConfig::default()).expect("it opens");
    check(&chain, &store);
    chain.commit(&store, 50).expect("there is room");
    check(&chain, &store);
}

#[cfg(target_os = "linux")]
mod disk {
    use std::{fs, io::Write, path::Path, process::Command};

    use super::*;
    use crate::child::{child_after, given_folder};

    fn mount(arguments: &[&str], folder: &Path) -> bool {
        let mut command = Command::new("mount");
        command.args(arguments).arg(folder);
        command.output().is_ok_and(|output| output.status.success())
    }

    /// A file system of its own, of a few megabytes.
    struct Small(Folder);

    impl Small {
        fn mounted() -> Option<Self> {
            let folder = Folder::new("small");
            fs::create_dir_all(folder.path()).expect("a folder can be made");
            let options = ["-t", "tmpfs", "-o", "size=3m", "pleach-test"];
            mount(&options, folder.path()).then(|| Self(folder))
        }
    }

    impl Drop for Small {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg(self.0.path()).output();
        }
    }

    fn is_full(error: &StoreError) {
        assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
        assert!(error.to_string().contains("free some space and go on"), "{error}");
    }

    #[test]
    fn a_store_on_a_full_disk_goes_on_when_there_is_room() {
        let Some(small) = Small::mounted() else {
            println!("1 test skipped: no small file system can be mounted here");
            return;
        };
        let folder = small.0.path().join("store");
        let store =
            open(&folder, MdbxConfig::default(), StoreConfig::default()).expect("it is new");
        let mut chain = begun(&store);
        is_full(&fill(&mut chain, &store));
        is_full(&chain.commit(&store, 400).expect_err("there is still no room"));
        check(&chain, &store);
        assert!(mount(&["-o", "remount,size=30m"], small.0.path()), "it can be made larger");
        chain.commit(&store, 100).expect("there is room");
        check(&chain, &store);
        drop(store);
        let store = open(&folder, MdbxConfig::default(), StoreConfig::default()).expect("it opens");
        check(&chain, &store);
    }

    #[test]
    fn a_store_is_not_begun_on_a_full_disk() {
        let Some(small) = Small::mounted() else {
            println!("1 test skipped: no small file system can be mounted here");
            return;
        };
        let ballast = small.0.path().join("ballast");
        let mut file = fs::File::create(&ballast).expect("there is room");
        while file.write_all(&[1; 4_096]).is_ok() {}
        drop(file);
        let folder = small.0.path().join("store");
        let fresh = || open(&folder, MdbxConfig::default(), StoreConfig::default());
        is_full(&fresh().expect_err("there is no room"));
        fs::remove_file(&ballast).expect("it is there");
        let store = fresh().expect("there is room");
        begun(&store);
    }

    /// Runs into the limit on a file's size, which its shell set.
    #[test]
    #[ignore = "started by another test"]
    fn writes_to_the_limit() {
        let Some(folder) = given_folder() else { return };
        // Files grow by a sixteenth of the limit at a time.
        let config = MdbxConfig { size_limit: 16 << 20, ..MdbxConfig::default() };
        let store = open(&folder, config, StoreConfig::default()).expect("it is new");
        is_full(&fill(&mut begun(&store), &store));
        println!("at the limit");
    }

    #[test]
    fn a_limit_on_files_is_a_full_disk() {
        let folder = Folder::new("files");
        // In blocks of 512 bytes; without the trap the limit would end the process.
        let limit = "trap '' XFSZ; ulimit -f 4096";
        let output = child_after(limit, "full::disk::writes_to_the_limit", folder.path())
            .output()
            .expect("there is a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("at the limit"), "{output:?}");
    }
}
