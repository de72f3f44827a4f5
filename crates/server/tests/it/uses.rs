//! Texts that were needed again after edits weigh more in later plans.

use serde_json::{Value, json};

use crate::context::{CHAT, agent, body, edited_message, number, world};
use crate::world::World;

const PLAN: &str = "/v1/context/plan";

/// A conversation with the same results that no ledger knows.
fn fork(turns: usize) -> Value {
    let mut body = body(turns, &json!({"report": "full"}));
    body["messages"][0]["content"] = json!("You are another agent.");
    body["segments"] = json!(true);
    body
}

/// What a plan of [`fork`] says of the result of a call.
async fn importance(world: &World, turns: usize, call: &Value) -> Value {
    let plan = world.ask(PLAN, fork(turns)).await.ok();
    let segments = plan["segments"].as_array().unwrap().iter();
    let mut results = segments.filter(|segment| segment["zone"] == "tool_outputs");
    let found = results.find(|segment| segment["ref"]["tool_call_id"] == *call);
    found.unwrap_or_else(|| panic!("no {call}: {plan}"))["importance"].clone()
}

fn close(told: &Value, expected: f64) {
    let told = told.as_f64().unwrap_or_else(|| panic!("no number: {told}"));
    assert!((told - expected).abs() < 1e-9, "{told} is not {expected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_restored_or_fetched_again_is_worth_more_next_time() {
    let world = world().await;
    let untouched = importance(&world, 30, &json!("call_3")).await;
    assert!(untouched.get("utility").is_none(), "{untouched}");

    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let answer = world.ask(CHAT, body(30, &budget)).await.ok();
    let edits = answer["context_budget"]["edits"]
        .as_array()
        .unwrap()
        .clone();
    let taken: Vec<&Value> = edits
        .iter()
        .filter(|edit| edit["level"] != "l1" && edit["op"] != "dedupe")
        .collect();
    for edit in &taken {
        assert!(edit["importance"]["value"].is_number(), "{edit}");
        assert!(edit["importance"]["recency"].is_number(), "{edit}");
    }
    let cleared = || {
        edits
            .iter()
            .filter(|edit| edit["op"] == "clear_tool_result")
    };
    let [first, second, other] = [0, 1, 2].map(|at| cleared().nth(at).unwrap());
    let call = |edit: &Value| edit["ref"]["tool_call_id"].clone();
    let trials = taken.len() as f64;

    // One of all edits was a mistake.
    let handle = json!({"handle": first["restore"]});
    world.ask("/v1/context/restore", handle).await.ok();
    let restored = importance(&world, 30, &call(first)).await;
    let spared = importance(&world, 30, &call(other)).await;
    close(&restored["utility"]["value"], (1.0 + 2.0 / trials) / 3.0);
    close(&spared["utility"]["value"], (2.0 / trials) / 3.0);
    close(&spared["utility"]["confidence"], trials / (trials + 4.0));

    // The call of another one is made again, and nothing is edited for it.
    let mut again = body(30, &json!({"max_context_tokens": 8_192, "report": "full"}));
    let at = edited_message(second);
    let messages = again["messages"].as_array_mut().unwrap();
    let (mut repeated, result) = (messages[at - 1].clone(), messages[at]["content"].clone());
    repeated["tool_calls"][0]["id"] = json!("again");
    messages.push(repeated);
    messages.push(json!({"role": "tool", "tool_call_id": "again", "content": result}));
    let report = world.ask(CHAT, again.clone()).await.ok()["context_budget"].clone();
    assert_eq!(
        number(&report["regret"]["recalled_after_clear"]),
        1,
        "{report}"
    );
    let edits = report["edits"].as_array().unwrap().iter();
    assert_eq!(
        edits.filter(|edit| edit["source"] == "new").count(),
        0,
        "{report}"
    );
    let recalled = importance(&world, 30, &call(second)).await;
    close(
        &recalled["utility"]["value"],
        (1.0 + 2.0 * 2.0 / trials) / 3.0,
    );
    // Once is once, however often the history is sent.
    world.ask(CHAT, again).await.ok();
    assert_eq!(importance(&world, 30, &call(second)).await, recalled);
    assert_eq!(agent(30)[at]["content"], result);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_needed_again_is_edited_after_what_was_not() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let ask = async |system: &str| {
        let mut body = body(30, &budget);
        body["messages"][0]["content"] = json!(system);
        let answer = world.ask(CHAT, body).await.ok();
        answer["context_budget"]["edits"]
            .as_array()
            .unwrap()
            .clone()
    };
    let first = ask("You are one agent.").await;
    let cleared = first.iter().find(|edit| edit["op"] == "clear_tool_result");
    let cleared = cleared.expect("something is cleared");
    for _ in 0..8 {
        let handle = json!({"handle": cleared["restore"]});
        world.ask("/v1/context/restore", handle).await.ok();
    }
    let loss = |edits: &[Value]| {
        let mut same = edits.iter().filter(|edit| edit["ref"] == cleared["ref"]);
        same.next()
            .map(|edit| (edit["op"].clone(), edit["loss"].as_f64().unwrap()))
    };
    let before = loss(&first).expect("it was edited");
    let again = loss(&ask("You are two agents.").await);
    // It stays, is shortened less, or at least counts for more.
    assert!(
        again
            .as_ref()
            .is_none_or(|(op, loss)| *op != before.0 || *loss > before.1),
        "{before:?} {again:?}"
    );
    // The conversation that was edited already stays as it is.
    let same = ask("You are one agent.").await;
    assert!(
        same.iter().all(|edit| edit["source"] == "ledger"),
        "{same:?}"
    );
    assert_eq!(same.len(), first.len());
}
