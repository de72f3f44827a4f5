//! Figures of the context budgeter, beside the reports of the requests that made them.

use serde_json::{Value, json};
use server::config::serve::ContextConfig;

use crate::context::{CHAT, agent, body, number, tools, world};
use crate::metrics::sample;
use crate::world::{Setup, World};

async fn report(world: &World, body: Value) -> Value {
    world.ask(CHAT, body).await.ok()["context_budget"].clone()
}

async fn figures(world: &World) -> String {
    world.get("/metrics").await.text
}

/// The value of a figure of the budgeter.
fn figure(text: &str, name: &str, labels: &[&str]) -> usize {
    sample(text, &format!("purser_context_{name}"), labels) as usize
}

/// The sum over all samples of a counter with a label.
fn sum(text: &str, name: &str, label: &str) -> usize {
    let name = format!("purser_context_{name}{{");
    text.lines()
        .filter(|line| line.starts_with(&name) && line.contains(label))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
        .sum()
}

fn edits(report: &Value, op: &str) -> (usize, usize) {
    let edits = report["edits"].as_array().unwrap();
    edits
        .iter()
        .filter(|edit| edit["op"] == op)
        .fold((0, 0), |(count, freed), edit| {
            let tokens = number(&edit["before"]) - number(&edit["after"]);
            (count + 1, freed + tokens)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_are_counted_as_they_were_reported() {
    let world = world().await;
    // Without summaries, for which the ledger is asked in the background.
    let budget = json!({"max_context_tokens": 4_096, "report": "full",
        "ladder": ["dedupe", "clear_tool_results"]});
    let mut body = body(30, &budget);
    body["messages"][1]["cache_control"] = json!({"type": "ephemeral"});
    let first = report(&world, body.clone()).await;
    let second = report(&world, body).await;
    let text = figures(&world).await;
    let value = |name: &str, labels: &[&str]| figure(&text, name, labels);

    assert_eq!(value("requests_total", &["status=\"edited\""]), 2);
    let used = number(&first["budget"]["used"]);
    let received = number(&first["stages"]["received"]);
    let outputs = &first["zones"]["tool_outputs"];
    let [before, after] = ["before", "after"].map(|stage| number(&outputs[stage]));
    assert!(after < before, "{outputs}");
    let zone = "zone=\"tool_outputs\"";
    assert_eq!(
        value("tokens_total", &[zone, "stage=\"received\""]),
        2 * before
    );
    assert_eq!(
        value("tokens_total", &[zone, "stage=\"rendered\""]),
        2 * after
    );
    assert_eq!(
        sum(&text, "tokens_total", "stage=\"received\""),
        2 * received
    );
    assert_eq!(sum(&text, "tokens_total", "stage=\"rendered\""), 2 * used);
    let allocated = |report: &Value| number(&report["zones"]["tool_outputs"]["allocated"]);
    for (stage, tokens) in [
        ("received", 2 * before),
        ("rendered", 2 * after),
        ("allocated", allocated(&first) + allocated(&second)),
    ] {
        let labels = [zone, &format!("stage=\"{stage}\"")];
        assert_eq!(value("zone_tokens_count", &labels), 2);
        assert_eq!(value("zone_tokens_sum", &labels), tokens);
    }
    assert_eq!(value("zone_peak_tokens", &[zone]), after);
    assert_eq!(value("peak_tokens", &[]), used);

    let (cleared, freed) = edits(&first, "clear_tool_result");
    assert!(cleared > 0);
    assert_eq!(edits(&second, "clear_tool_result"), (cleared, freed));
    for source in ["source=\"new\"", "source=\"ledger\""] {
        let labels = ["op=\"clear_tool_result\"", source];
        assert_eq!(value("edits_total", &labels), cleared);
        assert_eq!(value("freed_tokens_total", &labels), freed);
    }
    assert_eq!(value("recomputed_tokens_total", &[]), 0);

    // The first finds nothing, the second all but the last token.
    let stable = number(&first["cache"]["stable_prefix_end"]);
    assert!(stable > 0 && stable < used);
    for (scope, prompt, cached) in [("all", 2 * used, used - 1), ("stable", 2 * stable, stable)] {
        let scope = format!("scope=\"{scope}\"");
        assert_eq!(value("prompt_tokens_total", &[&scope]), prompt);
        assert_eq!(value("cached_tokens_total", &[&scope]), cached);
    }

    let remaining = number(&first["budget"]["remaining"]);
    assert_eq!(value("remaining_tokens_sum", &[]), 2 * remaining);
    assert_eq!(value("utilization_ratio_count", &[]), 2);
    assert_eq!(value("planning_seconds_count", &[]), 2);
    // Before the first there were no steps to learn from.
    assert_eq!(value("prefill_prediction_ratio_count", &[]), 1);
    assert_eq!(value("ledger_misses_total", &[]), 1);
    assert_eq!(value("ledger_hits_total", &[]), 1);
    let all = first["edits"].as_array().unwrap().len();
    assert_eq!(value("ledger_replayed_total", &[]), all);
    assert_eq!(value("ledger_entries", &[]), all);
    assert!(value("ledger_bytes", &[]) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_observed_or_refused_is_no_edit() {
    let world = world().await;
    let budget = json!({"mode": "observe", "max_context_tokens": 4_096, "report": "full"});
    let observed = report(&world, body(30, &budget)).await;
    let tiny = body(2, &json!({"max_context_tokens": 150}));
    assert_eq!(world.ask(CHAT, tiny).await.status, 400);
    let text = figures(&world).await;
    let value = |name: &str, labels: &[&str]| figure(&text, name, labels);
    let (cleared, freed) = edits(&observed, "clear_tool_result");
    assert!(cleared > 0, "{observed}");
    let labels = ["op=\"clear_tool_result\"", "source=\"observed\""];
    assert_eq!(value("edits_total", &labels), cleared);
    assert_eq!(value("freed_tokens_total", &labels), freed);
    assert_eq!(sum(&text, "edits_total", "source=\"new\""), 0);
    let received = number(&observed["stages"]["received"]);
    assert_eq!(sum(&text, "tokens_total", "stage=\"rendered\""), received);
    assert_eq!(value("requests_total", &["status=\"observed\""]), 1);
    assert_eq!(value("infeasible_total", &[]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_of_clients_share_a_label() {
    let world = world().await;
    let said = |text: &str, zone: &str| {
        json!({"role": "user", "content": text,
            "context": {"zone": zone, "tier": "clearable"}})
    };
    let zones = json!({"scratch": {"tier": "clearable"}, "notes": {"tier": "clearable"}});
    let messages = json!([
        said("The first draft was red.", "scratch"),
        {"role": "assistant", "content": "Noted."},
        said("The meeting is at noon.", "notes"),
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "When is the meeting?"},
    ]);
    let body = json!({"messages": messages, "max_tokens": 2,
        "context_budget": {"zones": zones, "report": "full"}});
    let report = report(&world, body).await;
    let tokens = |zone: &str| number(&report["zones"][zone]["before"]);
    let text = figures(&world).await;
    let labels = ["zone=\"client\"", "stage=\"received\""];
    let client = figure(&text, "tokens_total", &labels);
    assert_eq!(client, tokens("scratch") + tokens("notes"));
    assert!(tokens("scratch") > 0 && !text.contains("zone=\"scratch\""));
    // Once for the request, not for each of its zones.
    assert_eq!(figure(&text, "zone_tokens_count", &labels), 1);
    assert_eq!(figure(&text, "zone_tokens_sum", &labels), client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peak_stays_when_prompts_are_shorter_again() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 4_096, "ladder": []});
    let ask = |turns: usize| report(&world, body(turns, &budget));
    let peak = number(&ask(8).await["budget"]["used"]);
    assert!(number(&ask(2).await["budget"]["used"]) < peak);
    assert_eq!(figure(&figures(&world).await, "peak_tokens", &[]), peak);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_made_again_is_regretted_once() {
    let world = world().await;
    let mut messages = agent(30);
    let list = messages.as_array_mut().unwrap();
    // The first call once more, as a model does that misses the result.
    let mut again = [list[2].clone(), list[3].clone()];
    again[0]["tool_calls"][0]["id"] = json!("call_again");
    again[1]["tool_call_id"] = json!("call_again");
    let next = [
        json!({"role": "assistant", "content": "It is 8123."}),
        json!({"role": "user", "content": "Thank you."}),
    ];
    let ask = async |messages: &[Value]| {
        let body = json!({"messages": messages, "tools": tools(), "max_tokens": 2,
            "context_budget": {"max_context_tokens": 4_096, "report": "full"}});
        report(&world, body).await
    };
    let cleared = ask(list).await;
    let edits = cleared["edits"].as_array().unwrap();
    assert!(
        edits
            .iter()
            .any(|edit| edit["ref"]["tool_call_id"] == "call_0")
    );
    assert_eq!(cleared["regret"]["session_total"], 0);
    list.extend(again);
    let recalled = ask(list).await;
    assert_eq!(recalled["regret"]["recalled_after_clear"], 1);
    assert_eq!(recalled["regret"]["session_total"], 1);
    list.extend(next);
    let later = ask(list).await;
    assert_eq!(later["regret"]["recalled_after_clear"], 0);
    assert_eq!(later["regret"]["session_total"], 1);
    let text = figures(&world).await;
    assert_eq!(figure(&text, "regrets_total", &["tool=\"read_file\""]), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_that_a_prompt_took_is_told_when_it_is_known() {
    let world = world().await;
    let body = body(3, &json!({"report": "summary"}));
    let cost = report(&world, body.clone()).await["cost"].clone();
    assert!(cost["actual_prefill_ms"].as_f64().unwrap() > 0.0, "{cost}");

    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    streamed["stream_options"] = json!({"include_usage": true});
    let chunks = world.ask(CHAT, streamed.clone()).await.chunks();
    let (first, last) = (&chunks[0], &chunks[chunks.len() - 1]);
    assert!(
        first["context_budget"]["cost"]
            .get("actual_prefill_ms")
            .is_none()
    );
    assert_eq!(
        last["context_budget"]["plan_id"],
        first["context_budget"]["plan_id"]
    );
    let cost = &last["context_budget"]["cost"];
    assert!(cost["actual_prefill_ms"].as_f64().unwrap() > 0.0, "{cost}");
    assert_eq!(
        cost["predicted_prefill_ms"],
        first["context_budget"]["cost"]["predicted_prefill_ms"]
    );
    assert!(last["usage"]["prompt_tokens"].is_number());

    streamed["context_budget"] = json!({"report": "none"});
    let chunks = world.ask(CHAT, streamed).await.chunks();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk.get("context_budget").is_none())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shortened_results_are_counted_by_how_far() {
    let world = world().await;
    let mut body = body(
        6,
        &json!({"max_context_tokens": 4_096, "report": "full",
        "zones": {"tool_outputs": {"per_tool": {"read_file": {"max": 900}}}}}),
    );
    let records: Vec<Value> = (0..40)
        .map(|at| json!({"worker": at, "took_ms": at * 7, "state": "done", "host": "a.example"}))
        .collect();
    body["messages"][3]["content"] = json!(json!(records).to_string());
    let report = report(&world, body).await;
    let text = figures(&world).await;
    let edits = report["edits"].as_array().unwrap();
    let mut levels: Vec<&str> = edits
        .iter()
        .filter_map(|edit| edit["level"].as_str())
        .collect();
    levels.sort_unstable();
    levels.dedup();
    assert!(!levels.is_empty(), "{report}");
    for level in levels {
        let of_level = edits.iter().filter(|edit| edit["level"] == level);
        let ratios =
            of_level.map(|edit| number(&edit["after"]) as f64 / number(&edit["before"]) as f64);
        let (count, sum) = ratios.fold((0, 0.0), |(count, sum), ratio| (count + 1, sum + ratio));
        let labels = [&*format!("level=\"{level}\"")];
        assert_eq!(figure(&text, "compression_ratio_count", &labels), count);
        let counted = sample(&text, "purser_context_compression_ratio_sum", &labels);
        assert!((counted - sum).abs() < 1e-9, "{level}: {counted} {sum}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_told_by_whether_later_text_refers_to_them() {
    let world = world().await;
    let call = |id: &str, path: &str| {
        json!({"role": "assistant", "content": "", "tool_calls": [{"id": id, "type": "function",
            "function": {"name": "read_file", "arguments": json!({"path": path}).to_string()}}]})
    };
    let result =
        |id: &str, text: &str| json!({"role": "tool", "tool_call_id": id, "content": text});
    let messages = json!([
        {"role": "user", "content": "Which file has the port?"},
        call("a", "/etc/one.conf"),
        result("a", "see /srv/proxy/ports.toml\n"),
        call("b", "/etc/two.conf"),
        result("b", "nothing but comments here\n"),
        {"role": "assistant", "content": "It is /srv/proxy/ports.toml."},
        {"role": "user", "content": "Read it."},
        call("c", "/etc/three.conf"),
        result("c", "port 9017 and nothing has been said of it\n"),
    ]);
    let body = json!({"messages": messages, "tools": tools(), "max_tokens": 2});
    let counted = world.ask("/v1/context/count", body.clone()).await.ok();
    let mut budgeted = body;
    budgeted["context_budget"] = json!({});
    report(&world, budgeted).await;
    let text = figures(&world).await;
    for (referenced, message) in [(true, 2), (false, 4)] {
        let label = format!("referenced=\"{referenced}\"");
        let tokens = number(&counted["messages"][message]["tokens"]);
        assert_eq!(figure(&text, "result_tokens_total", &[&label]), tokens);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_without_room_forgets_and_says_so() {
    let max_bytes = 8 << 10;
    let mut setup = Setup {
        max_model_len: 8_192,
        context: ContextConfig {
            ledger_bytes: max_bytes,
            ..ContextConfig::default()
        },
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    let world = World::start(setup).await;
    // A trigger clears all old results, so that no edit can go further the next time.
    let budget = json!({"max_context_tokens": 4_096, "report": "full",
        "ladder": ["clear_tool_results"], "zones": {"tool_outputs": {"trigger": 500}}});
    let first = report(&world, body(30, &budget)).await;
    let made = first["edits"].as_array().unwrap().len();
    let text = figures(&world).await;
    let value = |name: &str| figure(&text, name, &[]);
    assert_eq!(value("ledger_max_bytes"), max_bytes);
    assert!(value("ledger_bytes") <= max_bytes);
    assert!(value("ledger_evictions_total") > 0, "{text}");
    assert_eq!(
        value("ledger_entries") + value("ledger_evictions_total"),
        made
    );
    // What is forgotten is planned anew.
    let again = report(&world, body(30, &budget)).await;
    let sources = |name: &str| {
        let edits = again["edits"].as_array().unwrap();
        edits.iter().filter(|edit| edit["source"] == name).count()
    };
    assert_eq!(sources("ledger"), value("ledger_entries"));
    assert!(sources("new") > 0, "{again}");
}
