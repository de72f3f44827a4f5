//! The database and what it counts.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, ReadableTable};
use redb::{StorageBackend, WriteTransaction};

use crate::entry::{
    BYTES_NUMBER, ENTRIES, FILES, FORMAT, FORMAT_NUMBER, NAMESPACES, NUMBERS, ORDER, SHARES, TEXTS,
};
use crate::uses::Uses;
use crate::{Limits, OpenError, StorageError};

#[cfg(test)]
mod tests;

/// Offloaded texts and files of all tenants.
///
/// Every change is one transaction: after a crash it is there wholly, or not at all, and what was
/// answered before the crash is there. Reading waits for nobody; changes are made one after the
/// other.
#[derive(Debug)]
pub struct Store {
    database: Database,
    limits: Limits,
    /// Uses of texts since the last change, which writes them down: restoring need not wait for a
    /// disk. A crash forgets them; the texts stay.
    uses: Mutex<Uses>,
}

impl Store {
    /// The store in the file at `path`, which is created if there is none.
    ///
    /// # Errors
    /// If the file cannot be used, if another process has it open, or if it is of another format.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, OpenError> {
        Self::with(Database::create(path), &path.display().to_string(), limits)
    }

    /// A store that ends with the process.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub fn in_memory(limits: Limits) -> Result<Self, OpenError> {
        Self::with_backend(InMemoryBackend::new(), limits)
    }

    /// Its bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Bytes that count against [`Limits::total_bytes`].
    ///
    /// # Errors
    /// If reading fails.
    pub fn total_bytes(&self) -> Result<u64, StorageError> {
        let numbers = self.begin_read()?.open_table(NUMBERS)?;
        Ok(number(&numbers, BYTES_NUMBER)?)
    }

    pub(crate) fn with_backend(
        backend: impl StorageBackend,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        Self::with(
            Database::builder().create_with_backend(backend),
            "in memory",
            limits,
        )
    }

    pub(crate) fn begin_read(&self) -> Result<ReadTransaction, StorageError> {
        Ok(self.database.begin_read()?)
    }

    /// Begins a change; without a commit nothing changes.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, StorageError> {
        Ok(self.database.begin_write()?)
    }

    pub(crate) fn uses(&self) -> MutexGuard<'_, Uses> {
        // A panic between two statements leaves counts that are a little too small.
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(
        database: Result<Database, DatabaseError>,
        place: &str,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let database = database.map_err(|error| OpenError::Database {
            place: place.to_owned(),
            source: Box::new(error.into()),
        })?;
        let store = Self {
            database,
            limits,
            uses: Mutex::default(),
        };
        store.prepare()?;
        Ok(store)
    }

    /// Makes the tables, so that reading finds them, and checks how they are arranged.
    fn prepare(&self) -> Result<(), OpenError> {
        let change = self.begin_write()?;
        let found = {
            let mut numbers = change.open_table(NUMBERS).map_err(StorageError::from)?;
            let found = numbers
                .get(FORMAT_NUMBER)
                .map_err(StorageError::from)?
                .map(|n| n.value());
            if found.is_none() {
                numbers
                    .insert(FORMAT_NUMBER, FORMAT)
                    .map_err(StorageError::from)?;
            }
            found.unwrap_or(FORMAT)
        };
        if found != FORMAT {
            return Err(OpenError::Format {
                found,
                expected: FORMAT,
            });
        }
        open_all(&change)?;
        change.commit().map_err(StorageError::from)?;
        Ok(())
    }
}

fn open_all(change: &WriteTransaction) -> Result<(), StorageError> {
    change.open_table(TEXTS)?;
    change.open_table(ENTRIES)?;
    change.open_table(ORDER)?;
    change.open_table(SHARES)?;
    change.open_table(FILES)?;
    change.open_table(NAMESPACES)?;
    Ok(())
}

/// A number of the store; 0 before it was first written.
pub(crate) fn number(
    numbers: &impl ReadableTable<&'static str, u64>,
    name: &str,
) -> Result<u64, redb::StorageError> {
    Ok(numbers.get(name)?.map_or(0, |number| number.value()))
}
