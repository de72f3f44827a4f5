//! How much of their beginnings conversations share (`zones.stable_prefix.until: auto`).

use std::collections::HashMap;

use context::ChainKey;

/// Conversations that must share a beginning before it counts as stable.
const ENOUGH: u32 = 3;

/// Most beginnings that are remembered; each takes less than 100 bytes.
const MAX_BEGINNINGS: usize = 1 << 16;

/// The beginnings of conversations, as a tree: every key stands for all text before it.
///
/// A conversation grows by being sent again, so what goes on where another one ended is the same
/// one, and what leaves a path in its middle is another. Counts never fall; what has not been seen
/// for longest is forgotten, ends before beginnings. So the stable prefix of a conversation does
/// not shrink while its requests keep coming.
#[derive(Debug, Default)]
pub(super) struct SharedPrefixes {
    beginnings: HashMap<ChainKey, Beginning>,
    /// Requests so far.
    now: u64,
}

#[derive(Debug)]
struct Beginning {
    /// Conversations that have it.
    conversations: u32,
    /// Whether one of them goes on.
    goes_on: bool,
    /// When it was seen last; beginnings before ends.
    seen: (u64, std::cmp::Reverse<usize>),
}

impl SharedPrefixes {
    /// Takes note of a conversation, given the keys of its segments; how many of its first segments
    /// enough conversations share.
    pub(super) fn see(&mut self, keys: &[ChainKey]) -> usize {
        let (is_other, shared) = (self.is_other(keys), self.shared(keys));
        self.now += 1;
        for (at, key) in keys.iter().enumerate() {
            let beginning = self.beginnings.entry(*key).or_insert(Beginning {
                conversations: u32::from(!is_other),
                goes_on: false,
                seen: (0, std::cmp::Reverse(0)),
            });
            beginning.conversations += u32::from(is_other);
            beginning.goes_on |= at + 1 < keys.len();
            beginning.seen = (self.now, std::cmp::Reverse(at));
        }
        self.forget();
        shared
    }

    /// What [`SharedPrefixes::see`] would tell of a conversation, of which nothing is noted.
    pub(super) fn shared(&self, keys: &[ChainKey]) -> usize {
        let own = u32::from(self.is_other(keys));
        let is_shared = |key: &&ChainKey| {
            let beginning = self.beginnings.get(*key);
            beginning.is_some_and(|beginning| beginning.conversations + own >= ENOUGH)
        };
        keys.iter().take_while(is_shared).count()
    }

    /// Whether a conversation is none of those that were seen. Of one that is known, only an end
    /// may move on.
    fn is_other(&self, keys: &[ChainKey]) -> bool {
        let is_known = |key: &&ChainKey| self.beginnings.contains_key(*key);
        let known = keys.iter().take_while(is_known).count();
        let last = known.checked_sub(1);
        let last = last.map(|last| &self.beginnings[&keys[last]]);
        known < keys.len() && last.is_none_or(|last| last.goes_on)
    }

    /// Makes room for a quarter of what may be remembered, when there is none.
    fn forget(&mut self) {
        if self.beginnings.len() <= MAX_BEGINNINGS {
            return;
        }
        let mut seen: Vec<_> = self.beginnings.values().map(|b| b.seen).collect();
        seen.sort_unstable();
        let oldest = seen[seen.len() - MAX_BEGINNINGS * 3 / 4];
        self.beginnings
            .retain(|_, beginning| beginning.seen >= oldest);
    }
}

#[cfg(test)]
mod tests;
