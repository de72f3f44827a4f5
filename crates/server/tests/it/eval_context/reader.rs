//! A small server whose model finds every sentence that it is asked for: bytes are its tokens, it
//! caches prefixes by salt, and its `context_budget` clears all tool results but the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

const BEGINS_ANSWER: &str = "assistant:";
const CLEARED: &str = "[cleared]";

/// Prompts that were computed, by salt.
type Computed = Mutex<HashMap<String, Vec<Vec<u8>>>>;

/// Serves until the test's runtime ends; returns the address.
pub(super) async fn start() -> String {
    let router = Router::new()
        .route(
            "/v1/models",
            get(async || Json(json!({"data": [{"id": "reader"}]}))),
        )
        .route("/tokenize", post(tokenize))
        .route("/detokenize", post(detokenize))
        .route("/v1/completions", post(answer))
        .route("/v1/chat/completions", post(answer))
        .with_state(Arc::new(Computed::default()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn render(messages: &Value) -> String {
    let line = |message: &Value| {
        let calls = message
            .get("tool_calls")
            .map(Value::to_string)
            .unwrap_or_default();
        let (role, content) = (&message["role"], &message["content"]);
        format!(
            "{}:{}{calls}\n",
            role.as_str().unwrap(),
            content.as_str().unwrap()
        )
    };
    messages.as_array().unwrap().iter().map(line).collect()
}

async fn tokenize(Json(body): Json<Value>) -> Json<Value> {
    let mut text = render(&body["messages"]);
    if body["add_generation_prompt"] == true {
        text.push_str(BEGINS_ANSWER);
    }
    Json(json!({"tokens": text.as_bytes()}))
}

fn text_of(tokens: &Value) -> String {
    let bytes = tokens
        .as_array()
        .unwrap()
        .iter()
        .map(|byte| byte.as_u64().unwrap() as u8);
    String::from_utf8(bytes.collect()).unwrap()
}

async fn detokenize(Json(body): Json<Value>) -> Json<Value> {
    Json(json!({"prompt": text_of(&body["tokens"])}))
}

async fn answer(State(computed): State<Arc<Computed>>, Json(mut body): Json<Value>) -> Response {
    let budget = body["context_budget"].take();
    if budget["ablation"] == json!(["ledger"]) {
        let error = json!({"error": {"message": "ablation: no such part", "code": "invalid"}});
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let mut edits = Vec::new();
    if !budget.is_null() {
        edits = clear(&mut body["messages"]);
    }
    let text = match body.get("messages") {
        Some(messages) => render(messages) + BEGINS_ANSWER,
        None => text_of(&body["prompt"]),
    };
    let salt = body["cache_salt"].as_str().unwrap().to_owned();
    let cached = remember(&computed, salt, text.as_bytes());
    let mut first = json!({"choices": [{"delta": {"content": ""}}]});
    if !budget.is_null() {
        let full = budget["report"] == "full";
        let edits = if full {
            json!(edits)
        } else {
            json!(edits.len())
        };
        let cache = json!({"prefilled": text.len() - cached});
        first["context_budget"] = json!({"edits": edits, "cache": cache});
    }
    let said = json!({"choices": [{"text": found(&text), "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {
        "prompt_tokens": text.len(),
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": cached},
    }});
    let stream = format!("data: {first}\n\ndata: {said}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
    ([("content-type", "text/event-stream")], stream).into_response()
}

/// Clears all tool results but the last; what was done.
fn clear(messages: &mut Value) -> Vec<Value> {
    let messages = messages.as_array_mut().unwrap();
    let results = messages
        .iter_mut()
        .filter(|message| message["role"] == "tool");
    let mut results: Vec<&mut Value> = results.collect();
    results.pop();
    let cleared = results.into_iter().map(|result| {
        result["content"] = json!(CLEARED);
        json!({"op": "clear_tool_result", "ref": {"tool_call_id": result["tool_call_id"]},
               "reason": "oldest"})
    });
    cleared.collect()
}

/// Bytes that a prompt shares with an earlier one of its salt.
fn remember(computed: &Computed, salt: String, prompt: &[u8]) -> usize {
    let mut computed = computed.lock().unwrap();
    let known = computed.entry(salt).or_default();
    let shared = |other: &Vec<u8>| other.iter().zip(prompt).take_while(|(a, b)| a == b).count();
    let cached = known.iter().map(shared).max().unwrap_or(0);
    known.push(prompt.to_vec());
    cached
}

/// The last sentence with all words of the question, which is the last line but the answer's.
fn found(prompt: &str) -> String {
    let (context, question) = prompt
        .trim_end()
        .trim_end_matches(BEGINS_ANSWER)
        .trim_end()
        .rsplit_once("user:")
        .unwrap_or_default();
    let words: Vec<&str> = question
        .trim_end_matches('?')
        .split(' ')
        .filter(|word| word.len() > 3 && !["What", "When", "will"].contains(word))
        .collect();
    let sentences = context
        .split('\n')
        .flat_map(|line| line.split_inclusive(". "));
    let has_all = |sentence: &&str| words.iter().all(|word| sentence.contains(word));
    let found = sentences
        .filter(has_all)
        .last()
        .filter(|_| !words.is_empty());
    found.unwrap_or("I don't know.").to_owned()
}
