use serde_json::{Value, json};

use super::{refused, send};
use crate::context::{CHAT, agent, number, tools, world};
use crate::world::{Setup, World};

const COUNT: &str = "/v1/context/count";

fn sum(values: impl IntoIterator<Item = Value>) -> usize {
    values.into_iter().map(|value| number(&value)).sum()
}

fn of(count: &Value, list: &str) -> usize {
    let items = count[list].as_array().unwrap();
    sum(items.iter().map(|item| item["tokens"].clone()))
}

fn by_zone(count: &Value) -> usize {
    sum(count["zones"].as_object().unwrap().values().cloned())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_is_counted_once_and_as_the_completion_counts_it() {
    let world = world().await;
    let mut reasoned = agent(3);
    reasoned[2]["reasoning_content"] = json!("The log is the place to look.");
    reasoned[4]["content"] = json!([{"type": "text", "text": "Reading "},
        {"type": "text", "text": "the next part."}]);
    let bodies = [
        json!({"messages": agent(8), "tools": tools()}),
        json!({"messages": agent(2)}),
        json!({"messages": reasoned, "tools": tools(), "tool_choice": "none"}),
        json!({"messages": [{"role": "user", "content": "Caf\u{e9} \u{1f980}, naïve\n\n\ttabs"}]}),
    ];
    for mut body in bodies {
        body["max_tokens"] = json!(1);
        let count = world.ask(COUNT, body.clone()).await.ok();
        let tokens = number(&count["tokens"]);
        let overhead = number(&count["template_overhead"]);
        assert_eq!(by_zone(&count) + overhead, tokens, "{count}");
        let pieces = of(&count, "messages") + of(&count, "tools");
        assert_eq!(pieces + overhead, tokens, "{count}");
        assert!(overhead > 0 && count["is_exact"] == true, "{count}");
        let before = number(&count["cached_tokens"]);
        let answer = world.ask(CHAT, body.clone()).await.ok();
        let usage = &answer["usage"];
        assert_eq!(number(&usage["prompt_tokens"]), tokens);
        assert_eq!(
            number(&usage["prompt_tokens_details"]["cached_tokens"]),
            before
        );
        let again = world.ask(COUNT, body).await.ok();
        assert_eq!(number(&again["cached_tokens"]), tokens - 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_told_apart_by_zone_message_and_tool() {
    let world = world().await;
    let mut body = json!({"messages": agent(4), "tools": tools()});
    let count = world.ask(COUNT, body.clone()).await.ok();
    assert_eq!(count["object"], "context.count");
    assert_eq!(count["model"], "pebble");
    let messages = count["messages"].as_array().unwrap();
    let role = |role: &str| {
        let tokens = messages.iter().filter(|message| message["role"] == role);
        sum(tokens.map(|message| message["tokens"].clone()))
    };
    let zones = &count["zones"];
    assert_eq!(number(&zones["system"]), role("system"));
    assert_eq!(number(&zones["tool_outputs"]), role("tool"));
    // The task is the last thing that the user has said.
    assert_eq!(
        number(&zones["live_turn"]),
        role("user") + role("assistant")
    );
    assert_eq!(number(&zones["tool_schemas"]), of(&count, "tools"));
    assert_eq!(count["tools"][1]["name"], "list_files");
    assert_eq!(count["tools"][0]["last_used_turn"], 1);
    assert_eq!(count["tools"][1]["last_used_turn"], Value::Null);
    assert_eq!(number(&zones["history"]), 0);

    let result = number(&messages[3]["tokens"]);
    body["context_budget"] = json!({"zones": {"scratch": {"tier": "clearable"}},
        "annotations": [{"tool_call_id": "call_0", "zone": "scratch"}]});
    let count = world.ask(COUNT, body.clone()).await.ok();
    assert_eq!(number(&count["zones"]["scratch"]), result);
    body["context_budget"]["zones"] = json!({});
    let answer = world.ask(COUNT, body).await;
    assert_eq!(refused(&answer), "context_budget.annotations[0].zone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_counted_and_what_is_volatile_is_named() {
    let world = World::start(Setup {
        max_model_len: 512,
        ..Setup::default()
    })
    .await;
    let system = "Today is 2026-11-21T10:00:00Z.";
    let body = json!({"messages": [{"role": "system", "content": system},
        {"role": "user", "content": "word ".repeat(600)}]});
    let count = world.ask(COUNT, body.clone()).await.ok();
    assert!(number(&count["tokens"]) > 600);
    assert_eq!(count["warnings"][0]["code"], "volatile_in_prefix");
    let error = world.ask(CHAT, body).await;
    assert_eq!(error.error(400)["code"], "context_length_exceeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_checked_as_a_completions_is() {
    let world = World::start(Setup {
        api_keys: vec!["one"],
        ..Setup::default()
    })
    .await;
    let answer = send(&world, COUNT, "{}").await;
    answer.error(401);
    let world = World::start(Setup::default()).await;
    for (body, status, param) in [
        ("", 400, Value::Null),
        ("[]", 400, Value::Null),
        ("{\"messages\": [", 400, Value::Null),
        ("{}", 400, json!("messages")),
        ("{\"messages\": []}", 400, json!("messages")),
        (
            "{\"messages\": [{\"role\": \"king\"}]}",
            400,
            json!("messages[0].role"),
        ),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"modle\": \"b\"}",
            400,
            json!("modle"),
        ),
        (
            "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"model\": \"b\"}",
            404,
            json!("model"),
        ),
    ] {
        let answer = send(&world, COUNT, body).await;
        assert_eq!(answer.error(status)["param"], param, "{body}");
    }
    let huge = format!("{{\"messages\": \"{}\"}}", "x".repeat(1 << 20));
    send(&world, COUNT, &huge).await.error(413);
}
