//! Texts that edits have shortened or left out and that no prompt names by a handle, so that a
//! client can look at them: the report has their handles.
//!
//! A client has the same text in its own history, so nothing is lost with them. They are therefore
//! kept apart from what the memory store holds: they push out nothing that was moved there, and no
//! request waits for a disk because of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use memory::{Handle, Tenant};

use super::draft::Draft;
use super::standing::StandingEdit;
use super::state::Budgeter;

/// Bytes that a text counts beside its own: its rows in both tables.
const OVERHEAD: usize = 256;

/// See the module. Bounded in bytes; what was not used for longest goes first, and comes back with
/// the next request of its conversation.
#[derive(Debug)]
pub struct Originals {
    texts: HashMap<(Tenant, Handle), Kept>,
    /// By the number of the last use.
    order: BTreeMap<u64, (Tenant, Handle)>,
    last: u64,
    bytes: usize,
    max_bytes: usize,
}

/// A text, and when it was used last.
#[derive(Debug)]
struct Kept {
    text: Arc<str>,
    used: u64,
}

impl Originals {
    /// No texts, and room for that many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            texts: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// Keeps a text under its handle. One that is longer than all there is room for is not kept.
    pub(super) fn keep(&mut self, tenant: Tenant, handle: Handle, text: &str) {
        let key = (tenant, handle);
        if self.touch(&key).is_some() || text.len() + OVERHEAD > self.max_bytes {
            return;
        }
        self.last += 1;
        self.bytes += text.len() + OVERHEAD;
        self.order.insert(self.last, key);
        let kept = Kept {
            text: text.into(),
            used: self.last,
        };
        self.texts.insert(key, kept);
        while self.bytes > self.max_bytes
            && let Some((_, oldest)) = self.order.pop_first()
            && let Some(kept) = self.texts.remove(&oldest)
        {
            self.bytes -= kept.text.len() + OVERHEAD;
        }
    }

    /// The tenant's text under this handle, if it is still there.
    pub fn restore(&mut self, tenant: &Tenant, handle: &Handle) -> Option<Arc<str>> {
        let kept = self.touch(&(*tenant, handle.shortened()))?;
        handle.is_of(tenant, &kept).then_some(kept)
    }

    fn touch(&mut self, key: &(Tenant, Handle)) -> Option<Arc<str>> {
        let kept = self.texts.get_mut(key)?;
        self.last += 1;
        self.order.remove(&kept.used);
        self.order.insert(self.last, *key);
        kept.used = self.last;
        Some(Arc::clone(&kept.text))
    }
}

impl Draft {
    /// Keeps what `edits` have taken away, those of earlier requests too, unless the prompt names
    /// it: then the memory store has it.
    pub(super) fn keep_originals(&self, budgeter: &Budgeter, edits: &[StandingEdit]) {
        let mut originals = budgeter.originals();
        for StandingEdit { segments, edit, .. } in edits {
            let is_stored = |handle: &&str| edit.replacement.contains(handle);
            let handle = edit.restore.as_deref().filter(|handle| !is_stored(handle));
            if let Some(handle) = handle.and_then(|handle| handle.parse().ok()) {
                let text = self.original(&edit.op, segments);
                originals.keep(self.input.tenant, handle, &text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let (tenant, other) = (Tenant::of(b"one"), Tenant::of(b"two"));
        let mut originals = Originals::new(3 * (OVERHEAD + 10));
        let texts = ["a", "b", "c", "d"].map(|letter| letter.repeat(10));
        let handles = texts.each_ref().map(|text| Handle::of(&tenant, text));
        let all = || texts.iter().zip(handles);
        for (text, handle) in all().take(3) {
            originals.keep(tenant, handle, text);
        }
        // The oldest is sent again, so that the second one is the oldest.
        originals.keep(tenant, handles[0], &texts[0]);
        originals.keep(tenant, handles[3], &texts[3]);
        originals.keep(tenant, Handle::of(&tenant, "long"), &"x".repeat(1 << 16));
        let found = all().map(|(_, handle)| originals.restore(&tenant, &handle));
        let found: Vec<Option<Arc<str>>> = found.collect();
        let kept = |at: usize| Some(Arc::from(texts[at].as_str()));
        assert_eq!(found, [kept(0), None, kept(2), kept(3)]);
        assert_eq!(originals.restore(&other, &handles[0]), None);
        assert_eq!(originals.bytes, originals.max_bytes);
    }
}
