//! The figures of reports, against what is worked out by hand.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::context::{CHAT, agent, body, edited_message, number, world};
use crate::world::{Setup, World};

/// B of all requests here.
const BUDGET: usize = 4_096;
/// The mark of 0.85, in tokens.
const HIGH: usize = 3_481;
/// `max_tokens` of [`body`], which is what is kept for the answer.
const OUTPUT: usize = 8;

fn budget() -> Value {
    json!({"max_context_tokens": BUDGET, "report": "full"})
}

async fn report(world: &World, body: Value) -> Value {
    world.ask(CHAT, body).await.ok()["context_budget"].clone()
}

/// The field of a report, or of a part of it.
fn at(report: &Value, pointer: &str) -> usize {
    number(&report.pointer(pointer).unwrap_or(&Value::Null).clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_that_fits_is_told_as_it_is() {
    let world = world().await;
    let cold = report(&world, body(2, &budget())).await;
    let used = at(&cold, "/budget/used");
    assert_eq!(cold["status"], "fit");
    assert_eq!(cold["regime"], "null");
    assert_eq!(cold["budget"]["remaining"], BUDGET - used - OUTPUT);
    let cache = json!({"matched_before_plan": 0, "matched": 0, "prefilled": used,
        "earliest_edit": null, "recomputed_due_to_edits": 0, "stable_prefix_end": 0,
        "stable_prefix_hit": 1.0, "miss_reason": "never_seen", "first_divergent_token": 0});
    assert_eq!(cold["cache"], cache);
    assert_eq!(cold["cost"]["saved_prefill_ms"], 0.0);
    // Before the first steps, a millisecond for each token.
    let predicted = cold["cost"]["predicted_prefill_ms"].as_f64().unwrap();
    assert!((predicted - used as f64).abs() < 1e-6, "{predicted}");

    // All but the last token, whose logits are needed.
    let warm = report(&world, body(2, &budget())).await;
    assert_eq!(warm["cache"]["matched"], used - 1);
    assert_eq!(warm["cache"]["prefilled"], 1);
    assert_eq!(warm["cache"]["miss_reason"], Value::Null);
    assert_eq!(warm["cache"]["first_divergent_token"], Value::Null);
    assert!(warm["cost"]["saved_prefill_ms"].as_f64().unwrap() > 0.0);

    let longer = report(&world, body(3, &budget())).await;
    assert_eq!(longer["cache"]["matched_before_plan"], used);
    assert_eq!(longer["cache"]["miss_reason"], "never_seen");
    assert_eq!(longer["cache"]["first_divergent_token"], used);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_soft_mark_is_passed_by_prompt_and_reserve() {
    let world = world().await;
    let used = at(&report(&world, body(2, &budget())).await, "/budget/used");
    // Marks are read to seven digits.
    let share = (used + OUTPUT) as f64 / BUDGET as f64 * 1e4;
    for (soft, exceeded) in [(share.floor(), true), (share.ceil(), false)] {
        let mut marked = budget();
        marked["utilization"] = json!({"soft": soft / 1e4, "low": 0.05});
        let report = report(&world, body(2, &marked)).await;
        assert_eq!(report["budget"]["soft_exceeded"], exceeded, "{report}");
        assert_eq!(report["status"], "fit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_observation_may_be_as_long_as_edits_make_room() {
    let world = world().await;
    let counted = world
        .ask("/v1/context/count", body(12, &json!({})))
        .await
        .ok();
    let results: Vec<usize> = counted["messages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|message| message["role"] == "tool")
        .map(|message| number(&message["tokens"]))
        .collect();
    // All but the latest three can be cleared, and a record of about 48 tokens stays of each.
    let clearable: usize = results[..9].iter().map(|tokens| tokens - 48).sum();
    let mut only_clearing = budget();
    only_clearing["ladder"] = json!(["clear_tool_results"]);
    let report = report(&world, body(12, &only_clearing)).await;
    let used = at(&report, "/budget/used") + OUTPUT;
    let limits = json!({"null": HIGH - used, "partial": BUDGET + clearable - used,
        "full": BUDGET + clearable - used});
    assert_eq!(
        report["budget"]["max_observation_tokens"], limits,
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_edits_make_to_be_computed_again_is_told() {
    let world = world().await;
    // Of 18 results all but the latest three go, at once.
    let clearing = json!({"edits": [{"type": "clear_tool_uses_20250919",
        "trigger": {"type": "tool_uses", "value": 17}}]});
    let managed = |turns| {
        let mut body = body(turns, &budget());
        body["context_management"] = clearing.clone();
        body
    };
    let before = at(&report(&world, managed(17)).await, "/budget/used");
    let edited = report(&world, managed(18)).await;
    let edits = edited["edits"].as_array().unwrap();
    assert_eq!(edits.len(), 15);
    assert_eq!(edited["regime"], "partial");
    let positions = edits.iter().map(|edit| number(&edit["at_token"]));
    assert_eq!(edited["cache"]["earliest_edit"], positions.min().unwrap());

    let [received, used] = ["/stages/received", "/budget/used"].map(|field| at(&edited, field));
    let [matched, prefilled] = ["/cache/matched", "/cache/prefilled"].map(|name| at(&edited, name));
    assert_eq!(edited["cache"]["matched_before_plan"], before);
    assert!(at(&edited, "/cache/earliest_edit") <= matched && matched < before);
    assert_eq!(prefilled, used - matched);
    // What the new turn has would have been computed in any case.
    let again = prefilled - (received - before);
    assert_eq!(edited["cache"]["recomputed_due_to_edits"], again);
    assert!(again > 0, "{edited}");
    let counted = world.metric("purser_context_recomputed_tokens_total").await;
    assert_eq!(counted as usize, again);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_much_of_the_stable_prefix_is_hit_as_is_cached() {
    let world = world().await;
    let asking = |task: &str| {
        let mut stable = budget();
        stable["zones"]["stable_prefix"] = json!({"until": {"message_index": 2}});
        let mut body = body(1, &stable);
        body["messages"][1]["content"] = json!(task);
        body
    };
    let task = "Find the port of the proxy.";
    let cold = report(&world, asking(task)).await;
    assert_eq!(cold["cache"]["stable_prefix_hit"], 0.0);
    let warm = report(&world, asking(task)).await;
    assert_eq!(warm["cache"]["stable_prefix_hit"], 1.0);
    // The same tools, rule and first words.
    let other = report(&world, asking("Find the port of another host.")).await;
    let [matched, stable] =
        ["/cache/matched", "/cache/stable_prefix_end"].map(|name| at(&other, name));
    assert!(0 < matched && matched < stable, "{other}");
    let hit = other["cache"]["stable_prefix_hit"].as_f64().unwrap();
    assert_eq!(hit, matched as f64 / stable as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cached_of_a_zone_is_counted_behind_the_edits() {
    let world = world().await;
    report(&world, body(30, &budget())).await;
    // Planned anew, the edits are others from some call on: what is in front of it is cached.
    let mut forgetful = budget();
    forgetful["ablation"] = json!(["ledger"]);
    let report = report(&world, body(30, &forgetful)).await;
    let cached = |zone: &str| at(&report, &format!("/zones/{zone}/cached"));
    let calls = cached("live_turn") as f64 / at(&report, "/zones/live_turn/after") as f64;
    assert!(0.2 < calls && calls < 0.8, "{report}");
    // As many results as calls, each as long as its edit has left it.
    let edits = report["edits"].as_array().unwrap().iter();
    let results = edits
        .filter(|edit| ((edited_message(edit) - 3) / 2) as f64 <= 30.0 * calls)
        .map(|edit| at(edit, "/after"));
    let difference = cached("tool_outputs").abs_diff(results.sum());
    assert!(
        difference <= 160,
        "{difference}, more than one result: {report}"
    );
    let zones = ["system", "tool_schemas", "tool_outputs", "live_turn"].map(cached);
    let all: usize = zones.into_iter().sum();
    assert!(all <= at(&report, "/cache/matched"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_to_make_room_for_others_was_evicted() {
    let mut setup = Setup {
        max_model_len: 1_024,
        num_blocks: 65,
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    let world = World::start(setup).await;
    let of = |rule: &str, turns: usize| {
        let mut body = body(turns, &json!({"report": "full"}));
        body["messages"][0]["content"] = json!(rule);
        body.as_object_mut().unwrap().remove("tools");
        body
    };
    let used = at(&report(&world, of("One.", 3)).await, "/budget/used");
    report(&world, of("Two.", 3)).await;
    report(&world, of("Three.", 3)).await;
    let again = report(&world, of("One.", 3)).await;
    assert_eq!(again["cache"]["miss_reason"], "evicted", "{again}");
    let matched = at(&again, "/cache/matched");
    assert!(matched < used - 1, "{again}");
    assert_eq!(again["cache"]["first_divergent_token"], matched);
}

fn headers(answer: &Answer) -> Vec<usize> {
    let names = ["budget", "used", "remaining", "cached", "edits"];
    let values = names.map(|name| answer.header(&format!("x-context-{name}")).parse().unwrap());
    values.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_say_what_the_report_says() {
    let world = world().await;
    world.ask(CHAT, body(20, &budget())).await.ok();
    for stream in [false, true] {
        let mut body = body(24, &budget());
        body["stream"] = json!(stream);
        let answer = world.ask(CHAT, body).await;
        let report = match stream {
            true => answer.chunks()[0]["context_budget"].clone(),
            false => answer.ok()["context_budget"].clone(),
        };
        let edits = report["edits"].as_array().unwrap().len();
        assert!(edits > 0);
        let said = [
            "/budget/B",
            "/budget/used",
            "/budget/remaining",
            "/cache/matched",
        ];
        let mut said = said.map(|name| at(&report, name)).to_vec();
        said.push(edits);
        assert_eq!(headers(&answer), said);
    }
    // Who wants no report has the headers all the same; who has no budget has none.
    let mut quiet = body(24, &budget());
    quiet["context_budget"]["report"] = json!("none");
    let quiet = world.ask(CHAT, quiet).await;
    assert!(quiet.ok().get("context_budget").is_none());
    assert_eq!(headers(&quiet)[0], BUDGET);
    let plain = json!({"messages": agent(1), "max_tokens": 2});
    let plain = world.ask(CHAT, plain).await;
    assert_eq!(plain.header("x-context-budget"), "");
}
