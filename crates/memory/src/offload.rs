//! Text that was moved out of a prompt.

use crate::entry::{ENTRIES, SHARES, TEXTS, find_key};
use crate::shelf::{Shelf, write_uses};
use crate::uses::Uses;
use crate::{Handle, StorageError, Store, Tenant};

/// What putting a text away did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What stands for it.
    pub handle: Handle,
    /// Whether it was there already.
    pub known: bool,
    /// Texts of the same tenant that made room; their handles restore nothing any more.
    pub evicted: u64,
}

/// Why a text was not put away; the store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// It is longer than all that a tenant may offload.
    #[error("the text has {bytes} bytes, a tenant may offload {limit}")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The bound.
        limit: u64,
    },
    /// The store is full of what is others'.
    #[error("the memory store is full: {limit} bytes")]
    Full {
        /// The bound.
        limit: u64,
    },
    /// Another text of this tenant has its handle.
    #[error("another text is stored under {0}")]
    Collision(Handle),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What a tenant has offloaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of its texts.
    pub bytes: u64,
    /// Its texts.
    pub texts: u64,
    /// Texts that had to make room so far.
    pub evicted: u64,
}

impl Store {
    /// Puts a text away. The same text of the same tenant is stored once; putting it away again is
    /// a use of it.
    ///
    /// # Errors
    /// See [`PutError`].
    pub fn put(&self, tenant: &Tenant, text: &str) -> Result<Stored, PutError> {
        let uses = std::mem::take(&mut *self.uses());
        let result = self.put_after(&uses, tenant, text);
        if result.is_err() {
            self.uses().add_earlier(uses);
        }
        result
    }

    /// The text that was put away under this handle, byte for byte; `None` if this tenant has none,
    /// because it never put one there or because it had to make room.
    ///
    /// # Errors
    /// If reading fails, or if the text is not the one that has this handle.
    pub fn restore(
        &self,
        tenant: &Tenant,
        handle: &Handle,
    ) -> Result<Option<String>, StorageError> {
        let read = self.begin_read()?;
        let Some(key) = find_key(&read.open_table(ENTRIES)?, tenant, handle)? else {
            return Ok(None);
        };
        let texts = read.open_table(TEXTS)?;
        let Some(stored) = texts.get(key.as_slice())? else {
            return Err(StorageError::Damaged("an offloaded text is gone"));
        };
        let text = String::from_utf8(stored.value().to_vec())
            .map_err(|_| StorageError::Damaged("an offloaded text is no UTF-8"))?;
        if !handle.is_of(tenant, &text) {
            return Err(StorageError::Damaged(
                "an offloaded text is not what its handle says",
            ));
        }
        self.uses().add(key);
        Ok(Some(text))
    }

    /// Deletes a text; whether there was one.
    ///
    /// # Errors
    /// If the database fails; the text is still there.
    pub fn forget(&self, tenant: &Tenant, handle: &Handle) -> Result<bool, StorageError> {
        let change = self.begin_write()?;
        let was_there = Shelf::open(&change, *tenant)?.forget(handle)?;
        change.commit()?;
        Ok(was_there)
    }

    /// How often a text was put away and restored; `None` if there is none.
    ///
    /// # Errors
    /// If reading fails.
    pub fn uses_of(&self, tenant: &Tenant, handle: &Handle) -> Result<Option<u64>, StorageError> {
        let entries = self.begin_read()?.open_table(ENTRIES)?;
        let Some(key) = find_key(&entries, tenant, handle)? else {
            return Ok(None);
        };
        let unwritten = self.uses().by_text.get(&key).map_or(0, |(count, _)| *count);
        let entry = entries.get(key.as_slice())?.map(|entry| entry.value());
        Ok(entry.map(|(_, _, uses)| uses + unwritten))
    }

    /// What a tenant has offloaded.
    ///
    /// # Errors
    /// If reading fails.
    pub fn usage(&self, tenant: &Tenant) -> Result<Usage, StorageError> {
        let shares = self.begin_read()?.open_table(SHARES)?;
        let (bytes, texts, evicted) = shares
            .get(tenant.bytes().as_slice())?
            .map_or((0, 0, 0), |share| share.value());
        Ok(Usage {
            bytes,
            texts,
            evicted,
        })
    }

    fn put_after(&self, uses: &Uses, tenant: &Tenant, text: &str) -> Result<Stored, PutError> {
        let (bytes, limit) = (text.len() as u64, self.limits().offloaded_bytes);
        if bytes > limit {
            return Err(PutError::TooLarge { bytes, limit });
        }
        let change = self.begin_write()?;
        write_uses(&change, uses)?;
        let stored = Shelf::open(&change, *tenant)?.put(text, self.limits())?;
        change.commit().map_err(StorageError::from)?;
        Ok(stored)
    }
}
