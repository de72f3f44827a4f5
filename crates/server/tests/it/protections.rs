//! What a request protects stays, whoever says so and whatever earlier requests have done; what is
//! taken away all the same is had back.

use serde_json::{Value, json};

use crate::context::{CHAT, agent, body, number, world};
use crate::world::{World, with};

async fn report(world: &World, body: Value) -> Value {
    world.ask(CHAT, body).await.ok()["context_budget"].clone()
}

fn list(value: &Value) -> &[Value] {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
}

fn edited_calls<'r>(report: &'r Value, op: &str) -> Vec<&'r str> {
    let edits = list(&report["edits"]).iter();
    edits
        .filter(|edit| edit["op"] == op)
        .map(|edit| edit["ref"]["tool_call_id"].as_str().unwrap())
        .collect()
}

fn warnings<'r>(report: &'r Value, code: &str) -> Vec<&'r Value> {
    let warnings = list(&report["warnings"]).iter();
    warnings.filter(|warning| warning["code"] == code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_earlier_edit_is_repeated_against_what_a_request_protects() {
    let world = world().await;
    let tight = json!({"max_context_tokens": 4_096, "report": "full"});
    let cleared = report(&world, body(30, &tight)).await;
    let cleared = edited_calls(&cleared, "clear_tool_result");
    let [first, others @ ..] = cleared.as_slice() else {
        panic!("nothing was cleared");
    };
    assert!(!others.is_empty());
    let wide = async |fields: Value| {
        let budget = with(
            json!({"max_context_tokens": 8_192, "report": "full"}),
            fields,
        );
        report(&world, body(30, &budget)).await
    };
    let repeated = wide(json!({})).await;
    assert_eq!(edited_calls(&repeated, "clear_tool_result"), cleared);

    let note = json!([{"tool_call_id": first, "tier": "protected"}]);
    let kept = wide(json!({"annotations": note})).await;
    assert_eq!(edited_calls(&kept, "clear_tool_result"), others);
    // What the last question needs is had back, like what is protected itself.
    let note = json!([{"message_index": 1, "depends_on": [first]}]);
    let kept = wide(json!({"annotations": note})).await;
    assert_eq!(edited_calls(&kept, "clear_tool_result"), others);
    // The last one was shortened before the model read it, as it would be with any `keep`.
    let kept = wide(json!({"zones": {"tool_outputs": {"keep": 30}}})).await;
    assert_eq!(edited_calls(&kept, "clear_tool_result"), [""; 0]);
    for outputs in [
        json!({"exclude_tools": ["read_file"]}),
        json!({"per_tool": {"read_file": {"excluded": true}}}),
        json!({"tier": "protected"}),
        json!({"tier": "committed"}),
    ] {
        let kept = wide(json!({"zones": {"tool_outputs": outputs.clone()}})).await;
        assert_eq!(kept["edits"], json!([]), "{outputs}");
    }
    // What may be shortened may not be cleared.
    let outputs = json!({"tool_outputs": {"tier": "compactable"}});
    let shortened = wide(json!({"zones": outputs})).await;
    assert_eq!(edited_calls(&shortened, "clear_tool_result"), [""; 0]);
    // None of these requests has made the earlier edits forgotten.
    let repeated = wide(json!({})).await;
    assert_eq!(edited_calls(&repeated, "clear_tool_result"), cleared);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_that_allows_edits_where_there_are_none_is_refused_by_its_path() {
    let world = world().await;
    let marked = |until: Value, fields: Value| {
        let zones = json!({"stable_prefix": {"until": until}});
        body(20, &with(json!({"zones": zones}), fields))
    };
    let annotated = |message: usize, tier: &str| {
        json!({"annotations": [{"message_index": 0, "pin": true},
            {"message_index": message, "tier": tier}]})
    };
    let to_ten = json!({"message_index": 10});
    let mut noted = marked(to_ten.clone(), json!({}));
    noted["messages"][3]["context"] = json!({"tier": "offloadable"});
    let mut cached = body(20, &annotated(3, "compactable"));
    cached["messages"][9]["cache_control"] = json!({"type": "ephemeral"});
    let mut rule = body(20, &json!({}));
    rule["messages"][0]["context"] = json!({"tier": "clearable"});
    let (prefix, zone) = ("stable_prefix_violation", "protected_zone");
    let second = "context_budget.annotations[1].tier";
    let of_zone = |zone: &str| body(20, &json!({"zones": {zone: {"tier": "clearable"}}}));
    for (body, path, code) in [
        (
            marked(to_ten.clone(), annotated(3, "clearable")),
            second,
            prefix,
        ),
        (
            marked(json!({"tokens": 300}), annotated(3, "clearable")),
            second,
            prefix,
        ),
        (cached, second, prefix),
        (noted, "messages[3].context.tier", prefix),
        (rule, "messages[0].context.tier", zone),
        (of_zone("system"), "context_budget.zones.system.tier", zone),
        (
            of_zone("tool_schemas"),
            "context_budget.zones.tool_schemas.tier",
            zone,
        ),
        (
            of_zone("live_turn"),
            "context_budget.zones.live_turn.tier",
            zone,
        ),
    ] {
        let answer = world.ask(CHAT, body).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
        let error = &answer.json()["error"];
        assert_eq!(error["param"], path, "{error}");
        assert_eq!(error["context_budget"]["code"], code, "{error}");
        assert!(error["message"].as_str().unwrap().contains(path), "{error}");
    }
    for fields in [annotated(3, "protected"), annotated(13, "clearable")] {
        world.ask(CHAT, marked(to_ten.clone(), fields)).await.ok();
    }
    // Where it ends by itself no client can know of it.
    let auto = marked(json!("auto"), annotated(3, "clearable"));
    for _ in 0..3 {
        world.ask(CHAT, auto.clone()).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_protections_the_stricter_one_holds_and_is_told() {
    let world = world().await;
    let ask = async |outputs: Value, edit: Value| {
        let mut body = body(
            20,
            &json!({"report": "full", "zones": {"tool_outputs": outputs}}),
        );
        let trigger = json!({"type": "clear_tool_uses_20250919",
            "trigger": {"type": "input_tokens", "value": 500}});
        body["context_management"] = json!({"edits": [with(trigger, edit)]});
        report(&world, body).await
    };
    let keep = json!({"keep": {"type": "tool_uses", "value": 3}});
    let report = ask(json!({"keep": 1}), keep.clone()).await;
    assert_eq!(edited_calls(&report, "clear_tool_result").len(), 17);
    let told = warnings(&report, "conflicting_settings");
    assert_eq!(told.len(), 1, "{report}");
    let message = told[0]["message"].as_str().unwrap();
    assert!(
        message.contains("context_budget.zones.tool_outputs.keep"),
        "{message}"
    );

    let agreed = ask(json!({"keep": 3}), keep).await;
    assert!(warnings(&agreed, "conflicting_settings").is_empty());

    let excluded = json!({"exclude_tools": ["read_file"]});
    let report = ask(json!({"exclude_tools": []}), excluded).await;
    // Those that the first requests have cleared come back as well.
    assert_eq!(report["edits"], json!([]));
    assert_eq!(warnings(&report, "conflicting_settings").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shortened_is_had_back_without_a_place_in_the_memory_store() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full",
        "zones": {"tool_outputs": {"tier": "compactable"}}});
    for source in ["new", "ledger"] {
        let report = report(&world, body(30, &budget)).await;
        let edits = list(&report["edits"]);
        assert!(edits.len() > 3, "{report}");
        for edit in edits {
            assert_eq!(edit["op"], "compress", "{edit}");
            assert_eq!(edit["source"], source);
            let handle = json!({"handle": edit["restore"]});
            let restored = world.ask("/v1/context/restore", handle).await.ok();
            let message = crate::context::edited_message(edit);
            assert_eq!(restored["text"], agent(30)[message]["content"]);
        }
    }
    assert_eq!(world.app.memory().total_bytes().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_stays_above_its_maximum_is_told() {
    let world = world().await;
    let example = |role: &str, text: &str| {
        let name = format!("example_{role}");
        json!({"role": role, "name": name, "content": text})
    };
    let mut pinned = example("user", "What is two and two?");
    pinned["context"] = json!({"pin": true});
    let messages = json!([pinned, example("assistant", "Two and two is four."),
        {"role": "user", "content": "What is three and three?"}]);
    let ask = async |max: usize| {
        let budget = json!({"zones": {"examples": {"max": max}}});
        let body = json!({"messages": messages, "max_tokens": 2, "context_budget": budget});
        report(&world, body).await
    };
    let told = ask(5).await;
    let warnings = warnings(&told, "zone_over_max");
    assert_eq!(warnings.len(), 1, "{told}");
    let message = warnings[0]["message"].as_str().unwrap();
    assert!(
        message.contains("context_budget.zones.examples.max"),
        "{message}"
    );
    assert_eq!(ask(200).await["warnings"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stages_of_a_prompt_add_up() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let report = report(&world, body(30, &budget)).await;
    let stage = |name: &str| number(&report["stages"][name]);
    let edits = list(&report["edits"]).iter();
    let freed = edits.map(|edit| number(&edit["before"]) - number(&edit["after"]));
    assert_eq!(stage("received"), stage("after_ledger"));
    assert_eq!(
        stage("after_ledger") - stage("after_clear"),
        freed.sum::<usize>()
    );
    assert_eq!(stage("after_compact"), stage("after_clear"));
    assert!(
        stage("rendered").abs_diff(stage("after_compact")) < 20,
        "{report}"
    );
}

/// The agent's calls in a turn that is over.
fn earlier_turn(context_budget: &Value) -> Value {
    let mut asked = body(8, context_budget);
    let messages = asked["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": "There is no proxy in there."}));
    messages.push(json!({"role": "user", "content": "Look again."}));
    asked["context_management"] = json!({"edits": [{"type": "clear_tool_uses_20250919",
        "trigger": {"type": "input_tokens", "value": 500}, "clear_tool_inputs": true}]});
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn cleared_arguments_are_told_and_come_back_with_their_results() {
    let world = world().await;
    // The calls are in the latest turns, which the history's floor would keep.
    let history = json!({"history": {"min": 0}});
    let full = json!({"report": "full", "zones": history});
    let answer = world.ask(CHAT, earlier_turn(&full)).await.ok();
    let report = &answer["context_budget"];
    let (results, inputs) = (
        edited_calls(report, "clear_tool_result"),
        edited_calls(report, "clear_tool_input"),
    );
    assert_eq!((results.len(), &inputs), (5, &results), "{report}");
    let freed = list(&report["edits"]).iter();
    let freed = freed.map(|edit| number(&edit["before"]) - number(&edit["after"]));
    let applied = &answer["context_management"]["applied_edits"];
    assert_eq!(
        *applied,
        json!([{"type": "clear_tool_uses_20250919", "cleared_tool_uses": 5,
            "cleared_input_tokens": freed.sum::<usize>()}])
    );

    let compact = async |budget: Value| {
        let mut asked = earlier_turn(&budget);
        asked.as_object_mut().unwrap().remove("max_tokens");
        world.ask("/v1/context/compact", asked).await.ok()["messages"].clone()
    };
    let arguments = |messages: &Value, turn: usize| {
        messages[2 + 2 * turn]["tool_calls"][0]["function"]["arguments"].clone()
    };
    let original = earlier_turn(&full)["messages"].clone();
    let again = compact(full).await;
    assert_eq!(arguments(&again, 0), "{}");
    assert_eq!(arguments(&again, 4), "{}");
    // Who protects the result alone has the call back, too: what was asked, and what came of it.
    let pinned = json!([{"tool_call_id": "call_0", "pin": true}]);
    let protected = compact(json!({"annotations": pinned, "zones": history})).await;
    assert_eq!(protected[3], original[3]);
    assert_eq!(arguments(&protected, 0), arguments(&original, 0));
    assert_eq!(arguments(&protected, 4), "{}");
}
