use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use serde_json::json;

use super::*;
use crate::object::Object;

/// An in-memory disk, whose content is what a killed process would leave. Writes fail once `room` is used up.
#[derive(Clone, Debug)]
struct Platter(Arc<Mutex<Contents>>);

#[derive(Debug)]
struct Contents {
    bytes: Vec<u8>,
    /// Number of write operations until writes fail.
    room: Option<usize>,
}

impl Platter {
    fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Contents { bytes, room: None })))
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap()
    }

    fn with_room(&self) -> io::Result<MutexGuard<'_, Contents>> {
        let mut contents = self.contents();
        match &mut contents.room {
            Some(0) => return Err(io::ErrorKind::StorageFull.into()),
            Some(room) => *room -= 1,
            None => {}
        }
        Ok(contents)
    }

    fn open(&self, directory: &Path) -> Result<(Disk, Loaded), DiskError> {
        let platter = self.clone();
        let open = move || builder().create_with_backend(platter.clone());
        Disk::open_with(directory, directory.join("objects.redb"), Box::new(open))
    }
}

impl redb::StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        Ok(self.contents().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        let contents = self.contents();
        let bytes = contents.bytes.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).unwrap();
        self.with_room()?.bytes.resize(len, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with_room().map(drop)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).unwrap();
        self.with_room()?.bytes[at..at + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn change(name: &str, revision: u64, previous: Option<Arc<Object>>) -> Arc<Change> {
    let value =
        json!({"metadata": {"name": name}, "data": {"at": revision, "fill": "x".repeat(700)}});
    Arc::new(Change {
        kind: match previous {
            Some(_) => ChangeType::Modified,
            None => ChangeType::Added,
        },
        resource: "configmaps".into(),
        object: Arc::new(Object::new(Key::new("a", name), revision, value)),
        previous,
    })
}

fn removal(of: &Arc<Object>, revision: u64) -> Arc<Change> {
    Arc::new(Change {
        kind: ChangeType::Deleted,
        resource: "configmaps".into(),
        object: Arc::new(Object::new(of.key.clone(), revision, of.value.clone())),
        previous: Some(Arc::clone(of)),
    })
}

fn names(loaded: &Loaded) -> BTreeSet<String> {
    let key =
        |(_, key, value): &(Arc<str>, Key, Value)| format!("{}={}", key.name, value["data"]["at"]);
    loaded.objects.iter().map(key).collect()
}

#[test]
fn full_disk_fails_writes_without_losing_any() {
    for room in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let platter = Platter::new(Vec::new());
        let (mut disk, _) = platter.open(directory.path()).unwrap();
        let (kept, gone) = (change("kept", 1, None), change("gone", 2, None));
        disk.commit(&[Arc::clone(&kept), Arc::clone(&gone)], 2)
            .unwrap();
        platter.contents().room = Some(room);
        let refused = [
            change("new", 3, None),
            change("kept", 4, Some(Arc::clone(&kept.object))),
            removal(&gone.object, 5),
        ];
        let Err(error) = disk.commit(&refused, 5) else {
            assert!(room > 3, "the disk must fail a few times");
            return;
        };
        let error = error.to_string();
        assert!(
            error.contains("objects.redb") && error.contains("free some disk space"),
            "{error}"
        );
        assert!(disk.commit(&refused, 5).is_err(), "it is still full");
        platter.contents().room = None;
        disk.commit(&[change("later", 3, None)], 3).unwrap();
        let image = Platter::new(platter.contents().bytes.clone());
        drop(disk);
        for platter in [image, platter] {
            let (_, loaded) = platter.open(directory.path()).unwrap();
            let expected = ["gone=2", "kept=1", "later=3"].map(str::to_owned);
            assert_eq!(names(&loaded), expected.into(), "room for {room} writes");
            assert_eq!(loaded.revision, 3);
        }
    }
}

/// Returns the file after some commits, and the expected content; `closed`: after a clean shutdown.
fn image(directory: &Path, closed: bool) -> (Vec<u8>, BTreeSet<String>) {
    let platter = Platter::new(Vec::new());
    let (mut disk, _) = platter.open(directory).unwrap();
    for n in 1..=40 {
        disk.commit(&[change(&format!("c{n}"), n, None)], n)
            .unwrap();
    }
    let killed = platter.contents().bytes.clone();
    drop(disk);
    let bytes = if closed {
        platter.contents().bytes.clone()
    } else {
        killed
    };
    let (_, loaded) = Platter::new(bytes.clone()).open(directory).unwrap();
    assert_eq!(loaded.objects.len(), 40);
    (bytes, names(&loaded))
}

#[test]
fn damaged_file_is_rejected_or_complete() {
    for closed in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (bytes, expected) = image(directory.path(), closed);
        let mut refusals = 0;
        let mut check =
            |bytes: Vec<u8>, damage: String| match Platter::new(bytes).open(directory.path()) {
                Ok((_, loaded)) => {
                    assert_eq!(names(&loaded), expected, "{damage}, closed: {closed}");
                }
                Err(error) => {
                    refusals += 1;
                    let error = error.to_string();
                    assert!(error.contains("objects.redb"), "{damage}: {error}");
                    assert!(error.contains("restore a backup, or"), "{damage}: {error}");
                }
            };
        let header = (0..40).step_by(3).chain((64..320).step_by(7));
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let pages = (4096..used).step_by(4099);
        for at in header.chain(pages) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            check(damaged, format!("bit {} of byte {at} flipped", at % 8));
        }
        for length in (0..bytes.len()).step_by(bytes.len() / 13).skip(1) {
            check(bytes[..length].to_vec(), format!("cut to {length} bytes"));
        }
        assert!(refusals > 20, "only {refusals} errors were detected");
    }
}

#[test]
fn foreign_file_is_rejected_with_remedy() {
    let refused = |prepare: &dyn Fn(&Path), expected: &str| {
        let directory = tempfile::tempdir().unwrap();
        prepare(&directory.path().join("objects.redb"));
        let found = || fs::read(directory.path().join("objects.redb")).ok();
        let before = found();
        let Err(error) = Disk::open(directory.path()) else {
            panic!("taken: {expected}");
        };
        let error = error.to_string();
        assert!(
            error.contains("objects.redb") && error.contains(expected),
            "{error}"
        );
        assert!(found() == before, "the file is unchanged: {expected}");
    };
    refused(&|path| fs::write(path, "").unwrap(), "move it aside");
    refused(&|path| fs::write(path, [0; 9000]).unwrap(), "move it aside");
    refused(
        &|path| fs::write(path, "SQLite format 3").unwrap(),
        "move it aside",
    );
    refused(&|path| fs::create_dir(path).unwrap(), "directory");
}

#[test]
fn foreign_tables_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::create(directory.path().join("objects.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = TableDefinition::<u64, u64>::new("numbers");
    transaction.open_table(table).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let Err(error) = Disk::open(directory.path()) else {
        panic!("it was taken for a store");
    };
    assert!(error.to_string().contains("move it aside"), "{error}");
}

#[test]
fn other_format_is_rejected_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    drop(Disk::open(directory.path()).unwrap());
    let path = directory.path().join("objects.redb");
    let set = |format: u64| {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut numbers = transaction.open_table(NUMBERS).unwrap();
        numbers.insert(FORMAT, format).unwrap();
        drop(numbers);
        transaction.commit().unwrap();
    };
    set(CURRENT_FORMAT + 1);
    let Err(error) = Disk::open(directory.path()) else {
        panic!("opened a newer format");
    };
    let error = error.to_string();
    assert!(
        error.contains("has format 2, but this version reads format 1"),
        "{error}"
    );
    set(CURRENT_FORMAT);
    assert!(
        Disk::open(directory.path()).is_ok(),
        "the file is unchanged"
    );
}

#[test]
fn store_is_exclusive_and_restarts_empty_when_moved() {
    let directory = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(directory.path()).unwrap();
    disk.commit(&[change("a", 7, None)], 7).unwrap();
    let Err(error) = Disk::open(directory.path()) else {
        panic!("opened twice");
    };
    assert!(
        error.to_string().contains("in use by another process"),
        "{error}"
    );
    drop(disk);
    let path = directory.path().join("objects.redb");
    fs::rename(&path, directory.path().join("aside")).unwrap();
    let (disk, loaded) = Disk::open(directory.path()).unwrap();
    assert_eq!((loaded.revision, loaded.objects.len()), (0, 0));
    drop(disk);
    let inside = path.join("below a file");
    let Err(error) = Disk::open(&inside) else {
        panic!("opened a directory below a file");
    };
    assert!(error.to_string().contains("below a file"), "{error}");
}

#[test]
fn older_file_is_rejected_until_guard_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (
        directory.path().join("objects.redb"),
        directory.path().join("copy"),
    );
    let (mut disk, _) = Disk::open(directory.path()).unwrap();
    disk.commit(&[change("a", 1, None)], 1).unwrap();
    fs::copy(&path, &copy).unwrap();
    disk.commit(&[change("b", 2, None)], 2).unwrap();
    drop(disk);
    fs::rename(&copy, &path).unwrap();
    let Err(error) = Disk::open(directory.path()) else {
        panic!("losing b goes unnoticed");
    };
    let error = error.to_string();
    assert!(
        error.contains("ends at revision 1, but revision 2 was written")
            && error.contains("remove"),
        "{error}"
    );
    fs::remove_file(directory.path().join("objects.revision")).unwrap();
    assert!(Disk::open(directory.path()).is_ok());
}
