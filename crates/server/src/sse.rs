//! Server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::StreamExt;

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
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // Proxies such as nginx would otherwise collect the stream before they pass it on.
    let headers = response.headers_mut();
    headers.insert(
        "x-accel-buffering",
        axum::http::HeaderValue::from_static("no"),
    );
    response
}
