//! Tools that are not put into the prompt: `defer_loading`, and `allow_tool_pruning`.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::context::{CHAT, agent, body, number, world};
use crate::world::{World, with};

const PLAN: &str = "/v1/context/plan";

/// A tool whose definition has some hundred tokens.
fn tool(name: &str, about: &str) -> Value {
    let fields = (0..12).map(|field| {
        let told = format!("The {about} of part {field}, as a text of one line.");
        (
            format!("field_{field}"),
            json!({"type": "string", "description": told}),
        )
    });
    let properties: serde_json::Map<String, Value> = fields.collect();
    json!({"type": "function", "function": {"name": name, "description": about,
        "parameters": {"type": "object", "properties": properties}}})
}

/// `read_file`, which [`agent`] calls, and three that it does not.
fn tools() -> Vec<Value> {
    vec![
        tool("send_mail", "letters"),
        tool("read_file", "files"),
        tool("search_logs", "port of the proxy in the logs"),
        tool("draw", "pictures"),
    ]
}

fn asked(turns: usize, budget: &Value) -> Value {
    with(body(turns, budget), json!({"tools": tools()}))
}

fn pruned(report: &Value) -> Vec<(String, String)> {
    let edits = report["edits"].as_array().unwrap();
    let pruned = edits.iter().filter(|edit| edit["op"] == "prune_tool");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = pruned.map(|edit| (text(&edit["ref"]["tool"]), text(&edit["source"])));
    named.collect()
}

async fn prompt_tokens(world: &World, body: Value) -> usize {
    let answer = world.ask(CHAT, body).await.ok();
    number(&answer["usage"]["prompt_tokens"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_tool_is_not_in_the_prompt() {
    let world = world().await;
    let plain = |tools: Vec<Value>| json!({"messages": agent(2), "tools": tools, "max_tokens": 4});
    let mut deferred = tools();
    deferred[0]["defer_loading"] = json!(true);
    deferred[3]["defer_loading"] = json!(true);
    deferred[1]["defer_loading"] = json!(false);
    let told = vec![tools()[1].clone(), tools()[2].clone()];
    let with_told = prompt_tokens(&world, plain(told.clone())).await;
    assert_eq!(
        prompt_tokens(&world, plain(deferred.clone())).await,
        with_told
    );
    // The report says what each would have cost, to the token.
    let budget = json!({"report": "summary"});
    let fields = json!({"tools": deferred});
    let answer = world.ask(CHAT, with(asked(2, &budget), fields)).await.ok();
    let report = &answer["context_budget"]["deferred_tools"];
    let mut costs = Vec::new();
    for at in [0, 3] {
        let one_more = [told.clone(), vec![tools()[at].clone()]].concat();
        let tokens = prompt_tokens(&world, plain(one_more)).await - with_told;
        costs.push(json!({"tool": tools()[at]["function"]["name"], "tokens": tokens}));
    }
    assert_eq!(*report, json!(costs));
    let counted = world.ask("/v1/context/count", plain(deferred)).await.ok();
    assert_eq!(counted["tokens"], with_told);
    assert_eq!(counted["deferred_tools"], *report);
    assert_eq!(counted["tools"].as_array().unwrap().len(), 2);
    // Anthropic's shape has the same field.
    let shape = |name: &str, defers: bool| json!({"name": name, "input_schema": {"type": "object"}, "defer_loading": defers});
    let both = plain(vec![shape("a", false), shape("b", true)]);
    let one = plain(vec![shape("a", false)]);
    let tokens = prompt_tokens(&world, one).await;
    assert_eq!(prompt_tokens(&world, both).await, tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deferred_or_left_out_is_named() {
    let world = world().await;
    let with_tools = |change: fn(&mut Vec<Value>)| {
        let mut tools = tools();
        change(&mut tools);
        with(asked(1, &json!({})), json!({"tools": tools}))
    };
    let zone = |rule: Value| asked(1, &json!({"zones": {"tool_schemas": rule}}));
    let pruning = "context_budget.zones.tool_schemas.allow_tool_pruning";
    let wrong = [
        (
            with_tools(|tools| tools[1]["defer_loading"] = json!("yes")),
            "tools[1].defer_loading",
        ),
        (
            with_tools(|tools| tools[1]["function"]["defer_loading"] = json!(true)),
            "tools[1].function.defer_loading",
        ),
        (
            with_tools(|tools| {
                tools[2]["defer_loading"] = json!(true);
                tools[2]["cache_control"] = json!({"type": "ephemeral"});
            }),
            "tools[2].cache_control",
        ),
        (
            with_tools(|tools| {
                tools
                    .iter_mut()
                    .for_each(|tool| tool["defer_loading"] = json!(true));
            }),
            "tools",
        ),
        (zone(json!({"allow_tool_pruning": 1})), pruning),
        (
            zone(json!({"allow_tool_pruning": true, "tier": "committed"})),
            pruning,
        ),
        (
            zone(json!({"allow_tool_pruning": true, "tier": "protected"})),
            pruning,
        ),
    ];
    for (body, param) in wrong {
        let answer = world.ask(CHAT, body).await;
        assert_eq!(answer.error(400)["param"], param);
    }
}

/// Tokens of the tools in the prompt.
fn schemas(report: &Value) -> usize {
    number(&report["zones"]["tool_schemas"]["after"])
}

async fn all_schemas(world: &World) -> usize {
    let roomy = json!({"max_context_tokens": 8_000, "report": "full"});
    let plan = world.ask(PLAN, asked(1, &roomy)).await.ok();
    schemas(&plan["context_budget"])
}

/// A budget of that many tokens, into which not all tools fit.
fn tight(tokens: usize) -> Value {
    json!({"max_context_tokens": tokens, "report": "full",
        "zones": {"tool_schemas": {"allow_tool_pruning": true}}})
}

fn suggested(refused: &Answer) -> Vec<Value> {
    let error = refused.json()["error"].clone();
    assert_eq!(error["code"], "context_length_exceeded", "{error}");
    let suggestions = error["context_budget"]["suggestions"].as_array().unwrap();
    let defer = suggestions.iter().filter(|one| one["op"] == "defer_tools");
    defer.map(|one| one["tools"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_that_were_never_called_yield_where_nothing_fits() {
    let world = world().await;
    let all = all_schemas(&world).await;
    let budget = tight(all);
    let mut refusing = budget.clone();
    refusing["zones"]["tool_schemas"]["allow_tool_pruning"] = json!(false);
    let refused = world.ask(CHAT, asked(1, &refusing)).await;
    assert_eq!(suggested(&refused).len(), 1, "{}", refused.text);
    // A plan says what would be done, and nothing is remembered of it.
    let plan = world.ask(PLAN, asked(1, &budget)).await.ok();
    let first = world.ask(CHAT, asked(1, &budget)).await.ok();
    let report = &first["context_budget"];
    let left_out = pruned(report);
    assert_eq!(pruned(&plan["context_budget"]), left_out);
    assert!(!left_out.is_empty(), "{report}");
    assert!(
        left_out
            .iter()
            .all(|(name, source)| name != "read_file" && source == "new")
    );
    // What the user speaks of is the last to go.
    assert!(
        left_out.iter().all(|(name, _)| name != "search_logs"),
        "{left_out:?}"
    );
    assert_eq!(report["status"], "edited");
    assert!(schemas(report) < all && number(&report["budget"]["used"]) <= all);
    let edit = &report["edits"][0];
    assert_eq!(
        (&edit["zone"], &edit["after"]),
        (&json!("tool_schemas"), &json!(0))
    );
    assert_eq!(report["cache"]["earliest_edit"], edit["at_token"]);
    // The next turns go on without them, and find the beginning of the prompt in the cache.
    let second = world.ask(CHAT, asked(2, &budget)).await.ok();
    let again = &second["context_budget"];
    for (name, _) in left_out {
        let known = (name, "ledger".to_owned());
        assert!(pruned(again).contains(&known), "{known:?} in {again}");
    }
    if schemas(again) == schemas(report) {
        assert!(
            number(&again["cache"]["matched"]) >= schemas(report),
            "{again}"
        );
    }
    // Even where there would be room for them again.
    let mut roomy = budget.clone();
    roomy["max_context_tokens"] = json!(8_000);
    let third = world.ask(CHAT, asked(2, &roomy)).await.ok();
    assert_eq!(schemas(&third["context_budget"]), schemas(again));
    // Another conversation has all of its tools, and so has one that does not allow it.
    let mut other = asked(1, &roomy);
    other["messages"][1]["content"] = json!("Something else.");
    let other = world.ask(CHAT, other).await.ok();
    assert_eq!(schemas(&other["context_budget"]), all);
    let strict = asked(2, &json!({"max_context_tokens": 8_000, "report": "full"}));
    let strict = world.ask(CHAT, strict).await.ok();
    assert_eq!(schemas(&strict["context_budget"]), all);
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stable_prefix_and_tools_in_use_stay() {
    let world = world().await;
    let all = all_schemas(&world).await;
    let mut marked = asked(1, &tight(all));
    marked["tools"][3]["cache_control"] = json!({"type": "ephemeral"});
    let refused = world.ask(CHAT, marked).await;
    assert_eq!(suggested(&refused).len(), 1, "{}", refused.text);
    // Its own maximum is a reason, too.
    let capped = json!({"report": "full", "zones":
        {"tool_schemas": {"allow_tool_pruning": true, "max": all * 3 / 5}}});
    let answer = world.ask(CHAT, asked(1, &capped)).await.ok();
    let report = &answer["context_budget"];
    assert!(
        schemas(report) <= all * 3 / 5 && schemas(report) > 0,
        "{report}"
    );
    assert!(!pruned(report).is_empty());
    // A tool that is called although it was left out comes back.
    let mut called = asked(2, &capped);
    let name = pruned(report)[0].0.clone();
    called["messages"][4]["tool_calls"][0]["function"]["name"] = json!(name);
    let answer = world.ask(CHAT, called).await.ok();
    let names: Vec<String> = pruned(&answer["context_budget"])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert!(!names.contains(&name) && !names.is_empty(), "{names:?}");
}
