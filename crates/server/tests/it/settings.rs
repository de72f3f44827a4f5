//! Where settings come from, and what a client is told of those that do not act as written.

use std::collections::BTreeMap;

use context::Mode;
use serde_json::{Value, json};
use server::config::serve::ContextConfig;
use server::validate::budget::profile;

use crate::context::{CHAT, agent, body, number, tools};
use crate::world::{Setup, World, hello};

/// A server with profiles.
async fn world_with(profiles: Value, default: &str) -> World {
    world_of(profiles, default, ContextConfig::default().mode).await
}

/// A server with profiles, and what it does with requests that do not say.
async fn world_of(profiles: Value, default: &str, mode: Mode) -> World {
    let named = profiles.as_object().unwrap().iter();
    let profiles: BTreeMap<_, _> = named
        .map(|(name, fields)| {
            let path = format!("profiles.{name}");
            (name.clone(), profile(&path, fields.clone()).unwrap())
        })
        .collect();
    let mut setup = Setup {
        max_model_len: 8_192,
        context: ContextConfig {
            profile: default.to_owned(),
            profiles,
            mode,
            ..ContextConfig::default()
        },
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    World::start(setup).await
}

/// The warnings of a code, as they are told.
fn warnings(answer: &Value, code: &str) -> Vec<String> {
    let all = answer["context_budget"]["warnings"].as_array().unwrap();
    let of_code = all.iter().filter(|warning| warning["code"] == code);
    of_code
        .map(|warning| warning["message"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_says_whether_edits_are_made() {
    let profiles = json!({"watch": {"mode": "observe", "max_context_tokens": 2_048},
        "idle": {"mode": "off"}});
    let world = world_with(profiles, "watch").await;
    let mut plain = body(20, &json!({}));
    plain.as_object_mut().unwrap().remove("context_budget");
    let plain = world.ask(CHAT, plain).await.ok();
    assert!(plain.get("context_budget").is_none());
    for budget in [json!({"profile": "watch"}), json!({})] {
        let watched = world.ask(CHAT, body(20, &budget)).await.ok();
        assert_eq!(watched["context_budget"]["status"], "observed");
        assert_eq!(watched["choices"], plain["choices"]);
    }
    let mut managed = body(20, &json!({}));
    managed["context_management"] = json!([{"type": "clear_tool_uses_20250919"}]);
    let managed = world.ask(CHAT, managed).await.ok();
    assert_eq!(managed["context_budget"]["status"], "observed");
    assert_eq!(managed["context_management"], json!({"applied_edits": []}));
    let own = world.ask(CHAT, body(20, &json!({"mode": "enforce"}))).await;
    assert_eq!(own.ok()["context_budget"]["status"], "edited");
    let idle = world.ask(CHAT, body(20, &json!({"profile": "idle"}))).await;
    assert!(idle.ok().get("context_budget").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mode_off_nothing_is_passed_over() {
    let world = world_with(json!({"idle": {"mode": "off"}}), "default").await;
    for off in [json!({"mode": "off"}), json!({"profile": "idle"})] {
        let asked = [
            (
                json!({"documents": [{"id": "a", "text": "x"}]}),
                "context_budget.documents",
            ),
            (
                json!({"store": {"memory_namespace": "team"}}),
                "context_budget.store.memory_namespace",
            ),
            (
                json!({"tell_model": "tail_note"}),
                "context_budget.tell_model",
            ),
        ];
        for (mut budget, param) in asked {
            budget
                .as_object_mut()
                .unwrap()
                .extend(off.as_object().unwrap().clone());
            let answer = world.ask(CHAT, body(2, &budget)).await;
            assert_eq!(answer.error(400)["param"], param, "{budget}");
        }
        let mut managed = body(2, &off);
        managed["context_management"] = json!([{"type": "clear_tool_uses_20250919"}]);
        for route in [CHAT, "/v1/context/plan"] {
            let answer = world.ask(route, managed.clone()).await;
            assert_eq!(answer.error(400)["param"], "context_management");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_may_be_a_share_of_the_budget() {
    let world = world_with(json!({}), "default").await;
    for (share, cleared) in [(0.9, Value::Null), (0.1, json!(7))] {
        let mut asked = body(10, &json!({"max_context_tokens": 8_000}));
        asked["context_management"] = json!([{"type": "clear_tool_uses_20250919",
            "trigger": {"type": "input_tokens", "value": {"fraction": share}}}]);
        let answer = world.ask(CHAT, asked).await.ok();
        let applied = &answer["context_management"]["applied_edits"];
        assert_eq!(applied[0]["cleared_tool_uses"], cleared, "{applied}");
    }
}

/// `--context-mode` is of requests without a budget, the profile's `mode` of those with one.
#[tokio::test(flavor = "multi_thread")]
async fn the_servers_mode_is_not_the_profiles() {
    for (servers, profiles, plain_fits, asked_fits) in [
        (Mode::Enforce, "observe", true, false),
        (Mode::Observe, "enforce", false, true),
    ] {
        let profiles = json!({"own": {"mode": profiles, "max_context_tokens": 2_048}});
        let world = world_of(profiles, "own", servers).await;
        let fits = async |budget: Value| {
            let mut asked = body(20, &budget);
            if budget.is_null() {
                asked.as_object_mut().unwrap().remove("context_budget");
            }
            let answer = world.ask(CHAT, asked).await.ok();
            number(&answer["usage"]["prompt_tokens"]) < 2_048
        };
        assert_eq!(fits(Value::Null).await, plain_fits, "{servers:?}");
        assert_eq!(fits(json!({})).await, asked_fits, "{servers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_of_the_budget_clears_what_is_worth_it() {
    let world = world_with(json!({}), "default").await;
    let cleared = async |clearing: Value| {
        let budget = json!({"max_context_tokens": 8_000, "report": "full",
            "zones": {"tool_outputs": clearing}});
        let answer = world.ask(CHAT, body(10, &budget)).await.ok();
        let edits = answer["context_budget"]["edits"].as_array().unwrap().iter();
        edits
            .filter(|edit| edit["op"] == "clear_tool_result")
            .count()
    };
    for (clearing, count) in [
        (json!({}), 0),
        (json!({"trigger": 0.9}), 0),
        (json!({"trigger": "need", "keep": 1}), 0),
        (json!({"trigger": {"tool_uses": 10}, "keep": 2}), 0),
        // Seven results of some 150 tokens are less than that.
        (
            json!({"trigger": 0.1, "clear_at_least": 4_000, "keep": 3}),
            0,
        ),
        (json!({"trigger": 0.1}), 7),
    ] {
        assert_eq!(cleared(clearing.clone()).await, count, "{clearing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_no_tool_and_floors_that_yield_are_told() {
    let world = world_with(json!({}), "default").await;
    let budget = json!({"zones": {"tool_outputs": {"exclude_tools": ["read_fil", "list_files"],
        "per_tool": {"grep": {"max": 100}}}}, "incoming": [{"tool": "curl", "tokens": 1}]});
    let answer = world.ask(CHAT, body(3, &budget)).await.ok();
    let unknown = warnings(&answer, "unknown_tool");
    let named = |name: &str| unknown.iter().any(|told| told.contains(name));
    assert!(
        unknown.len() == 3 && named("`read_fil`") && named("`grep`") && named("`curl`"),
        "{unknown:?}"
    );
    assert!(warnings(&answer, "floor_lowered").is_empty());
    // Three results of some 150 tokens and the turns that they are in do not fit.
    let tight = world.ask(CHAT, body(3, &json!({"max_context_tokens": 520})));
    let lowered = warnings(&tight.await.ok(), "floor_lowered");
    assert!(
        lowered
            .iter()
            .any(|told| told.contains("zones.tool_outputs.min")),
        "{lowered:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_there_is_not_is_named_where_it_stands() {
    let world = world_with(json!({"mine": {"zones": {"own": {"max": 99}}}}), "default").await;
    let wrong = [
        (
            json!({"annotations": [{"message_index": 1, "zone": "own"}]}),
            "context_budget.annotations[0].zone",
        ),
        (
            json!({"incoming": [{"tokens": 1}, {"zone": "own", "tokens": 1}]}),
            "context_budget.incoming[1].zone",
        ),
        (
            json!({"hints": {"useful_tokens": {"own": 5}}}),
            "context_budget.hints.useful_tokens.own",
        ),
    ];
    for (mut budget, param) in wrong {
        let answer = world.ask(CHAT, body(2, &budget)).await;
        assert_eq!(answer.status, 400);
        let error = answer.json()["error"].clone();
        assert_eq!(error["param"], param, "{budget}");
        assert_eq!(error["context_budget"]["code"], "unknown_zone");
        // A profile may declare it.
        budget["profile"] = json!("mine");
        world.ask(CHAT, body(2, &budget)).await.ok();
    }
    let mut noted = body(2, &json!({}));
    noted["messages"][1]["context"] = json!({"zone": "own"});
    let answer = world.ask(CHAT, noted).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["param"], "messages[1].context.zone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_has_no_more_than_its_zone() {
    let world = world_with(json!({}), "default").await;
    let ask = async |mode: &str, max_tokens: Option<usize>| {
        let budget = json!({"mode": mode, "max_context_tokens": 400,
            "zones": {"output_buffer": {"min": 1, "target": 2, "max": 3}}});
        let mut asked = json!({"messages": hello(), "ignore_eos": true, "context_budget": budget});
        asked["max_tokens"] = json!(max_tokens);
        world.ask(CHAT, asked).await
    };
    let answer = ask("enforce", None).await.ok();
    assert_eq!(answer["usage"]["completion_tokens"], 3);
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let answer = ask("enforce", Some(2)).await.ok();
    assert_eq!(answer["usage"]["completion_tokens"], 2);
    let refused = ask("enforce", Some(4)).await;
    let error = refused.json()["error"].clone();
    assert_eq!(error["param"], "context_budget.zones.output_buffer.max");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("4 output tokens") && message.contains('3'));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_is_about_chooses_documents_too() {
    let world = world_with(json!({}), "default").await;
    let placed = async |hints: Value| {
        let budget = json!({"report": "full", "hints": hints, "zones": {"retrieval": {"min_score": 0.1}},
            "documents": [{"id": "bread", "text": "Flour, water and salt."},
                {"id": "proxy", "text": "The proxy listens on 9017."}]});
        let asked = json!({"messages": [{"role": "user", "content": "Next?"}],
            "max_tokens": 1, "context_budget": budget});
        let answer = world.ask(CHAT, asked).await.ok();
        answer["context_budget"]["placement"][0]["order"].clone()
    };
    assert_eq!(placed(json!({})).await, Value::Null);
    assert_eq!(
        placed(json!({"task": "proxy setup"})).await,
        json!(["proxy"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_file_comes_back_whole() {
    let given = json!({"hints": {"useful_tokens": {"retrieval": 900}, "task": "search"},
        "zones": {"tool_outputs": {"exclude_tools": ["memory"],
            "per_tool": {"memory": {"recallable": true}}},
            "stable_prefix": {"until": {"message_index": 2}}}});
    let world = world_with(json!({"mine": given}), "mine").await;
    let policy = world.get("/v1/context/policy/mine").await.ok();
    assert_eq!(policy["source"], "config");
    let budget = &policy["context_budget"];
    assert_eq!(budget["hints"], given["hints"]);
    let (told, asked) = (&budget["zones"], &given["zones"]);
    assert_eq!(told["stable_prefix"], asked["stable_prefix"]);
    for field in ["exclude_tools", "per_tool"] {
        assert_eq!(told["tool_outputs"][field], asked["tool_outputs"][field]);
    }
    let again = profile("again", budget.clone()).unwrap();
    assert_eq!(again.clearing.per_tool["memory"].recallable, Some(true));
    let answer = json!({"messages": agent(3), "tools": tools(), "max_tokens": 2,
        "context_budget": budget});
    let answer = world.ask(CHAT, answer).await.ok();
    assert!(number(&answer["context_budget"]["cache"]["stable_prefix_end"]) > 0);
}
