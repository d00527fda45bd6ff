use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard},
};

use serde_json::json;

use super::*;
use crate::object::Object;

/// A disk in memory: what a process that is killed leaves is what is in it. Writing fails once `room` is used up.
#[derive(Clone, Debug)]
struct Platter(Arc<Mutex<Contents>>);

#[derive(Debug)]
struct Contents {
    bytes: Vec<u8>,
    /// How many more operations that write are carried out.
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
        what: match previous {
            Some(_) => What::Modified,
            None => What::Added,
        },
        resource: "configmaps".into(),
        object: Arc::new(Object::new(Key::new("a", name), revision, value)),
        previous,
    })
}

fn removal(of: &Arc<Object>, revision: u64) -> Arc<Change> {
    Arc::new(Change {
        what: What::Deleted,
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
fn a_full_disk_refuses_writes_loses_nothing_and_takes_them_again_when_there_is_room() {
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
            error.contains("objects.redb") && error.contains("free some space"),
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

/// What the file holds after some commits, with what should be read from it; `closed`: after a proper end.
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
fn a_damaged_file_is_refused_by_name_or_read_whole() {
    for closed in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let (bytes, expected) = image(directory.path(), closed);
        let mut refusals = 0;
        let mut judge =
            |bytes: Vec<u8>, what: String| match Platter::new(bytes).open(directory.path()) {
                Ok((_, loaded)) => assert_eq!(names(&loaded), expected, "{what}, closed: {closed}"),
                Err(error) => {
                    refusals += 1;
                    let error = error.to_string();
                    assert!(error.contains("objects.redb"), "{what}: {error}");
                    assert!(
                        error.contains("put back a copy of it, or"),
                        "{what}: {error}"
                    );
                }
            };
        let header = (0..40).step_by(3).chain((64..320).step_by(7));
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        let pages = (4096..used).step_by(4099);
        for at in header.chain(pages) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            judge(damaged, format!("bit {} of byte {at} flipped", at % 8));
        }
        for length in (0..bytes.len()).step_by(bytes.len() / 13).skip(1) {
            judge(bytes[..length].to_vec(), format!("cut to {length} bytes"));
        }
        assert!(refusals > 20, "only {refusals} damages were noticed");
    }
}

#[test]
fn what_is_no_store_is_refused_with_what_to_do() {
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
        assert!(found() == before, "it is left as it was: {expected}");
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
fn tables_of_another_program_are_no_store() {
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
fn a_store_of_another_format_is_left_alone_and_named() {
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
        panic!("a newer format was taken");
    };
    let error = error.to_string();
    assert!(
        error.contains("is of format 2, and this version reads format 1"),
        "{error}"
    );
    set(CURRENT_FORMAT);
    assert!(Disk::open(directory.path()).is_ok(), "nothing was changed");
}

#[test]
fn a_store_has_one_process_a_file_and_begins_anew_when_that_is_moved_aside() {
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
        panic!("no directory can be there");
    };
    assert!(error.to_string().contains("below a file"), "{error}");
}

#[test]
fn a_file_older_than_what_was_acknowledged_is_refused_until_that_is_said_to_be_fine() {
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
        panic!("b is lost, and nobody is told");
    };
    let error = error.to_string();
    assert!(
        error.contains("ends at revision 1, but 2 was reached") && error.contains("remove"),
        "{error}"
    );
    fs::remove_file(directory.path().join("objects.revision")).unwrap();
    assert!(Disk::open(directory.path()).is_ok());
}
