//! One tenant's offloaded texts, and which of them was not used for longest.

use redb::{ReadableTable, Table, WriteTransaction};

use crate::entry::{
    BYTES_NUMBER, ENTRIES, NUMBERS, ORDER, SHARES, TEXTS, TextKey, USE_NUMBER, find_key, order_key,
    text_key,
};
use crate::handle::name;
use crate::store::number;
use crate::uses::Uses;
use crate::{Handle, Limits, PutError, StorageError, Stored, Tenant};

/// One tenant's texts in a change.
pub(crate) struct Shelf<'t> {
    tenant: Tenant,
    texts: Table<'t, &'static [u8], &'static [u8]>,
    entries: Table<'t, &'static [u8], (u64, u64, u64)>,
    order: Table<'t, &'static [u8], &'static [u8]>,
    shares: Table<'t, &'static [u8], (u64, u64, u64)>,
    numbers: Table<'t, &'static str, u64>,
}

impl<'t> Shelf<'t> {
    pub(crate) fn open(change: &'t WriteTransaction, tenant: Tenant) -> Result<Self, StorageError> {
        Ok(Self {
            tenant,
            texts: change.open_table(TEXTS)?,
            entries: change.open_table(ENTRIES)?,
            order: change.open_table(ORDER)?,
            shares: change.open_table(SHARES)?,
            numbers: change.open_table(NUMBERS)?,
        })
    }

    /// Stores a text, unless it is there.
    pub(crate) fn put(&mut self, text: &str, limits: &Limits) -> Result<Stored, PutError> {
        let handle = Handle::of(&self.tenant, text);
        let key = text_key(&self.tenant, &name(&self.tenant, text));
        let known = find_key(&self.entries, &self.tenant, &handle).map_err(StorageError::from)?;
        if known.is_some_and(|known| known != key) {
            return Err(PutError::Collision(handle));
        }
        if touch(
            &mut self.entries,
            &mut self.order,
            &mut self.numbers,
            &key,
            1,
        )? {
            let stored = self.texts.get(key.as_slice()).map_err(StorageError::from)?;
            return match stored {
                Some(stored) if stored.value() == text.as_bytes() => Ok(Stored {
                    handle,
                    known: true,
                    evicted: 0,
                }),
                _ => Err(PutError::Collision(handle)),
            };
        }
        let evicted = self.make_room(text.len() as u64, limits)?;
        self.insert(&key, text)?;
        Ok(Stored {
            handle,
            known: false,
            evicted,
        })
    }

    pub(crate) fn insert(&mut self, key: &TextKey, text: &str) -> Result<(), StorageError> {
        let bytes = text.len() as u64;
        let now = next_use(&mut self.numbers)?;
        let (_, name) = key.split_at(Tenant::LENGTH);
        self.texts.insert(key.as_slice(), text.as_bytes())?;
        self.entries.insert(key.as_slice(), (bytes, now, 1))?;
        self.order
            .insert(order_key(&self.tenant, now).as_slice(), name)?;
        let (all, texts, evicted) = self.share()?;
        self.shares.insert(
            self.tenant.bytes().as_slice(),
            (all + bytes, texts + 1, evicted),
        )?;
        let total = number(&self.numbers, BYTES_NUMBER)? + bytes;
        self.numbers.insert(BYTES_NUMBER, total)?;
        Ok(())
    }

    /// Removes what was not used for longest until `bytes` more fit; how many texts that were.
    fn make_room(&mut self, bytes: u64, limits: &Limits) -> Result<u64, PutError> {
        let mut removed = 0;
        loop {
            let (own, ..) = self.share()?;
            let total = number(&self.numbers, BYTES_NUMBER).map_err(StorageError::from)?;
            let fits = own + bytes <= limits.offloaded_bytes;
            if fits && total + bytes <= limits.total_bytes {
                break;
            }
            let Some(oldest) = self.oldest()? else {
                return Err(PutError::Full {
                    limit: limits.total_bytes,
                });
            };
            self.remove(&oldest)?;
            removed += 1;
        }
        let (own, texts, evicted) = self.share()?;
        self.shares
            .insert(
                self.tenant.bytes().as_slice(),
                (own, texts, evicted + removed),
            )
            .map_err(StorageError::from)?;
        Ok(removed)
    }

    /// The key of the text that was not used for longest.
    fn oldest(&self) -> Result<Option<TextKey>, StorageError> {
        let (first, last) = (
            order_key(&self.tenant, 0),
            order_key(&self.tenant, u64::MAX),
        );
        let mut uses = self.order.range(first.as_slice()..=last.as_slice())?;
        let Some((_, name)) = uses.next().transpose()? else {
            return Ok(None);
        };
        let name = name.value().try_into();
        let name = name.map_err(|_| StorageError::Damaged("a name of a text is cut off"))?;
        Ok(Some(text_key(&self.tenant, &name)))
    }

    /// Removes the text behind a handle; whether there was one.
    pub(crate) fn forget(&mut self, handle: &Handle) -> Result<bool, StorageError> {
        match find_key(&self.entries, &self.tenant, handle)? {
            Some(key) => self.remove(&key),
            None => Ok(false),
        }
    }

    fn remove(&mut self, key: &TextKey) -> Result<bool, StorageError> {
        let Some((bytes, last, _)) = self.entries.remove(key.as_slice())?.map(|e| e.value()) else {
            return Ok(false);
        };
        self.texts.remove(key.as_slice())?;
        self.order
            .remove(order_key(&self.tenant, last).as_slice())?;
        let (own, texts, evicted) = self.share()?;
        let left = (own.saturating_sub(bytes), texts.saturating_sub(1), evicted);
        self.shares.insert(self.tenant.bytes().as_slice(), left)?;
        let total = number(&self.numbers, BYTES_NUMBER)?.saturating_sub(bytes);
        self.numbers.insert(BYTES_NUMBER, total)?;
        Ok(true)
    }

    fn share(&self) -> Result<(u64, u64, u64), StorageError> {
        let share = self.shares.get(self.tenant.bytes().as_slice())?;
        Ok(share.map_or((0, 0, 0), |share| share.value()))
    }
}

/// Writes uses down in their order; texts that are gone are left out.
pub(crate) fn write_uses(change: &WriteTransaction, uses: &Uses) -> Result<(), StorageError> {
    let mut in_order: Vec<_> = uses.by_text.iter().collect();
    in_order.sort_unstable_by_key(|(_, (_, at))| *at);
    let mut entries = change.open_table(ENTRIES)?;
    let mut order = change.open_table(ORDER)?;
    let mut numbers = change.open_table(NUMBERS)?;
    for (key, (count, _)) in in_order {
        touch(&mut entries, &mut order, &mut numbers, key, *count)?;
    }
    Ok(())
}

/// Makes a text its tenant's youngest; whether it is there.
fn touch(
    entries: &mut Table<'_, &'static [u8], (u64, u64, u64)>,
    order: &mut Table<'_, &'static [u8], &'static [u8]>,
    numbers: &mut Table<'_, &'static str, u64>,
    key: &TextKey,
    count: u64,
) -> Result<bool, StorageError> {
    let Some((bytes, last, uses)) = entries.get(key.as_slice())?.map(|entry| entry.value()) else {
        return Ok(false);
    };
    let now = next_use(numbers)?;
    entries.insert(key.as_slice(), (bytes, now, uses + count))?;
    let (tenant, name) = key.split_at(Tenant::LENGTH);
    order.remove([tenant, &last.to_be_bytes()].concat().as_slice())?;
    order.insert([tenant, &now.to_be_bytes()].concat().as_slice(), name)?;
    Ok(true)
}

fn next_use(numbers: &mut Table<'_, &'static str, u64>) -> Result<u64, StorageError> {
    let next = number(numbers, USE_NUMBER)? + 1;
    numbers.insert(USE_NUMBER, next)?;
    Ok(next)
}
