//! Anthropic's content blocks in chat completions, with and without a budget.

use serde_json::{Value, json};

use crate::world::{Setup, World};

const CHAT: &str = "/v1/chat/completions";

fn log(turn: usize) -> String {
    let lines = (0..10).map(|line| {
        let (worker, ms) = (line * 7, line * turn + 3);
        format!("{turn}:{line} worker {worker} took {ms} ms")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn path(turn: usize) -> Value {
    json!({"path": format!("/var/log/part{turn}.log")})
}

/// An agent's conversation of `turns` calls in Anthropic's shape.
fn blocks(turns: usize) -> Vec<Value> {
    let mut messages = vec![
        json!({"role": "system", "content": "You are an agent. Never touch the schema v7."}),
        json!({"role": "user", "content": "Find the port of the proxy in the logs."}),
    ];
    for turn in 0..turns {
        let id = format!("toolu_{turn}");
        messages.push(json!({"role": "assistant", "content": [
            {"type": "thinking", "thinking": "The next log.", "signature": "s"},
            {"type": "tool_use", "id": id, "name": "read_file", "input": path(turn)}]}));
        messages.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id,
             "content": [{"type": "text", "text": log(turn)}]}]}));
    }
    messages
}

/// The same in OpenAI's shape, written by hand.
fn calls(turns: usize) -> Vec<Value> {
    let mut messages = blocks(0);
    for turn in 0..turns {
        let id = format!("toolu_{turn}");
        messages.push(json!({"role": "assistant", "content": null,
            "reasoning_content": "The next log.", "tool_calls": [{"id": id, "type": "function",
                "function": {"name": "read_file", "arguments": path(turn).to_string()}}]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": log(turn)}));
    }
    messages
}

fn schema() -> Value {
    json!({"type": "object", "properties": {"path": {"type": "string"}}})
}

fn anthropic(turns: usize) -> Value {
    let tool = json!({"name": "read_file", "description": "Reads.", "input_schema": schema()});
    json!({"messages": blocks(turns), "tools": [tool], "max_tokens": 4})
}

fn openai(turns: usize) -> Value {
    let function = json!({"name": "read_file", "description": "Reads.", "parameters": schema()});
    let tool = json!({"type": "function", "function": function});
    json!({"messages": calls(turns), "tools": [tool], "max_tokens": 4})
}

async fn world() -> World {
    let mut setup = Setup {
        max_model_len: 8_192,
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    World::start(setup).await
}

fn number(value: &Value) -> usize {
    let number = value.as_u64();
    usize::try_from(number.unwrap_or_else(|| panic!("no number: {value}"))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_shapes_are_the_same_prompt() {
    let world = world().await;
    let tokens = |mut body: Value| {
        body.as_object_mut().unwrap().remove("max_tokens");
        world.ask("/tokenize", body)
    };
    let (ours, theirs) = (
        tokens(openai(8)).await.ok(),
        tokens(anthropic(8)).await.ok(),
    );
    assert_eq!(ours["tokens"], theirs["tokens"]);
    assert!(number(&ours["count"]) > 1_000);
    // Nor does a budget tell them apart: what one did to its history is repeated for the other.
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let ask = |mut body: Value| {
        body["context_budget"] = budget.clone();
        world.ask(CHAT, body)
    };
    let (first, second) = (ask(openai(30)).await.ok(), ask(anthropic(30)).await.ok());
    let edits = |answer: &Value| {
        answer["context_budget"]["edits"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert!(!edits(&first).is_empty());
    assert!(
        edits(&second).iter().all(|edit| edit["source"] == "ledger"),
        "{second}"
    );
    assert_eq!(first["choices"], second["choices"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_blocks_stays_inside_its_budget_with_valid_pairs() {
    let world = world().await;
    for turn in 1..=30 {
        let mut body = anthropic(turn);
        body["context_budget"] = json!({"max_context_tokens": 4_096, "report": "full"});
        body["context_management"] = json!({"edits": [{"type": "clear_tool_uses_20250919",
            "trigger": {"type": "input_tokens", "value": 2_000},
            "keep": {"type": "tool_uses", "value": 2}}]});
        // As clients of Anthropic do: the mark moves with the conversation.
        let result = &mut body["messages"][1 + 2 * turn.min(3)]["content"][0];
        result["cache_control"] = json!({"type": "ephemeral"});
        let answer = world.ask(CHAT, body).await.ok();
        let report = &answer["context_budget"];
        let used = number(&report["budget"]["used"]);
        assert!(
            used + number(&report["budget"]["reserved_output"]) <= 4_096,
            "{report}"
        );
        assert_eq!(number(&answer["usage"]["prompt_tokens"]), used);
        let end = number(&report["cache"]["stable_prefix_end"]);
        assert!(end > 0);
        let edits = report["edits"].as_array().unwrap();
        assert!(
            edits.iter().all(|edit| number(&edit["at_token"]) >= end),
            "{report}"
        );
        for edit in edits
            .iter()
            .filter(|edit| edit["op"] == "clear_tool_result")
        {
            let call = edit["ref"]["tool_call_id"].as_str().unwrap();
            let turn: usize = call.strip_prefix("toolu_").unwrap().parse().unwrap();
            let restored = json!({"handle": edit["restore"]});
            let restored = world.ask("/v1/context/restore", restored).await.ok();
            assert_eq!(restored["text"], log(turn));
        }
        let cleared = &answer["context_management"]["applied_edits"][0]["cleared_tool_uses"];
        if turn == 30 {
            assert!(number(cleared) > 10, "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_report_and_an_error_name_is_the_clients() {
    let world = world().await;
    let mut body = anthropic(20);
    body["messages"][2]["content"][0] = json!({"type": "redacted_thinking", "data": "x"});
    let question = json!({"type": "text", "text": "Which port is it?"});
    body["messages"][41]["content"]
        .as_array_mut()
        .unwrap()
        .push(question);
    body["context_budget"] = json!({"report": "full", "max_context_tokens": 8_192,
        "zones": {"stable_prefix": {"until": {"message_index": 42}}},
        "annotations": [{"message_index": 41, "pin": true}]});
    let report = world.ask(CHAT, body.clone()).await.ok()["context_budget"].clone();
    let codes: Vec<_> = report["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| &w["code"])
        .collect();
    assert!(codes.contains(&&json!("redacted_thinking")), "{codes:?}");
    // Behind the client's last message, which is two for the template.
    let end = number(&report["cache"]["stable_prefix_end"]);
    assert_eq!(end, number(&report["budget"]["used"]));
    let counted = json!({"messages": body["messages"], "tools": body["tools"]});
    let counted = world.ask("/v1/context/count", counted).await.ok();
    let messages = counted["messages"].as_array().unwrap();
    let roles: Vec<_> = messages
        .iter()
        .map(|message| message["role"].clone())
        .collect();
    let sent: Vec<_> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].clone())
        .collect();
    assert_eq!(roles, sent);
    assert!(number(&messages[41]["tokens"]) > number(&messages[39]["tokens"]));
    for (note, param) in [
        (json!({"message_index": 42}), "annotations[0].message_index"),
        (
            json!({"tool_call_id": "toolu_99"}),
            "annotations[0].tool_call_id",
        ),
        (
            json!({"message_index": 1, "depends_on": ["x"]}),
            "annotations[0].depends_on[0]",
        ),
    ] {
        body["context_budget"]["annotations"] = json!([note]);
        let error = world.ask(CHAT, body.clone()).await.error(400);
        assert_eq!(error["param"], format!("context_budget.{param}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_moves_with_every_request_loses_no_edit() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let asked = |text: &str| json!({"type": "text", "text": text});
    let ask = |marked: usize| {
        let mut body = anthropic(30);
        body["messages"][1]["content"] = json!([asked("Find the port."), asked("Be brief.")]);
        body["messages"][1]["content"][marked]["cache_control"] = json!({"type": "ephemeral"});
        body["context_budget"] = budget.clone();
        world.ask(CHAT, body)
    };
    let (first, second) = (ask(0).await.ok(), ask(1).await.ok());
    let report = |answer: &Value| answer["context_budget"].clone();
    let (first, second) = (report(&first), report(&second));
    let end = |report: &Value| number(&report["cache"]["stable_prefix_end"]);
    assert!(0 < end(&first) && end(&first) < end(&second));
    let edits = |report: &Value| report["edits"].as_array().unwrap().clone();
    assert!(!edits(&first).is_empty());
    assert_eq!(edits(&first).len(), edits(&second).len());
    assert!(edits(&second).iter().all(|edit| edit["source"] == "ledger"));
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_on_parts_and_blocks_are_kept() {
    let world = world().await;
    let mut body = anthropic(30);
    // Without the note the oldest result would be the first to go.
    body["messages"][3]["content"][0]["context"] = json!({"pin": true, "id": "first"});
    body["messages"][61]["content"]
        .as_array_mut()
        .unwrap()
        .extend([
            json!({"type": "text", "text": "A note to self.", "context": {"zone": "scratch"}}),
            json!({"type": "text", "text": "Which port?", "context": {"depends_on": ["first"]}}),
        ]);
    body["context_budget"] = json!({"max_context_tokens": 4_096, "report": "full",
        "zones": {"scratch": {"tier": "clearable"}}});
    let report = world.ask(CHAT, body.clone()).await.ok()["context_budget"].clone();
    let edits = report["edits"].as_array().unwrap();
    assert!(!edits.is_empty());
    assert!(
        edits
            .iter()
            .all(|edit| edit["ref"]["tool_call_id"] != "toolu_0"),
        "{report}"
    );
    assert!(number(&report["zones"]["scratch"]["before"]) > 0);
    body["messages"][61]["content"][2]["context"] = json!({"depends_on": ["second"]});
    let error = world.ask(CHAT, body).await.error(400);
    assert_eq!(
        error["param"],
        "messages[61].content[2].context.depends_on[0]"
    );
}
