//! How much of a trace a cache without limits could find.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde_json::Value;

use super::trace::{Prompt, Trace};

/// Bytes of a block of text, about 16 tokens.
const TEXT_BLOCK: usize = 64;

/// What of a prompt begins as an earlier prompt of the trace did, in whole blocks: of Mooncake's ids in
/// tokens, of texts in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Hits {
    pub(super) seen: u64,
    pub(super) all: u64,
}

impl Hits {
    /// Seen by all, from 0 to 1; `None` of nothing.
    pub(super) fn rate(self) -> Option<f64> {
        (self.all > 0).then(|| self.seen as f64 / self.all as f64)
    }

    pub(super) fn sum(hits: impl IntoIterator<Item = Self>) -> Self {
        hits.into_iter().fold(Self::default(), |sum, one| Self {
            seen: sum.seen + one.seen,
            all: sum.all + one.all,
        })
    }
}

/// Those of each request, in the order of their times.
pub(super) fn of_trace(trace: &Trace, order: &[usize], hash_block_size: u32) -> Vec<Hits> {
    let mut known = HashSet::new();
    let mut hits = vec![Hits::default(); trace.requests.len()];
    for &index in order {
        let blocks = blocks(&trace.requests[index].prompt, hash_block_size);
        let mut is_prefix = true;
        for (id, size) in &blocks {
            is_prefix &= known.contains(id);
            hits[index].all += size;
            hits[index].seen += if is_prefix { *size } else { 0 };
        }
        known.extend(blocks.into_iter().map(|(id, _)| id));
    }
    hits
}

/// Id and size of each block of a prompt.
fn blocks(prompt: &Prompt, hash_block_size: u32) -> Vec<(u64, u64)> {
    match prompt {
        Prompt::Blocks { ids, tokens } => {
            let size = u64::from(hash_block_size);
            let begins = (0..).step_by(hash_block_size as usize);
            let left = begins.map(|begin: u64| u64::from(*tokens) - begin);
            let sizes = left.map(|left| left.min(size));
            ids.iter().copied().zip(sizes).collect()
        }
        Prompt::Messages { messages, len } => text_blocks(&joined(&messages[..*len])),
        Prompt::Body { body, .. } => {
            let tools = body.get("tools").map(Value::to_string).unwrap_or_default();
            let asked = match (&body["messages"], &body["prompt"]) {
                (Value::Array(messages), _) => joined(messages),
                (_, Value::String(prompt)) => prompt.clone(),
                (_, other) => other.to_string(),
            };
            text_blocks(&(tools + &asked))
        }
    }
}

fn joined(messages: &[Value]) -> String {
    messages.iter().map(Value::to_string).collect()
}

/// Each id stands for the block and all before it.
fn text_blocks(text: &str) -> Vec<(u64, u64)> {
    let mut hasher = DefaultHasher::new();
    let block = |block: &[u8]| {
        block.hash(&mut hasher);
        (hasher.finish(), block.len() as u64)
    };
    text.as_bytes().chunks(TEXT_BLOCK).map(block).collect()
}

#[cfg(test)]
mod tests;
