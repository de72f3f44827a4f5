//! `purser eval context` against the server of this crate.

use std::fs;
use std::future::{pending, ready};
use std::path::PathBuf;

use clap::Parser;
use serde_json::Value;
use server::config::serve::RequestLimits;
use server::eval::{ContextArgs, context};
use tempfile::TempDir;

use crate::world::{Setup, World};

mod reader;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ContextArgs,
}

/// A finished evaluation.
struct Ran {
    text: String,
    error: Option<String>,
    json: Value,
    folder: PathBuf,
    _keep: TempDir,
}

fn arguments(url: &str, folder: &TempDir, options: &[&str]) -> ContextArgs {
    let folder = folder.path().to_str().unwrap();
    let fixed = [
        "context",
        "--base-url",
        url,
        "--output-dir",
        folder,
        "--traces",
        "1",
    ];
    Cli::parse_from(fixed.iter().chain(options)).args
}

async fn evaluate(url: &str, options: &[&str]) -> Ran {
    let keep = tempfile::tempdir().unwrap();
    let args = arguments(url, &keep, options);
    let mut out = Vec::new();
    let outcome = context::run(&args, &mut out, pending()).await;
    let folder = keep.path().to_owned();
    Ran {
        text: String::from_utf8(out).unwrap(),
        error: outcome.err().map(|error| format!("{error:#}")),
        json: fs::read(folder.join("results.json"))
            .map_or(Value::Null, |file| serde_json::from_slice(&file).unwrap()),
        folder,
        _keep: keep,
    }
}

/// Conversations of any length.
fn patient() -> Setup {
    let setup = Setup::default();
    Setup {
        limits: RequestLimits {
            max_messages: 1_000,
            ..setup.limits
        },
        ..setup
    }
}

fn runs<'a>(ran: &'a Ran, policy: &str) -> Vec<&'a Value> {
    let runs = ran.json["runs"].as_array().unwrap().iter();
    runs.filter(|run| run["policy"] == policy).collect()
}

#[tokio::test]
async fn client_side_policies_keep_to_their_budgets_and_cost_what_is_not_cached() {
    let world = World::start(patient()).await;
    let options = [
        "--kinds",
        "tools,dialogue",
        "--length",
        "1500",
        "--budgets",
        "100,40",
    ];
    let ran = evaluate(
        &world.url,
        &[&options[..], &["--policies", "head_cut,tail_cut,last_n"]].concat(),
    )
    .await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.json["complete"], true);
    for trace in ran.json["traces"].as_array().unwrap() {
        let tokens = trace["tokens"].as_u64().unwrap();
        assert!((1_450..=1_500).contains(&tokens), "{tokens}");
    }
    for policy in ["full", "head_cut", "tail_cut", "last_n"] {
        for run in runs(&ran, policy) {
            let limit = run["budget"]["tokens"]
                .as_u64()
                .map_or(u64::MAX, |tokens| tokens - 48);
            let turns = run["turns"].as_array().unwrap();
            let prompts = turns.iter().chain(run["probes"].as_array().unwrap());
            for prompt in prompts {
                let tokens = prompt["prompt_tokens"].as_u64().unwrap();
                assert!(
                    tokens > 0 && tokens <= limit,
                    "{policy}: {prompt} of {limit}"
                );
            }
            let whole = run["budget"].is_null() || run["budget"]["percent"] == 100;
            let before = std::iter::once(&Value::Null).chain(turns);
            for (turn, before) in turns.iter().zip(before).filter(|_| whole) {
                // All of the turn before is cached, its last three tokens were the answer's begin.
                let known = before["prompt_tokens"].as_u64().unwrap_or(0);
                assert_eq!(
                    turn["cached_tokens"].as_u64().unwrap(),
                    known,
                    "{policy}: {turn}"
                );
            }
        }
    }
    let row = |policy: &str, budget: Value| {
        let rows = ran.json["rows"].as_array().unwrap().iter();
        let mut rows = rows.filter(|row| row["kind"].is_null());
        rows.find(|row| row["policy"] == policy && row["budget"] == budget)
            .unwrap()
            .clone()
    };
    // What slides over the history shares no prefix with the turn before.
    let tail = row("tail_cut", 40.into())["cost"]["hit_rate"]
        .as_f64()
        .unwrap();
    let full = row("full", Value::Null)["cost"]["hit_rate"]
        .as_f64()
        .unwrap();
    assert!(tail < 0.5 && full > 0.7, "{tail} {full}");
    for file in [
        "report.md",
        "accuracy-by-budget.svg",
        "accuracy-by-prefill.svg",
    ] {
        assert!(
            !fs::read(ran.folder.join(file)).unwrap().is_empty(),
            "{file}"
        );
    }
    assert!(ran.text.contains("| tail_cut | 40 % |"), "{}", ran.text);
    world.until_idle().await;
}

#[tokio::test]
async fn a_model_that_knows_nothing_is_excluded_and_makes_nothing_up() {
    let world = World::saying("I don't know: the context does not say that.").await;
    let options = [
        "--kinds",
        "three_reads",
        "--length",
        "900",
        "--budgets",
        "50",
    ];
    let ran = evaluate(
        &world.url,
        &[&options[..], &["--policies", "last_n"]].concat(),
    )
    .await;
    assert_eq!(ran.error, None);
    let controls = &ran.json["controls"];
    assert_eq!(
        (&controls["asked"], &controls["excluded"]),
        (&8.into(), &8.into())
    );
    for row in ran.json["rows"].as_array().unwrap() {
        assert_eq!(row["retention"], Value::Null);
        assert_eq!(
            (&row["absent"]["right"], &row["absent"]["asked"]),
            (&2.into(), &2.into())
        );
    }
    assert_eq!(ran.json["failures"], serde_json::json!([]));
}

#[tokio::test]
async fn what_is_left_out_is_said() {
    let world = World::saying("I don't know.").await;
    let options = [
        "--kinds",
        "three_reads",
        "--length",
        "900",
        "--budgets",
        "50",
    ];
    let ran = evaluate(
        &world.url,
        &[&options[..], &["--policies", "langchain_trim"]].concat(),
    )
    .await;
    assert_eq!(ran.error, None);
    let notes = ran.json["notes"].as_array().unwrap();
    assert!(
        notes[0]
            .as_str()
            .unwrap()
            .contains("--trimmed is not given"),
        "{notes:?}"
    );
    assert_eq!(runs(&ran, "langchain_trim").len(), 0);
}

#[tokio::test]
async fn episodes_go_to_the_script_and_its_choice_is_replayed() {
    let world = World::start(patient()).await;
    let folder = tempfile::tempdir().unwrap();
    let (episodes, trimmed) = (folder.path().join("e.json"), folder.path().join("t.json"));
    let options = [
        "--kinds",
        "three_reads",
        "--length",
        "900",
        "--budgets",
        "50",
    ];
    let export = ["--export-traces", episodes.to_str().unwrap()];
    let ran = evaluate(&world.url, &[&options[..], &export].concat()).await;
    assert_eq!((ran.error, ran.json), (None, Value::Null));
    let json: Value = serde_json::from_slice(&fs::read(&episodes).unwrap()).unwrap();
    let trace = &json["traces"][0];
    let counts = trace["message_tokens"].as_array().unwrap();
    assert_eq!(counts.len(), trace["messages"].as_array().unwrap().len());
    let questions = trace["questions"].as_array().unwrap().len();
    // In place of the script: the system message and the last one of the episode.
    let answer = serde_json::json!({"format": 1, "langchain_core": "1.7.2", "traces": {
        trace["fingerprint"].as_str().unwrap(): {trace["limits"][0].to_string(): {
            "turns": vec!["0-1"; trace["turns"].as_array().unwrap().len()].join(" "),
            "questions": vec![format!("0,{}", counts.len()); questions].join(" "),
        }},
    }});
    fs::write(&trimmed, answer.to_string()).unwrap();
    let policies = [
        "--policies",
        "langchain_trim",
        "--trimmed",
        trimmed.to_str().unwrap(),
    ];
    let ran = evaluate(&world.url, &[&options[..], &policies].concat()).await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.json["langchain_core"], "1.7.2");
    let run = runs(&ran, "langchain_trim")[0];
    let count = |at: usize| counts[at].as_u64().unwrap();
    let generation = trace["generation_tokens"].as_u64().unwrap();
    for turn in run["turns"].as_array().unwrap() {
        assert_eq!(
            turn["prompt_tokens"].as_u64().unwrap(),
            count(0) + count(1) + generation
        );
    }
    for (probe, tokens) in run["probes"]
        .as_array()
        .unwrap()
        .iter()
        .zip(trace["question_tokens"].as_array().unwrap())
    {
        let expected = count(0) + tokens.as_u64().unwrap() + generation;
        assert_eq!(probe["prompt_tokens"].as_u64().unwrap(), expected);
    }
}

#[tokio::test]
async fn lengths_that_cannot_be_and_interruptions_are_said() {
    let world = World::start(patient()).await;
    let ran = evaluate(&world.url, &["--length", "4000"]).await;
    let error = ran.error.unwrap();
    assert!(
        error.contains("--length 4000") && error.contains("4096"),
        "{error}"
    );
    let ran = evaluate(&world.url, &["--length", "300"]).await;
    assert!(ran.error.unwrap().contains("at least"));
    let ran = evaluate(&world.url, &["--budgets", "50,50"]).await;
    assert_eq!(ran.error.unwrap(), "--budgets: 50 is there twice");
    let folder = tempfile::tempdir().unwrap();
    let args = arguments(
        &world.url,
        &folder,
        &["--length", "1500", "--kinds", "dialogue"],
    );
    let ended = context::run(&args, &mut Vec::new(), ready(())).await;
    let error = ended.unwrap_err().to_string();
    assert!(error.starts_with("interrupted after"), "{error}");
}

#[tokio::test]
async fn a_server_with_a_context_budget_is_compared_with_what_clients_cut() {
    let url = reader::start().await;
    let options = [
        "--kinds",
        "tools",
        "--length",
        "12000",
        "--budgets",
        "50",
        "--turns",
        "10",
    ];
    let policies = ["--policies", "tail_cut,ours,ours_nocache,ours_noledger"];
    let ran = evaluate(&url, &[&options[..], &policies].concat()).await;
    assert_eq!(ran.error, None);
    let notes = ran.json["notes"].as_array().unwrap();
    let note = "ours_noledger is left out: the server says \"ablation: no such part\"";
    assert_eq!(notes, &[note]);
    let row = |policy: &str| {
        let mut rows = ran.json["rows"].as_array().unwrap().iter();
        rows.find(|row| row["policy"] == policy && row["kind"].is_null())
            .unwrap()
    };
    for policy in ["full", "oracle"] {
        assert_eq!(row(policy)["retention"]["value"], 1.0, "{policy}");
        assert_eq!(
            row(policy)["absent"],
            serde_json::json!({"right": 2, "asked": 2})
        );
    }
    let of_fact = |policy: &str, fact: &str| {
        let facts = row(policy)["by_fact"].as_array().unwrap();
        facts.iter().find(|of| of[0] == fact).unwrap()[1].clone()
    };
    let all = |asked: u64| serde_json::json!({"right": asked, "asked": asked});
    // What was said or repeated survives where only old tool results are cleared ..
    for (fact, asked) in [("constraint", 2), ("decision", 1), ("restated_artifact", 2)] {
        assert_eq!(of_fact("ours", fact), all(asked), "{fact}");
    }
    // .. and a tail has no beginning.
    assert_eq!(of_fact("tail_cut", "constraint")["right"], 0);
    let cost = &row("ours")["cost"];
    assert_eq!(
        (&cost["wrongly_predicted"], &cost["refused"]),
        (&0.into(), &0.into())
    );
    let failures = ran.json["failures"].as_array().unwrap();
    let ours = failures
        .iter()
        .filter(|failure| failure["policy"] == "ours");
    let causes: Vec<&Value> = ours.map(|failure| &failure["cause"]).collect();
    let cleared = serde_json::json!(
        {"what": "edited", "op": "clear_tool_result", "reason": "oldest"});
    assert!(
        !causes.is_empty() && causes.iter().all(|&cause| *cause == cleared),
        "{causes:?}"
    );
    let tail = failures
        .iter()
        .find(|failure| failure["policy"] == "tail_cut")
        .unwrap();
    assert_eq!(tail["cause"]["what"], "cut");
    let difference = &ran.json["differences"][0];
    assert_eq!(difference["policy"], "tail_cut");
    assert!(
        difference["retention"]["value"].as_f64().unwrap() < 0.0,
        "{difference}"
    );
    assert!(ran.text.contains("## Against ours"), "{}", ran.text);
}
