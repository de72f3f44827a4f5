//! Ollama's `/api/chat`, `/api/generate`, `/api/tags`: lines, calls, durations, errors.

use serde_json::{Value, json};
use text::ReasoningFormat;

use crate::answer::Answer;
use crate::world::{Setup, World, hello, with};

const CALL: &str = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n\
                    </tool_call>";

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}])
}

async fn chat(world: &World, fields: Value) -> Answer {
    let body = with(
        json!({"model": "pebble:latest", "messages": hello()}),
        fields,
    );
    world.ask("/api/chat", body).await
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    assert!(answer.text.ends_with('\n'));
    let lines = answer.text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect()
}

/// What the lines of a stream say together.
fn said(lines: &[Value]) -> Value {
    let text = |name: &str| {
        let texts = lines
            .iter()
            .filter_map(|line| line["message"][name].as_str());
        texts.collect::<String>()
    };
    let calls = lines
        .iter()
        .filter_map(|line| line["message"]["tool_calls"].as_array());
    let calls: Vec<Value> = calls.flatten().cloned().collect();
    let mut message = json!({"role": "assistant", "content": text("content")});
    if !text("thinking").is_empty() {
        message["thinking"] = text("thinking").into();
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_the_whole_answer_in_lines() {
    let setup = Setup {
        reasoning: Some(ReasoningFormat::Qwen3),
        ..Setup::default()
    };
    let script = format!("<think>\nThe weather.\n</think>\n\nI look.\n{CALL}");
    let world = World::saying_with(setup, &script).await;
    let whole = chat(&world, json!({"tools": tools(), "stream": false}))
        .await
        .ok();
    assert_eq!(whole["model"], "pebble");
    let message = &whole["message"];
    assert_eq!(
        message["thinking"].as_str().map(str::trim),
        Some("The weather.")
    );
    assert_eq!(message["content"].as_str().map(str::trim), Some("I look."));
    let call = json!([{"function": {"name": "get_weather", "arguments": {"city": "Köln"}}}]);
    assert_eq!(message["tool_calls"], call);
    assert_eq!(
        (&whole["done"], &whole["done_reason"]),
        (&json!(true), &json!("stop"))
    );
    let number = |line: &Value, name: &str| line[name].as_u64().expect("a number");
    assert!(number(&whole, "eval_count") > 5 && number(&whole, "prompt_eval_count") > 5);
    assert!(number(&whole, "total_duration") >= number(&whole, "eval_duration"));

    let streamed = lines(&chat(&world, json!({"tools": tools()})).await);
    assert_eq!(said(&streamed), *message);
    let (last, first) = streamed.split_last().expect("lines");
    assert!(first.len() > 3 && first.iter().all(|line| line["done"] == false));
    assert_eq!(last["done"], true);
    for name in ["eval_count", "prompt_eval_count", "done_reason"] {
        assert_eq!(last[name], whole[name], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_with_results_and_options() {
    let world = World::saying("one two three four").await;
    let messages = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"function": {"name": "get_weather", "arguments": {"city": "Köln"}}}]},
        {"role": "tool", "tool_name": "get_weather", "content": "12 degrees"},
    ]);
    let fields = json!({"messages": messages, "tools": tools(), "stream": false,
        "options": {"num_ctx": 2048, "num_predict": -1, "temperature": 0.0, "stop": ["three"]}});
    let answer = chat(&world, fields).await.ok();
    assert_eq!(answer["message"]["content"], "one two ");
    let cut = json!({"stream": false, "options": {"num_predict": 2}, "keep_alive": "5m"});
    let cut = chat(&world, cut).await.ok();
    assert_eq!(
        (&cut["done_reason"], &cut["eval_count"]),
        (&json!("length"), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_answered_in_response() {
    let world = World::saying("Yes, it is.").await;
    let ask = async |fields: Value| {
        let body = with(json!({"model": "pebble"}), fields);
        world.ask("/api/generate", body).await
    };
    let prompt = json!({"prompt": "Is it?", "system": "Be brief."});
    let whole = ask(with(prompt.clone(), json!({"stream": false})))
        .await
        .ok();
    assert_eq!(
        (&whole["response"], &whole["done"]),
        (&json!("Yes, it is."), &json!(true))
    );
    let streamed = lines(&ask(prompt).await);
    let text: String = streamed
        .iter()
        .filter_map(|line| line["response"].as_str())
        .collect();
    assert_eq!(text, "Yes, it is.");
    let loaded = ask(json!({})).await.ok();
    assert_eq!(
        (&loaded["done_reason"], &loaded["response"]),
        (&json!("load"), &json!(""))
    );
    let loaded = chat(&world, json!({"messages": []})).await.ok();
    assert_eq!(loaded["done_reason"], "load");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_needs_no_content_type() {
    let world = World::saying("Yes.").await;
    let body = json!({"model": "pebble", "messages": hello(), "stream": false}).to_string();
    let request = world.client.post(format!("{}/api/chat", world.url));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let answer = Answer::read(request.body(body).send().await.expect("an answer")).await;
    assert_eq!(answer.ok()["message"]["content"], "Yes.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_kept_to() {
    let world = World::start(Setup::default()).await;
    let schema = json!({"type": "object", "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"], "additionalProperties": false});
    let answer = chat(&world, json!({"format": schema, "stream": false}))
        .await
        .ok();
    let text = answer["message"]["content"].as_str().expect("text");
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert!(value["ok"].is_boolean(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_told_and_errors_have_ollamas_shape() {
    let world = World::saying("Yes.").await;
    let tags = world.get("/api/tags").await.ok();
    assert_eq!(tags["models"][0]["name"], "pebble");
    let shown = world.ask("/api/show", json!({"model": "alias"})).await.ok();
    assert_eq!(shown["capabilities"], json!(["completion", "tools"]));
    assert_eq!(shown["model_info"]["purser.context_length"], 4096);
    assert!(world.get("/api/version").await.ok()["version"].is_string());
    for (fields, status, part) in [
        (json!({"model": "other"}), 404, "`other`"),
        (json!({"model": null}), 400, "`model`"),
        (json!({"messages": 1}), 400, "`messages`"),
        (
            json!({"messages": [{"role": "x", "content": ""}]}),
            400,
            "`messages[0].role`",
        ),
        (
            json!({"options": {"temperature": 9}}),
            400,
            "`options.temperature`",
        ),
        (
            json!({"options": {"num_predict": 0}}),
            400,
            "`options.num_predict`",
        ),
        (
            json!({"options": {"mirostat": 2}}),
            400,
            "`options.mirostat`",
        ),
        (
            json!({"options": {"temprature": 1}}),
            400,
            "`options.temprature`",
        ),
        (json!({"format": "xml"}), 400, "`format`"),
        (json!({"think": "very"}), 400, "`think`"),
        (json!({"foo": 1}), 400, "`foo`"),
    ] {
        for stream in [false, true] {
            let answer = chat(&world, with(fields.clone(), json!({"stream": stream}))).await;
            assert_eq!(answer.status, status, "{fields}: {}", answer.text);
            let error = answer.json();
            let message = error["error"].as_str().expect("an error is a text");
            assert!(message.contains(part), "{message}");
        }
    }
}
