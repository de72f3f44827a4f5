use serde_json::{Value, json};

use super::send;
use crate::context::{CHAT, agent, body, edited_message, tools, world};

const COMPACT: &str = "/v1/context/compact";

fn edits(answer: &Value) -> Vec<Value> {
    answer["context_budget"]["edits"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn compacted_messages_can_be_sent_on_and_cost_what_the_report_says() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096});
    let answer = world.ask(COMPACT, body(30, &budget)).await.ok();
    assert_eq!(answer["object"], "context.compact");
    assert_eq!(world.engine().stats().prompt_tokens_computed, 0);
    let (before, after) = (agent(30), &answer["messages"]);
    let after = after.as_array().unwrap();
    assert_eq!(after.len(), before.as_array().unwrap().len());
    let mut changed = Vec::new();
    for (index, (before, after)) in before.as_array().unwrap().iter().zip(after).enumerate() {
        assert_eq!(before["role"], after["role"]);
        assert_eq!(before["tool_call_id"], after["tool_call_id"]);
        assert_eq!(before["tool_calls"], after["tool_calls"]);
        if before != after {
            changed.push(index);
        }
    }
    let told = edits(&answer);
    let told: Vec<usize> = told.iter().map(edited_message).collect();
    assert_eq!(changed, told);
    assert!(changed.len() > 3, "{changed:?}");

    let sent_on = json!({"messages": after, "tools": tools(), "max_tokens": 1});
    let usage = world.ask(CHAT, sent_on).await.ok()["usage"].clone();
    assert_eq!(
        usage["prompt_tokens"],
        answer["context_budget"]["budget"]["used"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn compacting_is_remembered() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let compacted = world.ask(COMPACT, body(30, &budget)).await.ok();
    let answer = world.ask(CHAT, body(30, &budget)).await.ok();
    assert!(edits(&answer).iter().all(|edit| edit["source"] == "ledger"));
    assert_eq!(edits(&answer).len(), edits(&compacted).len());
    let told = edits(&compacted);
    let cleared = told
        .iter()
        .find(|edit| edit["op"] == "clear_tool_result")
        .unwrap();
    let handle = json!({"handle": cleared["restore"]});
    let restored = world.ask("/v1/context/restore", handle).await.ok();
    assert_eq!(
        restored["text"],
        agent(30)[edited_message(cleared)]["content"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_taken_out_and_vendors_edits_are_told() {
    let world = world().await;
    let mut body = json!({"messages": agent(10), "tools": tools()});
    body["messages"][1]["context"] = json!({"pin": true});
    body["messages"][0]["cache_control"] = json!({"type": "ephemeral"});
    body["context_management"] = json!({"edits": [{"type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": 500},
        "keep": {"type": "tool_uses", "value": 3}}]});
    let answer = world.ask(COMPACT, body).await.ok();
    let applied = &answer["context_management"]["applied_edits"][0];
    assert_eq!(applied["cleared_tool_uses"], 7);
    assert_eq!(answer["messages"][0], agent(1)[0]);
    assert_eq!(answer["messages"][1], agent(1)[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_edit_nothing_is_refused() {
    let world = world().await;
    for (budget, param) in [
        (json!({"mode": "observe"}), "context_budget.mode"),
        (json!({"mode": "off"}), "context_budget.mode"),
        (
            json!({"on_infeasible": "ask"}),
            "context_budget.on_infeasible",
        ),
    ] {
        let answer = world.ask(COMPACT, body(2, &budget)).await;
        assert_eq!(answer.error(400)["param"], param);
    }
    send(&world, COMPACT, "nothing").await.error(400);
    let answer = world
        .ask(COMPACT, body(2, &json!({"max_context_tokens": 150})))
        .await;
    assert_eq!(answer.json()["error"]["code"], "context_length_exceeded");
}
