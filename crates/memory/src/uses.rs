//! Uses of offloaded texts that are not written down yet.

use std::collections::BTreeMap;

use crate::entry::TextKey;

/// How often texts were used, and in which order.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// By text: how often, and the last time's number among these.
    pub(crate) by_text: BTreeMap<TextKey, (u64, u64)>,
    pub(crate) last: u64,
}

impl Uses {
    /// One more use of a text.
    pub(crate) fn add(&mut self, key: TextKey) {
        self.last += 1;
        let last = self.last;
        let (count, at) = self.by_text.entry(key).or_default();
        *count += 1;
        *at = last;
    }

    /// Takes back uses that are older than all of these.
    pub(crate) fn add_earlier(&mut self, earlier: Self) {
        let newer = std::mem::replace(self, earlier);
        for (key, (count, at)) in newer.by_text {
            let (all, last) = self.by_text.entry(key).or_default();
            *all += count;
            *last = self.last + at;
        }
        self.last += newer.last;
    }
}
