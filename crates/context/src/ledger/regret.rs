//! Calls that are made again because their results were taken away.

use std::collections::BTreeMap;

use super::{KnownEdit, Replay, segment_digest};
use crate::canonical_arguments;

/// A call of a tool, by the original segments that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The segment of the call.
    pub call: usize,
    /// The segment of its result; `None` while there is none.
    pub result: Option<usize>,
    /// What was called, see [`call_digest`].
    pub digest: [u8; 32],
}

/// A call that repeats one whose result had been taken out of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regret {
    /// The segment of the first call.
    pub first: usize,
    /// The segment of the call that repeats it.
    pub again: usize,
}

/// Identity of a call: equal for the same tool with the same arguments, however they are written.
pub fn call_digest(tool: &str, arguments: &str) -> [u8; 32] {
    segment_digest(&[tool.as_bytes(), canonical_arguments(arguments).as_bytes()])
}

/// Calls that were made again after their result had been cleared, compacted, offloaded or
/// shortened with loss.
///
/// `calls` are the conversation's, in its order. A call is compared with the latest one before it
/// that asked for the same: if that one's result still stood, repeating it is no fault of an edit.
pub fn regrets(calls: &[CallRecord], replay: &Replay) -> Vec<Regret> {
    let taken = earliest_losses(replay);
    let mut latest: BTreeMap<&[u8; 32], &CallRecord> = BTreeMap::new();
    let mut regrets = Vec::new();
    for again in calls {
        let Some(first) = latest.insert(&again.digest, again) else {
            continue;
        };
        let lost = first.result.and_then(|result| taken.get(&result));
        if lost.is_some_and(|&made_at| made_at <= again.call) {
            regrets.push(Regret {
                first: first.call,
                again: again.call,
            });
        }
    }
    regrets
}

/// By segment: how long the conversation was when its content was first taken away.
fn earliest_losses(replay: &Replay) -> BTreeMap<usize, usize> {
    let mut losses = BTreeMap::new();
    let known = replay.edits.iter().chain(&replay.superseded);
    for KnownEdit {
        segments, made_at, ..
    } in known.filter(|known| known.edit.op.takes_results())
    {
        for segment in segments.clone() {
            let earliest = losses.entry(segment).or_insert(*made_at);
            *earliest = (*earliest).min(*made_at);
        }
    }
    losses
}
