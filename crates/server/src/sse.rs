//! Server-sent events.

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::budget::progress::Stage;
use crate::wire::error::ApiError;

/// What ends a stream of OpenAI's API.
pub const DONE: &str = "[DONE]";

/// A stream of `data:` events, with a comment whenever nothing was said for `keep_alive`: a client
/// or a proxy in between does not give up during a long prefill.
pub fn response(
    events: impl Stream<Item = String> + Send + 'static,
    keep_alive: Duration,
) -> Response {
    begun(events.map(|data| Event::default().data(data)), keep_alive)
}

/// The same of events that have names.
pub fn named(events: impl Stream<Item = Named> + Send + 'static, keep_alive: Duration) -> Response {
    let events = events.map(|Named { name, data }| Event::default().event(name).data(data));
    begun(events, keep_alive)
}

/// An event with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What happens.
    pub name: &'static str,
    /// JSON.
    pub data: String,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "event: {}\ndata: {}\n\n", self.name, self.data)
    }
}

fn begun(events: impl Stream<Item = Event> + Send + 'static, keep_alive: Duration) -> Response {
    let keep_alive = KeepAlive::new().interval(keep_alive).text("keep-alive");
    let events = events.map(Ok::<_, Infallible>);
    unbuffered(Sse::new(events).keep_alive(keep_alive).into_response())
}

/// The response of a stream that may be long in coming, since old turns must be summarised first:
/// as it is if it comes within `keep_alive`, else a stream that begins with comments, in which a
/// refusal is what `late_refusal` makes of it. What is told of its `stages` goes before it; the first slow one begins the
/// stream.
///
/// # Errors
/// The refusal, if it comes in time.
pub async fn patient(
    response: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
    stages: UnboundedReceiver<Stage>,
    keep_alive: Duration,
    late_refusal: fn(&ApiError) -> String,
) -> Result<Response, ApiError> {
    let mut coming = Coming {
        response: Box::pin(response),
        stages,
    };
    let mut said = String::new();
    loop {
        match coming.hear(keep_alive).await {
            Heard::Response(response) => return Ok(begun_with(said, response?)),
            Heard::Stage(stage) => {
                said.push_str(&stage.event());
                if stage.is_slow() {
                    break;
                }
            }
            Heard::Nothing => {
                said.push_str(COMMENT);
                break;
            }
        }
    }
    let first = Bytes::from(said);
    let rest = futures::stream::unfold(Waiting::For(coming), move |waiting| {
        waiting.next(keep_alive, late_refusal)
    });
    let body = futures::stream::once(async { Ok(first) }).chain(rest);
    let kind = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    let response = ([kind], Body::from_stream(body)).into_response();
    Ok(unbuffered(response))
}

/// A refusal in a stream of OpenAI's API.
pub fn late_refusal(error: &ApiError) -> String {
    format!("data: {}\n\ndata: {DONE}\n\n", error.body())
}

const COMMENT: &str = ": keep-alive\n\n";

/// A response that is not there yet, and what is told of it.
struct Coming {
    response: Pin<Box<dyn Future<Output = Result<Response, ApiError>> + Send>>,
    stages: UnboundedReceiver<Stage>,
}

/// What comes first.
enum Heard {
    Stage(Stage),
    Response(Result<Response, ApiError>),
    Nothing,
}

impl Coming {
    /// Waits so long; all stages come before the response.
    async fn hear(&mut self, patience: Duration) -> Heard {
        let next = async {
            tokio::select! {
                biased;
                Some(stage) = self.stages.recv() => Heard::Stage(stage),
                response = &mut self.response => match self.stages.try_recv() {
                    // Told in the same breath: the response is kept for the next time.
                    Ok(stage) => {
                        self.response = Box::pin(std::future::ready(response));
                        Heard::Stage(stage)
                    }
                    Err(_) => Heard::Response(response),
                },
            }
        };
        timeout(patience, next).await.unwrap_or(Heard::Nothing)
    }
}

/// What is still to be said of a response that was long in coming.
enum Waiting {
    For(Coming),
    Through(BodyDataStream),
    Done,
}

impl Waiting {
    async fn next(
        self,
        keep_alive: Duration,
        late_refusal: fn(&ApiError) -> String,
    ) -> Option<(Result<Bytes, axum::Error>, Self)> {
        let mut body = match self {
            Self::Done => return None,
            Self::Through(body) => body,
            Self::For(mut coming) => match coming.hear(keep_alive).await {
                Heard::Nothing => {
                    let comment = Bytes::from_static(COMMENT.as_bytes());
                    return Some((Ok(comment), Self::For(coming)));
                }
                Heard::Stage(stage) => {
                    return Some((Ok(stage.event().into()), Self::For(coming)));
                }
                Heard::Response(Ok(response)) => response.into_body().into_data_stream(),
                Heard::Response(Err(error)) => {
                    return Some((Ok(late_refusal(&error).into()), Self::Done));
                }
            },
        };
        let part = body.next().await?;
        Some((part, Self::Through(body)))
    }
}

/// A stream with events before its first one.
fn begun_with(events: String, response: Response) -> Response {
    if events.is_empty() {
        return response;
    }
    let (head, body) = response.into_parts();
    let first = futures::stream::once(async { Ok(Bytes::from(events)) });
    let body = Body::from_stream(first.chain(body.into_data_stream()));
    Response::from_parts(head, body)
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
    use crate::budget::progress::Progress;

    const SHORT: Duration = Duration::from_millis(5);

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 16).await;
        String::from_utf8(bytes.unwrap().to_vec()).unwrap()
    }

    async fn late(response: Result<Response, ApiError>) -> Result<Response, ApiError> {
        tokio::time::sleep(SHORT * 10).await;
        response
    }

    fn silent() -> UnboundedReceiver<Stage> {
        Progress::new().1
    }

    fn events() -> Response {
        let events = ["one".to_owned(), DONE.to_owned()];
        response(futures::stream::iter(events), Duration::from_secs(60))
    }

    #[tokio::test]
    async fn what_comes_in_time_is_passed_on() {
        let hour = Duration::from_secs(3_600);
        let response = patient(async { Ok(events()) }, silent(), hour, late_refusal)
            .await
            .unwrap();
        assert_eq!(text(response).await, "data: one\n\ndata: [DONE]\n\n");
        let refused = patient(
            async { Err(ApiError::internal("No.")) },
            silent(),
            hour,
            late_refusal,
        )
        .await;
        assert_eq!(refused.unwrap_err().message(), "No.");
    }

    #[tokio::test]
    async fn what_comes_late_is_announced_by_comments() {
        let response = patient(late(Ok(events())), silent(), SHORT, late_refusal)
            .await
            .unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let said = text(response).await;
        let rest = said.trim_start_matches(": keep-alive\n\n");
        assert!(rest.len() < said.len(), "{said}");
        assert_eq!(rest, "data: one\n\ndata: [DONE]\n\n");
    }

    #[tokio::test]
    async fn a_late_refusal_is_an_event() {
        let refusal = late(Err(ApiError::internal("No.")));
        let said = text(
            patient(refusal, silent(), SHORT, late_refusal)
                .await
                .unwrap(),
        )
        .await;
        let mut events = said
            .trim_end()
            .split("\n\n")
            .skip_while(|event| event.starts_with(':'));
        let error = events.next().unwrap().strip_prefix("data: ").unwrap();
        let error: serde_json::Value = serde_json::from_str(error).unwrap();
        assert_eq!(error["error"]["message"], "No.");
        assert_eq!(events.collect::<Vec<_>>(), ["data: [DONE]"]);
    }

    #[tokio::test]
    async fn stages_come_first_and_a_slow_one_at_once() {
        let hour = Duration::from_secs(3_600);
        let planning = "event: context_budget\ndata: {\"stage\":\"planning\"}\n\n";
        let applied = "event: context_budget\ndata: {\"stage\":\"applied\"}\n\n";
        let rest = "data: one\n\ndata: [DONE]\n\n";
        let quick = |answer: Result<Response, ApiError>| {
            let (progress, stages) = Progress::new();
            let response = async move {
                progress.tell(Stage::Planning);
                progress.tell(Stage::Applied(None));
                answer
            };
            patient(response, stages, hour, late_refusal)
        };
        let said = text(quick(Ok(events())).await.unwrap()).await;
        assert_eq!(said, [planning, applied, rest].concat());
        // A refusal that is not slow has its own status.
        let refused = quick(Err(ApiError::internal("No."))).await;
        assert_eq!(refused.unwrap_err().message(), "No.");

        let (progress, stages) = Progress::new();
        let (go_on, may) = tokio::sync::oneshot::channel::<()>();
        let response = async move {
            progress.tell(Stage::Planning);
            progress.tell(Stage::Compacting { done: 0, total: 1 });
            may.await.unwrap();
            progress.tell(Stage::Applied(None));
            Ok(events())
        };
        let response = patient(response, stages, hour, late_refusal).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        go_on.send(()).unwrap();
        let said = text(response).await;
        let compacting =
            "event: context_budget\ndata: {\"stage\":\"compacting\",\"done\":0,\"total\":1}\n\n";
        assert_eq!(said, [planning, compacting, applied, rest].concat());
    }
}
