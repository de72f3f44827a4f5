//! A small server that speaks enough of OpenAI's API: it caches prefixes by comparing tokens, and
//! sleeps for each token that it does not find.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Which tokenizer endpoint there is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Tokenize {
    Vllm,
    LlamaCpp,
    Missing,
}

/// What the last chunks report.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Counts {
    /// `usage` with `prompt_tokens_details`.
    Cached,
    /// `usage` without details, and llama.cpp's `timings`.
    Timings,
    /// `usage` without details.
    Plain,
    Missing,
}

/// How a stream of tokens goes.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Flow {
    Good,
    /// Calls a tool with what would be the text.
    Calls,
    /// Ends with `[DONE]`, but without a token.
    Empty,
    /// Reports an error instead of the first token.
    Error,
    /// Is one JSON object and no stream.
    NoStream,
}

#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) tokenize: Tokenize,
    pub(crate) counts: Counts,
    pub(crate) flow: Flow,
    /// Tokens per cache block.
    pub(crate) block: usize,
    /// The text of each token.
    pub(crate) token: &'static str,
    /// Bytes per piece of the stream.
    pub(crate) cut: usize,
    pub(crate) has_completions: bool,
    pub(crate) has_chat: bool,
    pub(crate) takes_ids: bool,
    pub(crate) prefill: Duration,
    /// Between the first token and the end.
    pub(crate) tail: Duration,
    /// Between two tokens, of which there are as many as asked for; otherwise there is one.
    pub(crate) between: Option<Duration>,
    pub(crate) key: Option<&'static str>,
    pub(crate) max_model_len: usize,
    /// Whether `/v1/models` and `/tokenize` say `max_model_len`.
    pub(crate) says_limit: bool,
    pub(crate) models: Vec<&'static str>,
    /// Streamed requests from this one on are refused with 500.
    pub(crate) broken_from: usize,
    /// Streamed requests from this one on, counted from 1, get no token.
    pub(crate) silent_from: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            tokenize: Tokenize::Vllm,
            counts: Counts::Cached,
            flow: Flow::Good,
            block: 1,
            token: "é",
            cut: 7,
            has_completions: true,
            has_chat: true,
            takes_ids: true,
            prefill: Duration::from_micros(20),
            tail: Duration::ZERO,
            between: None,
            key: None,
            max_model_len: 4096,
            says_limit: true,
            models: vec!["fake-1", "fake-2"],
            broken_from: usize::MAX,
            silent_from: usize::MAX,
        }
    }
}

/// A streamed request as it came.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) body: Value,
    pub(crate) tokens: Vec<u32>,
    pub(crate) cached: usize,
    pub(crate) authorization: Option<String>,
    pub(crate) peer: SocketAddr,
}

pub(crate) struct Fake {
    config: Config,
    vocabulary: Mutex<Vec<String>>,
    seen: Mutex<Vec<Seen>>,
    running: AtomicUsize,
    most_running: AtomicUsize,
    /// Told of every streamed request.
    pub(crate) came: Notify,
}

impl Fake {
    /// Serves until the test's runtime ends; returns the address.
    pub(crate) async fn start(config: Config) -> (Arc<Self>, String) {
        let fake = Arc::new(Self {
            config,
            vocabulary: Mutex::default(),
            seen: Mutex::default(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            came: Notify::new(),
        });
        let router = Router::new()
            .route("/v1/models", get(models))
            .route("/version", get(async || Json(json!({"version": "9.8.7"}))))
            .route("/tokenize", post(tokenize))
            .route("/v1/completions", post(completions))
            .route("/v1/chat/completions", post(chat))
            .with_state(Arc::clone(&fake));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Pieces that wait for an acknowledgement (Nagle) come 40 ms late.
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        (fake, url)
    }

    /// Every streamed request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many streams there were at once, at most.
    pub(crate) fn most_running(&self) -> usize {
        self.most_running.load(Ordering::Relaxed)
    }

    /// Words are numbered as they come; one that begins with a vowel has a token for it.
    fn encode(&self, text: &str) -> Vec<u32> {
        let mut vocabulary = self.vocabulary.lock().unwrap();
        let mut id = |piece: String| match vocabulary.iter().position(|known| *known == piece) {
            Some(at) => at as u32,
            None => {
                vocabulary.push(piece);
                vocabulary.len() as u32 - 1
            }
        };
        let mut tokens = Vec::new();
        for word in text.split_whitespace() {
            let (initial, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            if "aeiou".contains(initial) {
                tokens.push(id(initial.to_owned()));
                tokens.push(id(rest.to_owned()));
            } else {
                tokens.push(id(word.to_owned()));
            }
        }
        tokens
    }

    fn refuse(&self, headers: &HeaderMap) -> Option<Response> {
        let key = format!("Bearer {}", self.config.key?);
        let given = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        (given != Some(&key)).then(|| error(StatusCode::UNAUTHORIZED, "no such key", "bad_key"))
    }

    fn answer(self: &Arc<Self>, tokens: Vec<u32>, request: Request, is_chat: bool) -> Response {
        if let Some(refusal) = self.refuse(&request.headers) {
            return refusal;
        }
        let model = request.body["model"].as_str().unwrap_or_default();
        if !self.config.models.contains(&model) {
            let message = format!("The model `{model}` does not exist.");
            return error(StatusCode::NOT_FOUND, &message, "NotFoundError");
        }
        let limit = self.config.max_model_len;
        if tokens.len() > limit {
            let message = format!("This model's maximum context length is {limit} tokens.");
            return error(StatusCode::BAD_REQUEST, &message, "BadRequestError");
        }
        let len = tokens.len();
        let max_tokens = request.body["max_tokens"].as_u64().unwrap_or(1);
        let completion = match self.config.between {
            Some(_) => max_tokens as usize,
            None => 1,
        };
        let (cached, is_silent) = {
            let mut seen = self.seen.lock().unwrap();
            if seen.len() + 1 >= self.config.broken_from {
                return error(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the device is lost",
                    "lost",
                );
            }
            let shared = |other: &Seen| {
                other
                    .tokens
                    .iter()
                    .zip(&tokens)
                    .take_while(|(a, b)| a == b)
                    .count()
            };
            let longest = seen.iter().map(shared).max().unwrap_or(0);
            // At least one token is computed, or there would be nothing to sample from.
            let cached = longest.min(len - 1) / self.config.block * self.config.block;
            let Request {
                body,
                headers,
                peer,
            } = request;
            let key = headers.get("authorization");
            let authorization = key.map(|value| value.to_str().unwrap().to_owned());
            seen.push(Seen {
                body,
                tokens,
                cached,
                authorization,
                peer,
            });
            (cached, seen.len() >= self.config.silent_from)
        };
        self.came.notify_one();
        let prefill = match is_silent {
            true => Duration::from_secs(3600),
            false => self.config.prefill * (len - cached) as u32,
        };
        self.stream([len, cached, completion], prefill, is_chat)
    }

    fn stream(
        self: &Arc<Self>,
        [prompt, cached, completion]: [usize; 3],
        prefill: Duration,
        is_chat: bool,
    ) -> Response {
        let choice = |text: &str, reason: Value| match is_chat {
            true => json!({"delta": {"content": text}, "finish_reason": reason}),
            false => json!({"text": text, "finish_reason": reason}),
        };
        let chunk = |body: Value| format!("data: {body}\n\n");
        let mut before = ": keep-alive\n\n".to_owned();
        if is_chat {
            let role = json!({"delta": {"role": "assistant", "content": ""}});
            before.push_str(&chunk(json!({"choices": [role], "usage": null})));
        }
        let token = match self.config.flow {
            Flow::Good => {
                let text = choice(self.config.token, Value::Null);
                chunk(json!({"choices": [text], "usage": null}))
            }
            Flow::Calls => {
                let call = json!({"index": 0, "id": "", "function": {"arguments": ""}});
                chunk(json!({"choices": [{"delta": {"tool_calls": [call]}}], "usage": null}))
            }
            Flow::Error => chunk(json!({"error": {"message": "out of memory"}})),
            Flow::Empty => String::new(),
            Flow::NoStream => {
                return Json(json!({"choices": [choice("a", json!("stop"))]})).into_response();
            }
        };
        let mut after = String::new();
        if self.config.flow == Flow::Calls {
            let function = json!({"name": "read_file", "arguments": "{\"path\": \"a\"}"});
            let call = json!({"index": 0, "id": "call-1", "function": function});
            before.push_str(&chunk(
                json!({"choices": [{"delta": {"tool_calls": [call]}}]}),
            ));
        }
        if matches!(self.config.flow, Flow::Good | Flow::Calls) {
            after.push_str(&chunk(json!({"choices": [choice("", json!("length"))]})));
            after.extend(self.counts([prompt, cached, completion]).map(chunk));
        }
        after.push_str("data: [DONE]\n\n");
        let between = self.config.between.unwrap_or_default();
        let mut parts = vec![(Duration::ZERO, before), (prefill, token.clone())];
        parts.extend((1..completion).map(|_| (between, token.clone())));
        parts.push((self.config.tail, after));
        let mut pieces = Vec::new();
        for (wait, text) in parts {
            pieces.push((wait, Vec::new()));
            let cut = text.as_bytes().chunks(self.config.cut);
            pieces.extend(cut.map(|piece| (Duration::ZERO, piece.to_vec())));
        }
        let stay = Arc::new(Stay::begin(self));
        let pieces = stream::iter(pieces).then(move |(wait, piece)| {
            let stay = Arc::clone(&stay);
            async move {
                match wait.is_zero() {
                    true => tokio::task::yield_now().await,
                    false => tokio::time::sleep(wait).await,
                }
                drop(stay);
                Ok::<_, Infallible>(piece)
            }
        });
        let body = Body::from_stream(pieces.boxed());
        ([("content-type", "text/event-stream")], body).into_response()
    }

    fn counts(&self, [prompt, cached, completion]: [usize; 3]) -> Option<Value> {
        let mut usage = json!({"prompt_tokens": prompt, "completion_tokens": completion});
        match self.config.counts {
            Counts::Missing => return None,
            Counts::Plain => {}
            Counts::Cached => usage["prompt_tokens_details"] = json!({"cached_tokens": cached}),
            Counts::Timings => {
                let timings = json!({"cache_n": cached, "prompt_n": prompt - cached});
                return Some(json!({"choices": [], "usage": usage, "timings": timings}));
            }
        }
        Some(json!({"choices": [], "usage": usage}))
    }
}

/// A stream that is running.
struct Stay(Arc<Fake>);

impl Stay {
    fn begin(fake: &Arc<Fake>) -> Self {
        let running = fake.running.fetch_add(1, Ordering::Relaxed) + 1;
        fake.most_running.fetch_max(running, Ordering::Relaxed);
        Self(Arc::clone(fake))
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request to generate.
struct Request {
    body: Value,
    headers: HeaderMap,
    peer: SocketAddr,
}

/// How many requests of `seen` came over how many connections.
pub(crate) fn connections(seen: &[Seen]) -> usize {
    seen.iter()
        .map(|request| request.peer)
        .collect::<HashSet<_>>()
        .len()
}

async fn models(State(fake): State<Arc<Fake>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = fake.refuse(&headers) {
        return refusal;
    }
    let entry = |id: &&str| match fake.config.says_limit {
        true => json!({"id": id, "owned_by": "us", "max_model_len": fake.config.max_model_len}),
        false => json!({"id": id, "owned_by": "us"}),
    };
    let data: Vec<Value> = fake.config.models.iter().map(entry).collect();
    (
        [("server", "fake")],
        Json(json!({"object": "list", "data": data})),
    )
        .into_response()
}

async fn tokenize(State(fake): State<Arc<Fake>>, Json(body): Json<Value>) -> Response {
    let field = match fake.config.tokenize {
        Tokenize::Vllm => "prompt",
        Tokenize::LlamaCpp => "content",
        Tokenize::Missing => return missing(),
    };
    // llama.cpp answers a body without its field with no tokens.
    let tokens = fake.encode(body[field].as_str().unwrap_or_default());
    let mut answer = json!({"count": tokens.len(), "tokens": tokens});
    if fake.config.says_limit && fake.config.tokenize == Tokenize::Vllm {
        answer["max_model_len"] = json!(fake.config.max_model_len);
    }
    Json(answer).into_response()
}

async fn completions(
    State(fake): State<Arc<Fake>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if !fake.config.has_completions {
        return missing();
    }
    let tokens = match &body["prompt"] {
        Value::String(text) => fake.encode(text),
        Value::Array(_) if !fake.config.takes_ids => {
            return error(
                StatusCode::UNPROCESSABLE_ENTITY,
                "prompt: not a string",
                "type",
            );
        }
        ids => serde_json::from_value(ids.clone()).unwrap(),
    };
    fake.answer(
        tokens,
        Request {
            body,
            headers,
            peer,
        },
        false,
    )
}

async fn chat(
    State(fake): State<Arc<Fake>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if !fake.config.has_chat {
        return missing();
    }
    let mut text = "<bos>".to_owned();
    for message in body["messages"].as_array().unwrap() {
        let field = |name: &str| message[name].as_str().unwrap_or_default();
        text.push_str(&format!(" <{}> {}", field("role"), field("content")));
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            text.push_str(&format!(" <call> {}", call["function"]["arguments"]));
        }
        text.push_str(" <end>");
    }
    let tokens = fake.encode(&format!("{text} <assistant>"));
    fake.answer(
        tokens,
        Request {
            body,
            headers,
            peer,
        },
        true,
    )
}

fn missing() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"detail": "Not Found"}))).into_response()
}

fn error(status: StatusCode, message: &str, kind: &str) -> Response {
    let body = json!({"error": {"message": message, "type": kind, "code": status.as_u16()}});
    (status, Json(body)).into_response()
}
