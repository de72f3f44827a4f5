//! Follows a request and writes down what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use engine::{Admission, Completion, Prefill, RequestId};

use super::record::{Ending, Record, State};
use super::store::RecordStore;

/// Writes a record; dropped before the end, the request counts as cancelled.
pub struct RecordWriter {
    target: Option<Target>,
}

struct Target {
    record: Arc<Record>,
    store: RecordStore,
    output: Vec<u32>,
    has_ended: bool,
}

impl RecordWriter {
    /// A writer for a record of `store`.
    pub(super) fn new(store: RecordStore, record: Arc<Record>) -> Self {
        let target = Target {
            record,
            store,
            output: Vec::new(),
            has_ended: false,
        };
        Self {
            target: Some(target),
        }
    }

    /// A writer of nothing, for requests that have no record.
    pub fn silent() -> Self {
        Self { target: None }
    }

    /// What it writes.
    pub fn record(&self) -> Option<&Arc<Record>> {
        self.target.as_ref().map(|target| &target.record)
    }

    /// The engine has taken it under this name.
    pub fn submitted(&mut self, id: RequestId) {
        if let Some(target) = &self.target {
            target.record.lock().engine_id = Some(id);
        }
    }

    /// The engine has not taken it, so there was no request, and its record is not kept.
    pub fn refused(&mut self, why: String) {
        self.failed(why);
        if let Some(target) = self.target.take() {
            target.store.remove(target.record.ordinal);
        }
    }

    /// It runs.
    pub fn admitted(&mut self, admission: &Admission) {
        let Some(target) = &self.target else {
            return;
        };
        let mut progress = target.record.lock();
        progress.state = State::Running;
        progress.cached_tokens = Some(admission.cached_tokens);
        progress.restored_tokens = admission.restored_tokens;
        progress.miss = admission.miss;
        progress.evicted_ago = admission.evicted_ago;
        progress.queue = Some(admission.queue_time);
        progress.predicted_ttft = Some(admission.queue_time + admission.predicted_prefill);
    }

    /// A token has arrived; the first brings the time to it and what the prompt has cost.
    pub fn token(&mut self, token: u32, ttft: Option<Duration>, prefill: Option<&Prefill>) {
        let Some(target) = &mut self.target else {
            return;
        };
        let mut progress = target.record.lock();
        if progress.tokens.is_some() {
            target.output.push(token);
        }
        progress.completion_tokens += 1;
        progress.ttft = progress.ttft.or(ttft);
        if let Some(prefill) = prefill {
            progress.retained_tokens = prefill.retained_tokens;
        }
    }

    /// The engine has measured it.
    pub fn completed(&mut self, completion: &Completion) {
        if let Some(target) = &self.target {
            let mut progress = target.record.lock();
            progress.completion_tokens = completion.completion_tokens;
            progress.retained_tokens = completion.retained_tokens;
            progress.ending = Some(Ending {
                prefill: completion.prefill_time,
                decode: completion.decode_time,
                preemptions: completion.preemptions,
                recomputed_tokens: completion.recomputed_tokens,
            });
        }
    }

    /// It has an answer, which ended like this.
    pub fn finished(&mut self, reason: &'static str) {
        self.end(State::Finished(reason));
    }

    /// It has none, for this reason.
    pub fn failed(&mut self, why: String) {
        if let Some(target) = &self.target {
            target.record.lock().failure = Some(why);
        }
        self.end(State::Failed);
    }

    fn end(&mut self, state: State) {
        let Some(target) = &mut self.target else {
            return;
        };
        if std::mem::replace(&mut target.has_ended, true) {
            return;
        }
        let mut progress = target.record.lock();
        progress.state = state;
        progress.e2e = Some(target.record.started.elapsed());
        let Some(prompt) = progress.tokens.take() else {
            return;
        };
        let tokens = prompt.iter().chain(&target.output).copied();
        progress.tokens = Some(tokens.collect());
        drop(progress);
        target.store.grow(target.output.len());
    }
}

impl Drop for RecordWriter {
    fn drop(&mut self) {
        self.end(State::Cancelled);
    }
}
