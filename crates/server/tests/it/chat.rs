//! `/v1/chat/completions`: shapes, streams, stop strings, tool calls.

use serde_json::{Value, json};

use crate::answer::{chat_text, finish_reasons, without_identity};
use crate::world::{Setup, World, hello};

const CALL: &str = "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Köln\"}}\n\
                    </tool_call>";

fn tools() -> Value {
    json!([{"type": "function", "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}])
}

/// Tokens of the conversation of [`hello`]: `<|im_start|>user\nHello<|im_end|>\n...`.
async fn prompt_tokens(world: &World) -> Vec<u32> {
    let answer = world
        .ask("/tokenize", json!({"messages": hello()}))
        .await
        .ok();
    serde_json::from_value(answer["tokens"].clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer() {
    let world = World::saying("Hello! How can I help you?").await;
    let prompt = prompt_tokens(&world).await.len();
    let answer = world.chat(json!({"model": "pebble"})).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        without_identity(answer.ok(), "chatcmpl-"),
        json!({
            "id": "ID",
            "object": "chat.completion",
            "created": 0,
            "model": "pebble",
            "choices": [{
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hello! How can I help you?",
                    "refusal": null,
                },
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": 9,
                "total_tokens": prompt + 9,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_answer() {
    let world = World::saying("Hello! How").await;
    let prompt = prompt_tokens(&world).await.len();
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = world.chat(fields).await.chunks();
    let chunk = |choices: Value, usage: Value| {
        json!({
            "id": "ID",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "pebble",
            "choices": choices,
            "usage": usage,
        })
    };
    let choice = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
        chunk(json!([choice]), Value::Null)
    };
    let usage = json!({
        "prompt_tokens": prompt,
        "completion_tokens": 4,
        "total_tokens": prompt + 4,
        "prompt_tokens_details": {"cached_tokens": 0},
    });
    let ids: Vec<&Value> = chunks.iter().map(|chunk| &chunk["id"]).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let found: Vec<Value> = chunks
        .iter()
        .map(|chunk| without_identity(chunk.clone(), "chatcmpl-"))
        .collect();
    // One chunk per token: the model says "Hello", "!" and " How".
    let expected = [
        choice(json!({"role": "assistant", "content": ""}), Value::Null),
        choice(json!({"content": "Hello"}), Value::Null),
        choice(json!({"content": "!"}), Value::Null),
        choice(json!({"content": " How"}), Value::Null),
        choice(json!({}), json!("stop")),
        chunk(json!([]), usage),
    ];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_include_usage_no_chunk_has_usage() {
    let world = World::saying("Hello!").await;
    let chunks = world.chat(json!({"stream": true})).await.chunks();
    assert!(
        chunks.iter().all(|chunk| chunk.get("usage").is_none()),
        "{chunks:?}"
    );
    assert_eq!(chat_text(&chunks, 0), "Hello!");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_the_model() {
    let world = World::start(Setup::default()).await;
    let prompt = prompt_tokens(&world).await;
    let expected = world.decode(&world.oracle(&prompt, 40));
    let fields = json!({"max_tokens": 40, "ignore_eos": true});
    let answer = world.chat(fields.clone()).await.ok();
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], json!(expected));
    assert_eq!(choice["finish_reason"], "length");
    assert_eq!(answer["usage"]["prompt_tokens"], json!(prompt.len()));
    assert_eq!(answer["usage"]["completion_tokens"], 40);
    // The second time only the prompt's last token is computed.
    let mut streamed = fields;
    streamed["stream"] = true.into();
    streamed["stream_options"] = json!({"include_usage": true});
    let chunks = world.chat(streamed).await.chunks();
    assert_eq!(chat_text(&chunks, 0), expected);
    let details = &chunks.last().unwrap()["usage"]["prompt_tokens_details"];
    assert_eq!(details["cached_tokens"], json!(prompt.len() - 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_of_several_tokens_are_never_cut() {
    let text = "Grüße: 你好 🎉 and 👩‍👩‍👧 — naïve";
    let world = World::saying(text).await;
    let chunks = world.chat(json!({"stream": true})).await.chunks();
    assert_eq!(chat_text(&chunks, 0), text);
    let answer = world.chat(json!({})).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], json!(text));
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_strings_end_the_answer() {
    let world = World::saying("The budget is 4312 euros. The port is 8443.").await;
    // The stop string, its answer, and the answer that includes it.
    for (stop, text, included) in [
        (
            json!(" euros"),
            "The budget is 4312",
            "The budget is 4312 euros",
        ),
        (
            json!(["8443", "31"]),
            "The budget is 4",
            "The budget is 431",
        ),
        (
            json!("budget is 4312 eur"),
            "The ",
            "The budget is 4312 eur",
        ),
        (
            json!("port of"),
            "The budget is 4312 euros. The port is 8443.",
            "The budget is 4312 euros. The port is 8443.",
        ),
    ] {
        for (include, expected) in [(false, text), (true, included)] {
            let fields = json!({"stop": stop, "include_stop_str_in_output": include});
            let answer = world.chat(fields.clone()).await.ok();
            let choice = &answer["choices"][0];
            assert_eq!(choice["message"]["content"], json!(expected), "{fields}");
            assert_eq!(choice["finish_reason"], "stop");
            let mut streamed = fields.clone();
            streamed["stream"] = true.into();
            let chunks = world.chat(streamed).await.chunks();
            assert_eq!(chat_text(&chunks, 0), expected, "{fields}");
            assert_eq!(finish_reasons(&chunks), ["stop"]);
        }
    }
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn min_tokens_lets_neither_stop_strings_nor_stop_tokens_end_the_answer() {
    let world = World::start(Setup::default()).await;
    let prompt = prompt_tokens(&world).await;
    let tokens = world.oracle(&prompt, 30);
    let fields = json!({"max_tokens": 30, "ignore_eos": true, "stop_token_ids": [tokens[4]]});
    let answer = world.chat(fields).await.ok();
    assert_eq!(answer["usage"]["completion_tokens"], 5);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        answer["choices"][0]["message"]["content"],
        json!(world.decode(&tokens[..4]))
    );
    let text = world.decode(&tokens[..1]);
    let fields = json!({"max_tokens": 30, "ignore_eos": true, "min_tokens": 20, "stop": text});
    let answer = world.chat(fields).await.ok();
    assert!(
        answer["usage"]["completion_tokens"].as_u64().unwrap() >= 20,
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tool_calls_whole_and_streamed() {
    let world = World::saying(CALL).await;
    let answer = world.chat(json!({"tools": tools()})).await.ok();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = &choice["message"]["tool_calls"][0];
    assert!(call["id"].as_str().unwrap().starts_with("call_"), "{call}");
    assert_eq!(call["type"], "function");
    let function = json!({"name": "get_weather", "arguments": "{\"city\": \"Köln\"}"});
    assert_eq!(call["function"], function);

    let chunks = world
        .chat(json!({"tools": tools(), "stream": true}))
        .await
        .chunks();
    assert_eq!(finish_reasons(&chunks), ["tool_calls"]);
    assert_eq!(chat_text(&chunks, 0).trim(), "");
    let deltas: Vec<&Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
        .collect();
    assert_eq!(
        deltas[0]["function"],
        json!({"name": "get_weather", "arguments": ""})
    );
    assert!(deltas[0]["id"].as_str().unwrap().starts_with("call_"));
    assert!(deltas.iter().all(|delta| delta["index"] == 0));
    assert!(deltas[1..].iter().all(|delta| delta.get("id").is_none()));
    let arguments: String = deltas
        .iter()
        .map(|delta| delta["function"]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, "{\"city\": \"Köln\"}");
    assert!(deltas.len() > 3, "arguments are streamed: {deltas:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_after_text() {
    let script = format!("Let me see.\n{CALL}\n{CALL}");
    let world = World::saying(&script).await;
    let answer = world.chat(json!({"tools": tools()})).await.ok();
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"].as_str().unwrap().trim(), "Let me see.");
    let calls = message["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tools_a_call_is_text() {
    let world = World::saying(CALL).await;
    for fields in [json!({}), json!({"tools": tools(), "tool_choice": "none"})] {
        let answer = world.chat(fields).await.ok();
        let choice = &answer["choices"][0];
        assert_eq!(choice["message"]["content"], json!(CALL));
        assert_eq!(choice["message"].get("tool_calls"), None);
        assert_eq!(choice["finish_reason"], "stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_probabilities_per_token() {
    let world = World::saying("Hello! How").await;
    let fields = json!({"logprobs": true, "top_logprobs": 2});
    let answer = world.chat(fields.clone()).await.ok();
    let content = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap()
        .clone();
    let tokens: Vec<&str> = content
        .iter()
        .map(|entry| entry["token"].as_str().unwrap())
        .collect();
    assert_eq!(tokens, ["Hello", "!", " How"]);
    // One logit is 10, the other 4095 are 0.
    let expected = -(1.0 + 4095.0 * (-10.0_f64).exp()).ln();
    for entry in &content {
        let logprob = entry["logprob"].as_f64().unwrap();
        assert!((logprob - expected).abs() < 1e-4, "{logprob} {expected}");
        let top = entry["top_logprobs"].as_array().unwrap();
        assert_eq!((top.len(), &top[0]["token"]), (2, &entry["token"]));
        assert!((top[1]["logprob"].as_f64().unwrap() - (expected - 10.0)).abs() < 1e-4);
    }
    assert_eq!(content[0]["bytes"], json!([72, 101, 108, 108, 111]));
    let mut streamed = fields;
    streamed["stream"] = true.into();
    let chunks = world.chat(streamed).await.chunks();
    let entries: Vec<Value> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array())
        .flatten()
        .cloned()
        .collect();
    assert_eq!(entries, content);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_have_indices_and_seeds() {
    let world = World::start(Setup::default()).await;
    let fields = json!({"n": 3, "temperature": 2.0, "seed": 5, "max_tokens": 12});
    let texts = |answer: &Value| -> Vec<String> {
        let choices = answer["choices"].as_array().unwrap();
        let indices: Vec<u64> = choices
            .iter()
            .map(|c| c["index"].as_u64().unwrap())
            .collect();
        assert_eq!(indices, [0, 1, 2]);
        choices
            .iter()
            .map(|c| c["message"]["content"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = world.chat(fields.clone()).await.ok();
    let again = world.chat(fields.clone()).await.ok();
    assert_eq!(texts(&first), texts(&again), "the same seed");
    assert!(texts(&first)[0] != texts(&first)[1], "{:?}", texts(&first));
    let usage = &first["usage"];
    assert_eq!(
        usage["prompt_tokens"],
        json!(prompt_tokens(&world).await.len())
    );
    let mut streamed = fields.clone();
    streamed["stream"] = true.into();
    let chunks = world.chat(streamed).await.chunks();
    for (index, text) in texts(&first).iter().enumerate() {
        assert_eq!(&chat_text(&chunks, index as u64), text);
    }
    assert_eq!(finish_reasons(&chunks).len(), 3);
    let mut unseeded = fields;
    unseeded["seed"] = Value::Null;
    let one = world.chat(unseeded.clone()).await.ok();
    let other = world.chat(unseeded).await.ok();
    assert_ne!(texts(&one), texts(&other), "requests without a seed differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefilled_answer_is_continued() {
    let world = World::start(Setup::default()).await;
    let messages = json!([
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Once upon"},
    ]);
    let continued = json!({
        "messages": messages,
        "add_generation_prompt": false,
        "continue_final_message": true,
    });
    let tokens = world.ask("/tokenize", continued.clone()).await.ok()["tokens"].clone();
    let tokens: Vec<u32> = serde_json::from_value(tokens).unwrap();
    assert!(
        world.decode(&tokens).ends_with("Once upon"),
        "{}",
        world.decode(&tokens)
    );
    let mut ask = continued;
    ask["max_tokens"] = 8.into();
    ask["ignore_eos"] = true.into();
    let answer = world.chat(ask).await.ok();
    let expected = world.decode(&world.oracle(&tokens, 8));
    assert_eq!(answer["choices"][0]["message"]["content"], json!(expected));
}
