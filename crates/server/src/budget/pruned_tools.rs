//! Tools that conversations go on without, because their prompts did not fit with them: the list of
//! tools stands at the beginning of the prompt, so it must stay what it has become.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use context::ChainKey;

/// Most conversations that are remembered.
const MAX_CONVERSATIONS: usize = 4_096;

/// Names of tools.
pub(super) type Names = BTreeSet<Box<str>>;

/// See the module. What was not used for longest goes first; then its conversation is planned anew.
#[derive(Debug, Default)]
pub(super) struct PrunedTools {
    conversations: HashMap<ChainKey, (Names, u64)>,
    /// By the number of the last use.
    order: BTreeMap<u64, ChainKey>,
    last: u64,
}

impl PrunedTools {
    /// The tools that a conversation goes on without.
    pub(super) fn of(&mut self, conversation: &ChainKey) -> Names {
        let Some((names, used)) = self.conversations.get_mut(conversation) else {
            return Names::new();
        };
        self.last += 1;
        self.order.remove(used);
        self.order.insert(self.last, *conversation);
        *used = self.last;
        names.clone()
    }

    /// Remembers them.
    pub(super) fn remember(&mut self, conversation: ChainKey, names: Names) {
        self.last += 1;
        let before = self.conversations.insert(conversation, (names, self.last));
        if let Some((_, used)) = before {
            self.order.remove(&used);
        }
        self.order.insert(self.last, conversation);
        if self.order.len() > MAX_CONVERSATIONS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.conversations.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use context::{LedgerScope, SegmentChain};

    use super::*;

    fn key(number: usize) -> ChainKey {
        let mut chain = SegmentChain::new(&LedgerScope {
            tenant_salt: b"",
            policy_major: 1,
            fingerprint: b"",
        });
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&number.to_le_bytes());
        chain.push(&digest);
        chain.keys()[0]
    }

    fn names(number: usize) -> Names {
        Names::from([format!("tool_{number}").into()])
    }

    #[test]
    fn what_was_not_used_for_longest_is_forgotten() {
        let mut pruned = PrunedTools::default();
        for number in 0..MAX_CONVERSATIONS {
            pruned.remember(key(number), names(number));
        }
        assert_eq!(pruned.of(&key(0)), names(0));
        pruned.remember(key(2), names(3));
        pruned.remember(key(MAX_CONVERSATIONS), names(1));
        assert_eq!(pruned.of(&key(1)), Names::new());
        assert_eq!(pruned.of(&key(0)), names(0));
        assert_eq!(pruned.of(&key(2)), names(3));
        assert_eq!(pruned.conversations.len(), MAX_CONVERSATIONS);
        assert_eq!(pruned.order.len(), MAX_CONVERSATIONS);
    }
}
