//! `/metrics` and `/v1/requests` against what a client counts for itself.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::metrics::sample;
use crate::world::{Setup, World};

const REQUESTS: usize = 20;

/// What a client sees of one streamed answer.
struct Seen {
    usage: Value,
    ttft: Duration,
}

async fn stream(world: &World, prompt: &[u32]) -> Seen {
    let body = json!({
        "prompt": prompt,
        "max_tokens": 4,
        "ignore_eos": true,
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let start = Instant::now();
    let mut response = world.post("/v1/completions", &body).send().await.unwrap();
    let (mut text, mut ttft) = (String::new(), None);
    while let Some(bytes) = response.chunk().await.unwrap() {
        ttft.get_or_insert(start.elapsed());
        text.push_str(std::str::from_utf8(&bytes).unwrap());
    }
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let mut usages = chunks.map(|chunk| chunk["usage"].clone());
    Seen {
        usage: usages.next_back().expect("the usage comes last"),
        ttft: ttft.expect("something was sent"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_are_those_that_a_client_counts() {
    let world = World::start(Setup::default()).await;
    let tokens: Vec<u32> = (0..500).map(|at| 100 + at * 7 % 1_900).collect();
    let mut seen = Vec::new();
    for request in 0..REQUESTS {
        // Every other prompt goes on where the one before it ended.
        seen.push(stream(&world, &tokens[request % 2..40 + 20 * request]).await);
    }
    world.until_idle().await;
    let sum = |path: &[&str]| {
        let of = |seen: &Seen| {
            let value = path.iter().fold(&seen.usage, |value, name| &value[name]);
            value.as_u64().expect("a count")
        };
        seen.iter().map(of).sum::<u64>() as f64
    };
    let text = world.get("/metrics").await.text;
    for (name, expected) in [
        ("vllm:request_success_total", REQUESTS as f64),
        ("purser_prompt_tokens_total", sum(&["prompt_tokens"])),
        (
            "purser_generation_tokens_total",
            sum(&["completion_tokens"]),
        ),
        (
            "purser_prefix_cache_hits_total",
            sum(&["prompt_tokens_details", "cached_tokens"]),
        ),
        ("purser_time_to_first_token_seconds_count", REQUESTS as f64),
        (
            "purser_predicted_time_to_first_token_seconds_count",
            REQUESTS as f64,
        ),
    ] {
        assert_eq!(sample(&text, name, &[]), expected, "{name}");
    }
    assert!(sum(&["prompt_tokens_details", "cached_tokens"]) > 1_000.0);

    let list = world.get("/v1/requests?limit=100").await.ok();
    let records = list["data"].as_array().expect("a list");
    let told: Vec<f64> = records
        .iter()
        .rev()
        .map(|record| record["timing"]["ttft_ms"].as_f64().expect("a time"))
        .collect();
    let heard: Vec<f64> = seen
        .iter()
        .map(|seen| seen.ttft.as_secs_f64() * 1e3)
        .collect();
    let later: Vec<f64> = heard
        .iter()
        .zip(&told)
        .map(|(heard, told)| heard - told)
        .collect();
    // A client hears of a token after the server has it, and when nothing else keeps the machine
    // busy within milliseconds: at least once in twenty times.
    assert!(later.iter().all(|&ms| ms > -0.01), "{later:?}");
    let least = later.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(least < 5.0, "{later:?}");
    let total = sample(&text, "purser_time_to_first_token_seconds_sum", &[]) * 1e3;
    let records: f64 = told.iter().sum();
    assert!(
        (total - records).abs() < 0.1,
        "{total} and {records} ms in all"
    );
}
