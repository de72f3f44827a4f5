//! `/v1/completions`, `/tokenize`, `/detokenize` and `/v1/models`.

use serde_json::{Value, json};

use crate::answer::without_identity;
use crate::world::{IM_END, Setup, World, with};

fn texts(answer: &Value) -> Vec<&str> {
    let choices = answer["choices"].as_array().unwrap();
    choices
        .iter()
        .map(|choice| choice["text"].as_str().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_completion() {
    let world = World::saying("Hello! How can I help you?").await;
    let answer = world
        .complete(json!({"model": "alias", "prompt": [1, 2, 3]}))
        .await;
    assert_eq!(
        without_identity(answer.ok(), "cmpl-"),
        json!({
            "id": "ID",
            "object": "text_completion",
            "created": 0,
            "model": "pebble",
            "choices": [{
                "index": 0,
                "text": "Hello! How can I help you?",
                "logprobs": null,
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 9,
                "total_tokens": 12,
                "prompt_tokens_details": {"cached_tokens": 0},
            },
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_completion() {
    let world = World::saying("Hello! How").await;
    let fields = json!({"stream": true, "stream_options": {"include_usage": true}});
    let chunks = world.complete(fields).await.chunks();
    let found: Vec<Value> = chunks
        .iter()
        .map(|chunk| without_identity(chunk.clone(), "cmpl-"))
        .collect();
    let chunk = |choices: Value, usage: Value| {
        json!({
            "id": "ID",
            "object": "text_completion",
            "created": 0,
            "model": "pebble",
            "choices": choices,
            "usage": usage,
        })
    };
    let choice = |text: &str, reason: Value| {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": reason});
        chunk(json!([choice]), Value::Null)
    };
    let usage = json!({
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 0},
    });
    let expected = [
        choice("Hello", Value::Null),
        choice("!", Value::Null),
        choice(" How", Value::Null),
        choice("", json!("stop")),
        chunk(json!([]), usage),
    ];
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_prompt() {
    let world = World::start(Setup::default()).await;
    let (one, other) = ("The budget is", "Who are you?");
    let ids = |text: &str| world.tokenizer.encode(text, true).unwrap();
    let said = |text: &str| world.decode(&world.oracle(&ids(text), 6));
    let expected = [said(one), said(other)];
    for (prompt, expected) in [
        (json!(one), &expected[..1]),
        (json!(ids(one)), &expected[..1]),
        (json!([one, other]), &expected[..]),
        (json!([ids(one), ids(other)]), &expected[..]),
        (json!([ids(one), other]), &expected[..]),
    ] {
        let fields = json!({"prompt": prompt, "max_tokens": 6, "ignore_eos": true});
        let answer = world.complete(fields).await.ok();
        assert_eq!(texts(&answer), expected, "{prompt}");
        let indices: Vec<&Value> = answer["choices"]
            .as_array()
            .unwrap()
            .iter()
            .map(|choice| &choice["index"])
            .collect();
        assert_eq!(
            json!(indices),
            json!((0..expected.len()).collect::<Vec<_>>())
        );
        let prompts = [one, other];
        let prompts = prompts.iter().take(expected.len());
        let tokens: usize = prompts.map(|text| ids(text).len()).sum();
        assert_eq!(answer["usage"]["prompt_tokens"], json!(tokens));
        assert_eq!(
            answer["usage"]["completion_tokens"],
            json!(6 * expected.len())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_tokens_unless_asked_otherwise() {
    let world = World::start(Setup::default()).await;
    let answer = world.complete(json!({"ignore_eos": true})).await.ok();
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_answers_to_several_prompts() {
    let world = World::start(Setup::default()).await;
    let fields = json!({"prompt": [[5, 6], [7, 8]], "n": 2, "max_tokens": 5, "ignore_eos": true});
    let answer = world.complete(fields).await.ok();
    let said = |prompt: &[u32]| world.decode(&world.oracle(prompt, 5));
    let (one, other) = (said(&[5, 6]), said(&[7, 8]));
    // Answers to the first prompt come first.
    assert_eq!(texts(&answer), [&one, &one, &other, &other]);
    assert_eq!(answer["usage"]["prompt_tokens"], 4);
    assert_eq!(answer["usage"]["completion_tokens"], 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_probabilities_in_parallel_arrays() {
    let world = World::saying("Hello! How").await;
    let answer = world.complete(json!({"logprobs": 1})).await.ok();
    let logprobs = &answer["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"], json!(["Hello", "!", " How"]));
    assert_eq!(logprobs["text_offset"], json!([0, 5, 6]));
    assert_eq!(logprobs["token_logprobs"].as_array().unwrap().len(), 3);
    let top = logprobs["top_logprobs"].as_array().unwrap();
    assert_eq!(top[0]["Hello"], logprobs["token_logprobs"][0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn biased_logits_choose_the_token() {
    let world = World::start(Setup::default()).await;
    let fields = json!({"max_tokens": 3, "logit_bias": {"2131": 100}});
    let answer = world.complete(fields).await.ok();
    assert_eq!(texts(&answer), ["HelloHelloHello"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exact_repetition_computes_one_token() {
    let world = World::start(Setup::default()).await;
    let prompt: Vec<u32> = (0..2_000).map(|index| 100 + index * 7 % 3_000).collect();
    let fields = json!({"prompt": prompt, "max_tokens": 1});
    let cached = |answer: &Value| answer["usage"]["prompt_tokens_details"]["cached_tokens"].clone();
    let cold = world.complete(fields.clone()).await.ok();
    assert_eq!(cached(&cold), 0);
    let warm = world.complete(fields.clone()).await.ok();
    assert_eq!(cached(&warm), 1_999);
    assert_eq!(texts(&cold), texts(&warm));
    // Another salt is another cache.
    let salted = |salt: &str| {
        let mut salted = fields.clone();
        salted["cache_salt"] = salt.into();
        salted
    };
    assert_eq!(cached(&world.complete(salted("a")).await.ok()), 0);
    assert_eq!(cached(&world.complete(salted("a")).await.ok()), 1_999);
    assert_eq!(cached(&world.complete(salted("b")).await.ok()), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_to_tokens_and_back() {
    let world = World::start(Setup::default()).await;
    let text = "<|im_start|>user\nWho are you? 你好 🎉<|im_end|>\n";
    let answer = world
        .ask(
            "/tokenize",
            json!({"prompt": text, "return_token_strs": true}),
        )
        .await;
    let answer = answer.ok();
    let tokens: Vec<u32> = serde_json::from_value(answer["tokens"].clone()).unwrap();
    assert_eq!(tokens, world.tokenizer.encode(text, true).unwrap());
    assert_eq!(answer["count"], json!(tokens.len()));
    assert_eq!(answer["max_model_len"], 4096);
    assert_eq!(answer["token_strs"].as_array().unwrap().len(), tokens.len());
    let back = world
        .ask("/detokenize", json!({"tokens": tokens}))
        .await
        .ok();
    assert_eq!(back, json!({"prompt": text}));
    assert!(tokens.contains(&IM_END));
}

#[tokio::test(flavor = "multi_thread")]
async fn models_by_all_their_names() {
    let world = World::start(Setup::default()).await;
    let list = world.get("/v1/models").await.ok();
    assert_eq!(list["object"], "list");
    let model = &list["data"][0];
    assert_eq!(model["id"], "pebble");
    assert_eq!(model["object"], "model");
    assert_eq!(model["max_model_len"], 4096);
    assert!(
        model["owned_by"].is_string() && model["created"].is_u64(),
        "{model}"
    );
    assert_eq!(list["data"][1]["id"], "alias");
    assert_eq!(&world.get("/v1/models/pebble").await.ok(), model);
    let error = world.get("/v1/models/other").await.error(404);
    assert_eq!(error["code"], "model_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_begin_with_their_prompts_where_that_is_asked_for() {
    let world = World::start(Setup::default()).await;
    let tokens = world.tokenizer.decode(&[5, 6, 7], false).expect("text");
    for (prompt, prompts) in [
        (json!("Say it"), vec!["Say it"]),
        (json!(["One", "Two"]), vec!["One", "Two"]),
        (json!([5, 6, 7]), vec![tokens.as_str()]),
    ] {
        let plain = json!({"prompt": prompt, "n": 2, "max_tokens": 4});
        let echoed = with(plain.clone(), json!({"echo": true}));
        let plain = world.complete(plain).await.ok();
        let whole = world.complete(echoed.clone()).await.ok();
        let streamed = with(echoed, json!({"stream": true}));
        let chunks = world.complete(streamed).await.chunks();
        for (index, answer) in texts(&plain).into_iter().enumerate() {
            let expected = format!("{}{answer}", prompts[index / 2]);
            assert_eq!(texts(&whole)[index], expected);
            let pieces = chunks
                .iter()
                .flat_map(|it| it["choices"].as_array().expect("a list"));
            let own = pieces.filter(|choice| choice["index"] == index);
            let said: String = own.filter_map(|it| it["text"].as_str()).collect();
            assert_eq!(said, expected);
        }
    }
}
