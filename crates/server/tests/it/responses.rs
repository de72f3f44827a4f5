//! `/v1/responses`: items, streams, conversations that go on, and what is kept of them.

use serde_json::{Value, json};
use text::ReasoningFormat;

use crate::answer::Answer;
use crate::world::{Setup, World, with};

const CALL: &str = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n\
                    </tool_call>";

async fn ask(world: &World, fields: Value) -> Answer {
    let body = with(json!({"input": "Hello", "max_output_tokens": 200}), fields);
    world.ask("/v1/responses", body).await
}

fn tools() -> Value {
    json!([{"type": "function", "name": "get_weather", "parameters": {"type": "object",
        "properties": {"city": {"type": "string"}}}}])
}

fn thinking() -> Setup {
    Setup {
        reasoning: Some(ReasoningFormat::Qwen3),
        ..Setup::default()
    }
}

/// Ids and times that differ between any two responses.
fn without_ids(mut response: Value) -> Value {
    let id = response["id"].as_str().expect("an id");
    assert!(id.starts_with("resp_") && id.len() > 12, "{id}");
    assert!(response["created_at"].as_u64() > Some(1_700_000_000));
    response["id"] = "ID".into();
    response["created_at"] = 0.into();
    for item in response["output"].as_array_mut().expect("items") {
        for (name, prefix) in [("id", ["rs_", "msg_", "fc_"]), ("call_id", ["call_"; 3])] {
            if let Some(id) = item.get_mut(name) {
                let text = id.as_str().expect("an id");
                assert!(
                    prefix.iter().any(|prefix| text.starts_with(prefix)),
                    "{text}"
                );
                *id = "ID".into();
            }
        }
    }
    response
}

/// The events of a stream, each one's data; its type is the event's name, and they are numbered.
fn events(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let blocks = answer.text.split("\n\n").filter(|block| !block.is_empty());
    let events = blocks.enumerate().map(|(number, block)| {
        let (name, data) = block.split_once('\n').expect("an event has two lines");
        let data = data.strip_prefix("data: ").expect("the second is data");
        let data: Value = serde_json::from_str(data).expect("data is JSON");
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"].as_u64(), Some(number as u64));
        data
    });
    events.collect()
}

/// Checks that the deltas of a stream make up its items, and returns the last event's response.
fn put_together(events: &[Value]) -> Value {
    let mut items: Vec<Value> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    for event in events {
        let index = event["output_index"].as_u64().unwrap_or_default() as usize;
        match event["type"].as_str().expect("a type") {
            "response.output_item.added" => {
                assert_eq!(index, items.len());
                assert_eq!(event["item"]["status"], "in_progress");
                items.push(event["item"].clone());
                texts.push(String::new());
            }
            "response.output_text.delta"
            | "response.reasoning_text.delta"
            | "response.function_call_arguments.delta" => {
                assert_eq!(event["item_id"], items[index]["id"]);
                texts[index] += event["delta"].as_str().expect("text");
            }
            "response.output_text.done" | "response.reasoning_text.done" => {
                assert_eq!(event["text"], texts[index].as_str());
            }
            "response.function_call_arguments.done" => {
                assert_eq!(event["arguments"], texts[index].as_str());
            }
            "response.output_item.done" => items[index] = event["item"].clone(),
            _ => {}
        }
    }
    let last = &events[events.len() - 1]["response"];
    let ends = last["status"] == "completed";
    if ends {
        assert_eq!(last["output"], Value::Array(items));
    }
    last.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_response() {
    let world = World::saying("Hello! How can I help you?").await;
    let counted = world
        .ask("/v1/responses/input_tokens", json!({"input": "Hello"}))
        .await
        .ok();
    assert_eq!(counted["object"], "response.input_tokens");
    let prompt = counted["input_tokens"].as_u64().expect("a count");
    let fields = json!({"temperature": 0.5, "metadata": {"a": "b"}, "seed": 1, "top_k": 1});
    let answer = ask(&world, fields).await.ok();
    assert_eq!(
        without_ids(answer),
        json!({
            "id": "ID",
            "object": "response",
            "created_at": 0,
            "status": "completed",
            "background": false,
            "error": null,
            "incomplete_details": null,
            "model": "pebble",
            "output": [{"id": "ID", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "Hello! How can I help you?",
                    "annotations": [], "logprobs": []}]}],
            "service_tier": "default",
            "truncation": "disabled",
            "usage": {
                "input_tokens": prompt,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 9,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": prompt + 9,
            },
            "instructions": null,
            "max_output_tokens": 200,
            "metadata": {"a": "b"},
            "parallel_tool_calls": true,
            "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null},
            "store": true,
            "temperature": 0.5,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_whole_response_in_pieces() {
    let script = format!("<think>\nThe weather.\n</think>\n\nI look.\n{CALL}\n{CALL}");
    let world = World::saying_with(thinking(), &script).await;
    let whole = without_ids(ask(&world, json!({"tools": tools()})).await.ok());
    let world = World::saying_with(thinking(), &script).await;
    let streamed = events(&ask(&world, json!({"tools": tools(), "stream": true})).await);
    assert_eq!(without_ids(put_together(&streamed)), whole);
    let kinds: Vec<&str> = whole["output"]
        .as_array()
        .expect("items")
        .iter()
        .filter_map(|item| item["type"].as_str())
        .collect();
    assert_eq!(
        kinds,
        ["reasoning", "message", "function_call", "function_call"]
    );
    assert_eq!(whole["output"][2]["arguments"], "{\"city\": \"Köln\"}");
    assert_eq!(whole["output"][2]["name"], "get_weather");
    let thought = &whole["usage"]["output_tokens_details"]["reasoning_tokens"];
    assert!(
        (2..=8).contains(&thought.as_u64().expect("a count")),
        "{thought}"
    );
    let first: Vec<&str> = streamed[..2]
        .iter()
        .filter_map(|it| it["type"].as_str())
        .collect();
    assert_eq!(first, ["response.created", "response.in_progress"]);
    assert_eq!(streamed[0]["response"]["status"], "in_progress");
    // One that is cut off says so, in both ways.
    for stream in [false, true] {
        let cut = ask(&world, json!({"max_output_tokens": 8, "stream": stream})).await;
        let cut = if stream {
            put_together(&events(&cut))
        } else {
            cut.ok()
        };
        assert_eq!(cut["status"], "incomplete", "{cut}");
        assert_eq!(cut["incomplete_details"]["reason"], "max_output_tokens");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_goes_on_by_id_and_by_items_alike() {
    let world = World::saying(CALL).await;
    let first = ask(
        &world,
        json!({"tools": tools(), "instructions": "Be brief."}),
    )
    .await
    .ok();
    let call = &first["output"][0];
    let output = json!({"type": "function_call_output", "call_id": call["call_id"],
        "output": "12 degrees"});
    let count = async |fields: Value| {
        let body = with(
            json!({"tools": tools(), "instructions": "Be brief."}),
            fields,
        );
        let answer = world.ask("/v1/responses/input_tokens", body).await.ok();
        answer["input_tokens"].as_u64().expect("a count")
    };
    let by_id = json!({"previous_response_id": first["id"], "input": [output]});
    let by_items = json!({"input": [{"role": "user", "content": "Hello"}, call, output]});
    assert_eq!(count(by_id.clone()).await, count(by_items).await);
    let asked = with(
        by_id,
        json!({"tools": tools(), "instructions": "Be brief."}),
    );
    let second = ask(&world, asked).await.ok();
    assert_eq!(second["previous_response_id"], first["id"]);
    // What came before is cached.
    let usage = &second["usage"];
    let cached = usage["input_tokens_details"]["cached_tokens"]
        .as_u64()
        .expect("a count");
    let before = first["usage"]["input_tokens"].as_u64().expect("a count");
    assert!(cached + 16 > before, "{usage}");
    // And on from there.
    let third = json!({"previous_response_id": second["id"], "input": "Thanks"});
    assert_eq!(ask(&world, third).await.ok()["status"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_can_be_read_and_forgotten() {
    let setup = Setup {
        api_keys: vec!["one", "two"],
        ..Setup::default()
    };
    let world = World::saying_with(setup, "Yes.").await;
    let send = async |request: reqwest::RequestBuilder, key: &str| {
        Answer::read(request.bearer_auth(key).send().await.expect("an answer")).await
    };
    let create = |fields: Value| world.post("/v1/responses", &with(json!({"input": "Hi"}), fields));
    let at = |path: &str| format!("{}/v1/responses/{path}", world.url);
    let kept = send(create(json!({})), "one").await.ok();
    let id = kept["id"].as_str().expect("an id");
    assert_eq!(send(world.client.get(at(id)), "one").await.ok(), kept);
    let items = send(world.client.get(at(&format!("{id}/input_items"))), "one")
        .await
        .ok();
    assert_eq!(items["data"][0]["content"][0]["text"], "Hi");
    // Another key knows nothing of it.
    send(world.client.get(at(id)), "two").await.error(404);
    let on = json!({"previous_response_id": id});
    let refused = send(create(on.clone()), "two").await.error(404);
    assert_eq!(refused["param"], "previous_response_id");
    send(world.client.delete(at(id)), "two").await.error(404);
    let gone = send(world.client.delete(at(id)), "one").await.ok();
    assert_eq!(gone["deleted"], true);
    send(world.client.get(at(id)), "one").await.error(404);
    send(create(on), "one").await.error(404);
    // What is not to be kept is not.
    let passing = send(create(json!({"store": false})), "one").await.ok();
    let id = passing["id"].as_str().expect("an id");
    send(world.client.get(at(id)), "one").await.error(404);
    // A stream is kept as well.
    let streamed = events(&send(create(json!({"stream": true})), "one").await);
    let told = put_together(&streamed);
    let id = told["id"].as_str().expect("an id");
    assert_eq!(send(world.client.get(at(id)), "one").await.ok(), told);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_items_of_a_request_come_in_pages() {
    let world = World::saying("Yes.").await;
    let texts = ["One.", "Two.", "Three."];
    let items = texts.map(|text| json!({"role": "user", "content": text}));
    let made = ask(&world, json!({"input": items})).await.ok();
    let list = async |query: &str| {
        let id = made["id"].as_str().expect("an id");
        let path = format!("/v1/responses/{id}/input_items{query}");
        world.get(&path).await
    };
    let said = |page: &Value| {
        let items = page["data"].as_array().expect("items").iter();
        let texts = items.map(|item| item["content"].as_str().expect("text").to_owned());
        texts.collect::<Vec<_>>()
    };
    let page = list("").await.ok();
    assert_eq!(said(&page), ["Three.", "Two.", "One."]);
    assert_eq!(
        (&page["last_id"], &page["has_more"]),
        (&page["data"][2]["id"], &json!(false))
    );
    let page = list("?order=asc&limit=2").await.ok();
    assert_eq!(
        (said(&page), &page["has_more"]),
        (vec!["One.".into(), "Two.".into()], &json!(true))
    );
    let after = page["last_id"].as_str().expect("an id");
    let page = list(&format!("?order=asc&after={after}")).await.ok();
    assert_eq!(said(&page), ["Three."]);
    for (query, param) in [
        ("?order=up", "order"),
        ("?limit=0", "limit"),
        ("?limit=x", "limit"),
        ("?after=msg_0", "after"),
    ] {
        assert_eq!(list(query).await.error(400)["param"], param);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_and_forced_calls_are_kept_to() {
    let world = World::start(Setup::default()).await;
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"], "additionalProperties": false});
    let format = json!({"text": {"format": {"type": "json_schema", "name": "a", "strict": true,
        "schema": schema}}});
    let answer = ask(&world, format).await.ok();
    let text = answer["output"][0]["content"][0]["text"]
        .as_str()
        .expect("text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(value["ok"].is_boolean(), "{text}");
    let tools = json!([{"type": "function", "name": "switch", "parameters": schema}]);
    let choice = json!({"type": "function", "name": "switch"});
    let answer = ask(&world, json!({"tools": tools, "tool_choice": choice}))
        .await
        .ok();
    assert_eq!(answer["output"][0]["type"], "function_call", "{answer}");
    assert_eq!(answer["output"][0]["name"], "switch");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_named() {
    let world = World::saying("Yes.").await;
    for (fields, param) in [
        (json!({"input": []}), "input"),
        (
            json!({"input": [{"role": "user", "content": 1}]}),
            "input[0].content",
        ),
        (json!({"max_output_tokens": 0}), "max_output_tokens"),
        (json!({"background": true}), "background"),
        (json!({"truncation": "auto"}), "truncation"),
        (
            json!({"include": ["file_search_call.results"]}),
            "include[0]",
        ),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (
            json!({"tools": tools(), "tool_choice": {"type": "function", "name": "other"}}),
            "tool_choice.name",
        ),
        (json!({"input": "far too long ".repeat(4_000)}), "input"),
        (json!({"reasoning": {"effort": "huge"}}), "reasoning.effort"),
        (json!({"reasoning": {"efort": "low"}}), "reasoning.efort"),
        (
            json!({"text": {"format": {"type": "xml"}}}),
            "text.format.type",
        ),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"n": 2}), "n"),
        (json!({"messages": []}), "messages"),
    ] {
        for stream in [false, true] {
            let answer = ask(&world, with(fields.clone(), json!({"stream": stream}))).await;
            assert_eq!(answer.error(400)["param"], param, "{fields}");
        }
    }
    let missing = world.ask("/v1/responses", json!({})).await.error(400);
    assert_eq!(missing["param"], "input");
}
