//! The last records.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::RequestId;
use memory::Tenant;

use super::record::{Origin, Record};
use super::writer::RecordWriter;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLimits {
    /// Records; 0 keeps none.
    pub max_records: usize,
    /// Tokens of all records together, 4 bytes each; the oldest lose theirs first.
    pub max_tokens: usize,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            max_records: 1_000,
            max_tokens: 4 << 20,
        }
    }
}

/// The last records; clones share them.
#[derive(Clone)]
pub struct RecordStore {
    limits: RecordLimits,
    /// Tokens with which a chat's prompt begins the answer.
    generation_prompt: usize,
    block_size: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// The oldest first, so by ascending ordinal.
    records: VecDeque<Arc<Record>>,
    next_ordinal: u64,
    /// Tokens that the records hold; those that still run may hold a few more.
    num_tokens: usize,
}

impl RecordStore {
    /// An empty store; a chat's prompt ends with `generation_prompt` tokens that begin the answer,
    /// and a block of the cache holds `block_size` tokens.
    pub fn new(limits: RecordLimits, generation_prompt: usize, block_size: usize) -> Self {
        Self {
            limits,
            generation_prompt,
            block_size,
            kept: Arc::default(),
        }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        self.limits.max_records > 0
    }

    /// Tokens with which a chat's prompt begins the answer.
    pub fn generation_prompt(&self) -> usize {
        self.generation_prompt
    }

    /// Tokens per block of the cache.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Begins the record of a request with this prompt. Where nothing is kept, it is the caller's
    /// alone and has no tokens.
    pub fn begin(&self, origin: Origin, prompt: &[u32]) -> RecordWriter {
        if !self.is_on() {
            let record = Record::new(origin, 0, prompt.len(), None);
            return RecordWriter::new(self.clone(), Arc::new(record));
        }
        let mut kept = self.lock();
        if kept.records.len() == self.limits.max_records
            && let Some(oldest) = kept.records.pop_front()
        {
            kept.forget(&oldest);
        }
        let tokens = Some(Arc::from(prompt));
        let record = Record::new(origin, kept.next_ordinal, prompt.len(), tokens);
        let record = Arc::new(record);
        kept.next_ordinal += 1;
        kept.records.push_back(Arc::clone(&record));
        kept.num_tokens += prompt.len();
        kept.shrink_to(self.limits.max_tokens);
        drop(kept);
        RecordWriter::new(self.clone(), record)
    }

    /// The record of this name, if it is the tenant's.
    pub fn get(&self, id: &str, tenant: Tenant) -> Option<Arc<Record>> {
        let is_it =
            |record: &&Arc<Record>| record.origin.tenant == tenant && record.origin.id == id;
        self.lock().records.iter().rev().find(is_it).cloned()
    }

    /// The record of a request of the engine, whoever's it is.
    pub fn of_engine(&self, id: RequestId) -> Option<Arc<Record>> {
        let is_it = |record: &&Arc<Record>| record.lock().engine_id == Some(id);
        self.lock().records.iter().rev().find(is_it).cloned()
    }

    /// The tenant's last records, the newest first.
    pub fn latest(&self, tenant: Tenant, limit: usize) -> Vec<Arc<Record>> {
        let own = |record: &&Arc<Record>| record.origin.tenant == tenant;
        let kept = self.lock();
        kept.records
            .iter()
            .rev()
            .filter(own)
            .take(limit)
            .cloned()
            .collect()
    }

    /// The records before `record` that could have left it a prefix: the same tenant's under the
    /// same salt, the newest first.
    pub fn before(&self, record: &Record) -> Vec<Arc<Record>> {
        let own = |other: &&Arc<Record>| {
            other.ordinal < record.ordinal
                && other.origin.tenant == record.origin.tenant
                && other.origin.salt == record.origin.salt
        };
        self.lock()
            .records
            .iter()
            .rev()
            .filter(own)
            .cloned()
            .collect()
    }

    pub(super) fn remove(&self, ordinal: u64) {
        let mut kept = self.lock();
        if let Ok(at) = kept
            .records
            .binary_search_by_key(&ordinal, |record| record.ordinal)
            && let Some(record) = kept.records.remove(at)
        {
            kept.forget(&record);
        }
    }

    /// A record holds so many tokens more.
    pub(super) fn grow(&self, tokens: usize) {
        let mut kept = self.lock();
        kept.num_tokens += tokens;
        kept.shrink_to(self.limits.max_tokens);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, record: &Record) {
        let tokens = record.lock().tokens.take();
        let len = tokens.map_or(0, |tokens| tokens.len());
        self.num_tokens = self.num_tokens.saturating_sub(len);
    }

    /// Drops tokens of the oldest records until the rest fits.
    fn shrink_to(&mut self, max_tokens: usize) {
        let mut at = 0;
        while self.num_tokens > max_tokens && at < self.records.len() {
            let record = Arc::clone(&self.records[at]);
            self.forget(&record);
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests;
