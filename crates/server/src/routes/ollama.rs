//! `/api/chat`, `/api/generate`, `/api/tags` and what else tools ask that know Ollama's API only.
//!
//! Source: <https://github.com/ollama/ollama/blob/main/docs/api.md>.

mod models;
mod reply;

use axum::body::{Body as HttpBody, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures::StreamExt;

use super::body::UntypedBody;
use super::exchange::{self, Asked, Begun, Endpoint, Exchange, Writer};
use crate::answer::AnswerEvent;
use crate::app::App;
use crate::auth::Caller;
use crate::traces::RequestTrace;
use crate::validate::ollama::{self, OllamaRequest};
use crate::wire::error::ApiError;
use reply::{Reply, Shape};

pub(super) use models::{show, tags, version};

/// Answers a conversation, as a stream of lines unless the request says otherwise.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn chat(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    trace: RequestTrace,
    UntypedBody(body): UntypedBody,
) -> Result<Response, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            ollama::chat(bytes, app.model(), app.limits())
        })
        .await?;
    answer(app, caller, trace, request, Shape::Chat).await
}

/// Answers a prompt in the same way.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn generate(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    trace: RequestTrace,
    UntypedBody(body): UntypedBody,
) -> Result<Response, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            ollama::generate(bytes, app.model(), app.limits())
        })
        .await?;
    answer(app, caller, trace, request, Shape::Generate).await
}

async fn answer(
    app: App,
    caller: Caller,
    trace: RequestTrace,
    request: OllamaRequest,
    shape: Shape,
) -> Result<Response, ApiError> {
    let request = match request {
        OllamaRequest::Chat(request) => *request,
        OllamaRequest::Load { model } => {
            return Ok(Json(Reply::new(model, shape).loaded()).into_response());
        }
    };
    let adapter = request.generation.adapter.as_deref();
    let reply = Reply::new(app.model().name_with(adapter).to_owned(), shape);
    let endpoint = Endpoint {
        path: shape.path(),
        id_prefix: "ollama-",
    };
    let asked = Asked {
        caller,
        endpoint,
        request,
        trace,
    };
    // A stream of lines has no place for comments or stages.
    let respond = move |app, begun| respond(app, begun, reply);
    exchange::answer(app, asked, None, respond).await
}

async fn respond(app: App, begun: Begun, mut reply: Reply) -> Result<Response, ApiError> {
    let exchange = match begun {
        Begun::Exchange(exchange) => *exchange,
        Begun::Declined(refusal) => {
            let is_stream = refusal.generation.stream;
            let (said, _) = refusal.into_answer();
            return Ok(match is_stream {
                true => lines(futures::stream::iter(reply.declined_lines(said))),
                false => Json(reply.declined(said)).into_response(),
            });
        }
    };
    let Exchange {
        mut answers,
        generation,
        told,
        ..
    } = exchange;
    let headers = told.headers.clone();
    if generation.stream {
        answers.first_word(app.limits().keep_alive).await?;
        let mut response = lines(exchange::written(answers, Vec::new(), reply));
        response.headers_mut().extend(headers);
        return Ok(response);
    }
    while let Some(event) = answers.next().await {
        match event {
            AnswerEvent::Failed(error) => return Err(error),
            event => {
                reply.take(event);
            }
        }
    }
    let whole = reply.whole(answers.prompt_tokens());
    Ok((headers, Json(whole)).into_response())
}

/// A JSON value a line.
fn lines(lines: impl futures::Stream<Item = serde_json::Value> + Send + 'static) -> Response {
    let lines =
        lines.map(|line| Ok::<_, std::convert::Infallible>(Bytes::from(format!("{line}\n"))));
    let kind = HeaderValue::from_static("application/x-ndjson");
    ([(header::CONTENT_TYPE, kind)], HttpBody::from_stream(lines)).into_response()
}
