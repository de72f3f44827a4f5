//! HTTP to the server under measurement: small JSON requests, and streams with their timing.

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response, Url, header};
use serde_json::Value;

use super::clock;
use super::error::{Refusal, ServerError, excerpt};
use super::sse::SseParser;
use super::stream_chunk::{StreamChunk, Usage};
use super::tool_calls::ToolCalls;

/// How long to wait for the connection to be given back after `[DONE]`.
const GIVE_BACK: Duration = Duration::from_millis(500);

/// A request that fails sooner than this may have met a connection that was closed before.
const STALE: Duration = Duration::from_millis(100);

/// Bytes of a body that are kept for an error message.
const HEAD: usize = 300;

/// One server. Connections stay open between requests, so no TTFT contains a handshake.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    timeout: u64,
}

/// A small answer: its JSON and the `Server` header.
#[derive(Debug)]
pub(crate) struct JsonAnswer {
    pub(crate) body: Value,
    pub(crate) server: Option<String>,
}

/// A streamed answer, timed from the moment the request is handed to the connection.
#[derive(Debug, Clone)]
pub(crate) struct StreamAnswer {
    /// The moment from which times are counted.
    pub(crate) sent: Instant,
    /// Until the chunk with the first token has come.
    pub(crate) ttft: Duration,
    /// Until the first token and each chunk after it that adds to the answer have come.
    pub(crate) token_times: Vec<Duration>,
    /// Until the stream's last event.
    pub(crate) total: Duration,
    pub(crate) usage: Usage,
    /// The server's name for the answer.
    pub(crate) id: Option<String>,
    /// What was said, without thoughts and tool calls.
    pub(crate) text: String,
    /// What was thought, where the server says it apart.
    pub(crate) reasoning: String,
    pub(crate) tool_calls: ToolCalls,
    /// What the server reports of the context budget, where it does.
    pub(crate) context_budget: Option<Value>,
}

impl Client {
    /// # Errors
    /// `InvalidUrl`, also when the key cannot be in a header.
    pub(crate) fn new(
        base_url: &str,
        api_key: Option<&str>,
        timeout: u64,
    ) -> Result<Self, ServerError> {
        let invalid = |reason: String| ServerError::InvalidUrl {
            url: base_url.to_owned(),
            reason,
        };
        let url = Url::parse(base_url).map_err(|error| invalid(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(
                "it does not begin with http:// or https://".to_owned(),
            ));
        }
        let mut headers = header::HeaderMap::new();
        if let Some(key) = api_key {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| invalid("--api-key has characters no header may have".to_owned()))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("purser-measure/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(timeout))
            .pool_idle_timeout(None)
            .tcp_nodelay(true);
        if is_loopback(&url) {
            // No proxy can reach this machine's own addresses.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| invalid(chain(&error)))?;
        let base = base_url.trim_end_matches('/');
        let base = base
            .strip_suffix("/v1")
            .unwrap_or(base)
            .trim_end_matches('/');
        Ok(Self {
            http,
            base: base.to_owned(),
            timeout,
        })
    }

    /// The address before `/v1`.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The address of `path`, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// # Errors
    /// `Unreachable`, `Silent`, `Unauthorized`, `Refused`, `NotOpenAi`.
    pub(crate) async fn get(&self, path: &str) -> Result<JsonAnswer, ServerError> {
        let url = self.url(path);
        self.json(self.http.get(&url), url).await
    }

    /// # Errors
    /// `Unreachable`, `Silent`, `Unauthorized`, `Refused`, `NotOpenAi`.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ServerError> {
        let url = self.url(path);
        Ok(self.json(self.http.post(&url).json(body), url).await?.body)
    }

    /// Sends `body` and reads the stream to its end.
    ///
    /// # Errors
    /// Those of [`Self::post`], and `BrokenStream`, `NoTokens`.
    pub(crate) async fn stream(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<StreamAnswer, ServerError> {
        let url = self.url(path);
        // The body is written before the clock is read: 2,000 token ids take a while to print.
        let request = self
            .http
            .post(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "text/event-stream")
            .body(body.to_string());
        let (sent, mut response) = self.send(request, &url).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        let is_stream = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let mut reading = Reading::default();
        while !reading.done {
            let piece = response
                .chunk()
                .await
                .map_err(|error| self.broken(&url, &error))?;
            let Some(piece) = piece else { break };
            reading
                .take(&piece, sent.elapsed())
                .map_err(|reason| ServerError::BrokenStream {
                    url: url.clone(),
                    reason,
                })?;
        }
        // A connection is used again only after the end of the body, which follows `[DONE]`.
        let rest = async { while let Ok(Some(_)) = response.chunk().await {} };
        let _given_back = tokio::time::timeout(GIVE_BACK, rest).await;
        let none_computed = reading.usage.completion_tokens == Some(0);
        let first = reading.token_times.first().copied();
        match first.filter(|_| !none_computed) {
            Some(ttft) => Ok(StreamAnswer {
                sent,
                ttft,
                token_times: reading.token_times,
                total: reading.last,
                usage: reading.usage,
                id: reading.id,
                text: reading.text,
                reasoning: reading.reasoning,
                tool_calls: reading.tool_calls,
                context_budget: reading.context_budget,
            }),
            None if !is_stream => Err(ServerError::NotOpenAi {
                url,
                reason: format!("it does not stream, but says {:?}", reading.beginning()),
            }),
            None => Err(ServerError::NoTokens { url }),
        }
    }

    async fn json(&self, request: RequestBuilder, url: String) -> Result<JsonAnswer, ServerError> {
        let (_, response) = self.send(request, &url).await?;
        let server = response.headers().get(header::SERVER);
        let server = server
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let text = response
            .text()
            .await
            .map_err(|error| self.failed(&url, &error))?;
        let body = serde_json::from_str(&text).map_err(|_| ServerError::NotOpenAi {
            url,
            reason: format!("it says {:?}, which is no JSON", excerpt(&text)),
        })?;
        Ok(JsonAnswer { body, server })
    }

    /// The response, if its status is a good one, and when the request was sent.
    async fn send(
        &self,
        request: RequestBuilder,
        url: &str,
    ) -> Result<(Instant, Response), ServerError> {
        let again = request.try_clone();
        let mut sent = clock::monotonic();
        let mut answer = request.send().await;
        if let (Err(error), Some(again)) = (&answer, again)
            && is_stale(error)
            && sent.elapsed() < STALE
        {
            sent = clock::monotonic();
            answer = again.send().await;
        }
        let response = answer.map_err(|error| self.failed(url, &error))?;
        let status = response.status();
        if status.is_success() {
            return Ok((sent, response));
        }
        let text = response.text().await.unwrap_or_default();
        let refusal = Refusal::new(url.to_owned(), status.as_u16(), &text);
        Err(if refusal.is_unauthorized() {
            ServerError::Unauthorized(refusal)
        } else {
            ServerError::Refused(refusal)
        })
    }

    fn failed(&self, url: &str, error: &reqwest::Error) -> ServerError {
        if error.is_timeout() && !error.is_connect() {
            return ServerError::Silent {
                url: url.to_owned(),
                seconds: self.timeout,
            };
        }
        ServerError::Unreachable {
            url: url.to_owned(),
            reason: chain(error),
        }
    }

    fn broken(&self, url: &str, error: &reqwest::Error) -> ServerError {
        match self.failed(url, error) {
            ServerError::Unreachable { url, reason } => ServerError::BrokenStream { url, reason },
            other => other,
        }
    }
}

/// What has been read of one stream.
#[derive(Debug, Default)]
struct Reading {
    parser: SseParser,
    usage: Usage,
    text: String,
    reasoning: String,
    tool_calls: ToolCalls,
    context_budget: Option<Value>,
    id: Option<String>,
    token_times: Vec<Duration>,
    last: Duration,
    /// The first bytes of the body, for the error if it is no stream of events.
    head: Vec<u8>,
    done: bool,
}

impl Reading {
    fn beginning(&self) -> String {
        excerpt(&String::from_utf8_lossy(&self.head))
    }

    /// Takes in a piece that came `after` the request was sent.
    ///
    /// # Errors
    /// When the stream reports an error or makes no sense, in words.
    fn take(&mut self, piece: &[u8], after: Duration) -> Result<(), String> {
        let room = HEAD.saturating_sub(self.head.len());
        self.head.extend_from_slice(&piece[..piece.len().min(room)]);
        for event in self.parser.push(piece) {
            self.last = after;
            if event.data.trim() == "[DONE]" {
                self.done = true;
                continue;
            }
            let mut chunk: StreamChunk = match serde_json::from_str(&event.data) {
                Ok(chunk) => chunk,
                Err(_) if event.name == "error" => return Err(excerpt(&event.data)),
                Err(error) => return Err(format!("{error} in {:?}", excerpt(&event.data))),
            };
            if event.name == "error" || chunk.error.is_some() {
                return Err(Refusal::new(String::new(), 0, &event.data).message);
            }
            chunk.add_to(&mut self.usage);
            chunk.add_text_to(&mut self.text);
            chunk.add_reasoning_to(&mut self.reasoning);
            chunk.add_calls_to(&mut self.tool_calls);
            if let (None, Some(Value::String(id))) = (&self.id, chunk.id.take()) {
                self.id = Some(id);
            }
            if let Some(report) = chunk.context_budget.take() {
                add_report(&mut self.context_budget, report);
            }
            let is_first = self.token_times.is_empty();
            if chunk.has_content() || (is_first && chunk.has_token()) {
                self.token_times.push(after);
            }
        }
        Ok(())
    }
}

/// The last chunk tells what was not known in the first, and says the rest no second time.
fn add_report(known: &mut Option<Value>, report: Value) {
    match (known, report) {
        (Some(Value::Object(known)), Value::Object(later)) => known.extend(later),
        (known, report) => *known = Some(report),
    }
}

/// Whether a connection ended before the answer began. llama.cpp's server promises to keep its
/// connections and closes them after each stream; a request may be on its way by then, which
/// nobody reads.
fn is_stale(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_incomplete_message() || error.is_canceled();
        }
        source = error.source();
    }
    false
}

/// Whether the address is this machine's own.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The innermost cause says what the system said ("Connection refused"), the outer ones the place.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests;
