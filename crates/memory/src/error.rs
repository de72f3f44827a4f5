//! What can go wrong below every operation.

/// The database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Reading or writing failed; nothing of the operation was done.
    #[error("the memory store: {0}")]
    Database(#[source] Box<redb::Error>),
    /// A record is not what was written.
    #[error("the memory store holds a damaged record: {0}")]
    Damaged(&'static str),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no usable database, or another process has it.
    #[error("opening the memory store ({place}): {source}")]
    Database {
        /// Its path.
        place: String,
        /// Why.
        source: Box<redb::Error>,
    },
    /// Its records are arranged as another version of this program does.
    #[error("the memory store has format {found}, this program reads {expected}")]
    Format {
        /// Its format.
        found: u64,
        /// The format that can be read.
        expected: u64,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

macro_rules! from_redb {
    ($($error:ident),+) => {
        $(impl From<redb::$error> for StorageError {
            fn from(error: redb::$error) -> Self {
                Self::Database(Box::new(error.into()))
            }
        })+
    };
}

from_redb!(StorageError, TransactionError, TableError, CommitError);
