//! The file behind the store: redb, one transaction a commit, durable when it returns.

use std::{path::Path, sync::Arc};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde_json::Value;

use super::{Change, What};
use crate::embedded::object::Key;

/// `resource/namespace/name` -> the object as JSON.
const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
/// Single numbers by name.
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The last resource version given out.
const REVISION: &str = "revision";

/// Why the store's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cannot make the directory of the embedded cluster: {0}")]
    Directory(#[source] std::io::Error),
    #[error("cannot use the embedded cluster's store: {0}")]
    Database(#[source] Box<redb::Error>),
    #[error("the embedded cluster's store holds {0:?}, which is no object")]
    Broken(String),
    #[error("cannot start the store's thread: {0}")]
    Thread(#[source] std::io::Error),
}

impl<E: Into<redb::Error>> From<E> for DiskError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// What a store starts from.
pub struct Loaded {
    pub revision: u64,
    pub objects: Vec<(Arc<str>, Key, Value)>,
}

pub struct Disk {
    database: Database,
}

impl Disk {
    pub fn open(directory: &Path) -> Result<Self, DiskError> {
        std::fs::create_dir_all(directory).map_err(DiskError::Directory)?;
        let database = Database::create(directory.join("objects.redb"))?;
        Ok(Self { database })
    }

    pub fn load(&self) -> Result<Loaded, DiskError> {
        // The tables must exist before they can be read.
        let transaction = self.database.begin_write()?;
        transaction.open_table(OBJECTS)?;
        transaction.open_table(NUMBERS)?;
        transaction.commit()?;

        let transaction = self.database.begin_read()?;
        let revision = transaction
            .open_table(NUMBERS)?
            .get(REVISION)?
            .map_or(0, |number| number.value());
        let mut objects = Vec::new();
        let mut interned: Option<Arc<str>> = None;
        for entry in transaction.open_table(OBJECTS)?.iter()? {
            let (path, json) = entry?;
            let path = path.value();
            let broken = || DiskError::Broken(path.to_owned());
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

    pub fn commit(&self, changes: &[Arc<Change>], revision: u64) -> Result<(), DiskError> {
        let transaction = self.database.begin_write()?;
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for change in changes {
                let key = &change.object.key;
                let path = format!("{}/{}/{}", change.resource, key.namespace, key.name);
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
