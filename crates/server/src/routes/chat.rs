//! `POST /v1/chat/completions`.

mod declined;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::body::Body;
use super::exchange::{self, Asked, Begun, Endpoint, Exchange, Told, ToldReport, Writer};
use super::identity::Identity;
use crate::answer::{AnswerEvent, Part, Rounds, TokenPiece};
use crate::app::App;
use crate::auth::Caller;
use crate::sse;
use crate::traces::RequestTrace;
use crate::validate::chat;
use crate::validate::sampling::Generation;
use crate::wire::chat::{
    AssistantMessage, ChatChoice, ChatCompletion, ChatLogprobs, delta, logprob_entry,
};
use crate::wire::error::ApiError;
use crate::wire::usage::Usage;

const ENDPOINT: Endpoint = Endpoint {
    path: "/v1/chat/completions",
    id_prefix: "chatcmpl-",
};

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
    let asked = Asked {
        caller,
        endpoint: ENDPOINT,
        request,
        trace,
    };
    exchange::answer(app, asked, Some(sse::late_refusal), respond).await
}

/// The answer, at once or as a stream.
async fn respond(app: App, begun: Begun) -> Result<Response, ApiError> {
    let exchange = match begun {
        Begun::Exchange(exchange) => *exchange,
        Begun::Declined(refusal) => return Ok(declined::answer(&app, *refusal)),
    };
    let headers = exchange.told.headers.clone();
    if !exchange.generation.stream {
        let completion = collect(&app, exchange).await?;
        return Ok((headers, Json(completion)).into_response());
    }
    let Exchange {
        mut answers,
        identity,
        generation,
        told,
    } = exchange;
    let keep_alive = app.limits().keep_alive;
    answers.first_word(keep_alive).await?;
    let num_choices = answers.num_choices();
    let (writer, first) = ChatWriter::new(app, identity, &generation, told, num_choices);
    let mut response = sse::response(exchange::written(answers, first, writer), keep_alive);
    response.headers_mut().extend(headers);
    Ok(response)
}

/// Waits for all answers.
async fn collect(app: &App, exchange: Exchange) -> Result<ChatCompletion, ApiError> {
    let Exchange {
        mut answers,
        identity,
        mut told,
        ..
    } = exchange;
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
            AnswerEvent::Admitted(_) => {}
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

/// Writes the chunks of a streamed chat.
struct ChatWriter {
    app: App,
    identity: Identity,
    include_usage: bool,
    with_logprobs: bool,
    cached_tokens: usize,
    completion_tokens: usize,
    /// Its cost and drift are complete when the prompt has been computed.
    told: Told,
}

impl ChatWriter {
    /// With the first chunks, of which the very first tells of the context.
    fn new(
        app: App,
        identity: Identity,
        generation: &Generation,
        told: Told,
        num_choices: usize,
    ) -> (Self, Vec<String>) {
        let writer = Self {
            app,
            identity,
            include_usage: generation.include_usage,
            with_logprobs: generation.sampling.logprobs.is_some(),
            cached_tokens: 0,
            completion_tokens: 0,
            told,
        };
        let role = json!({"role": "assistant", "content": ""});
        let chunks = (0..num_choices).map(|index| {
            let mut chunk = writer.chunk(index, &role, None, None);
            if index == 0 {
                writer.told.put_into(&mut chunk);
            }
            chunk.to_string()
        });
        let first = chunks.collect();
        (writer, first)
    }

    fn delta(&self, index: usize, parts: &[Part], token: Option<&TokenPiece>) -> Vec<String> {
        let entry = token.map(|piece| logprob_entry(&self.app.model().tokenizer, piece));
        let mut logprobs = entry.map(|entry| json!({"content": [entry], "refusal": null}));
        if parts.is_empty() && self.with_logprobs {
            let empty = json!({"content": ""});
            return vec![
                self.chunk(index, &empty, logprobs.as_ref(), None)
                    .to_string(),
            ];
        }
        let chunks = parts.iter().map(|part| {
            let delta = delta(part, Identity::call);
            let logprobs = logprobs.take();
            self.chunk(index, &delta, logprobs.as_ref(), None)
                .to_string()
        });
        chunks.collect()
    }

    fn chunk(
        &self,
        index: usize,
        delta: &Value,
        logprobs: Option<&Value>,
        finish_reason: Option<&str>,
    ) -> Value {
        self.envelope(&json!([{
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }]))
    }

    fn envelope(&self, choices: &Value) -> Value {
        envelope(&self.identity, self.include_usage, choices)
    }
}

impl Writer for ChatWriter {
    type Item = String;

    fn take(&mut self, event: AnswerEvent) -> Vec<String> {
        match event {
            AnswerEvent::Delta {
                index,
                parts,
                token,
            } => self.delta(index, &parts, token.as_ref()),
            AnswerEvent::Admitted(_) => Vec::new(),
            AnswerEvent::Scored(scored) => {
                self.told.judge(&self.app, &scored);
                Vec::new()
            }
            AnswerEvent::Finished(finish) => {
                self.completion_tokens += finish.completion_tokens;
                if finish.index == 0 {
                    self.cached_tokens = finish.cached_tokens;
                    if let Some(report) = &mut self.told.report {
                        report.set_prefill(finish.prefill_step_time);
                    }
                }
                let reason = finish.reason.as_str();
                let chunk = self.chunk(finish.index, &json!({}), None, Some(reason));
                vec![chunk.to_string()]
            }
            AnswerEvent::Failed(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &ApiError) -> Vec<String> {
        vec![error.body().to_string(), sse::DONE.to_owned()]
    }

    fn end(&mut self, answers: &Rounds) -> Vec<String> {
        let cache = self.told.explain_cache(&self.app, &self.identity.id);
        let mut chunk = self.envelope(&json!([]));
        if self.include_usage {
            let prompt_tokens = answers.prompt_tokens();
            let usage = Usage::new(prompt_tokens, self.cached_tokens, self.completion_tokens);
            chunk["usage"] = json!(usage);
            if let Some(report) = &mut self.told.report {
                report.set_server_tools(answers);
                chunk["context_budget"] = report.cost();
            }
        }
        let tells = self.include_usage || cache.is_some();
        if let Some(cache) = cache {
            chunk["cache"] = cache;
        }
        let last = tells.then(|| chunk.to_string());
        last.into_iter().chain([sse::DONE.to_owned()]).collect()
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
