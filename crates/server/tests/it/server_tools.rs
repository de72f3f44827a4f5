//! `context_budget.server_tools`: tools that the server itself runs while it answers.

use std::sync::{Arc, Mutex};

use memory::{Handle, Tenant};
use serde_json::{Value, json};

use crate::answer::{Answer, chat_text, finish_reasons};
use crate::context::{CHAT, agent, body, edited_message, number, tools};
use crate::runners::ScriptRunner;
use crate::world::{IM_END, Setup, World, with};

const STATUS: &str = "<tool_call>\n{\"name\": \"context_status\", \"arguments\": {}}\n</tool_call>";

/// A server whose model says these things in turn, and everything that the model has read.
struct Talk {
    world: World,
    seen: Arc<Mutex<Vec<u32>>>,
}

impl Talk {
    async fn start(said: &[&str]) -> Self {
        Self::with_keys(said, Vec::new()).await
    }

    async fn with_keys(said: &[&str], api_keys: Vec<&'static str>) -> Self {
        let mut setup = Setup {
            max_model_len: 8_192,
            api_keys,
            ..Setup::default()
        };
        setup.limits.max_messages = 200;
        let seen = Arc::default();
        let noted = Arc::clone(&seen);
        let world = World::start_with(setup, |limits, tokenizer| {
            let scripts = said.iter().map(|said| tokenizer.encode(said, false));
            let scripts = scripts.map(Result::unwrap).collect();
            let runner = ScriptRunner::in_turn(scripts, IM_END, limits.vocab_size, noted);
            Box::new(runner)
        })
        .await;
        Self { world, seen }
    }

    /// What the model has read and said.
    fn read(&self) -> String {
        self.world.decode(&self.seen.lock().unwrap())
    }

    fn count(&self, text: &str) -> usize {
        self.world.tokenizer.encode(text, false).unwrap().len()
    }
}

fn restore(arguments: &Value) -> String {
    let call = json!({"name": "context_restore", "arguments": arguments});
    format!("<tool_call>\n{call}\n</tool_call>")
}

fn budget(fields: Value) -> Value {
    let budget = json!({"max_context_tokens": 4_096, "report": "full", "server_tools": true});
    with(budget, fields)
}

/// A request of which old results are cleared.
fn long() -> Value {
    let clear = json!({"edits": [{"type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": 500}, "keep": {"type": "tool_uses", "value": 3}}]});
    let fields = json!({"max_tokens": 200, "context_management": clear});
    with(body(10, &budget(json!({}))), fields)
}

fn text_of(message: usize) -> String {
    agent(10)[message]["content"].as_str().unwrap().to_owned()
}

/// The text that is cleared first, and its handle.
async fn cleared() -> (String, String) {
    let talk = Talk::start(&["Done."]).await;
    let answer = talk.world.ask(CHAT, long()).await.ok();
    let edits = answer["context_budget"]["edits"].as_array().unwrap();
    let first = edits.iter().find(|edit| edit["op"] == "clear_tool_result");
    let first = first.unwrap_or_else(|| panic!("nothing is cleared: {edits:?}"));
    let text = text_of(edited_message(first));
    let handle = Handle::of(&Tenant::of(b""), &text).to_string();
    assert_eq!(first["restore"], handle);
    (text, handle)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_reads_by_a_handle_what_was_cleared() {
    let (text, handle) = cleared().await;
    let call = format!("Let me look.\n{}", restore(&json!({"handle": handle})));
    let talk = Talk::start(&[&call, "It is 9017."]).await;
    let answer = talk.world.ask(CHAT, long()).await.ok();
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "Let me look.\n\nIt is 9017.");
    assert_eq!(choice["finish_reason"], "stop");
    assert!(choice["message"].get("tool_calls").is_none(), "{choice}");
    let tokens = talk.count(&text);
    assert_eq!(
        answer["context_budget"]["server_tools"],
        json!([{"tool": "context_restore", "handle": handle, "tokens": tokens, "result": "whole"}])
    );
    // Cleared in the first round, and read byte for byte in the second.
    let read = talk.read();
    let (first, second) = read.split_once("Let me look.").unwrap();
    assert!(first.contains(&handle) && !first.contains(&text));
    assert!(second.contains(&text), "{second}");
    // The prompts of both rounds; all but the end of the second is cached.
    let used = number(&answer["context_budget"]["budget"]["used"]);
    let usage = &answer["usage"];
    let second = number(&usage["prompt_tokens"]) - used;
    let added = second - used;
    assert!((tokens + 20..tokens + 120).contains(&added), "{added}");
    let cached = number(&usage["prompt_tokens_details"]["cached_tokens"]);
    assert!(
        (used - 16..=second).contains(&cached),
        "{cached} of {second}"
    );
    let said = talk.count(&call) + talk.count("It is 9017.") + 2;
    assert_eq!(number(&usage["completion_tokens"]), said);
    talk.world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_same_answer() {
    let (text, handle) = cleared().await;
    let call = format!("Let me look.\n{}", restore(&json!({"handle": handle})));
    let talk = Talk::start(&[&call, "It is 9017."]).await;
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = talk.world.ask(CHAT, with(long(), fields)).await.chunks();
    assert_eq!(chat_text(&chunks, 0), "Let me look.\n\nIt is 9017.");
    assert_eq!(finish_reasons(&chunks), ["stop"]);
    let called = |chunk: &&Value| chunk["choices"][0]["delta"].get("tool_calls").is_some();
    assert_eq!(chunks.iter().find(called), None);
    let (first, last) = (&chunks[0], chunks.last().unwrap());
    assert!(first["context_budget"].get("server_tools").is_none());
    let told = &last["context_budget"]["server_tools"][0];
    assert_eq!(told["handle"], handle);
    assert_eq!(told["tokens"], talk.count(&text));
    let used = number(&first["context_budget"]["budget"]["used"]);
    assert!(number(&last["usage"]["prompt_tokens"]) > 2 * used + talk.count(&text));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_get_their_own_calls_and_nothing_of_the_others() {
    let own =
        "<tool_call>\n{\"name\": \"read_file\", \"arguments\": {\"path\": \"a\"}}\n</tool_call>";
    let said = format!("{STATUS}\n{own}");
    for stream in [false, true] {
        let talk = Talk::start(&[&said, "Never said."]).await;
        let usage = json!({"include_usage": true});
        let fields = json!({"max_tokens": 200, "stream": stream});
        let mut asked = with(body(2, &budget(json!({}))), fields);
        if stream {
            asked["stream_options"] = usage;
        }
        let answer = talk.world.ask(CHAT, asked).await;
        let (calls, reason, report) = if stream {
            let chunks = answer.chunks();
            let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]);
            let calls = deltas.filter_map(|delta| delta["tool_calls"].as_array());
            let calls: Vec<Value> = calls.flatten().cloned().collect();
            let report = chunks.last().unwrap()["context_budget"].clone();
            (calls, finish_reasons(&chunks)[0].to_owned(), report)
        } else {
            let answer = answer.ok();
            let choice = &answer["choices"][0];
            let calls = choice["message"]["tool_calls"].as_array().unwrap().clone();
            let reason = choice["finish_reason"].as_str().unwrap().to_owned();
            (calls, reason, answer["context_budget"].clone())
        };
        let named: Vec<&Value> = calls
            .iter()
            .map(|call| &call["function"]["name"])
            .filter(|name| !name.is_null())
            .collect();
        assert_eq!(named, ["read_file"], "{calls:?}");
        assert!(calls.iter().all(|call| !stream || call["index"] == 0));
        assert_eq!(reason, "tool_calls");
        let not_run = json!([{"tool": "context_status", "tokens": 0, "result": "not_run"}]);
        assert_eq!(report["server_tools"], not_run, "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_gets_wrong_is_told_to_the_model() {
    let theirs = "A text that the first key has offloaded. ".repeat(20);
    let handle = Handle::of(&Tenant::of(b"one"), &theirs).to_string();
    let said = [
        restore(&json!({"handle": handle})),
        restore(&json!({"handle": "ctx://1"})),
        restore(&json!({"handle": handle, "offset": -1})),
        STATUS.to_owned(),
        "Nothing there.".to_owned(),
    ];
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let talk = Talk::with_keys(&said, vec!["one", "two"]).await;
    let store = talk.world.app.memory();
    store.put(&Tenant::of(b"one"), &theirs).unwrap();
    let request = with(body(2, &budget(json!({}))), json!({"max_tokens": 400}));
    let request = talk.world.post(CHAT, &request).bearer_auth("two");
    let answer = Answer::read(request.send().await.unwrap()).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], "Nothing there.");
    let calls = answer["context_budget"]["server_tools"].as_array().unwrap();
    let results: Vec<&Value> = calls.iter().map(|call| &call["result"]).collect();
    assert_eq!(results, ["error", "error", "error", "status"]);
    let read = talk.read();
    assert!(!read.contains("the first key has offloaded"));
    for told in [
        format!("Error: there is no text behind {handle}."),
        "Error: `handle` must be ctx:// and 13 letters in lower case.".to_owned(),
        "Error: `offset` must be a number of characters.".to_owned(),
        "{\"budget\":4096,\"used\":".to_owned(),
    ] {
        assert!(read.contains(&told), "{told} is not in {read}");
    }
}

/// A user's message and a result that fit only apart from each other, and small results after.
fn crowded() -> Value {
    let lines = |name: &str, number: usize| -> String {
        let lines = (0..number).map(|at| format!("{name} {at} has the value {}\n", at * 37));
        lines.collect()
    };
    let mut messages = agent(6);
    messages[1]["content"] = json!(lines("rule", 110));
    messages[3]["content"] = json!(lines("row", 190));
    let fields = json!({"max_tokens": 200, "messages": messages});
    with(body(0, &budget(json!({}))), fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_does_not_fit_the_model_reads_a_page() {
    let asked = crowded();
    let text = asked["messages"][3]["content"].as_str().unwrap();
    let handle = Handle::of(&Tenant::of(b""), text).to_string();
    let said = [
        restore(&json!({"handle": handle})),
        restore(&json!({"handle": handle, "offset": 40})),
        "Enough.".to_owned(),
    ];
    let said: Vec<&str> = said.iter().map(String::as_str).collect();
    let talk = Talk::start(&said).await;
    let answer = talk.world.ask(CHAT, asked.clone()).await.ok();
    let report = &answer["context_budget"];
    let calls = report["server_tools"].as_array().unwrap();
    let budget = &report["budget"];
    let room = 4_096 - number(&budget["used"]) - number(&budget["reserved_output"]);
    let tokens = number(&calls[0]["tokens"]);
    assert!(talk.count(text) > room, "{} of {room}", talk.count(text));
    assert_eq!(calls[0]["result"], "page", "{report}");
    assert!((room * 3 / 4..room).contains(&tokens), "{tokens} of {room}");
    // Whole lines from the beginning on.
    let read = talk.read();
    let (_, page) = read.split_once("go on with offset ").unwrap();
    let (offset, page) = page.split_once("]\n").unwrap();
    let shown: String = text.chars().take(offset.parse().unwrap()).collect();
    assert!(page.starts_with(&shown) && shown.ends_with('\n'));
    // The page has taken all the room: there is none for a second round.
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(calls[1]["result"], "not_run");
    talk.world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_and_output_come_to_an_end() {
    let talk = Talk::start(&[STATUS]).await;
    let asked = with(body(2, &budget(json!({}))), json!({"max_tokens": 800}));
    let answer = talk.world.ask(CHAT, asked.clone()).await.ok();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["choices"][0]["message"]["content"], "");
    let calls = answer["context_budget"]["server_tools"].as_array().unwrap();
    let results: Vec<&Value> = calls.iter().map(|call| &call["result"]).collect();
    assert_eq!(results[..10], ["status"; 10]);
    assert_eq!(results[10..], ["not_run"]);
    // `max_tokens` is that of the whole answer.
    let of_one = talk.count(STATUS) + 1;
    let talk = Talk::start(&[STATUS]).await;
    let asked = with(asked, json!({"max_tokens": of_one + 3}));
    let answer = talk.world.ask(CHAT, asked).await.ok();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], of_one + 3);
    let calls = answer["context_budget"]["server_tools"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_declared_by_the_field_alone() {
    let talk = Talk::start(&["Done."]).await;
    let schemas = async |turns: usize, serves: bool| {
        let asked = body(turns, &budget(json!({"server_tools": serves})));
        let plan = talk.world.ask("/v1/context/plan", asked).await.ok();
        number(&plan["context_budget"]["zones"]["tool_schemas"]["after"])
    };
    let (without, with_them) = (schemas(1, false).await, schemas(1, true).await);
    assert!(
        (80..300).contains(&(with_them - without)),
        "{without} {with_them}"
    );
    assert_eq!(schemas(30, true).await, with_them);
    assert_eq!(schemas(30, false).await, without);
    // In a conversation without tools of the client, calls are looked for all the same.
    let talk = Talk::start(&[STATUS, "Done."]).await;
    let mut asked = body(0, &budget(json!({})));
    asked.as_object_mut().unwrap().remove("tools");
    asked["max_tokens"] = json!(100);
    let answer = talk.world.ask(CHAT, asked.clone()).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], "Done.");
    // Whoever allows no call has none.
    asked["tool_choice"] = json!("none");
    let answer = talk.world.ask(CHAT, asked).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], "Done.");
    assert!(
        answer["context_budget"]["zones"]
            .get("tool_schemas")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_they_cannot_be_with_is_refused_by_name() {
    let talk = Talk::start(&["Done."]).await;
    let field = "context_budget.server_tools";
    let asked = |fields: Value| with(body(2, &budget(json!({}))), fields);
    let mut own = tools();
    own[1]["function"]["name"] = json!("context_status");
    let open = json!({"add_generation_prompt": false});
    let wrong = [
        (CHAT, asked(json!({"n": 2})), "n"),
        (CHAT, asked(json!({"tools": own})), "tools[1]"),
        (CHAT, asked(open), field),
        (CHAT, body(2, &budget(json!({"mode": "off"}))), field),
        (CHAT, body(2, &json!({"server_tools": "yes"})), field),
        ("/v1/context/compact", asked(json!({})), field),
    ];
    for (route, asked, param) in wrong {
        let answer = talk.world.ask(route, asked.clone()).await;
        assert_eq!(answer.status, 400, "{asked}: {}", answer.text);
        assert_eq!(answer.json()["error"]["param"], param, "{}", answer.text);
    }
}
