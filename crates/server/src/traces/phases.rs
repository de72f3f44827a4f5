//! The phases of a request to the engine.

use std::time::{Duration, Instant};

use crate::records::{Progress, Record};

/// A time in which one thing happened to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) start: Instant,
    pub(super) end: Instant,
}

/// The phases that a request got to, one after the other from its submission to its end. They are
/// the server's times, so that they add up; the engine measures prefill and decode without the way
/// of a token to the server.
pub(super) fn phases(record: &Record, progress: &Progress) -> Vec<Phase> {
    let length = progress.e2e.unwrap_or_default();
    let until = |time: Duration| record.started + time.min(length);
    let (admitted, first_token) = (admitted(progress), progress.ttft);
    let ends = [
        ("queue", Some(Duration::ZERO), admitted),
        ("prefill", admitted, first_token),
        ("decode", first_token, None),
    ];
    let reached = ends.into_iter().filter_map(|(name, start, end)| {
        Some(Phase {
            name,
            start: until(start?),
            end: until(end.unwrap_or(length)),
        })
    });
    reached.collect()
}

/// From submission to admission. The engine counts from when it takes a request over, at the end of
/// a step; the time until then is waiting, too.
fn admitted(progress: &Progress) -> Option<Duration> {
    let queue = progress.queue?;
    let prefill = progress.ending.map(|ending| ending.prefill);
    let told = progress.ttft.zip(prefill);
    let counted_back = told.map_or(queue, |(ttft, prefill)| ttft.saturating_sub(prefill));
    Some(queue.max(counted_back).min(progress.ttft.unwrap_or(queue)))
}

#[cfg(test)]
mod tests;
