//! Edits of earlier requests, made again byte for byte.
//!
//! Clients resend their unedited history. If each request were edited anew, the edits would slide
//! and every turn would break the cached prefix; so an edit is kept under the content that it
//! belongs to, and needs no session id:
//!
//! 1. [`SegmentChain`] names each beginning of the original conversation by a hash.
//! 2. [`EditLedger::replay`] finds the edits of its segments; they are applied as they stand.
//! 3. The plan is made on the result; [`EditLedger::record`] keeps what it adds.
//!
//! A byte that changes gives other keys from its segment on, so nothing behind it is replayed. An
//! entry that is lost costs the work of planning again, never a wrong prompt. Forks of a
//! conversation share the edits of what they have in common.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::{EditOp, SummaryLevel};

mod chain;
mod drift;
mod entry;
mod regret;
mod replay;
mod store;

pub use chain::{ChainKey, LedgerScope, SegmentChain, TenantKey, segment_digest};
pub use drift::DriftVerdict;
pub use entry::{ENTRY_OVERHEAD, EntryTooLarge, LedgerEdit, Summary, SummaryOrder, SummaryOrigin};
pub use regret::{CallRecord, Regret, call_digest, regrets};
pub use replay::{KnownEdit, Piece, Replay};

use entry::EntryKind;
use store::{Slot, Store};

/// Most summaries that are kept of spans with the same last segment, at each level: of requests that
/// want different things of them.
const MAX_WISHES: usize = 4;

/// Edits and summaries of all conversations, bounded in bytes; the least recently used go first.
///
/// An entry counts its texts and [`ENTRY_OVERHEAD`]. One owner: whoever shares it locks it.
#[derive(Debug)]
pub struct EditLedger {
    store: Store<Entry>,
    hits: u64,
    misses: u64,
    replayed: u64,
    regretted: u64,
}

/// What the ledger has done since it was made, and what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerCounters {
    /// Replays that found an edit, and summaries that were found.
    pub hits: u64,
    /// Replays that found none, and summaries that were not found.
    pub misses: u64,
    /// Edits given out by replays.
    pub replayed: u64,
    /// Calls counted as regretted.
    pub regretted: u64,
    /// Entries that gave way to others for lack of room.
    pub evictions: u64,
    /// Entries.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Bytes that they may have.
    pub max_bytes: usize,
}

/// A summary that waits for a plan to use it.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingSummary {
    /// The original segments that it stands for.
    pub segments: RangeInclusive<usize>,
    /// How long it is.
    pub level: SummaryLevel,
    /// The summary.
    pub summary: Arc<Summary>,
}

#[derive(Debug)]
enum Entry {
    Edit {
        /// Segments that it replaces, the key's being the last.
        span: usize,
        /// Segments that the conversation had.
        made_at: usize,
        edit: Arc<LedgerEdit>,
        drift: DriftVerdict,
    },
    /// The latest last.
    Summaries(Vec<SpanSummary>),
    Regret,
}

/// A summary of segments of which the key's is the last.
#[derive(Clone, Debug)]
struct SpanSummary {
    span: usize,
    summary: Arc<Summary>,
}

impl EditLedger {
    /// An empty ledger of at most that many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            store: Store::new(max_bytes),
            hits: 0,
            misses: 0,
            replayed: 0,
            regretted: 0,
        }
    }

    /// The edits that stand in a conversation already.
    ///
    /// `allowed` says of all that are found which may stand, as [`Protection::allowed`] does: a
    /// request may protect what an earlier one did not. Among overlapping ones the longest span is applied. Applied ones count as used, the
    /// earliest in the conversation as the last used: if some must go, those go first whose loss
    /// breaks the least of the cached prefix.
    ///
    /// [`Protection::allowed`]: crate::Protection::allowed
    ///
    /// # Panics
    /// If `allowed` does not answer for each of them.
    pub fn replay(
        &mut self,
        chain: &SegmentChain,
        allowed: impl FnOnce(&[KnownEdit]) -> Vec<bool>,
    ) -> Replay {
        let known = self.known_edits(chain);
        let answers = allowed(&known);
        assert_eq!(answers.len(), known.len(), "an answer for each edit");
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for (known, is_allowed) in known.into_iter().zip(answers) {
            match is_allowed {
                true => found.push(known),
                false => refused.push(known),
            }
        }
        let mut replay = Replay::choose(found, chain.len());
        replay.refused = refused;
        for KnownEdit { segments, edit, .. } in replay.edits.iter().rev() {
            self.store.touch(&Slot {
                key: chain.keys()[*segments.end()],
                kind: edit_kind(&edit.op),
            });
        }
        self.count(!replay.edits.is_empty());
        self.replayed += replay.edits.len() as u64;
        replay
    }

    /// Keeps an edit of the conversation's original `segments`. It takes the place of an earlier
    /// one of its kind (of a span or not) with the same last segment.
    ///
    /// # Errors
    /// If it is larger than the whole ledger; then nothing has changed.
    ///
    /// # Panics
    /// If `segments` is empty or reaches beyond the chain, or if the edit is neither a compaction nor
    /// leaves out an example and has more than one segment.
    pub fn record(
        &mut self,
        chain: &SegmentChain,
        segments: RangeInclusive<usize>,
        edit: LedgerEdit,
    ) -> Result<(), EntryTooLarge> {
        let kind = edit_kind(&edit.op);
        let span = span_length(&segments);
        assert!(
            span == 1 || kind == EntryKind::Span,
            "only compactions and examples have more than one segment"
        );
        let bytes = edit.bytes();
        let entry = Entry::Edit {
            span,
            made_at: chain.len(),
            edit: Arc::new(edit),
            drift: DriftVerdict::default(),
        };
        self.insert(chain, *segments.end(), kind, bytes, entry)
    }

    /// Keeps a summary of the conversation's original `segments` until a plan has use for it. It
    /// takes the place of an earlier one of that level, span and order; of those with the same last
    /// segment the latest four are kept, as many as the ledger can hold.
    ///
    /// # Errors
    /// If it is larger than the whole ledger; then nothing has changed.
    ///
    /// # Panics
    /// If `segments` is empty or reaches beyond the chain.
    pub fn store_summary(
        &mut self,
        chain: &SegmentChain,
        segments: RangeInclusive<usize>,
        level: SummaryLevel,
        summary: Summary,
    ) -> Result<(), EntryTooLarge> {
        let (span, kind) = (span_length(&segments), EntryKind::Summaries(level));
        let mut bytes = summary.bytes();
        let key = chain.keys()[*segments.end()];
        let known = match self.store.peek(&Slot { key, kind }) {
            Some(Entry::Summaries(known)) => known.as_slice(),
            _ => &[],
        };
        let same =
            |known: &&SpanSummary| known.span == span && known.summary.order == summary.order;
        let mut kept = Vec::with_capacity(MAX_WISHES);
        for known in known.iter().rev().filter(|known| !same(known)) {
            let all = bytes + known.summary.bytes();
            if kept.len() + 1 == MAX_WISHES || all > self.store.max_bytes() {
                break;
            }
            bytes = all;
            kept.push(known.clone());
        }
        kept.reverse();
        let summary = Arc::new(summary);
        kept.push(SpanSummary { span, summary });
        self.insert(chain, *segments.end(), kind, bytes, Entry::Summaries(kept))
    }

    /// The latest summary of exactly these segments at that level that is what `order` asks for; it
    /// counts as used.
    pub fn summary(
        &mut self,
        chain: &SegmentChain,
        segments: &RangeInclusive<usize>,
        level: SummaryLevel,
        order: &SummaryOrder,
    ) -> Option<Arc<Summary>> {
        let found = self.find_summary(chain, segments, level, order).cloned();
        self.count(found.is_some());
        if found.is_some() {
            self.store.touch(&Slot {
                key: chain.keys()[*segments.end()],
                kind: EntryKind::Summaries(level),
            });
        }
        found
    }

    /// All summaries of parts of a conversation, by their last segment and level, the latest last.
    /// Planners ask this for spans that they may not choose: it is no use of them, and not counted.
    pub fn summaries(&self, chain: &SegmentChain) -> Vec<WaitingSummary> {
        let mut waiting = Vec::new();
        for (last, &key) in chain.keys().iter().enumerate() {
            for level in SummaryLevel::ALL {
                let kind = EntryKind::Summaries(level);
                if let Some(Entry::Summaries(known)) = self.store.peek(&Slot { key, kind }) {
                    waiting.extend(known.iter().map(|known| WaitingSummary {
                        segments: last + 1 - known.span..=last,
                        level,
                        summary: Arc::clone(&known.summary),
                    }));
                }
            }
        }
        waiting
    }

    /// Counts regrets of a conversation, see [`regrets`]; those that had not been counted before.
    ///
    /// Every request repeats the whole history, so each counted one is marked in the ledger; one
    /// whose mark has been evicted is counted again.
    ///
    /// # Panics
    /// If a regret is of no segment of the chain.
    pub fn count_regrets(&mut self, chain: &SegmentChain, regrets: &[Regret]) -> Vec<Regret> {
        let mut fresh = Vec::new();
        if self.store.max_bytes() < ENTRY_OVERHEAD {
            // Nothing can be kept, so no edit can have been and none can be regretted.
            return fresh;
        }
        for regret in regrets {
            let (key, kind) = (chain.keys()[regret.again], EntryKind::Regret);
            if self.store.touch(&Slot { key, kind }).is_none() {
                self.insert(chain, regret.again, kind, ENTRY_OVERHEAD, Entry::Regret)
                    .expect("there is room for a mark");
                self.regretted += 1;
                fresh.push(*regret);
            }
        }
        fresh
    }

    /// Forgets everything of a tenant; the number of entries.
    pub fn delete_tenant(&mut self, tenant: &TenantKey) -> usize {
        self.store.remove_tenant(tenant)
    }

    /// What the ledger has done, and what it has.
    pub fn counters(&self) -> LedgerCounters {
        LedgerCounters {
            hits: self.hits,
            misses: self.misses,
            replayed: self.replayed,
            regretted: self.regretted,
            evictions: self.store.evictions(),
            entries: self.store.len(),
            bytes: self.store.bytes(),
            max_bytes: self.store.max_bytes(),
        }
    }

    /// Everything found, in the order of the last segments.
    fn known_edits(&self, chain: &SegmentChain) -> Vec<KnownEdit> {
        let mut found = Vec::new();
        for (last, &key) in chain.keys().iter().enumerate() {
            for kind in [EntryKind::Single, EntryKind::Span] {
                if let Some(Entry::Edit {
                    span,
                    made_at,
                    edit,
                    drift,
                }) = self.store.peek(&Slot { key, kind })
                {
                    found.push(KnownEdit {
                        segments: last + 1 - span..=last,
                        made_at: *made_at,
                        edit: Arc::clone(edit),
                        drift: *drift,
                    });
                }
            }
        }
        found
    }

    fn find_summary(
        &self,
        chain: &SegmentChain,
        segments: &RangeInclusive<usize>,
        level: SummaryLevel,
        order: &SummaryOrder,
    ) -> Option<&Arc<Summary>> {
        let slot = Slot {
            key: *chain.keys().get(*segments.end())?,
            kind: EntryKind::Summaries(level),
        };
        let Entry::Summaries(known) = self.store.peek(&slot)? else {
            return None;
        };
        let span = span_length(segments);
        let mut latest = known.iter().rev();
        let found = latest.find(|known| known.span == span && order.accepts(&known.summary));
        found.map(|known| &known.summary)
    }

    fn insert(
        &mut self,
        chain: &SegmentChain,
        last: usize,
        kind: EntryKind,
        bytes: usize,
        entry: Entry,
    ) -> Result<(), EntryTooLarge> {
        let key = chain.keys()[last];
        self.store
            .insert(Slot { key, kind }, chain.tenant(), bytes, entry)
    }

    fn count(&mut self, is_hit: bool) {
        if is_hit {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
    }
}

fn edit_kind(op: &EditOp) -> EntryKind {
    match op {
        EditOp::Compact(_) | EditOp::DropExample => EntryKind::Span,
        EditOp::Dedupe { .. }
        | EditOp::ClearToolResult
        | EditOp::ClearToolInput
        | EditOp::ClearReasoning
        | EditOp::Compress(_)
        | EditOp::DropDocument
        | EditOp::ExtractDocument
        | EditOp::Offload
        | EditOp::PruneTool => EntryKind::Single,
    }
}

fn span_length(segments: &RangeInclusive<usize>) -> usize {
    assert!(!segments.is_empty(), "an edit has segments");
    segments.end() - segments.start() + 1
}

#[cfg(test)]
mod tests;
