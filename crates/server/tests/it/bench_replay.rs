//! `purser bench replay` against a server whose cache and times are known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::future::{Future, pending};
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};
use server::bench::{ReplayArgs, replay};

use crate::fake_server::{Config, Fake, Seen, Tokenize};
use crate::world::{Setup, World};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ReplayArgs,
}

/// A finished run.
struct Ran {
    text: String,
    error: Option<String>,
    json: Value,
}

impl Ran {
    fn requests(&self) -> &[Value] {
        self.json["requests"]
            .as_array()
            .expect("a file was written")
    }

    fn numbers(&self, field: &str) -> Vec<f64> {
        let number = |request: &Value| request[field].as_f64().unwrap();
        self.requests().iter().map(number).collect()
    }
}

async fn bench_until(
    url: &str,
    trace: &str,
    options: &str,
    interrupt: impl Future<Output = ()>,
) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let [output, file] = ["results.json", "trace.jsonl"].map(|name| folder.path().join(name));
    fs::write(&file, trace).unwrap();
    let words = ["replay", file.to_str().unwrap(), "--base-url", url];
    let words = words
        .into_iter()
        .chain(["--output", output.to_str().unwrap()]);
    let args = Cli::parse_from(words.chain(options.split_whitespace())).args;
    let mut out = Vec::new();
    let outcome = replay::run(&args, &mut out, interrupt).await;
    Ran {
        text: String::from_utf8(out).unwrap(),
        error: outcome.err().map(|error| format!("{error:#}")),
        json: fs::read(output).map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap()),
    }
}

async fn bench(url: &str, trace: &str, options: &str) -> Ran {
    bench_until(url, trace, options, pending()).await
}

/// As many tokens as asked for, one every millisecond.
fn steady() -> Config {
    Config {
        between: Some(Duration::from_millis(1)),
        prefill: Duration::ZERO,
        ..Config::default()
    }
}

/// Requests of the run itself, without those that found out how the server is asked.
fn of_run(seen: &[Seen], count: usize) -> &[Seen] {
    &seen[seen.len() - count..]
}

/// Four requests in blocks of 512; the second and the fourth begin as the first.
const MOONCAKE: &str = r#"
{"timestamp": 1000, "input_length": 1200, "output_length": 3, "hash_ids": [1, 2, 3]}
{"timestamp": 1100, "input_length": 1100, "output_length": 2, "hash_ids": [1, 2, 4]}
{"timestamp": 1200, "input_length": 600, "output_length": 1, "hash_ids": [5, 6]}
{"timestamp": 1300, "input_length": 1200, "output_length": 4, "hash_ids": [1, 2, 3]}
"#;

#[tokio::test]
async fn the_same_blocks_are_the_same_tokens() {
    let (fake, url) = Fake::start(steady()).await;
    let ran = bench(&url, MOONCAKE, "--max-concurrency 1 --seed 7").await;
    assert_eq!(ran.error, None);
    let seen = fake.seen();
    let facts: Vec<(usize, usize, u64)> = of_run(&seen, 4)
        .iter()
        .map(|request| {
            let wanted = request.body["max_tokens"].as_u64().unwrap();
            (request.tokens.len(), request.cached, wanted)
        })
        .collect();
    // All but the last token of a prompt that was there.
    assert_eq!(
        facts,
        [(1200, 0, 3), (1100, 1024, 2), (600, 0, 1), (1200, 1199, 4)]
    );
    assert_eq!(
        ran.json["hits"]["hit_rate_asked"],
        (1024.0 + 1200.0) / 4100.0
    );
    assert_eq!(ran.json["hits"]["asked_in"], "tokens");
    assert_eq!(
        ran.json["hits"]["hit_rate_observed"],
        (1024.0 + 1199.0) / 4100.0
    );
    let asked = ran.numbers("hit_rate_asked");
    for (found, expected) in asked.iter().zip([0.0, 1024.0 / 1100.0, 0.0, 1.0]) {
        // JSON's decimal numbers are read to the last bit but one.
        assert!((found - expected).abs() < 1e-12, "{asked:?}");
    }
    assert_eq!(ran.json["complete"], true);
    assert!(
        ran.text
            .contains("hit rate: 54.2 % asked (of tokens), 54.2 % observed"),
        "{}",
        ran.text
    );
}

#[tokio::test]
async fn requests_are_due_when_the_trace_says_so() {
    let (_fake, url) = Fake::start(steady()).await;
    let ran = bench(&url, MOONCAKE, "--speed 2").await;
    assert_eq!(ran.numbers("at_ms"), [0.0, 50.0, 100.0, 150.0]);
    // With one place and answers of a second, waiting counts from the time at which they were due.
    let slow = Config {
        between: Some(Duration::from_millis(300)),
        ..steady()
    };
    let (fake, url) = Fake::start(slow).await;
    let ran = bench(&url, MOONCAKE, "--speed 2 --max-concurrency 1").await;
    assert_eq!(fake.most_running(), 1);
    assert_eq!(ran.numbers("at_ms"), [0.0, 50.0, 100.0, 150.0]);
    let ttft = ran.numbers("ttft_ms");
    // The first one takes 600 ms, the second one 300.
    assert!(
        ttft[1] > 540.0 && ttft[2] > 790.0 && ttft[3] > 740.0,
        "{ttft:?}"
    );
    let late = ran.numbers("late_ms");
    assert!(late[1] > 540.0 && late[1] <= ttft[1], "{late:?}");
}

#[tokio::test]
async fn text_comes_near_the_lengths_of_the_trace() {
    let config = Config {
        tokenize: Tokenize::Missing,
        has_completions: false,
        ..steady()
    };
    let (fake, url) = Fake::start(config).await;
    let ran = bench(&url, MOONCAKE, "--limit 2 --max-concurrency 1").await;
    assert_eq!(ran.error, None);
    let tokens = ran.numbers("prompt_tokens");
    assert!((tokens[0] - 1200.0).abs() < 120.0, "{tokens:?}");
    let seen = fake.seen();
    let cached = of_run(&seen, 2)[1].cached;
    assert!((900..1150).contains(&cached), "{cached}");
    assert!(
        ran.text.contains("2 of 4 of the trace's requests"),
        "{}",
        ran.text
    );
}

#[tokio::test]
async fn conversations_are_asked_turn_by_turn() {
    let turn = |from: &str, value: &str| json!({"from": from, "value": value});
    let trace = json!([
        {"conversations": [
            turn("system", "be good"),
            turn("human", "tell me"),
            turn("gpt", "long ago, someone lived there"),
            turn("human", "go on"),
            turn("gpt", "no"),
        ]},
        {"conversations": [turn("human", "why?"), turn("gpt", "because")]},
    ]);
    let (fake, url) = Fake::start(steady()).await;
    let ran = bench(&url, &trace.to_string(), "").await;
    assert_eq!(ran.error, None);
    let seen = fake.seen();
    let roles = |seen: &Seen| -> Vec<String> {
        let messages = seen.body["messages"].as_array().unwrap();
        messages
            .iter()
            .map(|m| m["role"].as_str().unwrap().to_owned())
            .collect()
    };
    let later = seen.iter().find(|seen| roles(seen).len() == 4).unwrap();
    assert_eq!(roles(later), ["system", "user", "assistant", "user"]);
    assert_eq!(
        later.body["messages"][2]["content"],
        "long ago, someone lived there"
    );
    let requests = ran.requests();
    assert_eq!(requests[1]["follows"], 0);
    assert_eq!(requests[1]["place"], "[0].conversations[4]");
    // It is due when the answer of 8 tokens has ended: that wait is not the server's.
    let first = &requests[0];
    assert_eq!(first["output_len"], 8);
    let ended = first["at_ms"].as_f64().unwrap() + first["e2el_ms"].as_f64().unwrap();
    assert!(
        requests[1]["at_ms"].as_f64().unwrap() >= ended - 0.01,
        "{requests:?}"
    );
    assert!(requests[2]["at_ms"] == 0.0);
    assert_eq!(ran.json["hits"]["asked_in"], "bytes");
}

#[tokio::test]
async fn whole_requests_are_sent_as_they_are() {
    let trace = [
        json!({"at_ms": 5, "id": "a", "body": {"prompt": "do it", "max_tokens": 4, "top_p": 0.5}}),
        json!({"at_ms": 5, "follows": "a",
               "body": {"messages": [{"role": "user", "content": "now"}], "max_tokens": 2,
                        "model": "another", "stream": false}}),
    ];
    let trace = trace.map(|line| line.to_string()).join("\n");
    let (fake, url) = Fake::start(steady()).await;
    let ran = bench(&url, &trace, "").await;
    assert_eq!(ran.error, None);
    let seen = fake.seen();
    let [first, second] = of_run(&seen, 2) else {
        unreachable!()
    };
    assert_eq!(
        (&first.body["prompt"], &first.body["top_p"]),
        (&"do it".into(), &0.5.into())
    );
    assert_eq!(second.body["messages"][0]["content"], "now");
    assert_eq!(
        (&second.body["model"], &second.body["stream"]),
        (&"fake-1".into(), &true.into())
    );
    assert_eq!(second.body["stream_options"]["include_usage"], true);
    assert_eq!(ran.requests()[1]["completion_tokens"], 2);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_said_before_anything_is_sent() {
    let (fake, url) = Fake::start(steady()).await;
    let check = async |trace: &str, options: &str, words: &[&str]| {
        let error = bench(&url, trace, options).await.error.unwrap();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    check("", "", &["trace.jsonl", "none of the formats"]).await;
    check("[]", "", &["trace.jsonl", "no requests"]).await;
    check(
        MOONCAKE,
        "--request-rate 5",
        &["--request-rate", "mooncake"],
    )
    .await;
    check("[]", "--speed 2", &["--speed", "sharegpt"]).await;
    check(
        MOONCAKE,
        "--format purser",
        &["trace.jsonl", "line 2", "\"at_ms\""],
    )
    .await;
    let broken = MOONCAKE.replace("600", "-600");
    check(
        &broken,
        "",
        &["trace.jsonl", "line 4", "\"input_length\"", "-600"],
    )
    .await;
    assert!(fake.seen().is_empty());
}

#[tokio::test]
async fn prompts_that_are_too_long_are_counted() {
    let config = Config {
        max_model_len: 1150,
        ..steady()
    };
    let (_fake, url) = Fake::start(config).await;
    let ran = bench(&url, MOONCAKE, "--speed 10").await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.json["summary"]["completed"], 2);
    assert_eq!(ran.json["summary"]["failures"]["400"], 2);
}

#[tokio::test]
async fn an_interruption_counts_what_is_in_flight() {
    // One request finds out how the server is asked, two are answered.
    let config = Config {
        silent_from: 4,
        ..steady()
    };
    let (fake, url) = Fake::start(config).await;
    let interrupt = async {
        while fake.seen().len() < 4 {
            fake.came.notified().await;
        }
    };
    let ran = bench_until(&url, MOONCAKE, "--max-concurrency 1", interrupt).await;
    let error = ran.error.unwrap();
    assert!(
        error.contains("interrupted after 2 of 4 requests, 1 more in flight"),
        "{error}"
    );
    assert_eq!(ran.json["summary"]["in_flight_at_interrupt"], 1);
    assert_eq!(ran.json["complete"], false);
}

#[tokio::test]
async fn our_server_finds_the_prefixes_of_a_trace() {
    let world = World::start(Setup::default()).await;
    let ran = bench(&world.url, MOONCAKE, "--max-concurrency 1").await;
    assert_eq!(ran.error, None);
    assert_eq!(
        ran.numbers("prompt_tokens"),
        [1200.0, 1100.0, 600.0, 1200.0]
    );
    assert_eq!(ran.numbers("completion_tokens"), [3.0, 2.0, 1.0, 4.0]);
    let cached = ran.numbers("cached_tokens");
    assert!(cached[1] >= 1008.0 && cached[3] >= 1184.0, "{cached:?}");
}

/// Two conversations of two turns whose system prompts say when they began.
fn two_conversations() -> String {
    let system = |clock: &str| {
        json!({"role": "system", "content": format!("You are an agent of the harbour. It is {clock} \
            now. Say what you know of ships, tides and cranes, and say what you do not know.")})
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    let said = json!({"role": "assistant", "content": "At noon."});
    let line = |id: &str, follows: Option<&str>, messages: Value| {
        let body = json!({"messages": messages, "max_tokens": 3, "temperature": 0});
        let mut line = json!({"id": id, "at_ms": 0, "body": body});
        if let Some(follows) = follows {
            line["follows"] = follows.into();
        }
        line
    };
    let opening = |clock: &str| json!([system(clock), user("When does the ferry come?")]);
    let more = |clock: &str| {
        json!([
            system(clock),
            user("When does the ferry come?"),
            said,
            user("And the tug?")
        ])
    };
    let lines = [
        line("a1", None, opening("11:45")),
        line("a2", Some("a1"), more("11:45")),
        line("b1", Some("a2"), opening("11:46")),
        line("b2", Some("b1"), more("11:46")),
    ];
    lines.map(|line| line.to_string()).join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_broke_a_traces_prefix_is_named() {
    let world = World::start(Setup::default()).await;
    let ran = bench(&world.url, &two_conversations(), "").await;
    assert_eq!(ran.error, None);
    let ids: Vec<&str> = ran
        .requests()
        .iter()
        .map(|r| r["response_id"].as_str().unwrap())
        .collect();
    let mut told = Vec::new();
    for id in &ids {
        told.push(world.get(&format!("/v1/requests/{id}")).await.ok());
    }
    // Second turns find their first ones: only what is new was never seen.
    for (turn, record) in [(1, &told[1]), (3, &told[3])] {
        let from = &record["cache"]["miss"]["diverged_from"];
        assert_eq!(from["id"], ids[turn - 1], "{record}");
    }
    // The second conversation parts from the first one in the system prompt, by the clock.
    let miss = &told[2]["cache"]["miss"];
    assert_eq!(miss["reason"], "never_seen", "{miss}");
    let from = &miss["diverged_from"];
    assert!(
        [ids[0], ids[1]].contains(&from["id"].as_str().unwrap()),
        "{from}"
    );
    let passage = |side: &str| {
        let field = |name: &str| from[side][name].as_str().unwrap().to_owned();
        (field("before"), field("text"), field("after"))
    };
    let ((before, here, after), (old_before, there, old_after)) =
        (passage("here"), passage("there"));
    assert_eq!(before, old_before);
    assert_ne!(here, there);
    assert!(
        format!("{before}{here}{after}").contains("It is 11:46 now"),
        "{from}"
    );
    assert!(
        format!("{old_before}{there}{old_after}").contains("It is 11:45 now"),
        "{from}"
    );
    // The token itself is the digit that changed.
    assert!(here.contains('6') && there.contains('5'), "{from}");
}
