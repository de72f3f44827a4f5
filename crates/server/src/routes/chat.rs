//! `POST /v1/chat/completions`.

mod declined;
mod told;

use std::collections::VecDeque;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use context::{Mode, ReportLevel, Window};
use futures::Stream;
use serde_json::{Value, json};

use super::body::Body;
use super::identity::Identity;
use crate::answer::{AnswerEvent, Order, Rounds};
use crate::app::App;
use crate::auth::Caller;
use crate::budget::drift::Recording;
use crate::budget::pipeline::{self, Circumstances, Settled, Wish};
use crate::budget::progress::{Progress, Stage};
use crate::budget::server_tools::{self, ServerTools};
use crate::grammars;
use crate::metrics::Forecast;
use crate::retention::{self, Marked};
use crate::traces::RequestTrace;
use crate::validate::chat::{self, ChatRequest, Conversation};
use crate::validate::sampling::Generation;
use crate::wire::chat::{
    AssistantMessage, ChatChoice, ChatCompletion, ChatLogprobs, delta, logprob_entry,
};
use crate::wire::context_report::ContextReport;
use crate::wire::error::ApiError;
use crate::wire::usage::Usage;
use crate::{prompt, sse};
use told::{Told, ToldReport, headers};

/// Where it is asked.
const ENDPOINT: &str = "/v1/chat/completions";

/// Answers a conversation, at once or as a stream.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn complete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    trace: RequestTrace,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            chat::request(bytes, app.model(), app.limits())
        })
        .await?;
    let keep_alive = app.limits().keep_alive;
    if !request.generation.stream {
        return answer(app, caller, request, Progress::default(), trace).await;
    }
    let (mut progress, stages) = Progress::new();
    if !request.generation.include_context_budget {
        progress = Progress::default();
    }
    let answer = answer(app, caller, request, progress, trace.clone());
    sse::patient(trace.watch(answer), stages, keep_alive).await
}

async fn answer(
    app: App,
    caller: Caller,
    request: ChatRequest,
    progress: Progress,
    trace: RequestTrace,
) -> Result<Response, ApiError> {
    let mut tools = request.conversation.tools.clone();
    let generation = request.generation;
    let marked = Marked::of(&request.conversation);
    let context = if request.wish.mode(&app)? == Mode::Off {
        check_silent(&generation)?;
        Context::plain(&app, prompt::of_chat(&app, request.conversation).await?)
    } else {
        let (conversation, wish) = (request.conversation, &request.wish);
        match budgeted(&app, &caller, &generation, conversation, wish, progress).await? {
            Ok(context) => context,
            Err(declined) => return Ok(declined),
        }
    };
    let defaults = [app.model().defaults.max_tokens, context.max_output_tokens];
    let tokens = &context.tokens;
    if context.server_tools.is_some() {
        tools.definitions.extend(server_tools::definitions());
    }
    let preamble = app.model().preamble(tokens);
    let asked = grammars::of_chat(app.model(), generation.grammar.as_ref(), &tools)?;
    let compiling = app.grammars().compile(&app, asked.as_ref(), preamble);
    let grammar = compiling.await?;
    let retention = retention::request(&app, &caller, &generation.cache, marked, tokens).await;
    let identity = Identity::new("chatcmpl", app.model());
    let origin = identity.origin(ENDPOINT, &caller, &generation);
    let order = Order {
        prompts: vec![context.tokens],
        generation: &generation,
        default_max_tokens: defaults.into_iter().flatten().min(),
        grammar: grammar.as_ref(),
        format: app.model().answer_format(preamble, &tools.definitions),
        window: context.window,
        min_output_tokens: context.min_output_tokens,
        caller: &caller,
        origin: Some(&origin),
        trace,
        num_before: 0,
        retention,
        scored: context.told.scored(),
        // What the server's tools are called for in between is no part of what the client sends.
        recording: context.recording.filter(|_| context.server_tools.is_none()),
    };
    let mut answers = Rounds::submit(&app, &order, context.server_tools)?;
    if let Some(forecast) = context.forecast {
        answers.expect(forecast);
    }
    let told = context
        .told
        .explained_to(generation.cache.explain.then_some(caller));
    respond(app, answers, identity, &generation, told).await
}

/// The prompt of a chat that the context budgeter has decided on, or the answer that there is none.
async fn budgeted(
    app: &App,
    caller: &Caller,
    generation: &Generation,
    conversation: Conversation,
    wish: &Wish,
    progress: Progress,
) -> Result<Result<Context, Response>, ApiError> {
    wish.check_answers(app, generation.n)?;
    let circumstances = Circumstances {
        caller,
        cache_salt: &generation.cache_salt,
        priority: generation.priority,
        output_asked: generation.max_tokens,
        progress: progress.clone(),
    };
    let settled = match pipeline::settle(app, conversation, wish, &circumstances).await? {
        Ok(settled) => settled,
        Err(declined) => {
            remember(app, caller, &declined.report);
            let edits = wish.management.is_some();
            return Ok(Err(declined::answer(app, generation, *declined, edits)));
        }
    };
    if settled.level != ReportLevel::None {
        remember(app, caller, &settled.report);
    }
    let context = Context::from(settled);
    let report = context.told.report.as_ref().map(ToldReport::to_json);
    progress.tell(Stage::Applied(report));
    Ok(Ok(context))
}

/// The answer, at once or as a stream.
async fn respond(
    app: App,
    mut answers: Rounds,
    identity: Identity,
    generation: &Generation,
    told: Told,
) -> Result<Response, ApiError> {
    if generation.stream {
        answers.first_word(app.limits().keep_alive).await?;
        let keep_alive = app.limits().keep_alive;
        let with_logprobs = generation.sampling.logprobs.is_some();
        let headers = told.headers.clone();
        let mut stream = ChatStream::new(app, answers, identity, generation.include_usage);
        stream.tell(told);
        let mut response = sse::response(stream.chunks(with_logprobs), keep_alive);
        response.headers_mut().extend(headers);
        return Ok(response);
    }
    let headers = told.headers.clone();
    let completion = collect(&app, answers, identity, told).await?;
    Ok((headers, Json(completion)).into_response())
}

/// Without a budget there are no stages to tell of.
fn check_silent(generation: &Generation) -> Result<(), ApiError> {
    if !generation.include_context_budget {
        return Ok(());
    }
    let field = "stream_options.include_context_budget";
    let message = format!("`{field}`: the context budget of this request is off.");
    Err(ApiError::field(field, message))
}

/// The prompt of a chat, and what the answer tells of it.
struct Context {
    tokens: Vec<u32>,
    window: Window,
    min_output_tokens: usize,
    /// What an answer has at most whose request does not say.
    max_output_tokens: Option<usize>,
    forecast: Option<Forecast>,
    server_tools: Option<ServerTools>,
    /// Where it is kept how likely the answer was.
    recording: Option<Recording>,
    told: Told,
}

/// What clients are told of, they may give feedback to.
fn remember(app: &App, caller: &Caller, report: &ContextReport) {
    let mut plans = app.budgeter().told_plans();
    plans.tell(caller.tenant(), report);
}

impl Context {
    /// A prompt as the client sent it.
    fn plain(app: &App, tokens: Vec<u32>) -> Self {
        Self {
            tokens,
            window: app.model().window,
            min_output_tokens: 0,
            max_output_tokens: None,
            forecast: None,
            server_tools: None,
            recording: None,
            told: Told::default(),
        }
    }
}

impl From<Settled> for Context {
    fn from(settled: Settled) -> Self {
        let headers = headers(&settled.report);
        Self {
            told: Told {
                report: match settled.level {
                    ReportLevel::None => None,
                    level => Some(ToldReport {
                        is_full: level == ReportLevel::Full,
                        report: settled.report,
                        drifted: None,
                    }),
                },
                headers,
                management: settled.management,
                drift: settled.drift,
                explained: None,
            },
            recording: settled.recording,
            window: settled.window,
            min_output_tokens: settled.min_output_tokens,
            max_output_tokens: settled.max_output_tokens,
            forecast: Some(settled.forecast),
            server_tools: settled.server_tools,
            tokens: settled.tokens,
        }
    }
}

/// Waits for all answers.
async fn collect(
    app: &App,
    mut answers: Rounds,
    identity: Identity,
    mut told: Told,
) -> Result<ChatCompletion, ApiError> {
    let mut choices: Vec<ChatChoice> = (0..answers.num_choices())
        .map(|index| ChatChoice {
            index,
            message: AssistantMessage::default(),
            logprobs: None,
            finish_reason: "length",
        })
        .collect();
    let (mut cached_tokens, mut completion_tokens) = (0, 0);
    while let Some(event) = answers.next().await {
        match event {
            AnswerEvent::Delta {
                index,
                parts,
                token,
            } => {
                let choice = &mut choices[index];
                parts
                    .into_iter()
                    .for_each(|part| choice.message.add(part, Identity::call));
                if let Some(piece) = token {
                    let logprobs = choice.logprobs.get_or_insert_with(ChatLogprobs::default);
                    logprobs
                        .content
                        .push(logprob_entry(&app.model().tokenizer, &piece));
                }
            }
            AnswerEvent::Scored(scored) => told.judge(app, &scored),
            AnswerEvent::Finished(finish) => {
                let choice = &mut choices[finish.index];
                choice.message.complete();
                choice.finish_reason = finish.reason.as_str();
                completion_tokens += finish.completion_tokens;
                if finish.index == 0 {
                    cached_tokens = finish.cached_tokens;
                    if let Some(report) = &mut told.report {
                        report.set_prefill(finish.prefill_step_time);
                    }
                }
            }
            AnswerEvent::Failed(error) => return Err(error),
        }
    }
    let usage = Usage::new(answers.prompt_tokens(), cached_tokens, completion_tokens);
    if let Some(report) = &mut told.report {
        report.set_server_tools(&answers);
    }
    let cache = told.explain_cache(app, &identity.id);
    let Identity { id, created, model } = identity;
    Ok(ChatCompletion {
        id,
        object: "chat.completion",
        created,
        model,
        choices,
        usage,
        context_management: told.management,
        context_budget: told.report.as_ref().map(ToldReport::to_json),
        cache,
    })
}

/// The chunks of a streamed chat.
struct ChatStream {
    app: App,
    answers: Rounds,
    identity: Identity,
    include_usage: bool,
    ready: VecDeque<String>,
    cached_tokens: usize,
    completion_tokens: usize,
    /// Its cost and drift are complete when the prompt has been computed.
    told: Told,
    done: bool,
}

impl ChatStream {
    fn new(app: App, answers: Rounds, identity: Identity, include_usage: bool) -> Self {
        let mut stream = Self {
            app,
            answers,
            identity,
            include_usage,
            ready: VecDeque::new(),
            cached_tokens: 0,
            completion_tokens: 0,
            told: Told::default(),
            done: false,
        };
        for index in 0..stream.answers.num_choices() {
            let role = json!({"role": "assistant", "content": ""});
            stream.push(index, &role, None, None);
        }
        stream
    }

    /// Puts what the answer tells of its context into the first chunk, and keeps what the last one
    /// tells of it.
    fn tell(&mut self, told: Told) {
        if let Some(first) = self.ready.front_mut()
            && let Ok(mut chunk) = serde_json::from_str::<Value>(first)
        {
            told.put_into(&mut chunk);
            *first = chunk.to_string();
        }
        self.told = told;
    }

    fn chunks(self, with_logprobs: bool) -> impl Stream<Item = String> + Send {
        futures::stream::unfold(self, move |mut stream| async move {
            loop {
                if let Some(chunk) = stream.ready.pop_front() {
                    return Some((chunk, stream));
                }
                if stream.done {
                    return None;
                }
                match stream.answers.next().await {
                    Some(event) => stream.take(event, with_logprobs),
                    None => stream.end(),
                }
            }
        })
    }

    fn take(&mut self, event: AnswerEvent, with_logprobs: bool) {
        match event {
            AnswerEvent::Delta {
                index,
                parts,
                token,
            } => {
                let entry = token.map(|piece| logprob_entry(&self.app.model().tokenizer, &piece));
                let mut logprobs = entry.map(|entry| json!({"content": [entry], "refusal": null}));
                if parts.is_empty() && with_logprobs {
                    self.push(index, &json!({"content": ""}), logprobs.as_ref(), None);
                }
                for part in &parts {
                    let delta = delta(part, Identity::call);
                    self.push(index, &delta, logprobs.take().as_ref(), None);
                }
            }
            AnswerEvent::Scored(scored) => self.told.judge(&self.app, &scored),
            AnswerEvent::Finished(finish) => {
                self.completion_tokens += finish.completion_tokens;
                if finish.index == 0 {
                    self.cached_tokens = finish.cached_tokens;
                    if let Some(report) = &mut self.told.report {
                        report.set_prefill(finish.prefill_step_time);
                    }
                }
                let reason = finish.reason.as_str();
                self.push(finish.index, &json!({}), None, Some(reason));
            }
            AnswerEvent::Failed(error) => {
                self.ready.push_back(error.body().to_string());
                self.ready.push_back(sse::DONE.to_owned());
                self.done = true;
            }
        }
    }

    fn end(&mut self) {
        let cache = self.told.explain_cache(&self.app, &self.identity.id);
        if self.include_usage {
            let prompt_tokens = self.answers.prompt_tokens();
            let usage = Usage::new(prompt_tokens, self.cached_tokens, self.completion_tokens);
            let mut chunk = self.envelope(&json!([]));
            chunk["usage"] = json!(usage);
            if let Some(report) = &mut self.told.report {
                report.set_server_tools(&self.answers);
                chunk["context_budget"] = report.cost();
            }
            if let Some(cache) = cache {
                chunk["cache"] = cache;
            }
            self.ready.push_back(chunk.to_string());
        } else if let Some(cache) = cache {
            let mut chunk = self.envelope(&json!([]));
            chunk["cache"] = cache;
            self.ready.push_back(chunk.to_string());
        }
        self.ready.push_back(sse::DONE.to_owned());
        self.done = true;
    }

    fn push(
        &mut self,
        index: usize,
        delta: &Value,
        logprobs: Option<&Value>,
        finish_reason: Option<&str>,
    ) {
        let chunk = self.envelope(&json!([{
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }]));
        self.ready.push_back(chunk.to_string());
    }

    fn envelope(&self, choices: &Value) -> Value {
        envelope(&self.identity, self.include_usage, choices)
    }
}

/// A chunk of a stream.
fn envelope(identity: &Identity, include_usage: bool, choices: &Value) -> Value {
    let mut chunk = json!({
        "id": identity.id,
        "object": "chat.completion.chunk",
        "created": identity.created,
        "model": identity.model,
        "choices": choices,
    });
    if include_usage {
        chunk["usage"] = Value::Null;
    }
    chunk
}
