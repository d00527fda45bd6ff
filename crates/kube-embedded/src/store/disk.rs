//! The store's file: redb, with one durable transaction per commit.
//!
//! At startup every page is checked against its checksum, and the last revision against the [`revision_guard`]; a
//! damaged file is not opened. After a failed commit (such as a full disk) the file is reopened, because redb does not
//! continue, and the next commit reverts what the failed one may have left. Knows nothing of kinds.

mod error;
mod revision_guard;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::OpenOptionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use hyper::body::Bytes;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;

pub use error::DiskError;
pub(super) use error::panic_message;

use self::{error::FileError, revision_guard::RevisionGuard};
use super::{Change, ChangeType};
use crate::object::Key;

/// `resource/namespace/name` -> object as JSON.
const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
/// Numbers by name.
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// Key of the last resource version assigned.
const REVISION: &str = "revision";
/// Key of the format of the tables.
const FORMAT: &str = "format";
/// The format written by this version. Increase it with every change that older versions would misread, and migrate in
/// [`load`].
const CURRENT_FORMAT: u64 = 1;
/// Page cache of redb. Small, because reads are served from memory.
const CACHE: usize = 4 << 20;

/// The content of the file at startup.
pub(super) struct Loaded {
    pub revision: u64,
    pub objects: Vec<(Arc<str>, Key, Value)>,
}

/// Opens the existing database.
type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

pub(super) struct Disk {
    path: PathBuf,
    open: Opener,
    /// `None` between a failed commit and the next one.
    database: Option<Database>,
    /// Objects that failed commits may have changed, with the values to restore.
    to_restore: BTreeMap<String, Option<Bytes>>,
    guard: RevisionGuard,
}

impl Disk {
    /// Opens or creates the store's file in `directory`.
    pub(super) fn open(directory: &Path) -> Result<(Self, Loaded), DiskError> {
        fs::create_dir_all(directory).map_err(|error| DiskError::unusable(directory, error))?;
        let path = directory.join("objects.redb");
        let exists = path
            .try_exists()
            .map_err(|error| DiskError::unusable(&path, error))?;
        if !exists {
            create(&path).map_err(|error| error.at(&path))?;
            // A previous file was moved aside; its last revision is meaningless now.
            RevisionGuard::remove(directory)?;
        }
        let at = path.clone();
        Self::open_with(directory, path, Box::new(move || builder().open(&at)))
    }

    fn open_with(
        directory: &Path,
        path: PathBuf,
        open: Opener,
    ) -> Result<(Self, Loaded), DiskError> {
        // redb may panic on a damaged file: turn that into an error.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let mut database = open()?;
            if !database.check_integrity()? {
                tracing::warn!(path = %path.display(), "repaired the store's file");
            }
            let loaded = load(&database)?;
            Ok((database, loaded))
        }));
        let (database, loaded) = opened
            .unwrap_or_else(|panic| Err(FileError::Damaged(panic_message(panic.as_ref()))))
            .map_err(|error| error.at(&path))?;
        let guard = RevisionGuard::open(directory)?;
        guard.check(&path, loaded.revision)?;
        let disk = Self {
            path,
            open,
            database: Some(database),
            to_restore: BTreeMap::new(),
            guard,
        };
        Ok((disk, loaded))
    }

    /// Makes `changes` durable, all or none.
    pub(super) fn commit(
        &mut self,
        changes: &[Arc<Change>],
        revision: u64,
    ) -> Result<(), DiskError> {
        let written = catch_unwind(AssertUnwindSafe(|| {
            let written = self.write(changes, revision);
            if written.is_err() {
                self.database = None;
            }
            written
        }));
        match written.unwrap_or_else(|panic| Err(FileError::Damaged(panic_message(panic.as_ref()))))
        {
            Ok(()) => {
                self.to_restore.clear();
                self.guard.record(revision);
                Ok(())
            }
            Err(error) => {
                self.database = None;
                for change in changes {
                    let before = change.previous.as_ref().map(|object| object.json.clone());
                    self.to_restore.entry(object_path(change)).or_insert(before);
                }
                Err(error.at(&self.path))
            }
        }
    }

    fn write(&mut self, changes: &[Arc<Change>], revision: u64) -> Result<(), FileError> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert((self.open)()?),
        };
        let transaction = database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for (path, before) in &self.to_restore {
                match before {
                    Some(json) => objects.insert(path.as_str(), json.as_ref())?,
                    None => objects.remove(path.as_str())?,
                };
            }
            for change in changes {
                let path = object_path(change);
                if change.kind == ChangeType::Deleted {
                    objects.remove(path.as_str())?;
                } else {
                    objects.insert(path.as_str(), change.object.json.as_ref())?;
                }
            }
            transaction
                .open_table(NUMBERS)?
                .insert(REVISION, revision)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn object_path(change: &Change) -> String {
    let key = &change.object.key;
    format!("{}/{}/{}", change.resource, key.namespace, key.name)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Creates the file under a temporary name, so that a killed process leaves no partial file.
fn create(path: &Path) -> Result<(), FileError> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // The objects include Secrets.
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    drop(builder().create_file(file)?);
    fs::rename(&unfinished, path)?;
    Ok(())
}

/// Reads all objects. Creates the tables in a new file.
fn load(database: &Database) -> Result<Loaded, FileError> {
    let transaction = database.begin_write()?;
    let format = {
        let mut numbers = transaction.open_table(NUMBERS)?;
        let format = numbers.get(FORMAT)?.map(|number| number.value());
        if format.is_none() {
            numbers.insert(FORMAT, CURRENT_FORMAT)?;
        }
        format
    };
    match format {
        Some(CURRENT_FORMAT) => transaction.abort()?,
        Some(other) => return Err(FileError::Format(other)),
        None => {
            transaction.open_table(OBJECTS)?;
            transaction.commit()?;
        }
    }
    let transaction = database.begin_read()?;
    let revision = transaction
        .open_table(NUMBERS)?
        .get(REVISION)?
        .map_or(0, |number| number.value());
    let mut objects = Vec::new();
    let mut interned: Option<Arc<str>> = None;
    for entry in transaction.open_table(OBJECTS)?.iter()? {
        let (path, json) = entry?;
        let path = path.value();
        let invalid = || FileError::Damaged(format!("{path:?} is not an object"));
        let mut parts = path.splitn(3, '/');
        let (Some(resource), Some(namespace), Some(name)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let resource = match interned.take() {
            Some(last) if &*last == resource => last,
            _ => resource.into(),
        };
        interned = Some(Arc::clone(&resource));
        let value = serde_json::from_slice(json.value()).map_err(|_| invalid())?;
        objects.push((resource, Key::new(namespace, name), value));
    }
    Ok(Loaded { revision, objects })
}

#[cfg(test)]
mod tests;
