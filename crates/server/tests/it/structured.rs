//! Answers whose form is given, by a model that prefers any token as much as any other.

use serde_json::{Value, json};

use crate::answer::{Answer, chat_text};
use crate::world::{Setup, World};

fn city() -> Value {
    json!({
        "type": "object",
        "properties": {
            "city": {"enum": ["Oslo", "Bergen", "Ærøskøbing"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
        },
        "required": ["city", "days"],
        "additionalProperties": false,
    })
}

fn body(more: Value) -> Value {
    let mut body = json!({
        "messages": [{"role": "user", "content": "Where?"}],
        "temperature": 1.0, "seed": 5, "max_tokens": 300,
    });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    body
}

fn by_schema() -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "stay", "schema": city()}})
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_to_the_schema() {
    let world = World::start(Setup::default()).await;
    let answer = world
        .chat(body(json!({"response_format": by_schema(), "n": 8})))
        .await
        .ok();
    let choices = answer["choices"].as_array().unwrap();
    let mut seen = Vec::new();
    for choice in choices {
        assert_eq!(choice["finish_reason"], "stop", "{choice}");
        let text = choice["message"]["content"].as_str().unwrap();
        let stay: Value = serde_json::from_str(text).unwrap();
        assert!(
            city()["properties"]["city"]["enum"]
                .as_array()
                .unwrap()
                .contains(&stay["city"])
        );
        assert!((1..=14).contains(&stay["days"].as_i64().unwrap()), "{text}");
        assert_eq!(stay.as_object().unwrap().len(), 2);
        seen.push(text.to_owned());
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 2, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_the_same() {
    let world = World::start(Setup::default()).await;
    let whole = world
        .chat(body(json!({"response_format": by_schema()})))
        .await
        .ok();
    let request = body(json!({"response_format": by_schema(), "stream": true}));
    let stream = world.chat(request).await;
    assert_eq!(
        chat_text(&stream.chunks(), 0),
        whole["choices"][0]["message"]["content"].as_str().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_keep_to_choices_patterns_and_rules() {
    let world = World::start(Setup::default()).await;
    let complete = async |outputs: Value| -> Vec<String> {
        let body = json!({"prompt": "So", "max_tokens": 64, "temperature": 1, "n": 6, "seed": 2,
                          "structured_outputs": outputs});
        let answer = world.ask("/v1/completions", body).await.ok();
        let choices = answer["choices"].as_array().unwrap();
        assert!(
            choices
                .iter()
                .all(|choice| choice["finish_reason"] == "stop"),
            "{answer}"
        );
        choices
            .iter()
            .map(|choice| choice["text"].as_str().unwrap().to_owned())
            .collect()
    };
    let texts = complete(json!({"choice": ["yes", "no"]})).await;
    assert!(
        texts.iter().all(|text| text == "yes" || text == "no"),
        "{texts:?}"
    );
    for text in complete(json!({"regex": "[a-c]{3}-[0-9]{2}"})).await {
        let (letters, digits) = text.split_once('-').unwrap();
        assert!(letters.len() == 3 && letters.bytes().all(|byte| (b'a'..=b'c').contains(&byte)));
        assert!(
            digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()),
            "{text}"
        );
    }
    for text in complete(json!({"grammar": "start: \"<\" start? \">\""})).await {
        assert_eq!(
            text,
            format!(
                "{}{}",
                "<".repeat(text.len() / 2),
                ">".repeat(text.len() / 2)
            )
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn constrained_requests_leave_others_alone() {
    let world = World::start(Setup::default()).await;
    let free = body(json!({"max_tokens": 40}));
    let alone = world.chat(free.clone()).await.ok();
    let constrained = body(json!({"response_format": by_schema(), "n": 4}));
    let (both, beside) = tokio::join!(world.chat(constrained), world.chat(free));
    assert_eq!(
        beside.ok()["choices"][0]["message"],
        alone["choices"][0]["message"]
    );
    assert_eq!(both.ok()["choices"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compiled_is_refused_with_its_place() {
    let world = World::start(Setup::default()).await;
    let wrong = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": wrong}});
    let check = |answer: Answer, param: &str, words: &[&str]| {
        let error = answer.error(400);
        assert_eq!(error["param"], param, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    };
    let answer = world.chat(body(json!({"response_format": format}))).await;
    check(
        answer,
        "response_format.json_schema.schema",
        &["/$defs/none"],
    );
    let answer = world
        .chat(body(json!({"structured_outputs": {"regex": "a("}})))
        .await;
    check(answer, "structured_outputs.regex", &["cannot be compiled"]);
    let ends = json!({"structured_outputs": {"regex": "a"}, "ignore_eos": true});
    check(
        world.chat(body(ends)).await,
        "ignore_eos",
        &["structured_outputs.regex"],
    );
    let old = json!({"guided_json": {}});
    check(
        world.chat(body(old)).await,
        "guided_json",
        &["structured_outputs.json"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_runs_out_of_tokens_is_cut() {
    let world = World::start(Setup::default()).await;
    let answer = world
        .chat(body(
            json!({"response_format": by_schema(), "max_tokens": 2}),
        ))
        .await;
    let answer = answer.ok();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 2);
}
