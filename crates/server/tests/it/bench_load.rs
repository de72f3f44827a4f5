//! `purser bench load` against a server whose cache and times are known.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::future::{Future, pending};
use std::time::Duration;

use clap::Parser;
use serde_json::Value;
use server::bench::{LoadArgs, load};

use crate::fake_server::{Config, Fake, Seen, Tokenize};
use crate::world::{Setup, World};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: LoadArgs,
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

    fn summary(&self, field: &str) -> &Value {
        &self.json["summary"][field]
    }
}

async fn bench_until(url: &str, options: &str, interrupt: impl Future<Output = ()>) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("results.json");
    let words = [
        "load",
        "--base-url",
        url,
        "--output",
        output.to_str().unwrap(),
    ];
    let words = words.into_iter().chain(options.split_whitespace());
    let args = Cli::parse_from(words).args;
    let mut out = Vec::new();
    let outcome = load::run(&args, &mut out, interrupt).await;
    Ran {
        text: String::from_utf8(out).unwrap(),
        error: outcome.err().map(|error| format!("{error:#}")),
        json: fs::read(output).map_or(Value::Null, |b| serde_json::from_slice(&b).unwrap()),
    }
}

async fn bench(url: &str, options: &str) -> Ran {
    bench_until(url, options, pending()).await
}

/// One token every 5 ms, 50 microseconds for each token of a prompt.
fn steady() -> Config {
    Config {
        between: Some(Duration::from_millis(5)),
        prefill: Duration::from_micros(50),
        ..Config::default()
    }
}

/// Requests of the run itself, without those that found out how the server is asked.
fn of_run(seen: &[Seen], count: usize) -> &[Seen] {
    &seen[seen.len() - count..]
}

#[tokio::test]
async fn requests_and_times_are_as_asked() {
    let (fake, url) = Fake::start(steady()).await;
    let options = "--num-prompts 30 --request-rate 150 --input-len 20..60 --output-len 4 --seed 5";
    let ran = bench(&url, options).await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.requests().len(), 30);
    let mut before = -1.0;
    for request in ran.requests() {
        let at = request["at_ms"].as_f64().unwrap();
        assert!(at > before, "arrivals rise: {request}");
        before = at;
        assert_eq!(request["prompt_tokens"], request["input_len"], "{request}");
        assert_eq!(request["completion_tokens"], 4, "{request}");
        let itl = request["itl_ms"].as_array().unwrap();
        assert_eq!(itl.len(), 3, "{request}");
        let between: f64 = itl.iter().map(|ms| ms.as_f64().unwrap()).sum();
        let ttft = request["ttft_ms"].as_f64().unwrap();
        let e2el = request["e2el_ms"].as_f64().unwrap();
        let tokens = request["input_len"].as_f64().unwrap();
        // The server sleeps so long, whatever else delays the request.
        assert!(ttft >= 0.05 * tokens, "{request}");
        assert!(e2el >= 0.05 * tokens + 15.0, "{request}");
        assert!((ttft + between - e2el).abs() < 0.1, "{request}");
        let tpot = request["tpot_ms"].as_f64().unwrap();
        assert!((tpot * 3.0 - between).abs() < 0.1, "{request}");
    }
    assert_eq!(ran.summary("completed"), 30);
    assert_eq!(ran.summary("output_tokens"), 120);
    assert_eq!(ran.summary("ttft_ms")["n"], 30);
    assert_eq!(ran.summary("itl_ms")["n"], 90);
    assert_eq!(ran.json["complete"], true);
    for request in of_run(&fake.seen(), 30) {
        assert_eq!(request.body["ignore_eos"], true);
        assert_eq!(request.body["max_tokens"], 4);
    }
    let words = ["TTFT", "ITL", "TPOT", "E2EL", "30 answered, 0 failed"];
    assert!(
        words.iter().all(|word| ran.text.contains(word)),
        "{}",
        ran.text
    );
    // The command repeats the run: the same prompts at the same times.
    let again = bench(&url, options).await;
    let fixed = |ran: &Ran| -> Vec<[Value; 3]> {
        let fields =
            |request: &Value| ["at_ms", "input_len", "output_len"].map(|f| request[f].clone());
        ran.requests().iter().map(fields).collect()
    };
    assert_eq!(fixed(&ran), fixed(&again));
    let cached = again.summary("cached_tokens").as_u64().unwrap();
    let input = again.summary("input_tokens").as_u64().unwrap();
    assert_eq!(cached, input - 30, "all but the last token of each prompt");
}

#[tokio::test]
async fn waiting_for_a_place_counts_in_an_open_loop() {
    let (fake, url) = Fake::start(steady()).await;
    // Each takes 30 ms at least, and all have come long before the last one's turn.
    let options = "--num-prompts 8 --request-rate 1000 --max-concurrency 1 --input-len 8 \
                   --output-len 7 --seed 6";
    let ran = bench(&url, options).await;
    assert_eq!(fake.most_running(), 1);
    let last = &ran.requests()[7];
    let late = last["late_ms"].as_f64().unwrap();
    assert!(
        late > 7.0 * 25.0 - last["at_ms"].as_f64().unwrap(),
        "{last}"
    );
    assert!(last["ttft_ms"].as_f64().unwrap() > late, "{last}");
}

#[tokio::test]
async fn a_closed_loop_asks_when_a_place_is_free() {
    let (fake, url) = Fake::start(steady()).await;
    let options = "--num-prompts 12 --max-concurrency 3 --input-len 8 --output-len 7 --seed 7";
    let ran = bench(&url, options).await;
    assert_eq!(ran.error, None);
    assert_eq!(fake.most_running(), 3);
    let last = &ran.requests()[11];
    // Three rounds came before it.
    assert!(last["at_ms"].as_f64().unwrap() > 3.0 * 25.0, "{last}");
}

#[tokio::test]
async fn groups_share_their_prefix_and_nothing_else() {
    let (fake, url) = Fake::start(steady()).await;
    let options = "--num-prompts 24 --max-concurrency 1 --prefix-len 40 --prefix-groups 3 \
                   --input-len 10 --output-len 1 --seed 8";
    let ran = bench(&url, options).await;
    let mut first = [true; 3];
    for (request, seen) in ran.requests().iter().zip(of_run(&fake.seen(), 24)) {
        let group = request["prefix_group"].as_u64().unwrap() as usize;
        let cached = if first[group] { 0 } else { 40 };
        first[group] = false;
        assert_eq!((seen.tokens.len(), seen.cached), (50, cached), "{request}");
        assert_eq!(request["cached_tokens"], cached, "{request}");
        assert_eq!(request["tpot_ms"], Value::Null, "{request}");
    }
    assert_eq!(first, [false; 3]);
    assert_eq!(ran.summary("cached_tokens"), 21 * 40);
}

#[tokio::test]
async fn failures_are_counted_and_the_rest_is_kept() {
    let config = Config {
        broken_from: 8,
        ..steady()
    };
    let (fake, url) = Fake::start(config).await;
    let ran = bench(
        &url,
        "--num-prompts 10 --max-concurrency 1 --input-len 8 --output-len 2",
    )
    .await;
    assert_eq!(ran.error, None);
    let completed = ran.summary("completed").as_u64().unwrap();
    assert!(completed > 0 && completed < 10, "{}", ran.json["summary"]);
    assert_eq!(ran.summary("failures")["500"], 10 - completed);
    assert!(
        ran.requests()[9]["error"]
            .as_str()
            .unwrap()
            .contains("the device is lost")
    );
    assert!(
        ran.text.contains(&format!("(500: {})", 10 - completed)),
        "{}",
        ran.text
    );
    assert_eq!(fake.seen().len(), 7);
}

#[tokio::test]
async fn a_server_that_answers_nothing_is_an_error() {
    // Two requests find out how it is asked and warm it.
    let config = Config {
        broken_from: 3,
        ..steady()
    };
    let (_fake, url) = Fake::start(config).await;
    let ran = bench(&url, "--num-prompts 3 --input-len 8 --output-len 2").await;
    let error = ran.error.unwrap();
    assert!(error.contains("no request was answered"), "{error}");
    assert!(error.contains("the device is lost"), "{error}");
}

#[tokio::test]
async fn an_interrupted_run_keeps_what_it_has() {
    let (fake, url) = Fake::start(steady()).await;
    let interrupt = async {
        while fake.seen().len() < 30 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let options = "--num-prompts 1000 --request-rate 50 --input-len 8 --output-len 2";
    let ran = bench_until(&url, options, interrupt).await;
    let error = ran.error.as_ref().unwrap();
    assert!(error.contains("interrupted after"), "{error}");
    assert!(!ran.requests().is_empty() && ran.requests().len() < 1000);
    assert_eq!(ran.json["complete"], false);
}

#[tokio::test]
async fn what_is_in_flight_at_an_interruption_is_counted() {
    // Two requests find out how it is asked and warm it; four are answered.
    let config = Config {
        silent_from: 7,
        ..steady()
    };
    let (fake, url) = Fake::start(config).await;
    let interrupt = async {
        while fake.seen().len() < 9 {
            fake.came.notified().await;
        }
    };
    let options = "--num-prompts 10 --max-concurrency 3 --input-len 8 --output-len 2";
    let ran = bench_until(&url, options, interrupt).await;
    let error = ran.error.as_ref().unwrap();
    let told = "interrupted after 4 of 10 requests, 3 more in flight";
    assert!(error.contains(told), "{error}");
    assert_eq!(ran.summary("in_flight_at_interrupt"), 3);
    assert_eq!(ran.summary("completed"), 4);
    assert_eq!(ran.summary("failed"), 0);
    assert_eq!(ran.json["complete"], false);
    assert!(
        ran.text.contains("3 in flight at the interruption"),
        "{}",
        ran.text
    );
    for (index, request) in ran.requests().iter().enumerate() {
        let is_answered = request["ttft_ms"].is_number();
        let is_in_flight = request["in_flight_ms"].is_number();
        assert_eq!((is_answered, is_in_flight), (index < 4, index >= 4));
    }
}

#[tokio::test]
async fn text_is_asked_where_there_is_no_tokenizer() {
    let config = Config {
        tokenize: Tokenize::Missing,
        has_completions: false,
        ..steady()
    };
    let (_fake, url) = Fake::start(config).await;
    let ran = bench(
        &url,
        "--num-prompts 5 --input-len 100 --output-len 2 --ignore-eos false",
    )
    .await;
    assert_eq!(ran.error, None);
    assert_eq!(ran.json["server"]["prompt_form"], "text");
    for request in ran.requests() {
        let tokens = request["prompt_tokens"].as_f64().unwrap();
        assert!((tokens - 100.0).abs() < 25.0, "{request}");
    }
}

#[tokio::test]
async fn goodput_is_what_meets_the_objective() {
    let (_fake, url) = Fake::start(steady()).await;
    let options = "--num-prompts 6 --max-concurrency 1 --input-len 8 --output-len 3";
    let all = bench(&url, &format!("{options} --goodput ttft:60000,e2el:60000")).await;
    assert_eq!(
        all.summary("request_goodput"),
        all.summary("request_throughput")
    );
    let none = bench(&url, &format!("{options} --goodput tpot:1")).await;
    assert_eq!(none.summary("request_goodput"), 0.0);
    let unasked = bench(&url, options).await;
    assert_eq!(*unasked.summary("request_goodput"), Value::Null);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_before_anything_is_sent() {
    let (fake, url) = Fake::start(steady()).await;
    let ran = bench(&url, "--input-len normal:4000,100 --output-len 1").await;
    let error = ran.error.unwrap();
    assert!(
        error.contains("--input-len") && error.contains("4096"),
        "{error}"
    );
    assert!(fake.seen().is_empty());
    assert_eq!(ran.json, Value::Null);
}

#[tokio::test]
async fn our_server_is_measured() {
    let world = World::start(Setup::default()).await;
    let options = "--num-prompts 12 --request-rate 100 --input-len 30..60 --output-len 5 \
                   --prefix-len 64 --prefix-groups 2";
    let ran = bench(&world.url, options).await;
    assert_eq!(ran.error, None);
    for request in ran.requests() {
        let own = request["input_len"].as_u64().unwrap();
        assert_eq!(request["prompt_tokens"], own + 64, "{request}");
        assert_eq!(request["completion_tokens"], 5, "{request}");
    }
    assert!(ran.summary("cached_tokens").as_u64().unwrap() > 0);
}
