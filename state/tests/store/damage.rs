//! Stores whose files or values are not what was written.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    ops::ControlFlow,
};

use pleach_state::store::{
    Backend, Batch, MdbxBackend, MdbxConfig, Store, StoreConfig, StoreError, Table,
};

use crate::{
    chain::{Chain, address},
    child::{child, given_folder},
    folder::Folder,
    rng::Rng,
};

/// Bits flipped in the file.
const FLIPS: u32 = 25;

/// A store of some blocks, closed again.
fn written(name: &str) -> Folder {
    let folder = Folder::new(name);
    let store = folder.open().expect("it is new");
    let mut chain = Chain::new(5);
    chain.init(&store).expect("the genesis state has the header's root");
    for _ in 0..20 {
        chain.commit(&store, 2).expect("the blocks follow");
    }
    store.verify(&mut |_| {}).expect("all is in order");
    folder
}

fn backend(folder: &Folder) -> MdbxBackend {
    MdbxBackend::open(folder.path(), MdbxConfig::default()).expect("it opens")
}

fn entries(backend: &MdbxBackend, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let tables = backend.snapshot().expect("readable");
    let mut visit = |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    tables.scan(table, &[], &mut visit).expect("readable");
    entries
}

/// Opens and verifies; the error if there is one.
fn found(backend: MdbxBackend) -> Option<StoreError> {
    let opened = Store::open(backend, StoreConfig::default());
    opened.and_then(|store| store.verify(&mut |_| {})).err()
}

fn is_corrupt(error: &StoreError, table: Table) {
    // A code of another hash, or a damaged schema, shows as what it seems to be.
    let seems = matches!(error, StoreError::MissingCode { .. } | StoreError::Schema { .. });
    assert!(matches!(error, StoreError::Corrupt { .. }) || seems, "{error}");
    let is_named = error.to_string().contains(table.name());
    let is_head = table == Table::Meta || table == Table::Hashes;
    assert!(is_named || seems || is_head, "{} should be named: {error}", table.name());
}

#[test]
fn a_flipped_bit_in_any_value_is_found() {
    let folder = written("flips");
    let mut rng = Rng(77);
    for table in Table::ALL {
        let entries = entries(&backend(&folder), table);
        assert!(!entries.is_empty(), "table {} holds something", table.name());
        for _ in 0..6 {
            let (key, value) = &entries[rng.below(entries.len() as u64) as usize];
            let mut flipped = value.clone();
            let bit = rng.below(8 * value.len() as u64);
            flipped[bit as usize / 8] ^= 1 << (bit % 8);
            let put = |value: &[u8]| {
                let mut batch = Batch::new();
                batch.put(table, key.as_slice(), value.to_vec());
                let backend = backend(&folder);
                backend.write(&batch).expect("there is room");
                backend
            };
            let error = found(put(&flipped)).unwrap_or_else(|| {
                panic!("bit {bit} of key {key:x?} in table {}", table.name());
            });
            is_corrupt(&error, table);
            assert!(found(put(value)).is_none(), "all is in order again");
        }
    }
}

#[test]
fn an_entry_that_is_missing_or_too_much_is_found() {
    let folder = written("entries");
    let mut rng = Rng(78);
    for table in Table::ALL.into_iter().filter(|table| *table != Table::Meta) {
        let entries = entries(&backend(&folder), table);
        for _ in 0..2 {
            let (key, value) = &entries[rng.below(entries.len() as u64) as usize];
            let change = |value: Option<&[u8]>, key: &[u8]| {
                let mut batch = Batch::new();
                match value {
                    Some(value) => batch.put(table, key, value.to_vec()),
                    None => batch.delete(table, key),
                }
                let backend = backend(&folder);
                backend.write(&batch).expect("there is room");
                backend
            };
            let gone = found(change(None, key));
            // The oldest diff may be gone, for then less can be taken back.
            let is_oldest = table == Table::Diffs && *key == entries[0].0;
            assert!(gone.is_some() != is_oldest, "{gone:?}");
            assert!(found(change(Some(value), key)).is_none(), "all is in order again");
            // The same value under another key; a code may be there without an account.
            let mut other = key.clone();
            *other.last_mut().expect("no key is empty") ^= 0x55;
            if table != Table::Codes && !entries.iter().any(|(key, _)| *key == other) {
                let error = found(change(Some(value), &other)).expect("it is found");
                is_corrupt(&error, table);
                assert!(found(change(None, &other)).is_none(), "all is in order again");
            }
        }
    }
}

#[test]
fn reading_finds_what_is_damaged_without_verifying() {
    use revm::DatabaseRef;
    let folder = written("reads");
    for table in [Table::Accounts, Table::Slots] {
        let backend = backend(&folder);
        let mut batch = Batch::new();
        for (key, mut value) in entries(&backend, table) {
            value[0] ^= 1;
            batch.put(table, key, value);
        }
        backend.write(&batch).expect("there is room");
    }
    let store = folder.open().expect("the head is in order");
    let snapshot = store.snapshot().expect("there is a chain");
    let mut errors = 0;
    for at in (0..34).map(address) {
        let slots = (0..12).map(|slot| snapshot.storage_ref(at, slot.try_into().expect("small")));
        let found = slots.filter_map(Result::err).chain(snapshot.basic_ref(at).err());
        for error in found {
            assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains("checksum"), "{error}");
            errors += 1;
        }
    }
    assert!(errors > 10, "only {errors} of all reads met what was damaged");
}

#[test]
fn a_file_that_is_cut_off_or_gone_is_an_error() {
    let folder = written("cut");
    let data = folder.path().join("mdbx.dat");
    let whole = fs::read(&data).expect("readable");
    let used = backend(&folder).stats().expect("readable").bytes as usize;
    for length in [0, 1, 4_096, 3 * 4_096, used / 2, used - 4_096] {
        fs::write(&data, &whole[..length]).expect("writable");
        let error = folder.open().and_then(|store| store.verify(&mut |_| {}));
        let error = error.expect_err(&format!("{length} of {used} bytes are there"));
        assert!(matches!(error, StoreError::Corrupt { .. }), "{length} bytes: {error:?}");
        assert!(error.to_string().contains("mdbx.dat"), "{error}");
    }
    fs::remove_file(&data).expect("it is there");
    let error = folder.open().expect_err("the file is gone");
    assert!(error.to_string().contains("0 bytes now"), "{error}");
    fs::write(&data, whole).expect("writable");
    folder.open().expect("all is there").verify(&mut |_| {}).expect("all is in order");
}

#[test]
fn a_file_of_something_else_is_an_error() {
    let folder = written("other");
    let data = folder.path().join("mdbx.dat");
    let length = fs::metadata(&data).expect("it is there").len();
    fs::write(&data, vec![0x5a; length as usize]).expect("writable");
    let error = folder.open().expect_err("it is no database");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

/// Opens and verifies a damaged store.
#[test]
#[ignore = "started by another test"]
fn verifies() {
    let Some(folder) = given_folder() else { return };
    let opened = crate::folder::open(&folder, MdbxConfig::default(), StoreConfig::default());
    match opened.and_then(|store| store.verify(&mut |_| {})) {
        Ok(_) => println!("in order"),
        Err(error) => println!("refused: {error}"),
    }
}

/// A bit anywhere in the file: what is read is what was written, or there is an error.
#[test]
fn a_flipped_bit_in_the_file_is_found_or_of_no_consequence() {
    let folder = written("file");
    let data = folder.path().join("mdbx.dat");
    let used = backend(&folder).stats().expect("readable").bytes;
    let mut rng = Rng(79);
    let (mut refused, mut in_order) = (0, 0);
    for _ in 0..FLIPS {
        let place = rng.below(used);
        let bit = 1 << rng.below(8);
        let before = fs::read(&data).expect("readable");
        flip(&data, place, bit);
        let output = child("damage::verifies", folder.path()).output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "bit {bit:#x} of byte {place}: {output:?}");
        refused += u32::from(text.contains("refused: "));
        in_order += u32::from(text.contains("in order"));
        fs::write(&data, before).expect("writable");
    }
    println!("{refused} flips refused, {in_order} without consequence");
    assert_eq!(refused + in_order, FLIPS);
    assert!(refused > 0, "no flip was found");
}

fn flip(path: &std::path::Path, place: u64, bit: u8) {
    let mut file: File = OpenOptions::new().read(true).write(true).open(path).expect("it is there");
    let mut byte = [0];
    file.seek(SeekFrom::Start(place)).and_then(|_| file.read_exact(&mut byte)).expect("readable");
    byte[0] ^= bit;
    file.seek(SeekFrom::Start(place)).and_then(|_| file.write_all(&byte)).expect("writable");
}
