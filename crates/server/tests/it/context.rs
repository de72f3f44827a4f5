//! `context_budget` and `context_management` in chat completions.

use serde_json::{Value, json};

use crate::world::{Setup, World};

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// A conversation of an agent: a rule, a task, and `turns` calls with results of about 150 tokens.
pub(crate) fn agent(turns: usize) -> Value {
    let mut messages = vec![
        json!({"role": "system", "content": "You are an agent. Never touch the schema v7."}),
        json!({"role": "user", "content": "Find the port of the proxy in the logs."}),
    ];
    for turn in 0..turns {
        let id = format!("call_{turn}");
        let arguments = json!({"path": format!("/var/log/part{turn}.log")}).to_string();
        messages.push(json!({"role": "assistant", "content": "", "tool_calls": [
            {"id": id, "type": "function",
             "function": {"name": "read_file", "arguments": arguments}}]}));
        let lines: Vec<String> = (0..10)
            .map(|line| {
                format!(
                    "{turn}:{line} worker {} took {} ms",
                    line * 7,
                    line * turn + 3
                )
            })
            .collect();
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": lines.join("\n")}));
    }
    Value::Array(messages)
}

/// The number of the message in [`agent`] whose result an edit concerns.
pub(crate) fn edited_message(edit: &Value) -> usize {
    let call = edit["ref"]["tool_call_id"].as_str().unwrap();
    let turn: usize = call.strip_prefix("call_").unwrap().parse().unwrap();
    3 + 2 * turn
}

pub(crate) fn tools() -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "description": "Reads.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}})
    };
    json!([tool("read_file"), tool("list_files")])
}

pub(crate) fn body(turns: usize, budget: &Value) -> Value {
    json!({"messages": agent(turns), "tools": tools(), "max_tokens": 8, "context_budget": budget})
}

pub(crate) async fn world() -> World {
    let mut setup = Setup {
        max_model_len: 8_192,
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    World::start(setup).await
}

pub(crate) fn number(value: &Value) -> usize {
    usize::try_from(
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no number: {value}")),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_stays_inside_its_budget_at_the_cost_that_was_predicted() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let mut edited = 0;
    for turn in 1..=40 {
        let answer = world.ask(CHAT, body(turn, &budget)).await.ok();
        let report = &answer["context_budget"];
        let used = number(&report["budget"]["used"]);
        let reserved = number(&report["budget"]["reserved_output"]);
        assert!(used + reserved <= 4_096, "turn {turn}: {report}");
        assert_eq!(number(&answer["usage"]["prompt_tokens"]), used);
        // What was said before the request ran is what the engine did.
        let hit = number(&answer["usage"]["prompt_tokens_details"]["cached_tokens"]);
        assert_eq!(
            number(&report["cache"]["matched"]),
            hit,
            "turn {turn}: {report}"
        );
        assert_eq!(number(&report["cache"]["prefilled"]), used - hit);
        edited += usize::from(report["status"] == "edited");
    }
    assert!(edited > 15, "only {edited} turns were edited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resent_history_is_edited_the_same_way_and_found_in_the_cache() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let first = world.ask(CHAT, body(30, &budget)).await.ok();
    let again = world.ask(CHAT, body(30, &budget)).await.ok();
    let edits = |answer: &Value| {
        answer["context_budget"]["edits"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert!(edits(&first).iter().all(|edit| edit["source"] == "new"));
    assert!(!edits(&first).is_empty());
    assert_eq!(edits(&first).len(), edits(&again).len());
    assert!(edits(&again).iter().all(|edit| edit["source"] == "ledger"));
    let used = number(&first["usage"]["prompt_tokens"]);
    assert_eq!(number(&again["usage"]["prompt_tokens"]), used);
    let cached = number(&again["usage"]["prompt_tokens_details"]["cached_tokens"]);
    assert_eq!(cached, used - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_changes_no_byte() {
    let world = world().await;
    let plain = json!({"messages": agent(10), "tools": tools(), "max_tokens": 8, "seed": 1});
    let mut observed = plain.clone();
    observed["context_budget"] = json!({"mode": "observe", "max_context_tokens": 2_048});
    let plain = world.ask(CHAT, plain).await.ok();
    let observed = world.ask(CHAT, observed).await.ok();
    assert_eq!(observed["choices"], plain["choices"]);
    assert_eq!(
        observed["usage"]["prompt_tokens"],
        plain["usage"]["prompt_tokens"]
    );
    assert_eq!(observed["context_budget"]["status"], "observed");
    assert!(plain.get("context_budget").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn cleared_results_are_had_back_byte_for_byte() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let answer = world.ask(CHAT, body(30, &budget)).await.ok();
    let edits = answer["context_budget"]["edits"].as_array().unwrap();
    let cleared = edits.iter().find(|edit| edit["op"] == "clear_tool_result");
    let cleared = cleared.unwrap_or_else(|| panic!("nothing was cleared: {edits:?}"));
    let handle = json!({"handle": cleared["restore"]});
    let restored = world.ask("/v1/context/restore", handle).await.ok();
    assert_eq!(
        restored["text"],
        agent(30)[edited_message(cleared)]["content"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn anthropics_edit_is_applied_and_told_in_its_own_terms() {
    let world = world().await;
    let mut body = json!({"messages": agent(10), "tools": tools(), "max_tokens": 4});
    body["context_management"] = json!({"edits": [{"type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": 500}, "keep": {"type": "tool_uses", "value": 3}}]});
    let answer = world.ask(CHAT, body).await.ok();
    let applied = &answer["context_management"]["applied_edits"][0];
    assert_eq!(applied["type"], "clear_tool_uses_20250919", "{answer}");
    assert_eq!(applied["cleared_tool_uses"], 7);
    assert!(number(&applied["cleared_input_tokens"]) > 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_name() {
    let world = world().await;
    let wrong = [
        (
            json!({"max_context_tokens": 9_000}),
            "context_budget.max_context_tokens",
        ),
        (
            json!({"zones": {"scratch": {}}}),
            "context_budget.zones.scratch",
        ),
        (
            json!({"zones": {"history": {"min": 9, "max": 3}}}),
            "context_budget.zones.history.min",
        ),
        (json!({"profile": "none"}), "context_budget.profile"),
    ];
    for (budget, param) in wrong {
        let answer = world.ask(CHAT, body(2, &budget)).await;
        assert_eq!(answer.status, 400, "{budget}: {}", answer.text);
        assert_eq!(
            answer.json()["error"]["param"],
            param,
            "{budget}: {}",
            answer.text
        );
    }
    let answer = world
        .ask(CHAT, body(2, &json!({"max_context_tokens": 150})))
        .await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "context_length_exceeded");
    assert!(number(&error["context_budget"]["shortfall"]) > 0);
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_of_its_context_in_its_first_chunk() {
    let world = world().await;
    let mut body = body(20, &json!({"max_context_tokens": 4_096}));
    body["stream"] = json!(true);
    let answer = world.ask(CHAT, body).await;
    let chunks = answer.chunks();
    assert_eq!(chunks[0]["context_budget"]["budget"]["B"], 4_096);
    assert!(
        chunks[1..]
            .iter()
            .all(|chunk| chunk.get("context_budget").is_none())
    );
    assert_eq!(answer.header("x-context-budget"), "4096");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_is_part_of_the_budget() {
    let world = world().await;
    let mut body = body(2, &json!({"max_context_tokens": 700}));
    body.as_object_mut().unwrap().remove("max_tokens");
    let answer = world.ask(CHAT, body).await.ok();
    assert!(number(&answer["usage"]["total_tokens"]) <= 700, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said() {
    let world = world().await;
    let mut compact = body(2, &json!({}));
    compact["context_management"] =
        json!({"edits": [{"type": "compact_20260112", "pause_after_compaction": true}]});
    let answer = world.ask(CHAT, compact).await;
    assert_eq!(
        answer.error(400)["param"],
        "context_management.edits[0].pause_after_compaction"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_marked_to_be_cached_is_never_edited() {
    let world = world().await;
    let mark = json!({"type": "ephemeral"});
    let mut tools_marked = body(30, &json!({"max_context_tokens": 4_096, "report": "full"}));
    let mut prefix_marked = tools_marked.clone();
    tools_marked["tools"][1]["cache_control"] = mark.clone();
    prefix_marked["messages"][9]["cache_control"] = mark;
    let mut ends = Vec::new();
    for body in [tools_marked, prefix_marked] {
        let report = world.ask(CHAT, body).await.ok()["context_budget"].clone();
        let end = number(&report["cache"]["stable_prefix_end"]);
        let edits = report["edits"].as_array().unwrap();
        assert!(!edits.is_empty());
        assert!(
            edits.iter().all(|edit| number(&edit["at_token"]) >= end),
            "{report}"
        );
        ends.push(end);
    }
    assert!(0 < ends[0] && ends[0] < ends[1], "{ends:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_note_is_named() {
    let world = world().await;
    let part = json!({"type": "text", "text": "Hello", "context": {"score": 2}});
    for (message, param) in [
        (
            json!({"role": "user", "content": "x", "context": {"zonee": "history"}}),
            "messages[0].context.zonee",
        ),
        (
            json!({"role": "user", "content": [part]}),
            "messages[0].content[0].context.score",
        ),
        (
            json!({"role": "user", "content": "x", "cache_control": {"type": "eternal"}}),
            "messages[0].cache_control",
        ),
    ] {
        let body = json!({"messages": [message], "context_budget": {}});
        let answer = world.ask(CHAT, body).await;
        assert_eq!(answer.error(400)["param"], param);
    }
}

/// One turn of many calls, whose markers alone would fill the budget.
#[tokio::test(flavor = "multi_thread")]
async fn markers_lose_their_handles_where_nothing_fits_otherwise() {
    let budget = json!({"max_context_tokens": 3_000, "report": "full"});
    let asked = |turns: usize| {
        let mut asked = body(turns, &budget);
        asked.as_object_mut().unwrap().remove("max_tokens");
        asked
    };
    let growing = world().await;
    let mut last = Value::Null;
    for turns in 1..=50 {
        let answer = growing.ask(CHAT, asked(turns)).await.ok();
        last = answer["context_budget"].clone();
        let used = number(&last["budget"]["used"]) + number(&last["budget"]["reserved_output"]);
        assert!(used <= 3_000, "turn {turns}: {last}");
    }
    let edits = last["edits"].as_array().unwrap().iter();
    let cleared = edits.filter(|edit| edit["op"] == "clear_tool_result");
    let terse: Vec<&Value> = cleared.filter(|edit| number(&edit["after"]) < 8).collect();
    assert!(terse.len() > 20, "{last}");
    // The report has what the prompt has not.
    let handle = json!({"handle": terse[0]["restore"]});
    let restored = growing.ask("/v1/context/restore", handle).await.ok();
    let original = &agent(50)[edited_message(terse[0])]["content"];
    assert_eq!(restored["text"], *original);

    // At once, all results together exceed what their zone may have, too.
    for turns in [40, 46] {
        world().await.ask(CHAT, asked(turns)).await.ok();
    }
}
