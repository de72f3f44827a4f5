//! Old turns that become a summary, in whole requests.

use std::time::Duration;

use context::summary_instruction;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::runners::ScriptRunner;
use crate::world::{IM_END, Setup, World};

const CHAT: &str = "/v1/chat/completions";

/// What the model always says: as an answer, and as a summary.
const SAID: &str = "goal:\n- find the river\nconstraints:\n- never touch schema_v7";

fn setup() -> Setup {
    let mut setup = Setup {
        max_model_len: 8_192,
        // The script is said to one request at a time.
        max_num_seqs: 1,
        ..Setup::default()
    };
    setup.limits.max_messages = 256;
    setup
}

async fn world() -> World {
    World::start_with(setup(), |limits, tokenizer| {
        let script = tokenizer.encode(SAID, false).unwrap();
        Box::new(ScriptRunner::new(script, IM_END, limits.vocab_size))
    })
    .await
}

/// A dialogue of `turns` turns of about 65 tokens, and a question.
fn dialogue(turns: usize) -> Value {
    let mut messages = vec![json!({"role": "system", "content": "You are careful."})];
    for turn in 0..turns {
        let asked = format!(
            "And then? {}",
            "what does the river say? ".repeat(3 + turn % 3)
        );
        let said = format!("It says {}", "that the sea is far away, ".repeat(4));
        messages.push(json!({"role": "user", "content": asked}));
        messages.push(json!({"role": "assistant", "content": said}));
    }
    messages.push(json!({"role": "user", "content": "How far is the sea?"}));
    Value::Array(messages)
}

fn body(turns: usize, budget: &Value) -> Value {
    json!({"messages": dialogue(turns), "max_tokens": 8, "context_budget": budget})
}

fn number(value: &Value) -> usize {
    usize::try_from(
        value
            .as_u64()
            .unwrap_or_else(|| panic!("no number: {value}")),
    )
    .unwrap()
}

fn compactions(report: &Value) -> Vec<Value> {
    let edits = report["edits"].as_array().unwrap().iter();
    edits
        .filter(|edit| edit["op"] == "compact")
        .cloned()
        .collect()
}

/// Checks what every answer must hold, and returns its report.
fn checked(answer: &Value, budget: usize) -> Value {
    let report = &answer["context_budget"];
    let used = number(&report["budget"]["used"]);
    assert!(
        used + number(&report["budget"]["reserved_output"]) <= budget,
        "{report}"
    );
    let usage = &answer["usage"];
    assert_eq!(number(&usage["prompt_tokens"]), used, "{report}");
    let hit = number(&usage["prompt_tokens_details"]["cached_tokens"]);
    assert_eq!(number(&report["cache"]["matched"]), hit, "{report}");
    assert_eq!(
        number(&report["cache"]["prefilled"]),
        used - hit,
        "{report}"
    );
    report.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_does_not_fit_is_summarised_on_its_warm_prefix() {
    let world = world().await;
    let wide = json!({"max_context_tokens": 8_000, "report": "full"});
    let whole = checked(&world.ask(CHAT, body(60, &wide)).await.ok(), 8_000);
    assert!(number(&whole["budget"]["used"]) >= 4_000, "{whole}");
    world.until_idle().await;

    let narrow = json!({"max_context_tokens": 2_048, "report": "full"});
    let report = checked(&world.ask(CHAT, body(60, &narrow)).await.ok(), 2_048);
    let made = compactions(&report);
    assert_eq!(made.len(), 1, "{report}");
    let told = &made[0]["compaction"];
    assert_eq!(told["source"], "model", "{report}");
    assert!(
        told["critical_recall"].as_f64().unwrap() >= 0.95,
        "{report}"
    );
    assert_eq!(report["deterministic"], false);
    let tokens = &told["model_tokens"];
    let computed = number(&tokens["prompt"]) - number(&tokens["cached"]);
    // The instruction, and the borders of its message and of the answer.
    let instruction = summary_instruction(800, None);
    let instruction = world.tokenizer.encode(&instruction, false).unwrap().len();
    assert!(
        computed <= instruction + 16,
        "{tokens}, instruction {instruction}"
    );
    assert!(number(&tokens["cached"]) > 2_000, "{tokens}");

    // The client resends all of it: the summary stands where it stood.
    let again = checked(&world.ask(CHAT, body(60, &narrow)).await.ok(), 2_048);
    assert_eq!(compactions(&again)[0]["source"], "ledger");
    assert_eq!(again["budget"]["used"], report["budget"]["used"]);
    assert_eq!(again["cache"]["prefilled"], 1);
    let later = checked(&world.ask(CHAT, body(61, &narrow)).await.ok(), 2_048);
    assert_eq!(compactions(&later)[0]["source"], "ledger");
    let new = number(&later["cache"]["prefilled"]);
    assert!(new < 150, "{later}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_is_written_while_nobody_waits_and_then_used() {
    let world = world().await;
    let budget = json!({"max_context_tokens": 2_048, "report": "full"});
    let written = r#"purser_context_compactions_total{"#;
    let (mut used_at, mut prepared_at) = (Vec::new(), None);
    for turns in 10..60 {
        let report = checked(&world.ask(CHAT, body(turns, &budget)).await.ok(), 2_048);
        let new = compactions(&report)
            .into_iter()
            .filter(|edit| edit["source"] == "new");
        for edit in new {
            let told = &edit["compaction"];
            // Nobody waited: this request asked the model for nothing.
            assert_eq!(told["model_tokens"], Value::Null, "turn {turns}: {report}");
            assert_eq!(told["source"], "model", "turn {turns}: {report}");
            used_at.push(turns);
        }
        // As long as a client's tool takes, at least.
        while world.app.compactor().num_in_background() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let metrics = world.get("/metrics").await.text;
        if prepared_at.is_none() && metrics.contains(written) {
            prepared_at = Some(turns);
        }
    }
    let prepared_at = prepared_at.expect("a summary was prepared");
    assert!(
        used_at.len() >= 2,
        "used at {used_at:?}, prepared at {prepared_at}"
    );
    assert!(
        prepared_at < used_at[0],
        "used at {used_at:?}, prepared at {prepared_at}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_stand_in_for_a_model_that_says_nothing_useful_or_takes_too_long() {
    let garbled = World::start(setup()).await;
    let slow = world().await;
    let narrow = json!({"max_context_tokens": 2_048, "report": "full"});
    let hurried = json!({"max_context_tokens": 2_048, "report": "full", "ttft_slo_ms": 0});
    for (world, budget, why) in [
        (&garbled, &narrow, "the summary "),
        (&slow, &hurried, "took more than 0 ms"),
    ] {
        let mut asked = body(60, budget);
        asked["messages"][1]["content"] =
            json!("Please write to src/pay/ledger_k3.rs:214. Never touch schema_v7.");
        let report = checked(&world.ask(CHAT, asked).await.ok(), 2_048);
        let told = &compactions(&report)[0]["compaction"];
        assert_eq!(told["source"], "extractive", "{report}");
        assert_eq!(report["deterministic"], true);
        // What gives way only where there are no summaries holds.
        assert!(number(&report["zones"]["history"]["min"]) > 0, "{report}");
        let warnings = report["warnings"].as_array().unwrap();
        let warning = warnings
            .iter()
            .find(|one| one["code"] == "compaction_extractive");
        let message = warning.unwrap()["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    }
}

/// A trigger of `context_budget` keeps to its schedule: nobody waits in the background.
#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_of_the_budget_compacts_when_the_schedule_says() {
    let world = world().await;
    let ask = async |conversation: &str, compaction: Value| {
        let mut asked = body(30, &json!({"report": "full", "compaction": compaction}));
        asked["messages"][0]["content"] = json!(conversation);
        let answer = world.ask(CHAT, asked).await.ok();
        while world.app.compactor().num_in_background() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        compactions(&checked(&answer, 8_192)).len()
    };
    for (conversation, compaction, first, second) in [
        ("one", json!({"trigger": 1_500}), 0, 1),
        (
            "two",
            json!({"trigger": 1_500, "schedule": "foreground"}),
            1,
            1,
        ),
        (
            "three",
            json!({"trigger": 1_500, "compact_at_least": 8_000}),
            0,
            0,
        ),
        ("four", json!({"trigger": "need"}), 0, 0),
        ("five", json!({"trigger": 0.9}), 0, 0),
    ] {
        assert_eq!(
            ask(conversation, compaction.clone()).await,
            first,
            "{compaction}"
        );
        assert_eq!(
            ask(conversation, compaction.clone()).await,
            second,
            "{compaction}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_compacts_without_need_and_observing_writes_nothing() {
    let world = world().await;
    let observed = json!({"mode": "observe", "max_context_tokens": 2_048, "report": "full"});
    let answer = world.ask(CHAT, body(60, &observed)).await.ok();
    let report = &answer["context_budget"];
    let told = &compactions(report)[0]["compaction"];
    assert_eq!(told["written"], false, "{report}");
    world.until_idle().await;
    let metrics = world.get("/metrics").await.text;
    assert!(
        !metrics.contains("purser_context_compactions_total{"),
        "{metrics}"
    );

    let mut asked = json!({"messages": dialogue(30), "max_tokens": 8,
        "context_budget": {"report": "full"},
        "context_management": {"edits": [{"type": "compact_20260112",
            "trigger": {"type": "input_tokens", "value": 50_000}}]}});
    let answer = world.ask(CHAT, asked.clone()).await.ok();
    assert!(compactions(&checked(&answer, 8_192)).is_empty());
    asked["context_management"]["edits"][0]["trigger"]["value"] = json!(1_500);
    let answer = world.ask(CHAT, asked.clone()).await.ok();
    let report = checked(&answer, 8_192);
    let made = compactions(&report);
    assert_eq!(made.len(), 1, "{report}");
    assert_eq!(made[0]["compaction"]["source"], "model", "{report}");

    asked["context_management"]["edits"][0]["pause_after_compaction"] = json!(true);
    let refused = world.ask(CHAT, asked).await;
    assert_eq!(refused.status, 400);
    assert!(
        refused.text.contains("pause_after_compaction"),
        "{}",
        refused.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_asks_for_it_tells_how_its_context_is_decided() {
    let world = world().await;
    let asked = |turns, tokens: usize| {
        let mut body = body(turns, &json!({"max_context_tokens": tokens}));
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_context_budget": true});
        body
    };
    let events = |answer: &Answer| -> (Vec<Value>, Value) {
        let named = answer.text.split("\n\n");
        let named = named.filter_map(|event| event.strip_prefix("event: context_budget\ndata: "));
        let told = named.map(|data| serde_json::from_str(data).unwrap());
        let (_, rest) = answer.text.rsplit_once("event: context_budget\n").unwrap();
        let chunk = rest.split("\n\n").nth(1).unwrap();
        let chunk = chunk.strip_prefix("data: ").unwrap();
        (told.collect(), serde_json::from_str(chunk).unwrap())
    };
    let quick = world.ask(CHAT, asked(2, 4_096)).await;
    assert_eq!(quick.header("x-context-budget"), "4096");
    let (told, first) = events(&quick);
    assert_eq!(told.len(), 2, "{}", quick.text);
    assert_eq!(told[0], json!({"stage": "planning"}));
    assert_eq!(told[1]["stage"], "applied");
    assert_eq!(told[1]["context_budget"], first["context_budget"]);
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");

    // Nothing but a summary makes this one fit, and the client waits for it.
    let slow = world.ask(CHAT, asked(60, 2_048)).await;
    let (told, _) = events(&slow);
    let stages: Vec<_> = told.iter().map(|event| &event["stage"]).collect();
    assert_eq!(
        stages,
        ["planning", "compacting", "applied"],
        "{}",
        slow.text
    );
    assert_eq!(
        told[1],
        json!({"stage": "compacting", "done": 0, "total": 1})
    );
    assert!(slow.text.ends_with("data: [DONE]\n\n"));

    // What cannot fit is refused with its status, and who asks for nothing hears of nothing.
    assert_eq!(world.ask(CHAT, asked(2, 150)).await.status, 400);
    let mut silent = asked(2, 4_096);
    silent["stream_options"] = json!({"include_usage": true});
    let silent = world.ask(CHAT, silent).await;
    assert!(!silent.text.contains("event:"), "{}", silent.text);

    let mut off = asked(2, 4_096);
    off["context_budget"] = json!({"mode": "off"});
    let field = "stream_options.include_context_budget";
    assert_eq!(world.ask(CHAT, off).await.error(400)["param"], field);
    let completion = json!({
        "prompt": "One", "stream": true, "stream_options": {"include_context_budget": true},
    });
    let completion = world.ask("/v1/completions", completion).await;
    assert_eq!(completion.error(400)["param"], field);
    world.until_idle().await;
}
