//! Which texts were needed again after edits had taken them away: restored by their handle, or
//! fetched again by the same call of their tool. Plans spare such texts.
//!
//! Of a tool, edits and needs are counted. Of other texts it is only counted that they were needed:
//! that nobody has restored a document says nothing where a client restores none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;

use context::{Regret, SegmentKind, UseCounts, Utility};
use memory::{Handle, Tenant};

use super::division::Division;
use super::draft::Draft;
use super::standing::StandingEdit;

/// Most tools of all keys.
const MAX_TOOLS: usize = 4_096;

/// Most texts of all keys.
const MAX_TEXTS: usize = 65_536;

/// Counts by tool and by text; those that were not used for longest go first.
#[derive(Debug)]
pub struct Uses {
    tools: Recent<(Tenant, Box<str>), UseCounts>,
    texts: Recent<(Tenant, Handle), TextUse>,
}

/// What is known of a text.
#[derive(Clone, Debug, Default)]
struct TextUse {
    /// Whose result it is, as far as that is known.
    tool: Option<Box<str>>,
    counts: UseCounts,
}

impl Default for Uses {
    fn default() -> Self {
        Self {
            tools: Recent::new(MAX_TOOLS),
            texts: Recent::new(MAX_TEXTS),
        }
    }
}

impl Uses {
    /// A result of a tool was taken away, in full or in part.
    pub(super) fn count_edit(&mut self, tenant: Tenant, tool: &str, handle: Handle) {
        self.tools.get((tenant, tool.into())).count_edit();
        let text = self.texts.get((tenant, handle));
        text.tool = Some(tool.into());
        text.counts.count_edit();
    }

    /// A text was restored, or its call was made again.
    pub fn count_need(&mut self, tenant: Tenant, handle: Handle) {
        let text = self.texts.get((tenant, handle));
        text.counts.count_need();
        if let Some(tool) = text.tool.clone() {
            self.tools.get((tenant, tool)).count_need();
        }
    }

    /// What the past says of a text of a tool, or of another one.
    pub(super) fn utility(
        &self,
        tenant: Tenant,
        tool: Option<&str>,
        handle: Handle,
    ) -> Option<Utility> {
        let tool = tool.and_then(|tool| self.tools.peek(&(tenant, tool.into())));
        let text = self.texts.peek(&(tenant, handle));
        let own = text.map(|text| text.counts);
        Utility::of(tool.copied().unwrap_or_default(), own.unwrap_or_default())
    }

    fn is_empty(&self) -> bool {
        self.texts.rows.is_empty()
    }
}

impl Division {
    /// Says of each piece what the past says of it.
    pub(super) fn set_utilities(&mut self, uses: &Uses, tenant: Tenant) {
        if uses.is_empty() {
            return;
        }
        for (segment, text) in self.segments.iter_mut().zip(&self.texts) {
            let handle = Handle::of(&tenant, text);
            segment.utility = uses.utility(tenant, tool(&segment.kind), handle);
        }
    }
}

impl Draft {
    /// Counts the results that new edits take away, each once, and those that are fetched again.
    pub(super) fn count_uses(&self, uses: &mut Uses, edits: &[StandingEdit], recalled: &[Regret]) {
        let tenant = self.input.tenant;
        let known = self.replay.edits.iter().chain(&self.replay.superseded);
        let known: HashSet<usize> = known
            .filter(|known| known.edit.op.takes_results())
            .flat_map(|known| known.segments.clone())
            .collect();
        let made = edits.iter().filter(|edit| !edit.is_known);
        let taken = made.filter(|edit| edit.edit.op.takes_results());
        for at in taken.flat_map(|edit| edit.segments.clone()) {
            let kind = &self.division.segments[at].kind;
            if let Some(tool) = tool(kind).filter(|_| !known.contains(&at)) {
                let handle = Handle::of(&tenant, &self.division.texts[at]);
                uses.count_edit(tenant, tool, handle);
            }
        }
        let calls = self.division.calls();
        for regret in recalled {
            let first = calls.iter().find(|call| call.call == regret.first);
            if let Some(result) = first.and_then(|call| call.result) {
                uses.count_need(tenant, Handle::of(&tenant, &self.division.texts[result]));
            }
        }
    }
}

fn tool(kind: &SegmentKind) -> Option<&str> {
    match kind {
        SegmentKind::ToolResult { name, .. } => Some(name),
        _ => None,
    }
}

/// So many values, those that were changed last.
#[derive(Debug)]
struct Recent<K, V> {
    /// With the number of the last change.
    rows: HashMap<K, (V, u64)>,
    order: BTreeMap<u64, K>,
    last: u64,
    max: usize,
}

impl<K: Clone + Eq + Hash, V: Default> Recent<K, V> {
    fn new(max: usize) -> Self {
        Self {
            rows: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            max,
        }
    }

    fn peek(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|(value, _)| value)
    }

    /// To change it.
    fn get(&mut self, key: K) -> &mut V {
        if !self.rows.contains_key(&key)
            && self.rows.len() >= self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.rows.remove(&oldest);
        }
        self.last += 1;
        let (value, used) = self.rows.entry(key.clone()).or_default();
        self.order.remove(used);
        *used = self.last;
        self.order.insert(self.last, key);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_again_tells_of_its_tool_and_of_itself() {
        let (one, two) = (Tenant::of(b"one"), Tenant::of(b"two"));
        let [a, b] = ["a", "b"].map(|text| Handle::of(&one, text));
        let mut uses = Uses::default();
        uses.count_edit(one, "read", a);
        uses.count_edit(one, "read", b);
        uses.count_need(one, a);
        let of = |tenant, tool, handle| uses.utility(tenant, tool, handle);
        let value = |handle| of(one, Some("read"), handle).unwrap().value;
        // Of two edits one was a mistake: (1 + 2 / 2) of 3 for itself, and 1 of 3 for the other.
        assert!((value(a) - 2.0 / 3.0).abs() < 1e-12);
        assert!((value(b) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(of(one, Some("grep"), Handle::of(&one, "c")), None);
        assert_eq!(of(two, Some("read"), a), None);
        // A document that was restored has no tool.
        uses.count_need(one, Handle::of(&one, "document"));
        let document = uses
            .utility(one, None, Handle::of(&one, "document"))
            .unwrap();
        assert_eq!(document.value, 1.0);
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut recent: Recent<&str, u32> = Recent::new(2);
        for key in ["a", "b", "a", "c"] {
            *recent.get(key) += 1;
        }
        let found = ["a", "b", "c"].map(|key| recent.peek(&key).copied());
        assert_eq!(found, [Some(2), None, Some(1)]);
        assert_eq!(recent.order.len(), 2);
    }
}
