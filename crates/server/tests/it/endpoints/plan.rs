use serde_json::{Value, json};

use super::send;
use crate::context::{CHAT, body, number, world};
use crate::world::with;

const PLAN: &str = "/v1/context/plan";

/// What of a plan does not depend on the clock.
fn decided(plan: &Value) -> Value {
    let report = &plan["context_budget"];
    json!([
        plan["predicted_prefill_tokens"],
        plan["cached_tokens"],
        report["edits"],
        report["zones"],
        report["budget"],
        report["cache"],
        report["status"]
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completion_does_and_costs_what_was_planned() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let mut edited = 0;
    for turn in (5..=40).step_by(5) {
        let body = body(turn, &budget);
        let plan = world.ask(PLAN, body.clone()).await.ok();
        let again = world.ask(PLAN, body.clone()).await.ok();
        assert_eq!(decided(&plan), decided(&again), "turn {turn}");
        assert_ne!(plan["plan_id"], again["plan_id"]);
        let before = world.engine().stats().prompt_tokens_computed;
        let answer = world.ask(CHAT, body).await.ok();
        world.until_idle().await;
        let computed = world.engine().stats().prompt_tokens_computed - before;
        assert_eq!(number(&plan["predicted_prefill_tokens"]) as u64, computed);
        let report = &answer["context_budget"];
        // Also the source of each edit: planning has put nothing into the ledger.
        assert_eq!(
            plan["context_budget"]["edits"], report["edits"],
            "turn {turn}"
        );
        let details = &answer["usage"]["prompt_tokens_details"];
        assert_eq!(plan["cached_tokens"], details["cached_tokens"]);
        edited += report["edits"].as_array().unwrap().len();
    }
    assert!(edited > 10, "only {edited} edits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_computes_and_keeps_nothing() {
    let world = world().await;
    let body = body(30, &json!({"max_context_tokens": 4_096}));
    let plan = world.ask(PLAN, body.clone()).await.ok();
    let report = &plan["context_budget"];
    assert_eq!(plan["object"], "context.plan");
    assert_eq!(plan["is_exact"], true);
    assert_eq!(report["status"], "edited");
    let stats = world.engine().stats();
    assert_eq!(
        (
            stats.steps,
            stats.num_cached_blocks,
            stats.prompt_tokens_computed
        ),
        (0, 0, 0)
    );
    // Nor are the texts put away that would be cleared.
    let edits = report["edits"].as_array().unwrap();
    let cleared = edits
        .iter()
        .find(|edit| edit["restore"].is_string())
        .unwrap();
    let restore = json!({"handle": cleared["restore"]});
    world.ask("/v1/context/restore", restore).await.error(404);

    let milliseconds = |field: &Value| field.as_f64().unwrap();
    let (prefill, ttft) = (&plan["predicted_prefill_ms"], &plan["predicted_ttft_ms"]);
    assert!(0.0 < milliseconds(prefill) && milliseconds(prefill) <= milliseconds(ttft));
    let queue = json!({"running_requests": 0, "uncached_tokens": 0, "predicted_ms": 0.0});
    assert_eq!(plan["queue"], queue);
    // Whoever was told of a plan may say how good it was.
    let said = json!({"plan_id": plan["plan_id"], "success": true});
    world.ask("/v1/context/feedback", said).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plans_that_were_compared_are_told_on_demand() {
    let world = world().await;
    let body = body(30, &json!({"max_context_tokens": 4_096}));
    let plan = world.ask(PLAN, body.clone()).await.ok();
    assert!(plan.get("frontier").is_none());
    assert!(plan["context_budget"].get("frontier").is_none());
    let plan = world
        .ask(PLAN, with(body, json!({"frontier": true})))
        .await
        .ok();
    let frontier = plan["frontier"].as_array().unwrap();
    let edits = plan["context_budget"]["edits"].as_array().unwrap().len();
    assert!(
        frontier
            .iter()
            .any(|point| number(&point["edits"]) == edits),
        "{plan}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_budget_the_plan_is_what_observing_would_report() {
    let world = world().await;
    let mut body = body(10, &json!({"mode": "off", "max_context_tokens": 2_048}));
    let plan = world.ask(PLAN, body.clone()).await.ok();
    assert_eq!(plan["context_budget"]["status"], "observed");
    assert!(
        !plan["context_budget"]["edits"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    body.as_object_mut().unwrap().remove("context_budget");
    let plan = world.ask(PLAN, body.clone()).await.ok();
    assert_eq!(plan["context_budget"]["budget"]["B"], 8_192);
    let answer = world.ask(CHAT, body).await.ok();
    assert_eq!(
        plan["predicted_prefill_tokens"],
        answer["usage"]["prompt_tokens"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_refused_as_the_completion_would_be() {
    let world = world().await;
    let fitting = body(2, &json!({}));
    for (fields, param) in [
        (json!({"commit": true}), "commit"),
        (json!({"commit": 1}), "commit"),
        (json!({"frontier": "yes"}), "frontier"),
        (json!({"frontiers": true}), "frontiers"),
        (json!({"messages": []}), "messages"),
    ] {
        let answer = world.ask(PLAN, with(fitting.clone(), fields)).await;
        assert_eq!(answer.error(400)["param"], param);
    }
    world
        .ask(PLAN, with(fitting, json!({"commit": false})))
        .await
        .ok();
    send(&world, PLAN, "{").await.error(400);
    let answer = world
        .ask(PLAN, body(2, &json!({"max_context_tokens": 150})))
        .await;
    let error = &answer.json()["error"];
    assert_eq!(error["code"], "context_length_exceeded");
    assert!(number(&error["context_budget"]["shortfall"]) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_is_still_to_be_written_is_named() {
    let world = world().await;
    let turn = |turn: usize| {
        let said = format!("Part {turn}: {}", "the sea is far away. ".repeat(12));
        [
            json!({"role": "user", "content": "And then?"}),
            json!({"role": "assistant", "content": said}),
        ]
    };
    let mut messages: Vec<Value> = (0..20).flat_map(turn).collect();
    messages.push(json!({"role": "user", "content": "How far is it?"}));
    let body = json!({"messages": messages, "max_tokens": 8,
        "context_budget": {"max_context_tokens": 1_000}});
    let plan = world.ask(PLAN, body).await.ok();
    assert_eq!(plan["is_exact"], false);
    assert_eq!(plan["context_budget"]["status"], "edited");
    let edit = &plan["context_budget"]["edits"][0];
    assert_eq!(edit["op"], "compact");
    assert_eq!(edit["compaction"]["written"], false);
    assert_eq!(world.engine().stats().steps, 0);
}
