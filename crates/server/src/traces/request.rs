//! One request on its way through the server.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use axum::http::StatusCode;
use axum::response::Response;
use opentelemetry::trace::{Span as _, SpanBuilder, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use super::attributes;
use super::phases::phases;
use crate::records::{Progress, Record, State};
use crate::validate::sampling::Generation;
use crate::wire::error::ApiError;

/// Follows a request; clones follow the same one. It has ended when the last of them is dropped,
/// which is when its spans are made: wherever a client leaves, it is noticed. The default follows
/// nothing.
///
/// `llm_request` lasts from the arrival to the end. In it are `prepare`, until the engine was asked,
/// and `queue`, `prefill` and `decode` of the engine's work; where an answer takes several requests
/// to the engine (`n`, several prompts, tools that the server runs), a span `generate` around those
/// of each.
#[derive(Clone, Default)]
pub struct RequestTrace {
    live: Option<Arc<Live>>,
}

impl RequestTrace {
    pub(super) fn new(
        tracer: SdkTracer,
        root: Span,
        arrived: Instant,
        arrived_at: SystemTime,
    ) -> Self {
        let known = Known {
            root,
            records: Vec::new(),
            n: None,
            num_prompts: 0,
            status: None,
            is_early: false,
        };
        let live = Live {
            tracer,
            arrived,
            arrived_at,
            known: Mutex::new(known),
        };
        Self {
            live: Some(Arc::new(live)),
        }
    }

    /// What is asked of `model`, for each of so many prompts. The first to say it is right: later
    /// rounds of an answer ask for the rest of it.
    pub fn asks(&self, model: &str, generation: &Generation, num_prompts: usize) {
        let Some(mut known) = self.known() else {
            return;
        };
        if known.n.is_none() {
            (known.n, known.num_prompts) = (Some(generation.n), num_prompts);
            let told = attributes::of_generation(model, generation);
            known.root.set_attributes(told);
        }
    }

    /// The engine is asked, and this is the record of it.
    pub fn submits(&self, record: &Arc<Record>) {
        if let Some(mut known) = self.known() {
            known.records.push(Arc::clone(record));
        }
    }

    /// The client gets an answer with this status.
    pub fn answers(&self, status: StatusCode) {
        if let Some(mut known) = self.known()
            && (!known.is_early || is_error(status))
        {
            known.status = Some(status);
        }
    }

    /// Goes with an answer whose status may be sent before it is known: what it would have been is
    /// what counts.
    ///
    /// # Errors
    /// Those of the answer.
    pub async fn watch(
        self,
        answer: impl Future<Output = Result<Response, ApiError>>,
    ) -> Result<Response, ApiError> {
        if let Some(mut known) = self.known() {
            known.is_early = true;
        }
        let answer = answer.await;
        if let Some(mut known) = self.known() {
            let status = answer
                .as_ref()
                .map_or_else(ApiError::status, |it| it.status());
            known.status = Some(status);
        }
        answer
    }

    fn known(&self) -> Option<MutexGuard<'_, Known>> {
        let live = self.live.as_ref()?;
        Some(live.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request to the engine.
pub(super) struct Part {
    pub(super) record: Arc<Record>,
    pub(super) progress: Progress,
}

struct Live {
    tracer: SdkTracer,
    arrived: Instant,
    /// The same in wall time: all times are counted from it, so that a clock that is set in between
    /// does not tear spans apart.
    arrived_at: SystemTime,
    known: Mutex<Known>,
}

struct Known {
    root: Span,
    records: Vec<Arc<Record>>,
    /// Answers to each prompt.
    n: Option<usize>,
    num_prompts: usize,
    status: Option<StatusCode>,
    /// Whether the status of the response says nothing about how the answer went.
    is_early: bool,
}

impl Live {
    fn wall(&self, at: Instant) -> SystemTime {
        self.arrived_at + at.saturating_duration_since(self.arrived)
    }

    fn child(&self, name: &'static str, parent: &Context, start: Instant) -> Span {
        let builder = SpanBuilder::from_name(name).with_start_time(self.wall(start));
        self.tracer.build_with_context(builder, parent)
    }

    fn phases(&self, part: &Part, parent: &Context) {
        for phase in phases(&part.record, &part.progress) {
            let mut span = self.child(phase.name, parent, phase.start);
            span.end_with_timestamp(self.wall(phase.end));
        }
    }

    /// A request to the engine among others.
    fn generate(&self, part: &Part, parent: &Context) {
        let start = part.record.started;
        let mut span = self.child("generate", parent, start);
        self.phases(part, &within(&span));
        span.set_attributes(attributes::of_part(part));
        span.set_attributes(attributes::of_usage(std::slice::from_ref(part), 1));
        span.set_attribute(attributes::of_ends(std::slice::from_ref(part)));
        let failure = failure(None, std::slice::from_ref(part));
        set_failure(&mut span, failure);
        let end = start + part.progress.e2e.unwrap_or_default();
        span.end_with_timestamp(self.wall(end));
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let end = crate::clock::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let records = std::mem::take(&mut known.records);
        let parts: Vec<Part> = records
            .into_iter()
            .map(|record| Part {
                progress: record.progress(),
                record,
            })
            .collect();
        let inside = within(&known.root);
        if let Some(first) = parts.first() {
            let mut prepare = self.child("prepare", &inside, self.arrived);
            prepare.end_with_timestamp(self.wall(first.record.started));
        }
        match &parts[..] {
            [only] => self.phases(only, &inside),
            several => several.iter().for_each(|part| self.generate(part, &inside)),
        }
        let failure = failure(known.status, &parts);
        tell(&mut known, &parts);
        set_failure(&mut known.root, failure);
        known.root.end_with_timestamp(self.wall(end));
    }
}

/// Puts onto the root what is known of the whole answer.
fn tell(known: &mut Known, parts: &[Part]) {
    if let Some(status) = known.status {
        let status = i64::from(status.as_u16());
        let status = KeyValue::new("http.response.status_code", status);
        known.root.set_attribute(status);
    }
    let (Some(first), Some(n)) = (parts.first(), known.n) else {
        return;
    };
    // Of an answer in several rounds, the last says how it ended.
    let answers = parts.len().min(n * known.num_prompts);
    let root = &mut known.root;
    root.set_attributes(attributes::of_answer(first));
    root.set_attributes(attributes::of_usage(parts, n));
    root.set_attribute(attributes::of_ends(&parts[parts.len() - answers..]));
    if let [only] = parts {
        root.set_attributes(attributes::of_part(only));
    }
}

/// What went wrong, if something did: a name for it and the reason.
fn failure(status: Option<StatusCode>, parts: &[Part]) -> Option<(String, String)> {
    let told = parts.iter().find_map(|part| part.progress.failure.clone());
    if let Some(status) = status.filter(|&status| is_error(status)) {
        let reason = status.canonical_reason().unwrap_or_default().to_owned();
        return Some((status.as_str().to_owned(), told.unwrap_or(reason)));
    }
    if let Some(reason) = told {
        return Some(("failed".to_owned(), reason));
    }
    let is_finished = |part: &Part| matches!(part.progress.state, State::Finished(_));
    let is_answered = !parts.is_empty() || status.is_some();
    if is_answered && parts.iter().all(is_finished) {
        return None;
    }
    Some(match std::thread::panicking() {
        true => ("500".to_owned(), "the server has made a mistake".to_owned()),
        false => ("cancelled".to_owned(), "the client has gone".to_owned()),
    })
}

fn set_failure(span: &mut Span, failure: Option<(String, String)>) {
    if let Some((kind, reason)) = failure {
        span.set_attribute(KeyValue::new("error.type", kind));
        span.set_status(Status::error(reason));
    }
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

/// Where children of a span are made.
fn within(span: &Span) -> Context {
    Context::new().with_remote_span_context(span.span_context().clone())
}
