use std::time::Duration;

use serde_json::{Value, json};

use super::send;
use crate::context::{CHAT, agent, number, tools, world};
use crate::runners::ScriptRunner;
use crate::world::{IM_END, Setup, World, with};

const PROBE: &str = "/v1/context/probe";

/// What a model says that knows one thing.
const SAID: &str = "The port is 9,017.";

fn probes() -> Value {
    json!([
        {"q": "Which port?", "answer": "9017", "kind": "artifact"},
        {"q": "Which port was it?", "answer": "8123"},
        {"q": "What is it?", "answer": "The port"},
        {"q": "Whose is it?", "answer": ""},
    ])
}

async fn knowing_one_thing() -> World {
    let setup = Setup {
        // The script is said to one request at a time.
        max_num_seqs: 1,
        ..Setup::default()
    };
    World::start_with(setup, |limits, tokenizer| {
        let script = tokenizer.encode(SAID, false).unwrap();
        Box::new(ScriptRunner::new(script, IM_END, limits.vocab_size))
    })
    .await
}

/// The tools in the order in which a budget renders them.
fn ordered_tools() -> Value {
    json!([tools()[1], tools()[0]])
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_matched_with_what_is_expected() {
    let world = knowing_one_thing().await;
    let body = json!({"messages": agent(2), "tools": ordered_tools(), "probes": probes()});
    let answer = world.ask(PROBE, body).await.ok();
    assert_eq!(answer["object"], "context.probe");
    assert_eq!(answer["context_budget"]["status"], "fit");
    let probes = answer["probes"].as_array().unwrap();
    for (probe, is_match) in probes.iter().zip([true, false, true, false]) {
        for form in ["raw", "edited"] {
            assert_eq!(probe[form]["answer"], SAID, "{probe}");
            assert_eq!(probe[form]["match"], is_match, "{probe}");
        }
        // Nothing was edited, so the second time only the last token is computed.
        let edited = &probe["edited"];
        let prompt = number(&edited["prompt_tokens"]);
        assert_eq!(number(&edited["cached_tokens"]), prompt - 1);
    }
    assert_eq!(probes[0]["kind"], "artifact");
    assert_eq!(answer["raw"], json!({"matched": 2, "of": 4}));
    assert_eq!(answer["edited"], json!({"matched": 2, "of": 4}));
    let usage = &answer["usage"];
    let computed =
        number(&usage["prompt_tokens"]) - number(&usage["prompt_tokens_details"]["cached_tokens"]);
    let generated = number(&usage["completion_tokens"]);
    world
        .until("as the usage says", |stats| {
            stats.generation_tokens == generated as u64
                && stats.prompt_tokens_computed == computed as u64
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_answers_are_scored_token_by_token() {
    let world = knowing_one_thing().await;
    let encode = |text: &str| world.tokenizer.encode(text, false).unwrap();
    let script = encode(SAID);
    // The token that is said has a logit of 10, the 4,095 others of 0.
    let sum = (10_f64.exp() + 4_095.0).ln();
    for probe in probes().as_array().unwrap() {
        let body = json!({"messages": agent(2), "probes": [probe]});
        let answer = world.ask(PROBE, body).await.ok();
        let tokens = encode(probe["answer"].as_str().unwrap());
        let said = tokens.iter().zip(&script).map(
            |(token, said)| {
                if token == said { 10.0 - sum } else { -sum }
            },
        );
        let mean = said.sum::<f64>() / tokens.len() as f64;
        for form in ["raw", "edited"] {
            match answer["probes"][0][form]["logprob"].as_f64() {
                None => assert_eq!(probe["answer"], ""),
                Some(logprob) => assert!((logprob - mean).abs() < 1e-4, "{answer}, not {mean}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_is_asked_behind_the_raw_and_behind_the_edited_context() {
    let world = world().await;
    let probes = json!([{"q": "Which worker was slowest?", "answer": "9"},
        {"q": "Which schema?", "answer": "v7"}]);
    let body = json!({"messages": agent(30), "tools": ordered_tools(), "max_tokens": 12,
        "probes": probes, "context_budget": {"max_context_tokens": 4_096}});
    let answer = world.ask(PROBE, body.clone()).await.ok();
    assert_eq!(answer["context_budget"]["status"], "edited");
    let mut compact = body;
    compact.as_object_mut().unwrap().remove("probes");
    let edited = world.ask("/v1/context/compact", compact).await.ok()["messages"].clone();
    let forms = [("raw", agent(30)), ("edited", edited)];
    let mut answers = Vec::new();
    for probe in answer["probes"].as_array().unwrap() {
        for (form, messages) in &forms {
            let mut messages = messages.clone();
            let question = json!({"role": "user", "content": probe["q"]});
            messages.as_array_mut().unwrap().push(question);
            let body = json!({"messages": messages, "tools": ordered_tools(), "max_tokens": 12,
                "tool_choice": "auto"});
            let chat = world.ask(CHAT, body).await.ok();
            let said = &probe[form];
            assert_eq!(said["answer"], chat["choices"][0]["message"]["content"]);
            assert_eq!(said["prompt_tokens"], chat["usage"]["prompt_tokens"]);
            answers.push(said["answer"].clone());
        }
    }
    assert_ne!(answers[0], answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_beyond_the_window_is_asked_about_after_its_edits_only() {
    let world = world().await;
    let body = json!({"messages": agent(70), "probes": probes(), "max_tokens": 8,
        "context_budget": {"max_context_tokens": 7_168}});
    let answer = world.ask(PROBE, body).await.ok();
    assert_eq!(answer["raw"], Value::Null);
    assert_eq!(answer["probes"][0]["raw"], Value::Null);
    assert_eq!(answer["edited"]["of"], 4);
    assert!(answer["probes"][0]["edited"]["answer"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_answers_a_client_that_has_gone() {
    let world = world().await;
    world.gate.close();
    let probe = json!({"q": "Which port?", "answer": "9017"});
    let many: Vec<Value> = vec![probe; 64];
    let body = json!({"messages": agent(4), "probes": many, "max_tokens": 256});
    let asked = tokio::spawn(world.post(PROBE, &body).send());
    world
        .step_until("running", |stats| stats.num_running > 0)
        .await;
    asked.abort();
    // The server hears of it within milliseconds, and no step runs meanwhile.
    tokio::time::sleep(Duration::from_millis(200)).await;
    world
        .step_until("cancelled", |stats| {
            stats.num_running + stats.num_waiting == 0
        })
        .await;
    assert!(world.engine().stats().generation_tokens < 64);
    world.gate.open();
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_probes_are_named() {
    let world = world().await;
    let fitting = json!({"messages": agent(1), "probes": [{"q": "a", "answer": "b"}]});
    let many: Vec<Value> = vec![json!({"q": "a", "answer": "b"}); 65];
    let long = "nine ".repeat(40);
    for (fields, param) in [
        (json!({"probes": null}), "probes"),
        (json!({"probes": []}), "probes"),
        (json!({"probes": many}), "probes"),
        (json!({"probes": ["a"]}), "probes[0]"),
        (json!({"probes": [{"answer": "b"}]}), "probes[0].q"),
        (json!({"probes": [{"q": "", "answer": "b"}]}), "probes[0].q"),
        (json!({"probes": [{"q": "a"}]}), "probes[0].answer"),
        (
            json!({"probes": [{"q": "a", "answer": long}]}),
            "probes[0].answer",
        ),
        (
            json!({"probes": [{"q": "a", "answer": "b", "kin": "c"}]}),
            "probes[0].kin",
        ),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_tokens": 257}), "max_tokens"),
        (json!({"temperature": 1}), "temperature"),
        (
            json!({"add_generation_prompt": false}),
            "add_generation_prompt",
        ),
        (
            json!({"context_budget": {"mode": "observe"}}),
            "context_budget.mode",
        ),
    ] {
        let answer = world
            .ask(PROBE, with(fitting.clone(), fields.clone()))
            .await;
        assert_eq!(answer.error(400)["param"], param, "{fields}");
    }
    send(&world, PROBE, "").await.error(400);
    world.ask(PROBE, fitting).await.ok();
}
