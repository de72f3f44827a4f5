//! Entries bounded by their bytes; the least recently used go first.

use std::collections::HashMap;

use super::entry::EntryKind;
use super::{ChainKey, EntryTooLarge, TenantKey};

/// Under what an entry is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Slot {
    pub(super) key: ChainKey,
    pub(super) kind: EntryKind,
}

/// A table whose rows are on two lists each: all rows by their last use, and those of a tenant.
///
/// Every operation touches a constant number of rows, but for the rows that it removes.
#[derive(Debug)]
pub(super) struct Store<V> {
    max_bytes: usize,
    bytes: usize,
    evictions: u64,
    /// Rows by number; the free ones are `None` and listed in `free`.
    rows: Vec<Option<Row<V>>>,
    free: Vec<u32>,
    index: HashMap<Slot, u32>,
    /// From the last used to the one to evict next.
    recency: Ends,
    /// Only tenants that have rows.
    tenants: HashMap<TenantKey, Ends>,
}

#[derive(Debug)]
struct Row<V> {
    slot: Slot,
    tenant: TenantKey,
    bytes: usize,
    value: V,
    recency: Links,
    siblings: Links,
}

/// A row's neighbours on a list.
#[derive(Clone, Copy, Debug, Default)]
struct Links {
    before: Option<u32>,
    after: Option<u32>,
}

/// A list's ends.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    first: Option<u32>,
    last: Option<u32>,
}

/// One of the two lists.
#[derive(Clone, Copy)]
enum List {
    Recency,
    Tenant,
}

impl<V> Store<V> {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes,
            bytes: 0,
            evictions: 0,
            rows: Vec::new(),
            free: Vec::new(),
            index: HashMap::new(),
            recency: Ends::default(),
            tenants: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Rows that there is memory for, free ones included.
    #[cfg(test)]
    pub(super) fn num_rows(&self) -> usize {
        self.rows.len()
    }

    /// The value there; it is no use of it.
    pub(super) fn peek(&self, slot: &Slot) -> Option<&V> {
        let at = *self.index.get(slot)?;
        Some(&self.row(at).value)
    }

    /// The value there, to be changed; it is no use of it, and its bytes stay as they are.
    pub(super) fn peek_mut(&mut self, slot: &Slot) -> Option<&mut V> {
        let at = *self.index.get(slot)?;
        let row = self.rows[at as usize].as_mut();
        Some(&mut row.expect("the index names rows that are there").value)
    }

    /// Removes what is there.
    pub(super) fn forget(&mut self, slot: &Slot) {
        if let Some(&at) = self.index.get(slot) {
            self.remove(at);
        }
    }

    /// The value there, which becomes the last used.
    pub(super) fn touch(&mut self, slot: &Slot) -> Option<&V> {
        let at = *self.index.get(slot)?;
        self.unlink(List::Recency, at);
        self.link(List::Recency, at);
        Some(&self.row(at).value)
    }

    /// Puts a value in a slot, in place of the one there, and evicts others to make room for it.
    ///
    /// # Errors
    /// If it alone exceeds the bound; then nothing has changed.
    pub(super) fn insert(
        &mut self,
        slot: Slot,
        tenant: TenantKey,
        bytes: usize,
        value: V,
    ) -> Result<(), EntryTooLarge> {
        if bytes > self.max_bytes {
            let max_bytes = self.max_bytes;
            return Err(EntryTooLarge { bytes, max_bytes });
        }
        if let Some(&at) = self.index.get(&slot) {
            self.remove(at);
        }
        while self.bytes > self.max_bytes - bytes {
            let oldest = self.recency.last.expect("bytes are counted for rows only");
            self.remove(oldest);
            self.evictions += 1;
        }
        let at = self.place(Row {
            slot,
            tenant,
            bytes,
            value,
            recency: Links::default(),
            siblings: Links::default(),
        });
        self.bytes += bytes;
        self.index.insert(slot, at);
        self.link(List::Recency, at);
        self.link(List::Tenant, at);
        Ok(())
    }

    /// Removes all that a tenant has; the number of entries.
    pub(super) fn remove_tenant(&mut self, tenant: &TenantKey) -> usize {
        let mut removed = 0;
        while let Some(at) = self.tenants.get(tenant).and_then(|ends| ends.first) {
            self.remove(at);
            removed += 1;
        }
        removed
    }

    fn place(&mut self, row: Row<V>) -> u32 {
        if let Some(at) = self.free.pop() {
            self.rows[at as usize] = Some(row);
            return at;
        }
        let at = u32::try_from(self.rows.len()).expect("fewer entries than 2^32 fit into memory");
        self.rows.push(Some(row));
        at
    }

    fn remove(&mut self, at: u32) {
        self.unlink(List::Recency, at);
        self.unlink(List::Tenant, at);
        let row = self.rows[at as usize].take();
        let row = row.expect("only rows on a list are removed");
        self.index.remove(&row.slot);
        self.bytes -= row.bytes;
        self.free.push(at);
    }

    /// Puts a row, which is not on the list, at its front.
    fn link(&mut self, list: List, at: u32) {
        let mut ends = self.ends(list, at);
        let links = Links {
            before: None,
            after: ends.first,
        };
        *self.links(list, at) = links;
        match ends.first {
            Some(next) => self.links(list, next).before = Some(at),
            None => ends.last = Some(at),
        }
        ends.first = Some(at);
        self.set_ends(list, at, ends);
    }

    /// Takes a row off the list.
    fn unlink(&mut self, list: List, at: u32) {
        let mut ends = self.ends(list, at);
        let Links { before, after } = *self.links(list, at);
        match before {
            Some(before) => self.links(list, before).after = after,
            None => ends.first = after,
        }
        match after {
            Some(after) => self.links(list, after).before = before,
            None => ends.last = before,
        }
        self.set_ends(list, at, ends);
    }

    fn ends(&self, list: List, at: u32) -> Ends {
        match list {
            List::Recency => self.recency,
            List::Tenant => {
                let tenant = &self.row(at).tenant;
                self.tenants.get(tenant).copied().unwrap_or_default()
            }
        }
    }

    fn set_ends(&mut self, list: List, at: u32, ends: Ends) {
        match list {
            List::Recency => self.recency = ends,
            List::Tenant => {
                let tenant = self.row(at).tenant;
                if ends.first.is_some() {
                    self.tenants.insert(tenant, ends);
                } else {
                    self.tenants.remove(&tenant);
                }
            }
        }
    }

    fn links(&mut self, list: List, at: u32) -> &mut Links {
        let row = self.rows[at as usize].as_mut();
        let row = row.expect("indices and links name rows that are there");
        match list {
            List::Recency => &mut row.recency,
            List::Tenant => &mut row.siblings,
        }
    }

    fn row(&self, at: u32) -> &Row<V> {
        let row = self.rows[at as usize].as_ref();
        row.expect("indices and links name rows that are there")
    }
}

/// The most bytes of memory that a row takes, its value's own allocations apart: tables double, and
/// a hash table is at least 7/16 full after it has.
#[cfg(test)]
pub(super) fn row_memory<V>() -> usize {
    let index = (size_of::<(Slot, u32)>() + 1) * 16 / 7 + 1;
    let tenants = (size_of::<(TenantKey, Ends)>() + 1) * 16 / 7 + 1;
    2 * (size_of::<Option<Row<V>>>() + size_of::<u32>()) + index + tenants
}
