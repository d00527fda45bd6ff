//! The file behind the store: redb, one transaction a commit, durable when it returns.
//!
//! It is opened whole or not at all: every page is held against its checksum, and the last revision against the
//! [`witness`]. After a commit that failed (a full disk, say) the file is opened anew, since redb does not go on, and
//! what the failed commit may have left in it is taken back by the next one. Knows no kind.

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

pub use error::{DiskError, spoken};

use self::{error::Broken, revision_guard::Witness};
use super::{Change, What};
use crate::object::Key;

/// `resource/namespace/name` -> the object as JSON.
const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
/// Single numbers by name.
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The last resource version given out.
const REVISION: &str = "revision";
/// How the tables are to be read; other formats are refused by number.
const FORMAT: &str = "format";
/// The format written here. Raise it with every change that an older reader would misread, and migrate in [`load`].
const CURRENT_FORMAT: u64 = 1;
/// Bytes of pages redb keeps: readers never come here.
const CACHE: usize = 4 << 20;

/// What a store starts from.
pub struct Loaded {
    pub revision: u64,
    pub objects: Vec<(Arc<str>, Key, Value)>,
}

/// Opens the database that is there.
type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

pub struct Disk {
    path: PathBuf,
    open: Opener,
    /// `None` after a commit that failed, until the next one.
    database: Option<Database>,
    /// What commits that failed may have changed in the file, with what should be there.
    unsettled: BTreeMap<String, Option<Bytes>>,
    witness: Witness,
}

impl Disk {
    /// Opens what is in `directory`, or makes it.
    pub fn open(directory: &Path) -> Result<(Self, Loaded), DiskError> {
        fs::create_dir_all(directory).map_err(|error| DiskError::unusable(directory, error))?;
        let path = directory.join("objects.redb");
        let exists = path
            .try_exists()
            .map_err(|error| DiskError::unusable(&path, error))?;
        if !exists {
            create(&path).map_err(|broken| broken.at(&path))?;
            // What was there before was moved aside, and its last revision means nothing here.
            Witness::forget(directory)?;
        }
        let at = path.clone();
        Self::open_with(directory, path, Box::new(move || builder().open(&at)))
    }

    fn open_with(
        directory: &Path,
        path: PathBuf,
        open: Opener,
    ) -> Result<(Self, Loaded), DiskError> {
        // Nothing that a damaged file brings about in redb may end the process without a word.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let mut database = open()?;
            if !database.check_integrity()? {
                tracing::warn!(path = %path.display(), "the store's file was repaired");
            }
            let loaded = load(&database)?;
            Ok((database, loaded))
        }));
        let (database, loaded) = opened
            .unwrap_or_else(|panic| Err(Broken::Damaged(spoken(panic.as_ref()))))
            .map_err(|broken| broken.at(&path))?;
        let witness = Witness::open(directory)?;
        witness.check(&path, loaded.revision)?;
        let disk = Self {
            path,
            open,
            database: Some(database),
            unsettled: BTreeMap::new(),
            witness,
        };
        Ok((disk, loaded))
    }

    /// Makes `changes` durable, all or none.
    pub fn commit(&mut self, changes: &[Arc<Change>], revision: u64) -> Result<(), DiskError> {
        let written = catch_unwind(AssertUnwindSafe(|| {
            let written = self.write(changes, revision);
            if written.is_err() {
                self.database = None;
            }
            written
        }));
        match written.unwrap_or_else(|panic| Err(Broken::Damaged(spoken(panic.as_ref())))) {
            Ok(()) => {
                self.unsettled.clear();
                self.witness.note(revision);
                Ok(())
            }
            Err(broken) => {
                self.database = None;
                for change in changes {
                    let before = change.previous.as_ref().map(|object| object.json.clone());
                    self.unsettled.entry(place(change)).or_insert(before);
                }
                Err(broken.at(&self.path))
            }
        }
    }

    fn write(&mut self, changes: &[Arc<Change>], revision: u64) -> Result<(), Broken> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert((self.open)()?),
        };
        let transaction = database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for (path, before) in &self.unsettled {
                match before {
                    Some(json) => objects.insert(path.as_str(), json.as_ref())?,
                    None => objects.remove(path.as_str())?,
                };
            }
            for change in changes {
                let path = place(change);
                if change.what == What::Deleted {
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

fn place(change: &Change) -> String {
    let key = &change.object.key;
    format!("{}/{}/{}", change.resource, key.namespace, key.name)
}

fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder
}

/// Makes the file, under another name until it is whole: a process that is killed leaves none, not half of one.
fn create(path: &Path) -> Result<(), Broken> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    // Secrets are among the objects.
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

/// Reads everything. A file without tables is new, and gets them.
fn load(database: &Database) -> Result<Loaded, Broken> {
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
        Some(other) => return Err(Broken::Format(other)),
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
        let broken = || Broken::Damaged(format!("{path:?} in it is no object"));
        let mut parts = path.splitn(3, '/');
        let (Some(resource), Some(namespace), Some(name)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(broken());
        };
        let resource = match interned.take() {
            Some(last) if &*last == resource => last,
            _ => resource.into(),
        };
        interned = Some(Arc::clone(&resource));
        let value = serde_json::from_slice(json.value()).map_err(|_| broken())?;
        objects.push((resource, Key::new(namespace, name), value));
    }
    Ok(Loaded { revision, objects })
}

#[cfg(test)]
mod tests;
