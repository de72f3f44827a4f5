//! `POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's Messages API.

mod writer;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::body::Body;
use super::exchange::{self, Asked, Begun, Endpoint, Exchange, Refusal, Told, ToldReport};
use super::identity::Identity;
use crate::answer::{AnswerEvent, Block, BlockKind, Blocks, Finish};
use crate::app::App;
use crate::auth::Caller;
use crate::traces::RequestTrace;
use crate::validate::anthropic;
use crate::wire::error::ApiError;
use crate::wire::message::{self, Message, MessageUsage, content_block};
use crate::{prompt, sse};
use writer::MessageWriter;

const ENDPOINT: Endpoint = Endpoint {
    path: "/v1/messages",
    id_prefix: "msg_",
};

/// How many billing lines were left out of the system prompt.
const BILLING_LINES: HeaderName = HeaderName::from_static("x-context-billing-lines-left-out");

/// Answers a conversation, at once or as a stream.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    trace: RequestTrace,
    body: Body,
) -> Result<Response, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            anthropic::request(bytes, app.model(), app.limits())
        })
        .await?;
    let left_out = left_out(request.conversation.notes.num_billing_lines);
    let asked = Asked {
        caller,
        endpoint: ENDPOINT,
        request,
        trace,
    };
    let mut response = exchange::answer(app, asked, Some(late_refusal), respond).await?;
    response.headers_mut().extend(left_out);
    Ok(response)
}

/// Counts the tokens of a prompt.
///
/// # Errors
/// Whatever is wrong with the request.
pub(super) async fn count_tokens(
    State(app): State<App>,
    body: Body,
) -> Result<(HeaderMap, Json<Value>), ApiError> {
    let conversation = body
        .read(&app, |bytes, app| {
            anthropic::count(bytes, app.model(), app.limits())
        })
        .await?;
    let left_out = left_out(conversation.notes.num_billing_lines);
    let tokens = prompt::of_chat(&app, conversation).await?;
    Ok((left_out, Json(json!({"input_tokens": tokens.len()}))))
}

fn left_out(num_lines: usize) -> HeaderMap {
    let told = (num_lines > 0).then(|| (BILLING_LINES, HeaderValue::from(num_lines)));
    told.into_iter().collect()
}

/// A refusal in a stream that has begun.
fn late_refusal(error: &ApiError) -> String {
    writer::failure(error).to_string()
}

/// The answer, at once or as a stream.
async fn respond(app: App, begun: Begun) -> Result<Response, ApiError> {
    let exchange = match begun {
        Begun::Exchange(exchange) => *exchange,
        Begun::Declined(refusal) => return Ok(declined(&app, *refusal)),
    };
    let headers = exchange.told.headers.clone();
    if !exchange.generation.stream {
        let message = collect(&app, exchange).await?;
        return Ok((headers, Json(message)).into_response());
    }
    let Exchange {
        mut answers,
        identity,
        generation,
        told,
    } = exchange;
    let keep_alive = app.limits().keep_alive;
    answers.first_word(keep_alive).await?;
    let writer = MessageWriter::new(app, identity, generation.stop, told);
    let events = exchange::written(answers, Vec::new(), writer);
    let mut response = sse::named(events, keep_alive);
    response.headers_mut().extend(headers);
    Ok(response)
}

/// Waits for the whole answer.
async fn collect(app: &App, exchange: Exchange) -> Result<Message, ApiError> {
    let Exchange {
        mut answers,
        identity,
        generation,
        mut told,
    } = exchange;
    let (mut blocks, mut content) = (Blocks::default(), Vec::new());
    let mut ended = None;
    while let Some(event) = answers.next().await {
        match event {
            AnswerEvent::Delta { parts, .. } => {
                let events = parts.into_iter().flat_map(|part| blocks.push(part));
                events.for_each(|event| Block::collect(&mut content, event));
            }
            AnswerEvent::Admitted(_) => {}
            AnswerEvent::Scored(scored) => told.judge(app, &scored),
            AnswerEvent::Finished(finish) => {
                if let Some(report) = &mut told.report {
                    report.set_prefill(finish.prefill_step_time);
                }
                ended = Some(finish);
            }
            AnswerEvent::Failed(error) => return Err(error),
        }
    }
    let finish = ended.ok_or_else(|| ApiError::internal("The answer has no end."))?;
    if let Some(report) = &mut told.report {
        report.set_server_tools(&answers);
    }
    let usage = usage(answers.prompt_tokens(), &finish);
    let (stop_reason, stop_sequence) = message::stop(&finish, &generation.stop);
    let cache = told.explain_cache(app, &identity.id);
    let mut message = begun(&identity, usage);
    message.content = content
        .iter()
        .map(|block| content_block(block, &block_id(&block.kind, &identity)))
        .collect();
    (message.stop_reason, message.stop_sequence) = (Some(stop_reason), stop_sequence);
    message.cache = cache;
    Ok(with_context(message, &told))
}

/// An answer that no model gives: the request does not fit, and the client wants to be told so in
/// words.
fn declined(app: &App, refusal: Refusal) -> Response {
    let is_stream = refusal.generation.stream;
    let identity = refusal.identity(ENDPOINT, app);
    let (text, told) = refusal.into_answer();
    let headers = told.headers.clone();
    if is_stream {
        let mut writer = MessageWriter::new(app.clone(), identity, Vec::new(), told);
        let events = futures::stream::iter(writer.whole(&text));
        let mut response = sse::named(events, app.limits().keep_alive);
        response.headers_mut().extend(headers);
        return response;
    }
    let mut message = begun(&identity, MessageUsage::default());
    message.content = vec![json!({"type": "text", "text": text})];
    message.stop_reason = Some("end_turn");
    (headers, Json(with_context(message, &told))).into_response()
}

fn usage(prompt_tokens: usize, finish: &Finish) -> MessageUsage {
    let (cached, retained) = (finish.cached_tokens, finish.retained_tokens);
    MessageUsage::new(prompt_tokens, cached, retained, finish.completion_tokens)
}

/// The id of a call, and of reasoning the signature.
fn block_id(kind: &BlockKind, identity: &Identity) -> String {
    match kind {
        BlockKind::Call(_) => Identity::tool_use(),
        BlockKind::Reasoning | BlockKind::Text => identity.id.clone(),
    }
}

/// A message without content.
fn begun(identity: &Identity, usage: MessageUsage) -> Message {
    Message {
        id: identity.id.clone(),
        kind: "message",
        role: "assistant",
        model: identity.model.clone(),
        content: Vec::new(),
        stop_reason: None,
        stop_sequence: None,
        usage,
        context_management: None,
        context_budget: None,
        cache: None,
    }
}

fn with_context(message: Message, told: &Told) -> Message {
    Message {
        context_management: told.management.clone(),
        context_budget: told.report.as_ref().map(ToldReport::to_json),
        ..message
    }
}
