//! Answers whose form is given, by a model that prefers any token as much as any other.

use serde_json::{Value, json};
use text::ReasoningFormat;

use crate::answer::{Answer, chat_text};
use crate::world::{Setup, World, with};

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
    let base = json!({
        "messages": [{"role": "user", "content": "Where?"}],
        "temperature": 1.0, "seed": 5, "max_tokens": 300,
    });
    with(base, more)
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
    // Too much for the parser, which it notices on the way.
    let huge = world
        .chat(body(
            json!({"structured_outputs": {"regex": "(a{1000}){1000}"}}),
        ))
        .await;
    let error = huge.error(400);
    let message = error["message"].as_str().unwrap();
    assert!(message.ends_with("expressions constructed."), "{error}");
    let old = json!({"guided_json": {"type": "object"}});
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

fn tools() -> Value {
    json!([
        {"type": "function", "function": {"name": "stay", "parameters": city(), "strict": true}},
        {"type": "function", "function": {"name": "now", "parameters": {"properties": {}, "additionalProperties": false}}},
    ])
}

/// Names and arguments of the calls of an answer's choice.
fn calls(choice: &Value) -> Vec<(String, Value)> {
    let calls = choice["message"]["tool_calls"]
        .as_array()
        .into_iter()
        .flatten();
    calls
        .map(|call| {
            let function = &call["function"];
            let arguments = function["arguments"].as_str().unwrap();
            let name = function["name"].as_str().unwrap().to_owned();
            (name, serde_json::from_str(arguments).unwrap())
        })
        .collect()
}

fn check_call((name, arguments): &(String, Value)) {
    match name.as_str() {
        "now" => assert_eq!(*arguments, json!({})),
        "stay" => {
            assert!(
                (1..=14).contains(&arguments["days"].as_i64().unwrap()),
                "{arguments}"
            );
            assert!(
                city()["properties"]["city"]["enum"]
                    .as_array()
                    .unwrap()
                    .contains(&arguments["city"])
            );
        }
        other => panic!("{other} is no tool"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_can_be_forced() {
    let world = World::start(Setup::default()).await;
    let forced = async |more: Value| -> Vec<Value> {
        let more = with(json!({"tools": tools(), "n": 6, "max_tokens": 600}), more);
        let answer = world.chat(body(more)).await.ok();
        let choices = answer["choices"].as_array().unwrap().clone();
        let whole = choices
            .into_iter()
            .filter(|choice| choice["finish_reason"] != "length");
        let whole: Vec<Value> = whole.collect();
        assert!(whole.len() > 2, "{answer}");
        for choice in &whole {
            assert_eq!(choice["finish_reason"], "tool_calls", "{choice}");
            assert_eq!(choice["message"]["content"], Value::Null);
            let calls = calls(choice);
            assert!(!calls.is_empty(), "{choice}");
            calls.iter().for_each(check_call);
        }
        whole
    };
    forced(json!({"tool_choice": "required"})).await;
    for choice in forced(json!({"tool_choice": "required", "parallel_tool_calls": false})).await {
        assert_eq!(calls(&choice).len(), 1, "{choice}");
    }
    let named = json!({"type": "function", "function": {"name": "stay"}});
    for choice in forced(json!({"tool_choice": named})).await {
        let calls = calls(&choice);
        assert!(calls.len() == 1 && calls[0].0 == "stay", "{choice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_call_streams_as_it_is_answered() {
    let world = World::start(Setup::default()).await;
    let named = json!({"type": "function", "function": {"name": "stay"}});
    let asked = body(json!({"tools": tools(), "tool_choice": named}));
    let whole = world.chat(asked.clone()).await.ok();
    let expected = calls(&whole["choices"][0]);
    let chunks = world
        .chat(with(asked, json!({"stream": true})))
        .await
        .chunks();
    let deltas = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"][0].as_object());
    let (mut name, mut arguments) = (String::new(), String::new());
    for delta in deltas {
        name.push_str(delta["function"]["name"].as_str().unwrap_or_default());
        arguments.push_str(delta["function"]["arguments"].as_str().unwrap_or_default());
    }
    assert_eq!(
        (name, serde_json::from_str::<Value>(&arguments).unwrap()),
        expected[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_tools_keep_to_their_schemas_when_they_are_called() {
    // The model wants a city that the schema does not have.
    let script = "<tool_call>\n{\"name\": \"stay\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}\n</tool_call>";
    let world = World::saying(script).await;
    let answer = world
        .chat(body(json!({"tools": tools(), "temperature": 0})))
        .await
        .ok();
    for call in calls(&answer["choices"][0]) {
        check_call(&call);
    }
    let broken = json!([{"type": "function", "function": {
        "name": "bad", "strict": true, "parameters": {"properties": {"a": {"type": "strung"}}},
    }}]);
    let error = world.chat(body(json!({"tools": broken}))).await.error(400);
    let message = error["message"].as_str().unwrap();
    assert!(
        error["param"] == "tools" && message.contains("`bad`") && message.contains("strung"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reasoning_is_told_apart() {
    let setup = Setup {
        reasoning: Some(ReasoningFormat::Qwen3),
        ..Setup::default()
    };
    let world = World::saying_with(setup, "<think>\nIt is 12.\n</think>\n\nNoon.").await;
    let free = json!({"temperature": 0, "max_tokens": 60});
    let message = world.chat(free.clone()).await.ok()["choices"][0]["message"].clone();
    assert_eq!(
        (&message["reasoning_content"], &message["content"]),
        (&json!("It is 12."), &json!("Noon."))
    );
    let chunks = world
        .chat(with(free.clone(), json!({"stream": true})))
        .await
        .chunks();
    let thoughts = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["reasoning_content"].as_str());
    assert_eq!(thoughts.collect::<String>(), "It is 12.");
    assert_eq!(chat_text(&chunks, 0), "Noon.");
    // It may think before it keeps to a form.
    let outputs = json!({"structured_outputs": {"choice": ["Noon.", "Midnight."]}});
    let formed = world.chat(with(free, outputs)).await.ok()["choices"][0]["message"].clone();
    assert_eq!(formed, message);
}
