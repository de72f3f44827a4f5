//! `purser bench agent` against a server whose cache and times are known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::future::{Future, pending};
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use server::bench::{AgentArgs, agent};

use crate::fake_server::{Config, Counts, Fake, Flow, Seen};
use crate::world::{Setup, World};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: AgentArgs,
}

/// A finished run.
struct Ran {
    text: String,
    error: Option<String>,
    json: Value,
}

impl Ran {
    fn list(&self, field: &str) -> &[Value] {
        self.json[field].as_array().expect("a file was written")
    }
}

async fn bench_until(url: &str, options: &str, interrupt: impl Future<Output = ()>) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("results.json");
    let words = ["agent", "--base-url", url, "--pause", "0", "--output"];
    let words = words.into_iter().chain([output.to_str().unwrap()]);
    let args = Cli::parse_from(words.chain(options.split_whitespace())).args;
    let mut out = Vec::new();
    let outcome = agent::run(&args, &mut out, interrupt).await;
    Ran {
        text: String::from_utf8(out).unwrap(),
        error: outcome.err().map(|error| format!("{error:#}")),
        json: fs::read(output).map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap()),
    }
}

async fn bench(url: &str, options: &str) -> Ran {
    bench_until(url, options, pending()).await
}

/// As many tokens as asked for, each a word of its own.
fn talkative() -> Config {
    Config {
        between: Some(Duration::ZERO),
        prefill: Duration::ZERO,
        token: " so",
        ..Config::default()
    }
}

/// Requests of the run itself, without the two that count the tokens of words.
fn of_run(seen: &[Seen]) -> &[Seen] {
    &seen[2..]
}

const SHORT: &str =
    "--system-len 100 --input-len 20..40 --result-len 10..60 --output-len 3 --seed 4";

#[tokio::test]
async fn a_turn_begins_with_the_prompt_and_the_answer_before_it() {
    let (fake, url) = Fake::start(talkative()).await;
    let ran = bench(&url, &format!("{SHORT} --agents 1 --turns 6")).await;
    assert_eq!(ran.error, None);
    let seen = fake.seen();
    let seen = of_run(&seen);
    assert_eq!((seen.len(), ran.list("requests").len()), (6, 6));
    for (pair, request) in seen.windows(2).zip(&ran.list("requests")[1..]) {
        let [before, after] = pair else {
            unreachable!()
        };
        assert_eq!(after.tokens[..before.tokens.len()], before.tokens);
        // All of the prompt and the answer of three words.
        let reusable = before.tokens.len() as u64 + 3;
        assert_eq!(request["reusable_tokens"], reusable, "{request}");
        assert_eq!(request["cached_tokens"], before.tokens.len(), "{request}");
        assert_eq!(request["prompt_tokens"], after.tokens.len(), "{request}");
        let roles: Vec<&str> = after.body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|message| message["role"].as_str().unwrap())
            .collect();
        assert_eq!(roles[..4], ["system", "user", "assistant", "user"]);
        assert_eq!(after.body["messages"][2]["content"], " so so so");
    }
    assert_eq!(seen[0].body["max_tokens"], 3);
    assert_eq!(seen[0].body["ignore_eos"], true);
    assert!(seen[0].body["tools"].as_array().unwrap().len() > 3);
    assert_eq!(ran.json["reuse"]["prefix_losses"], 0);
    let rows: Vec<u64> = ran
        .list("turns")
        .iter()
        .map(|row| row["turn"].as_u64().unwrap())
        .collect();
    assert_eq!(rows, [1, 2, 3, 4, 5, 6]);
    assert_eq!(ran.list("agents")[0]["end"], "finished");
    assert_eq!(ran.json["complete"], true);
    assert!(
        ran.text.contains("1 of 1 agents took all turns"),
        "{}",
        ran.text
    );
    assert!(
        ran.text.contains("5 answers called no tool"),
        "{}",
        ran.text
    );
}

#[tokio::test]
async fn agents_share_the_system_prompt_and_nothing_else() {
    let (fake, url) = Fake::start(talkative()).await;
    let ran = bench(&url, &format!("{SHORT} --agents 4 --turns 3")).await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.list("requests").len(), 12);
    let seen = fake.seen();
    let first: Vec<&Seen> = of_run(&seen)
        .iter()
        .filter(|request| request.body["messages"].as_array().unwrap().len() == 2)
        .collect();
    assert_eq!(first.len(), 4);
    for one in &first[1..] {
        let [system, task] = [&one.body["messages"][0], &one.body["messages"][1]];
        assert_eq!(*system, first[0].body["messages"][0]);
        assert_ne!(*task, first[0].body["messages"][1]);
        // About a hundred, the tokens of the template among them.
        assert!((80..=120).contains(&one.cached), "{}", one.cached);
    }
}

#[tokio::test]
async fn results_answer_the_calls_that_the_server_made() {
    let config = Config {
        flow: Flow::Calls,
        ..talkative()
    };
    let (fake, url) = Fake::start(config).await;
    let ran = bench(&url, &format!("{SHORT} --agents 1 --turns 3 --tools false")).await;
    assert_eq!(ran.error, None);
    let seen = fake.seen();
    let last = &seen.last().unwrap().body;
    assert_eq!(last["tools"], Value::Null);
    let messages = last["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 6);
    let call = &messages[2]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], r#"{"path": "a"}"#);
    assert_eq!(messages[3]["role"], "tool");
    assert_eq!(messages[3]["tool_call_id"], call["id"]);
    assert!(
        ran.list("requests")[1..]
            .iter()
            .all(|request| request["role"] == "tool")
    );
    assert!(!ran.text.contains("called no tool"), "{}", ran.text);
}

#[tokio::test]
async fn an_agent_whose_history_is_full_ends_with_the_turn() {
    // By the limit that the server says, and by its refusal where it says none.
    for says_limit in [true, false] {
        let config = Config {
            max_model_len: 400,
            says_limit,
            ..talkative()
        };
        let (_fake, url) = Fake::start(config).await;
        let ran = bench(&url, &format!("{SHORT} --agents 3 --turns 40")).await;
        assert_eq!(ran.error, None);
        for agent in ran.list("agents") {
            assert_eq!(agent["end"], "context_full", "{agent}");
            let turn = agent["turn"].as_u64().unwrap();
            assert!((4..25).contains(&turn), "{agent}");
            let says = agent["says"].as_str().unwrap();
            assert_eq!(says.contains("max_model_len is 400"), says_limit, "{agent}");
            let number = agent["agent"].as_u64().unwrap();
            let mut requests = ran.list("requests").iter();
            let last = requests
                .rfind(|request| request["agent"] == number)
                .unwrap();
            assert_eq!(last["turn"], turn - 1, "{agent}");
            let line = format!("agent {number}: context_full at turn {turn}");
            assert!(ran.text.contains(&line), "{}", ran.text);
        }
        assert_eq!(ran.json["summary"]["failed"], 0);
        assert_eq!(ran.json["complete"], true);
    }
}

#[tokio::test]
async fn a_failure_ends_one_agent_and_is_told() {
    let config = Config {
        broken_from: 6,
        ..talkative()
    };
    let (_fake, url) = Fake::start(config).await;
    let ran = bench(&url, &format!("{SHORT} --agents 1 --turns 9")).await;
    assert_eq!(ran.error, None);
    let agent = &ran.list("agents")[0];
    assert_eq!(
        (&agent["end"], &agent["turn"]),
        (&"failed".into(), &4.into())
    );
    assert!(
        agent["error"]
            .as_str()
            .unwrap()
            .contains("the device is lost")
    );
    assert_eq!(ran.json["summary"]["failures"]["500"], 1);
}

#[tokio::test]
async fn an_interruption_counts_what_is_in_flight() {
    // Two agents: three requests are answered, then each waits for its answer.
    let config = Config {
        silent_from: 6,
        ..talkative()
    };
    let (fake, url) = Fake::start(config).await;
    let interrupt = async {
        while fake.seen().len() < 7 {
            fake.came.notified().await;
        }
    };
    let ran = bench_until(&url, &format!("{SHORT} --agents 2 --turns 9"), interrupt).await;
    let error = ran.error.as_ref().unwrap();
    assert!(
        error.contains("interrupted after 0 of 2 agents, 2 more in flight"),
        "{error}"
    );
    assert_eq!(ran.json["summary"]["in_flight_at_interrupt"], 2);
    assert_eq!(ran.json["summary"]["completed"], 3);
    assert!(
        ran.list("agents")
            .iter()
            .all(|agent| agent["end"] == "interrupted")
    );
    assert_eq!(ran.json["complete"], false);
}

#[tokio::test]
async fn a_cache_that_says_nothing_is_noted() {
    let config = Config {
        counts: Counts::Plain,
        ..talkative()
    };
    let (_fake, url) = Fake::start(config).await;
    let ran = bench(&url, &format!("{SHORT} --agents 1 --turns 2")).await;
    assert_eq!(ran.json["reuse"]["reused_share"], Value::Null);
    assert!(
        ran.text.contains("does not report cached tokens"),
        "{}",
        ran.text
    );
}

#[tokio::test]
async fn chat_is_needed() {
    let config = Config {
        has_chat: false,
        ..talkative()
    };
    let (_fake, url) = Fake::start(config).await;
    let ran = bench(&url, SHORT).await;
    assert!(ran.error.unwrap().contains("no /v1/chat/completions"));
    assert_eq!(ran.json, Value::Null);
}

#[tokio::test]
async fn our_server_finds_the_prefixes() {
    let world = World::start(Setup::default()).await;
    let options = "--system-len 100 --input-len 30 --result-len 20..50 --output-len 8 \
                   --agents 2 --turns 8";
    let ran = bench(&world.url, options).await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.list("requests").len(), 16);
    assert_eq!(ran.json["reuse"]["prefix_losses"], 0, "{}", ran.text);
    assert!(
        ran.json["reuse"]["reused_share"].as_f64().unwrap() > 0.8,
        "{}",
        ran.text
    );
}
