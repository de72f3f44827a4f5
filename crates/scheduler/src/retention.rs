//! Prefixes that callers want kept beyond their turn.

use std::time::Duration;

use kv_cache::RetentionKey;

use crate::Scheduler;
use crate::sequence::SequenceKey;

/// What of a sequence is to be kept, and on whose account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRequest {
    /// Whose account it counts on.
    pub key: RetentionKey,
    /// The prefixes; the longest time counts for each block.
    pub prefixes: Vec<RetainedPrefix>,
}

/// A prefix of a prompt that is kept for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetainedPrefix {
    /// Tokens from the start of the prompt; rounded down to whole blocks.
    pub num_tokens: usize,
    /// How long, from the last use of the prefix by a request that asks for it.
    pub ttl: Duration,
}

impl Scheduler {
    /// Retains what the sequence asks for, as far as it is computed and the limits allow.
    pub(crate) fn retain(&mut self, key: SequenceKey) {
        let sequence = &mut self.sequences[key];
        let Some(request) = &sequence.retention else {
            return;
        };
        let mut retained = 0;
        for prefix in &request.prefixes {
            let num_tokens = prefix.num_tokens.min(sequence.prompt_len);
            let until = self.cache.now().after(prefix.ttl);
            let kept = self
                .cache
                .retain(&sequence.table, num_tokens, until, &request.key);
            retained = retained.max(kept);
        }
        sequence.retained_tokens = retained;
    }
}
