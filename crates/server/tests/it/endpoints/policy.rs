use serde_json::{Value, json};

use super::refused;
use crate::context::{CHAT, world};
use crate::world::{Setup, World, hello};

const POLICY: &str = "/v1/context/policy";

async fn policy(world: &World, name: &str) -> Value {
    world.get(&format!("{POLICY}/{name}")).await.ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_listed_with_what_this_window_can_hold() {
    let world = world().await;
    let list = world.get(POLICY).await.ok();
    assert_eq!(list["mode"], "off");
    assert_eq!(list["default_profile"], "default");
    let profiles = list["data"].as_array().unwrap();
    let names: Vec<&str> = profiles
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    let known = [
        "agent",
        "course_128k",
        "default",
        "fixed_8k",
        "hierarchical",
        "wire_reference",
    ];
    assert_eq!(names, known);
    for profile in profiles {
        // The window has 8,192 tokens.
        assert_eq!(
            profile["usable"],
            profile["name"] != "course_128k",
            "{profile}"
        );
        assert_eq!(profile["source"], "preset");
    }
    let unusable = world.get(&format!("{POLICY}/course_128k")).await;
    assert_eq!(refused(&unusable), "context_budget.max_context_tokens");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_resolved_for_the_window() {
    let world = world().await;
    let answer = policy(&world, "wire_reference").await;
    assert_eq!(answer["object"], "context.policy");
    assert_eq!(answer["window"], 8_192);
    let budget = &answer["context_budget"];
    assert_eq!(budget["max_context_tokens"], 8_192);
    // 10, 12 and 15 percent of 8,192, rounded down.
    let system =
        json!({"tier": "protected", "priority": 1, "min": 819, "target": 983, "max": 1_228});
    assert_eq!(budget["zones"]["system"], system);
    assert_eq!(
        budget["zones"]["output_buffer"],
        json!({"min": 819, "target": 983, "max": 1_228})
    );
    // What the table forgets has the defaults: the prompt decides, so it is a symbol.
    assert_eq!(budget["zones"]["live_turn"]["min"], "fixed");
    let agent = policy(&world, "agent").await;
    assert_eq!(agent["thinking_turns"], 1);
    let zones = &agent["context_budget"]["zones"];
    assert_eq!(zones["tool_outputs"]["min"], "latest_required_observations");
    assert_eq!(zones["tool_outputs"]["keep"], 3);
    assert_eq!(zones["retrieval"]["max"], "ranked_cap");
    assert_eq!(zones["retrieval"]["target"], "ranked_cap");
    assert_eq!(zones["memory"]["max"], 2_000);
    assert_eq!(agent["context_budget"]["utilization"]["low"], "auto");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_can_be_sent_back_as_a_budget() {
    let world = world().await;
    for name in [
        "default",
        "agent",
        "wire_reference",
        "fixed_8k",
        "hierarchical",
    ] {
        let budget = policy(&world, name).await["context_budget"].clone();
        let zones = async |budget: Value| {
            let body = json!({"messages": hello(), "max_tokens": 1, "context_budget": budget});
            let zones = world.ask(CHAT, body).await.ok()["context_budget"]["zones"].clone();
            let live = zones["live_turn"].clone();
            assert!(live["max"].is_number(), "{zones}");
            json!([live["min"], live["target"], live["max"], live["allocated"]])
        };
        let by_fields = zones(budget).await;
        assert_eq!(by_fields, zones(json!({"profile": name})).await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_profile_is_not_found_and_the_known_ones_are_named() {
    let world = world().await;
    let answer = world.get(&format!("{POLICY}/nobodys")).await;
    let error = answer.error(404);
    assert_eq!(error["code"], "profile_not_found");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("wire_reference")
    );
    let locked = World::start(Setup {
        api_keys: vec!["one"],
        ..Setup::default()
    })
    .await;
    locked.get(POLICY).await.error(401);
    locked.get(&format!("{POLICY}/agent")).await.error(401);
}
