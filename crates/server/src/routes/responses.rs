//! `/v1/responses`: OpenAI's Responses API.

mod input_items;
mod making;
mod writer;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::body::Body;
use super::exchange::{self, Asked, Begun, Endpoint, Exchange, Refusal};
use super::place::Place;
use crate::answer::AnswerEvent;
use crate::app::App;
use crate::auth::Caller;
use crate::traces::RequestTrace;
use crate::validate::responses::{self, ResponseRequest};
use crate::wire::error::ApiError;
use crate::{prompt, sse};
use making::{Frame, Making};
use writer::ResponseWriter;

pub(super) use input_items::input_items;

const ENDPOINT: Endpoint = Endpoint {
    path: "/v1/responses",
    id_prefix: "resp_",
};

/// Makes a response, at once or as a stream.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    trace: RequestTrace,
    body: Body,
) -> Result<Response, ApiError> {
    let request = read(&app, &caller, body).await?;
    let frame = Frame {
        tenant: caller.tenant(),
        is_stored: request.is_stored,
        previous: request.previous,
        input: request.input,
        messages: request.messages,
        repeated: request.repeated,
    };
    let asked = Asked {
        caller,
        endpoint: ENDPOINT,
        request: request.chat,
        trace,
    };
    let respond = move |app, begun| respond(app, begun, frame);
    exchange::answer(app, asked, Some(late_refusal), respond)
        .await
        .map_err(of_input)
}

/// A conversation that is too long is the field `input` here.
fn of_input(error: ApiError) -> ApiError {
    if error.is_context_length() {
        error.with_param("input")
    } else {
        error
    }
}

/// Counts the tokens of a response's prompt.
///
/// # Errors
/// Whatever is wrong with the request.
pub(super) async fn input_tokens(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request = read(&app, &caller, body).await?;
    let tokens = prompt::of_chat(&app, request.chat.conversation).await;
    let tokens = tokens.map_err(of_input)?;
    let count = tokens.len();
    Ok(Json(
        json!({"object": "response.input_tokens", "input_tokens": count}),
    ))
}

/// A response that was made before.
///
/// # Errors
/// 404 when it is not kept.
pub(super) async fn one(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<Value>, ApiError> {
    let stored = app.responses().get(caller.tenant(), &id);
    let stored = stored.ok_or_else(|| not_found(&id))?;
    Ok(Json(stored.response.clone()))
}

/// Forgets a response.
///
/// # Errors
/// 404 when it is not kept.
pub(super) async fn delete(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<Value>, ApiError> {
    if !app.responses().remove(caller.tenant(), &id) {
        return Err(not_found(&id));
    }
    Ok(Json(
        json!({"id": id, "object": "response.deleted", "deleted": true}),
    ))
}

async fn read(app: &App, caller: &Caller, body: Body) -> Result<ResponseRequest, ApiError> {
    let tenant = caller.tenant();
    body.read(app, move |bytes, app| {
        let earlier = |id: &str| app.responses().conversation(tenant, id);
        responses::request(bytes, app.model(), app.limits(), earlier)
    })
    .await
}

fn not_found(id: &str) -> ApiError {
    let message = format!("Response with id '{id}' not found.");
    ApiError::not_found("response_id", "response_not_found", message)
}

/// A refusal in a stream that has begun.
fn late_refusal(error: &ApiError) -> String {
    writer::failure(&of_input(error.clone()), 0).to_string()
}

/// The response, at once or as a stream.
async fn respond(app: App, begun: Begun, frame: Frame) -> Result<Response, ApiError> {
    let exchange = match begun {
        Begun::Exchange(exchange) => *exchange,
        Begun::Declined(refusal) => return Ok(declined(&app, *refusal, frame)),
    };
    let headers = exchange.told.headers.clone();
    if !exchange.generation.stream {
        let response = collect(&app, exchange, frame).await?;
        return Ok((headers, Json(response)).into_response());
    }
    let Exchange {
        mut answers,
        identity,
        told,
        ..
    } = exchange;
    let keep_alive = app.limits().keep_alive;
    answers.first_word(keep_alive).await?;
    let mut writer = ResponseWriter::new(Making::new(app, identity, frame, told));
    let first = writer.begin();
    let events = exchange::written(answers, first, writer);
    let mut response = sse::named(events, keep_alive);
    response.headers_mut().extend(headers);
    Ok(response)
}

/// Waits for the whole answer.
async fn collect(app: &App, exchange: Exchange, frame: Frame) -> Result<Value, ApiError> {
    let Exchange {
        mut answers,
        identity,
        told,
        ..
    } = exchange;
    let mut making = Making::new(app.clone(), identity, frame, told);
    while let Some(event) = answers.next().await {
        match event {
            AnswerEvent::Delta { parts, .. } => {
                for part in parts {
                    let events = making.push(part);
                    events.iter().for_each(|event| making.grow(event));
                }
                making.count_token();
            }
            AnswerEvent::Admitted(_) => {}
            AnswerEvent::Scored(scored) => making.judge(&scored),
            AnswerEvent::Finished(finish) => {
                let events = making.finish(finish);
                events.iter().for_each(|event| making.grow(event));
            }
            AnswerEvent::Failed(error) => return Err(error),
        }
    }
    Ok(making.end(Some(&answers)))
}

/// A response that no model gives: the request does not fit, and the client wants to be told so in
/// words.
fn declined(app: &App, refusal: Refusal, frame: Frame) -> Response {
    let is_stream = refusal.generation.stream;
    let identity = refusal.identity(ENDPOINT, app);
    let (text, told) = refusal.into_answer();
    let headers = told.headers.clone();
    let mut making = Making::new(app.clone(), identity, frame, told);
    if is_stream {
        let events = ResponseWriter::new(making).whole(text);
        let keep_alive = app.limits().keep_alive;
        let mut response = sse::named(futures::stream::iter(events), keep_alive);
        response.headers_mut().extend(headers);
        return response;
    }
    let said = making.say(text);
    said.iter().for_each(|event| making.grow(event));
    (headers, Json(making.end(None))).into_response()
}
