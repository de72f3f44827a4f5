//! Server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use tokio::time::timeout;

use crate::wire::error::ApiError;

/// What ends a stream of OpenAI's API.
pub const DONE: &str = "[DONE]";

/// A stream of `data:` events, with a comment whenever nothing was said for `keep_alive`: a client
/// or a proxy in between does not give up during a long prefill.
pub fn response(
    events: impl Stream<Item = String> + Send + 'static,
    keep_alive: Duration,
) -> Response {
    let events = events.map(|data| Ok::<_, Infallible>(Event::default().data(data)));
    let keep_alive = KeepAlive::new().interval(keep_alive).text("keep-alive");
    unbuffered(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// The response of a stream that may be long in coming, since old turns must be summarised first:
/// as it is if it comes within `keep_alive`, else a stream that begins with comments, in which a
/// refusal is an event.
///
/// # Errors
/// The refusal, if it comes in time.
pub async fn patient(
    response: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
    keep_alive: Duration,
) -> Result<Response, ApiError> {
    let mut response: Coming = Box::pin(response);
    if let Ok(response) = timeout(keep_alive, &mut response).await {
        return response;
    }
    let first = Bytes::from_static(COMMENT);
    let rest = futures::stream::unfold(Waiting::For(response), move |waiting| {
        waiting.next(keep_alive)
    });
    let body = futures::stream::once(async { Ok(first) }).chain(rest);
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    let response = ([kind], Body::from_stream(body)).into_response();
    Ok(unbuffered(response))
}

const COMMENT: &[u8] = b": keep-alive\n\n";

type Coming = Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>;

/// What is still to be said of a response that was long in coming.
enum Waiting {
    For(Coming),
    Through(BodyDataStream),
    Done,
}

impl Waiting {
    async fn next(self, keep_alive: Duration) -> Option<(Result<Bytes, axum::Error>, Self)> {
        let mut body = match self {
            Self::Done => return None,
            Self::Through(body) => body,
            Self::For(mut response) => match timeout(keep_alive, &mut response).await {
                Err(_) => return Some((Ok(Bytes::from_static(COMMENT)), Self::For(response))),
                Ok(Ok(response)) => response.into_body().into_data_stream(),
                Ok(Err(error)) => {
                    let said = format!("data: {}\n\ndata: {DONE}\n\n", error.body());
                    return Some((Ok(said.into()), Self::Done));
                }
            },
        };
        let part = body.next().await?;
        Some((part, Self::Through(body)))
    }
}

/// Proxies such as nginx would otherwise collect a stream before they pass it on.
fn unbuffered(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(5);

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await;
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    async fn late(response: Result<Response, ApiError>) -> Result<Response, ApiError> {
        tokio::time::sleep(SHORT * 10).await;
        response
    }

    fn events() -> Response {
        let events = ["one".to_owned(), DONE.to_owned()];
        response(futures::stream::iter(events), Duration::from_secs(60))
    }

    #[tokio::test]
    async fn what_comes_in_time_is_passed_on() {
        let hour = Duration::from_secs(3_600);
        let response = patient(async { Ok(events()) }, hour).await.unwrap();
        assert_eq!(text(response).await, "data: one\n\ndata: [DONE]\n\n");
        let refused = patient(async { Err(ApiError::internal("No.")) }, hour).await;
        assert_eq!(refused.unwrap_err().message(), "No.");
    }

    #[tokio::test]
    async fn what_comes_late_is_announced_by_comments() {
        let response = patient(late(Ok(events())), SHORT).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let said = text(response).await;
        let rest = said.trim_start_matches(": keep-alive\n\n");
        assert!(rest.len() < said.len(), "{said}");
        assert_eq!(rest, "data: one\n\ndata: [DONE]\n\n");
    }

    #[tokio::test]
    async fn a_late_refusal_is_an_event() {
        let refusal = late(Err(ApiError::internal("No.")));
        let said = text(patient(refusal, SHORT).await.unwrap()).await;
        let mut events = said
            .trim_end()
            .split("\n\n")
            .skip_while(|event| event.starts_with(':'));
        let error = events.next().unwrap().strip_prefix("data: ").unwrap();
        let error: serde_json::Value = serde_json::from_str(error).unwrap();
        assert_eq!(error["error"]["message"], "No.");
        assert_eq!(events.collect::<Vec<_>>(), ["data: [DONE]"]);
    }
}
