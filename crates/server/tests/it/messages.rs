//! `/v1/messages`: Anthropic's shapes, streams, errors, and what is cached.

use serde_json::{Value, json};
use text::ReasoningFormat;

use crate::answer::Answer;
use crate::world::{Setup, World, hello, with};

const CALL: &str = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n\
                    </tool_call>";

async fn ask(world: &World, fields: Value) -> Answer {
    let body = with(json!({"messages": hello(), "max_tokens": 64}), fields);
    world.ask("/v1/messages", body).await
}

fn tools() -> Value {
    json!([{"name": "get_weather", "input_schema": {"type": "object",
        "properties": {"city": {"type": "string"}}}}])
}

/// Takes out what differs between any two messages.
fn without_id(mut message: Value) -> Value {
    let id = message["id"].as_str().expect("a message has an id");
    assert!(id.starts_with("msg_") && id.len() > 12, "{id}");
    message["id"] = "ID".into();
    message
}

/// The events of a stream: each one's data, whose type is the event's name.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let blocks = answer.text.split("\n\n").filter(|block| !block.is_empty());
    let events = blocks.map(|block| {
        let (name, data) = block.split_once('\n').expect("an event has two lines");
        let data = data.strip_prefix("data: ").expect("the second is data");
        let data: Value = serde_json::from_str(data).expect("data is JSON");
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    });
    events.collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect()
}

/// Puts a stream's events together as Anthropic's clients do.
fn put_together(events: &[Value]) -> Value {
    let mut message = events[0]["message"].clone();
    let mut content: Vec<Value> = Vec::new();
    let mut json = String::new();
    for event in &events[1..] {
        let index = event["index"].as_u64().unwrap_or_default() as usize;
        let delta = &event["delta"];
        let add = |block: &mut Value, name: &str, more: &Value| {
            let text = block[name].as_str().unwrap_or_default();
            block[name] = format!("{text}{}", more.as_str().expect("text")).into();
        };
        match event["type"].as_str().expect("a type") {
            "content_block_start" => {
                assert_eq!(index, content.len());
                content.push(event["content_block"].clone());
            }
            "content_block_delta" => match delta["type"].as_str().expect("a type") {
                "text_delta" => add(&mut content[index], "text", &delta["text"]),
                "thinking_delta" => add(&mut content[index], "thinking", &delta["thinking"]),
                "signature_delta" => add(&mut content[index], "signature", &delta["signature"]),
                "input_json_delta" => json += delta["partial_json"].as_str().expect("text"),
                other => panic!("{other}"),
            },
            "content_block_stop" => {
                if content[index]["type"] == "tool_use" {
                    content[index]["input"] =
                        serde_json::from_str(&std::mem::take(&mut json)).expect("JSON");
                }
            }
            "message_delta" => {
                message["stop_reason"] = delta["stop_reason"].clone();
                message["stop_sequence"] = delta["stop_sequence"].clone();
                message["usage"] = event["usage"].clone();
            }
            "ping" | "message_stop" => {}
            other => panic!("{other}"),
        }
    }
    message["content"] = content.into();
    message
}

/// Ids that are drawn anew for each answer.
fn without_ids(message: Value) -> Value {
    let mut message = without_id(message);
    for block in message["content"].as_array_mut().expect("blocks") {
        for name in ["id", "signature"] {
            if let Some(id) = block.get_mut(name) {
                assert!(id.as_str().is_some_and(|id| id.len() > 12), "{id}");
                *id = "ID".into();
            }
        }
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_message() {
    let world = World::saying("Hello! How can I help you?").await;
    let counted = json!({"model": "pebble", "messages": hello()});
    let counted = world.ask("/v1/messages/count_tokens", counted).await.ok();
    let answer = ask(&world, json!({"model": "pebble", "system": ""})).await;
    assert_eq!(
        without_id(answer.ok()),
        json!({
            "id": "ID",
            "type": "message",
            "role": "assistant",
            "model": "pebble",
            "content": [{"type": "text", "text": "Hello! How can I help you?"}],
            "stop_reason": "end_turn",
            "stop_sequence": null,
            "usage": {
                "input_tokens": counted["input_tokens"],
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 9,
            },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_whole_message_in_pieces() {
    let setup = || Setup {
        reasoning: Some(ReasoningFormat::Qwen3),
        ..Setup::default()
    };
    let script = format!("<think>\nThe weather.\n</think>\n\nI look.\n{CALL}\n{CALL}");
    let world = World::saying_with(setup(), &script).await;
    let whole = ask(&world, json!({"tools": tools(), "max_tokens": 200})).await;
    // On another server, so that nothing is cached here either.
    let world = World::saying_with(setup(), &script).await;
    let streamed = json!({"tools": tools(), "max_tokens": 200, "stream": true});
    let streamed = events(&ask(&world, streamed).await);
    let whole = without_ids(whole.ok());
    assert_eq!(without_ids(put_together(&streamed)), whole);
    assert_eq!(whole["stop_reason"], "tool_use");
    let call = json!({"type": "tool_use", "id": "ID", "name": "get_weather",
        "input": {"city": "Köln"}});
    let content = json!([
        {"type": "thinking", "thinking": "The weather.", "signature": "ID"},
        {"type": "text", "text": "I look.\n"},
        call,
        call,
    ]);
    let trimmed = |content: &Value| {
        let mut content = content.clone();
        for name in ["thinking", "text"] {
            for block in content.as_array_mut().expect("blocks") {
                if let Some(text) = block.get_mut(name) {
                    *text = text.as_str().expect("text").trim().into();
                }
            }
        }
        content
    };
    assert_eq!(trimmed(&whole["content"]), trimmed(&content));

    let told = types(&streamed);
    assert_eq!(told[..2], ["message_start", "ping"]);
    assert_eq!(
        told[told.len() - 3..],
        ["content_block_stop", "message_delta", "message_stop"]
    );
    let start = &streamed[0]["message"];
    assert_eq!(start["content"], json!([]));
    assert_eq!(start["stop_reason"], Value::Null);
    assert_eq!(start["usage"]["output_tokens"], 0);
    assert_eq!(
        start["usage"]["input_tokens"],
        whole["usage"]["input_tokens"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_reasons_tell_why() {
    let world = World::saying("one two three four").await;
    for stream in [false, true] {
        let cases = [
            (json!({}), "end_turn", Value::Null),
            (json!({"max_tokens": 2}), "max_tokens", Value::Null),
            (
                json!({"stop_sequences": ["xyz", "three"]}),
                "stop_sequence",
                "three".into(),
            ),
        ];
        for (fields, reason, sequence) in cases {
            let fields = with(json!({"stream": stream}), fields);
            let answer = ask(&world, fields.clone()).await;
            let message = match stream {
                true => put_together(&events(&answer)),
                false => answer.ok(),
            };
            let told = (&message["stop_reason"], &message["stop_sequence"]);
            assert_eq!(told, (&json!(reason), &sequence), "{fields}");
        }
    }
    // What was cut off is no object.
    let world = World::saying(CALL).await;
    let cut = ask(&world, json!({"tools": tools(), "max_tokens": 20}))
        .await
        .ok();
    let input = cut["content"][0]["input"]["raw_arguments"].as_str();
    assert!(
        input.is_some_and(|text| text.starts_with("{\"city")),
        "{cut}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_parts_what_was_cached_and_what_is_kept() {
    let world = World::saying("Yes.").await;
    let text = "A long system prompt that says what to do. ".repeat(20);
    let marked = json!([{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]);
    let usage = |answer: &Value| {
        let number = |name: &str| answer["usage"][name].as_u64().expect("a number");
        let names = [
            "input_tokens",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
        ];
        names.map(number)
    };
    let body = json!({"messages": hello(), "system": marked});
    let total = world.ask("/v1/messages/count_tokens", body).await.ok();
    let total = total["input_tokens"].as_u64().expect("a number");
    let first = usage(&ask(&world, json!({"system": marked})).await.ok());
    assert_eq!(first.iter().sum::<u64>(), total);
    assert!(first[1] > 100 && first[2] == 0, "{first:?}");
    let second = usage(&ask(&world, json!({"system": marked})).await.ok());
    assert_eq!(second.iter().sum::<u64>(), total);
    assert!(second[1] == 0 && second[2] >= first[1], "{second:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_billing_line_breaks_no_prefix() {
    let world = World::saying("Yes.").await;
    let text = "You are an agent that reads files and writes code. ".repeat(10);
    let system = |cch: &str| {
        let line = format!("x-anthropic-billing-header: cc_version=2.1; cch={cch};");
        json!([{"type": "text", "text": line}, {"type": "text", "text": text}])
    };
    let first = ask(&world, json!({"system": system("71fea")})).await;
    assert_eq!(first.header("x-context-billing-lines-left-out"), "1");
    let second = ask(&world, json!({"system": system("0aaa9")})).await.ok();
    assert!(
        second["usage"]["input_tokens"].as_u64() <= Some(16),
        "{second}"
    );
    let plain = ask(&world, json!({"system": text})).await;
    assert_eq!(plain.header("x-context-billing-lines-left-out"), "");
    assert_eq!(plain.ok()["usage"], second["usage"]);
    let counted = json!({"messages": hello(), "system": system("1")});
    let counted = world.ask("/v1/messages/count_tokens", counted).await;
    assert_eq!(counted.header("x-context-billing-lines-left-out"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_anthropics_shape() {
    let setup = Setup {
        api_keys: vec!["key"],
        max_model_len: 256,
        ..Setup::default()
    };
    let world = World::saying_with(setup, "Yes.").await;
    let send = async |route: &str, body: &Value, key: &str| {
        let request = world.post(route, body).header("x-api-key", key);
        Answer::read(request.send().await.expect("an answer")).await
    };
    let message = |fields: Value| with(json!({"messages": hello(), "max_tokens": 4}), fields);
    let good = send("/v1/messages", &message(json!({})), "key").await;
    assert_eq!(good.ok()["type"], "message");
    let long = "word ".repeat(400);
    let cases = [
        (
            message(json!({})),
            "none",
            401,
            "authentication_error",
            "API key",
        ),
        (
            message(json!({"model": "other"})),
            "key",
            404,
            "not_found_error",
            "`other`",
        ),
        (
            message(json!({"max_tokens": 0})),
            "key",
            400,
            "invalid_request_error",
            "`max_tokens`",
        ),
        (
            message(json!({"max_tokens": 999})),
            "key",
            400,
            "invalid_request_error",
            "> 256",
        ),
        (
            message(json!({"system": long})),
            "key",
            400,
            "invalid_request_error",
            "prompt is too long: ",
        ),
        (
            message(json!({"stop_sequences": [1]})),
            "key",
            400,
            "invalid_request_error",
            "`stop_sequences[0]`",
        ),
        (
            message(json!({"stop": ["a"]})),
            "key",
            400,
            "invalid_request_error",
            "`stop`",
        ),
        (
            message(json!({"thinking": {"type": "enabled"}})),
            "key",
            400,
            "invalid_request_error",
            "`thinking.budget_tokens`",
        ),
        (
            message(json!({"output_config": {"effort": "huge"}})),
            "key",
            400,
            "invalid_request_error",
            "`output_config.effort`",
        ),
        (
            message(json!({"mcp_servers": [{}]})),
            "key",
            400,
            "invalid_request_error",
            "`mcp_servers`",
        ),
    ];
    for (body, key, status, kind, part) in cases {
        for stream in [false, true] {
            let body = with(body.clone(), json!({"stream": stream}));
            let answer = send("/v1/messages", &body, key).await;
            assert_eq!(answer.status, status, "{body}: {}", answer.text);
            let told = answer.json();
            assert_eq!(
                (&told["type"], &told["error"]["type"]),
                (&json!("error"), &json!(kind))
            );
            let message = told["error"]["message"].as_str().expect("a message");
            assert!(message.contains(part), "{message}");
            assert!(!answer.header("request-id").is_empty());
            assert_eq!(told["request_id"], answer.header("request-id"));
        }
    }
    // From this its clients see that they have to send the whole conversation.
    let thread = message(json!({"thread": {"type": "create"}}));
    let details = send("/v1/messages", &thread, "key").await.json()["error"]["details"].clone();
    assert_eq!(details["error_code"], "thread_unsupported_request");
    let wrong = send("/v1/messages/count_tokens", &json!({}), "key").await;
    assert_eq!(
        (wrong.status.as_u16(), &wrong.json()["type"]),
        (400, &json!("error"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_and_forced_tools_are_kept_to() {
    let world = World::start(Setup::default()).await;
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"], "additionalProperties": false});
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let answer = ask(&world, format).await.ok();
    let text = answer["content"][0]["text"].as_str().expect("text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(value["ok"].is_boolean(), "{text}");
    let forced = json!({"tools": [{"name": "switch", "input_schema": schema}],
        "tool_choice": {"type": "any"}});
    let answer = ask(&world, forced).await.ok();
    assert_eq!(answer["stop_reason"], "tool_use", "{answer}");
    assert!(answer["content"][0]["input"]["ok"].is_boolean(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_works_and_its_report_comes_with_the_message() {
    let world = World::saying("Yes.").await;
    let filler = |turn: usize| format!("Turn {turn}. {}", "Some old words. ".repeat(60));
    let mut messages: Vec<Value> = (0..6)
        .map(|turn| match turn % 2 {
            0 => json!({"role": "user", "content": filler(turn)}),
            _ => json!({"role": "assistant", "content": filler(turn)}),
        })
        .collect();
    messages.push(json!({"role": "user", "content": "And now?"}));
    for stream in [false, true] {
        let budget = json!({"messages": messages, "stream": stream,
            "context_budget": {"max_context_tokens": 900, "report": "full"}});
        let answer = ask(&world, budget).await;
        assert!(
            !answer.header("x-context-used").is_empty(),
            "{:?}",
            answer.headers
        );
        let report = match stream {
            false => answer.ok()["context_budget"].clone(),
            true => {
                let events = events(&answer);
                events[events.len() - 2]["context_budget"].clone()
            }
        };
        assert!(
            report["edits"]
                .as_array()
                .is_some_and(|edits| !edits.is_empty()),
            "{report}"
        );
    }
}
