//! `purser bench ttft` against a server whose cache and times are known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use server::bench::{TtftArgs, ttft};
use tempfile::TempDir;

use crate::fake_server::{self, Config, Counts, Fake, Flow, Seen, Tokenize};

mod endings;
mod own;

const RATES: [f64; 7] = [0.0, 25.0, 50.0, 75.0, 90.0, 99.0, 100.0];

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: TtftArgs,
}

/// A finished run.
struct Ran {
    text: String,
    error: Option<String>,
    json: Value,
    seen: Vec<Seen>,
}

impl Ran {
    fn measurements(&self) -> &[Value] {
        self.json["measurements"]
            .as_array()
            .expect("a file was written")
    }
}

fn arguments(url: &str, folder: &TempDir, options: &[&str]) -> (TtftArgs, PathBuf) {
    let output = folder.path().join("results.json");
    let fixed = [
        "ttft",
        "--base-url",
        url,
        "--output",
        output.to_str().unwrap(),
        "--seed",
        "11",
    ];
    let words = fixed.iter().chain(options);
    (Cli::parse_from(words).args, output)
}

/// Runs against a server of `config` with `options` after the defaults of these tests.
async fn bench(config: Config, options: &[&str]) -> Ran {
    let (fake, url) = Fake::start(config).await;
    let folder = tempfile::tempdir().unwrap();
    let (args, output) = arguments(&url, &folder, options);
    let mut out = Vec::new();
    let outcome = ttft::run(&args, &mut out, pending()).await;
    Ran {
        text: String::from_utf8(out).unwrap(),
        error: outcome.err().map(|error| format!("{error:#}")),
        json: fs::read(output).map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap()),
        seen: fake.seen(),
    }
}

/// Prompts of 400 token ids, two repetitions of all hit rates: `cached(prefix)` must be found.
async fn check_hits(config: Config, cached: impl Fn(u64) -> u64) {
    let ran = bench(config, &["--prompt-tokens", "400", "--repeat", "2"]).await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.measurements().len(), 14);
    for measurement in ran.measurements() {
        let asked = measurement["hit_rate_asked"].as_f64().unwrap();
        let prefix = (asked / 100.0 * 400.0) as u64;
        assert_eq!(measurement["prompt_tokens"], 400, "{measurement}");
        assert_eq!(
            measurement["cached_tokens"],
            cached(prefix),
            "{measurement}"
        );
        let observed = cached(prefix) as f64 / 4.0;
        assert!((measurement["hit_rate_observed"].as_f64().unwrap() - observed).abs() < 1e-9);
    }
    for (row, rate) in ran.json["summary"].as_array().unwrap().iter().zip(RATES) {
        assert_eq!(row["hit_rate_asked"], rate);
        assert_eq!(row["n"], 2);
    }
    assert_eq!(ran.json["server"]["prompt_form"], "token_ids");
    assert_eq!(ran.json["notes"], serde_json::json!([]));
}

#[tokio::test]
async fn observed_hits_are_the_asked_ones_to_the_token() {
    // The last token of a known prompt is computed again.
    check_hits(Config::default(), |prefix| prefix.min(399)).await;
}

#[tokio::test]
async fn observed_hits_are_the_asked_ones_to_the_block() {
    let config = Config {
        block: 16,
        cut: 1,
        ..Config::default()
    };
    check_hits(config, |prefix| prefix.min(399) / 16 * 16).await;
}

#[tokio::test]
async fn llama_cpps_tokenizer_and_counts_are_understood() {
    let config = Config {
        tokenize: Tokenize::LlamaCpp,
        counts: Counts::Timings,
        ..Config::default()
    };
    check_hits(config, |prefix| prefix.min(399)).await;
}

#[tokio::test]
async fn requests_warm_then_measure_and_nothing_else() {
    let ran = bench(
        Config::default(),
        &["--prompt-tokens", "300", "--repeat", "3"],
    )
    .await;
    // A probe of the form, a warm-up, and per repetition 7 measurements of which 6 are warmed.
    assert_eq!(ran.seen.len(), 1 + 1 + 3 * 13);
    assert_eq!(ran.seen[0].tokens.len(), 8);
    assert!(
        ran.seen[1..]
            .iter()
            .all(|request| request.tokens.len() == 300)
    );
    let cold = ran
        .seen
        .iter()
        .filter(|request| request.cached == 0)
        .count();
    assert_eq!(
        cold,
        1 + 1 + 3 * 7,
        "what is warming or cold was never sent before"
    );
    for request in &ran.seen {
        assert_eq!(request.body["stream"], true);
        assert_eq!(request.body["stream_options"]["include_usage"], true);
        assert_eq!(
            (&request.body["max_tokens"], &request.body["model"]),
            (&1.into(), &"fake-1".into())
        );
        assert_eq!(request.authorization, None);
    }
    let connections = fake_server::connections(&ran.seen);
    assert!(
        connections <= 2,
        "{connections} connections: a TTFT may contain a handshake"
    );
    let order = |repetition: u64| -> Vec<f64> {
        let of_repetition = |m: &&Value| m["repetition"] == repetition;
        let rates = ran.measurements().iter().filter(of_repetition);
        rates
            .map(|m| m["hit_rate_asked"].as_f64().unwrap())
            .collect()
    };
    assert_ne!(order(0), order(1));
    let mut sorted = order(2);
    sorted.sort_by(f64::total_cmp);
    assert_eq!(sorted, RATES);
}

#[tokio::test]
async fn text_prompts_come_near_what_is_asked() {
    let config = Config {
        tokenize: Tokenize::Missing,
        block: 16,
        ..Config::default()
    };
    check_text(config, "/v1/completions", &["the server has no /tokenize"]).await;
}

#[tokio::test]
async fn refused_token_ids_become_text() {
    let config = Config {
        takes_ids: false,
        ..Config::default()
    };
    check_text(
        config,
        "/v1/completions",
        &["token ids get \"prompt: not a string\""],
    )
    .await;
}

#[tokio::test]
async fn chat_stands_in_for_missing_completions() {
    let config = Config {
        has_completions: false,
        ..Config::default()
    };
    check_text(
        config,
        "/v1/chat/completions",
        &["the server has no /v1/completions"],
    )
    .await;
}

/// Text of about 1,000 tokens: lengths within 5 %, hit rates within 3 points, `notes` are there.
async fn check_text(config: Config, endpoint: &str, notes: &[&str]) {
    let ran = bench(config, &["--prompt-tokens", "1000", "--repeat", "1"]).await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.json["server"]["endpoint"], endpoint);
    assert_eq!(ran.json["server"]["prompt_form"], "text");
    for measurement in ran.measurements() {
        let tokens = measurement["prompt_tokens"].as_f64().unwrap();
        assert!((tokens - 1000.0).abs() < 50.0, "{measurement}");
        let observed = measurement["hit_rate_observed"].as_f64().unwrap();
        let asked = measurement["hit_rate_asked"].as_f64().unwrap();
        assert!((observed - asked).abs() < 3.0, "{measurement}");
    }
    for note in notes {
        assert!(ran.text.contains(note), "{}", ran.text);
        let written = ran.json["notes"].as_array().unwrap();
        assert!(
            written
                .iter()
                .any(|text| text.as_str().unwrap().contains(note))
        );
    }
}

#[tokio::test]
async fn times_run_to_the_first_token_and_no_further() {
    let prefill = Duration::from_micros(100);
    let tail = Duration::from_millis(300);
    for has_completions in [true, false] {
        let config = Config {
            has_completions,
            prefill,
            tail,
            ..Config::default()
        };
        let options = [
            "--prompt-tokens",
            "400",
            "--repeat",
            "1",
            "--hit-rates",
            "0,50",
        ];
        let ran = bench(config, &options).await;
        assert_eq!(ran.error, None);
        for m in ran.measurements() {
            let count = |field: &str| m[field].as_f64().unwrap();
            // The server sleeps at least so long before the token; a role or a comment come sooner.
            let least = (count("prompt_tokens") - count("cached_tokens")) * 0.1;
            assert!(count("ttft_ms") >= least, "{m}");
            // And so long after it, but this machine may be late to see the token.
            assert!(count("total_ms") >= count("ttft_ms") + 100.0, "{m}");
        }
    }
}

#[tokio::test]
async fn results_say_what_was_measured_of_whom_and_how() {
    let options = [
        "--prompt-tokens",
        "64",
        "--repeat",
        "2",
        "--model",
        "fake-2",
        "--api-key",
        "sk-1",
    ];
    let ran = bench(
        Config {
            key: Some("sk-1"),
            ..Config::default()
        },
        &options,
    )
    .await;
    assert_eq!(ran.error, None);
    let json = &ran.json;
    assert_eq!(
        (&json["benchmark"], &json["complete"]),
        (&"ttft".into(), &true.into())
    );
    assert_eq!(
        (&json["seed"], &json["settings"]["prompt_tokens"]),
        (&11.into(), &64.into())
    );
    let server = &json["server"];
    assert_eq!(server["version"]["version"], "9.8.7");
    assert_eq!(
        (&server["model"], &server["owned_by"]),
        (&"fake-2".into(), &"us".into())
    );
    assert_eq!(
        (&server["server_header"], &server["max_model_len"]),
        (&"fake".into(), &4096.into())
    );
    let command = json["command"].as_str().unwrap();
    for option in [
        "--model fake-2",
        "--prompt-tokens 64 --repeat 2",
        "--seed 11",
    ] {
        assert!(command.contains(option), "{command}");
    }
    assert!(!json.to_string().contains("sk-1") && !ran.text.contains("sk-1"));
    let started = json["started_at"].as_str().unwrap();
    assert!(started.len() == 20 && started.ends_with('Z'), "{started}");
    assert_eq!(json["line"]["uncached_tokens_from"], "usage");
    assert!(
        ran.seen
            .iter()
            .all(|request| request.authorization.as_deref() == Some("Bearer sk-1"))
    );
    for heading in [
        "hit rate", "observed", "p50 ms", "p95 ms", "p50/cold", "99 %", "98.44 %",
    ] {
        assert!(ran.text.contains(heading), "{heading}: {}", ran.text);
    }
    assert!(ran.text.contains("TTFT = "), "{}", ran.text);
}

#[tokio::test]
async fn without_counts_hit_rates_are_as_asked() {
    for counts in [Counts::Missing, Counts::Plain] {
        let ran = bench(
            Config {
                counts,
                ..Config::default()
            },
            &["--prompt-tokens", "64"],
        )
        .await;
        assert_eq!(ran.error, None);
        assert!(
            ran.measurements()
                .iter()
                .all(|m| m["hit_rate_observed"].is_null())
        );
        assert_eq!(ran.json["line"]["uncached_tokens_from"], "asked");
        assert!(ran.text.contains("n/a"), "{}", ran.text);
        assert!(
            ran.text.contains("does not report cached tokens"),
            "{}",
            ran.text
        );
    }
}

#[tokio::test]
async fn text_without_counts_takes_a_word_for_a_token() {
    let config = Config {
        tokenize: Tokenize::Missing,
        counts: Counts::Missing,
        ..Config::default()
    };
    let ran = bench(config, &["--prompt-tokens", "64", "--repeat", "1"]).await;
    assert_eq!(ran.error, None);
    assert!(
        ran.text.contains("one word is taken for one"),
        "{}",
        ran.text
    );
    let text = ran.seen.last().unwrap().body["prompt"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(text.split(' ').count(), 64);
}

#[tokio::test]
async fn a_seed_used_twice_and_a_cache_that_is_off_are_noticed() {
    let (_fake, url) = Fake::start(Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let (args, output) = arguments(&url, &folder, &["--prompt-tokens", "64", "--repeat", "1"]);
    for expected in ["", "was the seed 11 used against this server before?"] {
        let mut out = Vec::new();
        ttft::run(&args, &mut out, pending()).await.unwrap();
        let json: Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
        assert!(json["notes"].to_string().contains(expected), "{json}");
    }
    let config = Config {
        block: 10_000,
        ..Config::default()
    };
    let ran = bench(config, &["--prompt-tokens", "64", "--repeat", "1"]).await;
    assert!(ran.text.contains("is prefix caching off?"), "{}", ran.text);
}

#[tokio::test]
async fn json_takes_the_place_of_the_table_on_request() {
    let (_fake, url) = Fake::start(Config::default()).await;
    let fixed = [
        "ttft",
        "--base-url",
        &url,
        "--output",
        "-",
        "--prompt-tokens",
        "64",
    ];
    let args = Cli::parse_from(fixed).args;
    let mut out = Vec::new();
    ttft::run(&args, &mut out, pending()).await.unwrap();
    let json: Value = serde_json::from_slice(&out).expect("nothing but JSON");
    assert_eq!(json["measurements"].as_array().unwrap().len(), 35);
}
