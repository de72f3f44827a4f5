//! `POST /v1/completions`.

use std::collections::VecDeque;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::Stream;
use text::AnswerFormat;

use super::body::Body;
use super::cache;
use super::identity::Identity;
use crate::answer::{AnswerEvent, Answers, Order, Part};
use crate::app::App;
use crate::auth::Caller;
use crate::traces::RequestTrace;
use crate::validate::completion::{self, DEFAULT_MAX_TOKENS, Prompt};
use crate::wire::completion::{Completion, CompletionChoice, CompletionLogprobs};
use crate::wire::error::ApiError;
use crate::wire::usage::Usage;
use crate::{prompt, retention, sse};

/// Continues prompts, at once or as a stream.
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
            completion::request(bytes, app.model(), app.limits())
        })
        .await?;
    let (mut prompts, mut echoed) = (Vec::new(), Vec::new());
    for prompt in request.prompts {
        if request.echo {
            echoed.push(prompt_text(&app, &prompt)?);
        }
        prompts.push(match prompt {
            Prompt::Tokens(tokens) => tokens,
            Prompt::Text(text) => prompt::of_text(&app, text, request.add_special_tokens).await?,
        });
    }
    let generation = request.generation;
    let identity = Identity::new("cmpl-", app.model(), &generation);
    let origin = identity.origin("/v1/completions", &caller, &generation);
    let first = prompts.first().map_or(&[][..], Vec::as_slice);
    let retention = retention::request(&app, &caller, &generation.cache, None, first).await;
    let grammars = app.grammars();
    let grammar = grammars
        .compile(&app, generation.grammar.as_ref(), None)
        .await?;
    let order = Order {
        prompts,
        generation: &generation,
        default_max_tokens: Some(DEFAULT_MAX_TOKENS),
        grammar: grammar.as_ref(),
        format: AnswerFormat::default(),
        window: app.model().window,
        min_output_tokens: 0,
        caller: &caller,
        origin: Some(&origin),
        trace,
        num_before: 0,
        retention,
        scored: Vec::new(),
        recording: None,
    };
    let mut answers = Answers::submit(&app, &order).map_err(of_prompt)?;
    let explained = generation.cache.explain.then_some(&caller);
    if generation.stream {
        answers
            .first_word(app.limits().keep_alive)
            .await
            .map_err(of_prompt)?;
        let keep_alive = app.limits().keep_alive;
        let mut stream = CompletionStream::new(app, answers, identity, generation.include_usage);
        stream.explained = explained.cloned();
        stream.begin_with(&echoed, generation.n);
        return Ok(sse::response(stream.chunks(), keep_alive));
    }
    let mut completion = collect(&app, answers, identity).await?;
    completion.cache = explained.map(|caller| cache::explained(&app, caller, &completion.id));
    for choice in &mut completion.choices {
        if let Some(prompt) = echoed.get(choice.index / generation.n) {
            choice.text.insert_str(0, prompt);
        }
    }
    Ok(Json(completion).into_response())
}

/// A prompt as text, special tokens included.
fn prompt_text(app: &App, prompt: &Prompt) -> Result<String, ApiError> {
    match prompt {
        Prompt::Text(text) => Ok(text.clone()),
        Prompt::Tokens(tokens) => app
            .model()
            .tokenizer
            .decode(tokens, false)
            .map_err(|error| ApiError::field("prompt", error.to_string())),
    }
}

/// A prompt that is too long is the field `prompt` here.
fn of_prompt(error: ApiError) -> ApiError {
    if error.is_context_length() {
        error.with_param("prompt")
    } else {
        error
    }
}

/// Waits for all answers.
async fn collect(
    app: &App,
    mut answers: Answers,
    identity: Identity,
) -> Result<Completion, ApiError> {
    let mut choices: Vec<CompletionChoice> = (0..answers.num_choices())
        .map(|index| choice(index, String::new()))
        .collect();
    let mut offsets = vec![0; choices.len()];
    let mut totals = Totals::default();
    while let Some(event) = answers.next().await {
        match event {
            AnswerEvent::Delta {
                index,
                parts,
                token,
            } => {
                let choice = &mut choices[index];
                choice.text.push_str(&text_of(parts));
                if let Some(piece) = token {
                    let logprobs = choice
                        .logprobs
                        .get_or_insert_with(CompletionLogprobs::default);
                    let tokenizer = &app.model().tokenizer;
                    offsets[index] = logprobs.add(tokenizer, &piece, offsets[index]);
                }
            }
            AnswerEvent::Admitted(_) | AnswerEvent::Scored(_) => {}
            AnswerEvent::Finished(finish) => {
                choices[finish.index].finish_reason = Some(finish.reason.as_str());
                totals.add(finish, &answers);
            }
            AnswerEvent::Failed(error) => return Err(of_prompt(error)),
        }
    }
    let usage = Some(Some(totals.usage(&answers)));
    let Identity { id, created, model } = identity;
    Ok(Completion {
        id,
        object: "text_completion",
        created,
        model,
        choices,
        usage,
        cache: None,
    })
}

/// Tokens over all choices.
#[derive(Default)]
struct Totals {
    cached_tokens: usize,
    completion_tokens: usize,
}

impl Totals {
    fn add(&mut self, finish: crate::answer::Finish, answers: &Answers) {
        self.completion_tokens += finish.completion_tokens;
        // Each prompt counts once: the further answers to it find it cached anyway.
        if answers.is_first_of_prompt(finish.index) {
            self.cached_tokens += finish.cached_tokens;
        }
    }

    fn usage(&self, answers: &Answers) -> Usage {
        Usage::new(
            answers.prompt_tokens(),
            self.cached_tokens,
            self.completion_tokens,
        )
    }
}

fn choice(index: usize, text: String) -> CompletionChoice {
    CompletionChoice {
        index,
        text,
        logprobs: None,
        finish_reason: None,
    }
}

/// Without a format of reasoning and calls all parts are text.
fn text_of(parts: Vec<Part>) -> String {
    parts
        .into_iter()
        .filter_map(|part| match part {
            Part::Content(text) => Some(text),
            Part::Reasoning(_) | Part::CallStart { .. } | Part::ArgumentsDelta { .. } => None,
        })
        .collect()
}

/// The chunks of streamed completions.
struct CompletionStream {
    app: App,
    answers: Answers,
    identity: Identity,
    include_usage: bool,
    /// Who is told how the cache was used.
    explained: Option<Caller>,
    ready: VecDeque<String>,
    offsets: Vec<usize>,
    totals: Totals,
    done: bool,
}

impl CompletionStream {
    fn new(app: App, answers: Answers, identity: Identity, include_usage: bool) -> Self {
        let offsets = vec![0; answers.num_choices()];
        let (ready, totals) = (VecDeque::new(), Totals::default());
        Self {
            app,
            answers,
            identity,
            include_usage,
            explained: None,
            ready,
            offsets,
            totals,
            done: false,
        }
    }

    /// Says the prompts first, each in front of its `n` answers.
    fn begin_with(&mut self, prompts: &[String], n: usize) {
        for (number, prompt) in prompts.iter().enumerate() {
            for index in number * n..(number + 1) * n {
                self.say(choice(index, prompt.clone()));
            }
        }
    }

    fn chunks(self) -> impl Stream<Item = String> + Send {
        futures::stream::unfold(self, |mut stream| async move {
            loop {
                if let Some(chunk) = stream.ready.pop_front() {
                    return Some((chunk, stream));
                }
                if stream.done {
                    return None;
                }
                match stream.answers.next().await {
                    Some(event) => stream.take(event),
                    None => stream.end(),
                }
            }
        })
    }

    fn take(&mut self, event: AnswerEvent) {
        match event {
            AnswerEvent::Delta {
                index,
                parts,
                token,
            } => {
                let mut choice = choice(index, text_of(parts));
                if let Some(piece) = token {
                    let mut logprobs = CompletionLogprobs::default();
                    let tokenizer = &self.app.model().tokenizer;
                    self.offsets[index] = logprobs.add(tokenizer, &piece, self.offsets[index]);
                    choice.logprobs = Some(logprobs);
                }
                if !choice.text.is_empty() || choice.logprobs.is_some() {
                    self.say(choice);
                }
            }
            AnswerEvent::Admitted(_) | AnswerEvent::Scored(_) => {}
            AnswerEvent::Finished(finish) => {
                self.totals.add(finish, &self.answers);
                let mut last = choice(finish.index, String::new());
                last.finish_reason = Some(finish.reason.as_str());
                self.say(last);
            }
            AnswerEvent::Failed(error) => {
                self.ready.push_back(error.body().to_string());
                self.ready.push_back(sse::DONE.to_owned());
                self.done = true;
            }
        }
    }

    fn say(&mut self, choice: CompletionChoice) {
        let chunk = self.chunk(vec![choice], None);
        self.push(&chunk);
    }

    fn end(&mut self) {
        let explained = self.explained.as_ref();
        let cache = explained.map(|caller| cache::explained(&self.app, caller, &self.identity.id));
        if self.include_usage || cache.is_some() {
            let usage = self.totals.usage(&self.answers);
            let mut chunk = self.chunk(Vec::new(), Some(usage));
            chunk.cache = cache;
            self.push(&chunk);
        }
        self.ready.push_back(sse::DONE.to_owned());
        self.done = true;
    }

    fn chunk(&self, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> Completion {
        Completion {
            id: self.identity.id.clone(),
            object: "text_completion",
            created: self.identity.created,
            model: self.identity.model.clone(),
            choices,
            usage: self.include_usage.then_some(usage),
            cache: None,
        }
    }

    fn push(&mut self, chunk: &Completion) {
        // The types have no map with other keys than strings, so writing them cannot fail.
        self.ready
            .push_back(serde_json::to_string(chunk).unwrap_or_default());
    }
}
