//! `/metrics`: own names and vLLM's, with the right figures.

use engine::{Event, EventSink, GenerateRequest, TokenId};
use serde_json::json;

use crate::answer::Answer;
use crate::world::{Setup, World};

/// The value of the first sample whose name and labels contain all of `parts`.
pub(crate) fn sample(text: &str, name: &str, parts: &[&str]) -> f64 {
    let fits = |line: &&str| {
        line.split(['{', ' ']).next() == Some(name) && parts.iter().all(|part| line.contains(part))
    };
    let line = text.lines().find(fits);
    let line = line.unwrap_or_else(|| panic!("no {name} {parts:?} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_two_requests() {
    let world = World::start(Setup::default()).await;
    let prompt: Vec<u32> = (100..140).collect();
    let fields = json!({"prompt": prompt, "max_tokens": 5, "ignore_eos": true});
    world.complete(fields.clone()).await.ok();
    world.complete(fields).await.ok();
    world.chat(json!({"temperature": -1})).await.error(400);
    // The engine publishes its figures after the step whose last token it has handed over.
    world.until_idle().await;
    let text = world.get("/metrics").await.text;
    assert!(text.ends_with("# EOF\n"), "{text}");
    for (name, labels, value) in [
        (
            "vllm:num_requests_running",
            &["engine=\"0\"", "model_name=\"pebble\""][..],
            0.0,
        ),
        ("vllm:num_requests_waiting", &[], 0.0),
        ("vllm:kv_cache_usage_perc", &[], 0.0),
        ("vllm:gpu_cache_usage_perc", &[], 0.0),
        ("vllm:cache_config_info", &["block_size=\"16\""], 1.0),
        ("vllm:prompt_tokens_total", &[], 80.0),
        ("vllm:generation_tokens_total", &[], 10.0),
        // Tokens, counted once per request when it is admitted.
        ("vllm:prefix_cache_queries_total", &[], 80.0),
        ("vllm:prefix_cache_hits_total", &[], 39.0),
        ("vllm:num_preemptions_total", &[], 0.0),
        (
            "vllm:request_success_total",
            &["finished_reason=\"length\""],
            2.0,
        ),
        ("vllm:time_to_first_token_seconds_count", &[], 2.0),
        ("vllm:inter_token_latency_seconds_count", &[], 8.0),
        ("vllm:e2e_request_latency_seconds_count", &[], 2.0),
        ("vllm:request_queue_time_seconds_count", &[], 2.0),
        ("vllm:request_prefill_time_seconds_count", &[], 2.0),
        ("vllm:request_decode_time_seconds_count", &[], 2.0),
        ("vllm:request_prompt_tokens_sum", &[], 80.0),
        ("vllm:request_generation_tokens_sum", &[], 10.0),
    ] {
        assert_eq!(sample(&text, name, labels), value, "{name}\n{text}");
    }
    let own = text
        .lines()
        .filter(|line| line.starts_with("purser_"))
        .count();
    assert!(own > 20, "{own} own samples");
    // A family is declared once, before its samples.
    for (index, line) in text.lines().enumerate() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let others = text.lines().skip(index + 1);
            assert!(
                !others.into_iter().any(|other| other == line),
                "{declared} twice"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_format_is_the_one_asked_for() {
    let world = World::start(Setup::default()).await;
    let request = world.client.get(format!("{}/metrics", world.url));
    let accept = "application/openmetrics-text; version=1.0.0";
    let answer = Answer::read(request.header("accept", accept).send().await.unwrap()).await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let plain = world.get("/metrics").await;
    assert!(
        plain.header("content-type").starts_with("text/plain"),
        "{:?}",
        plain.headers
    );
}

struct Unheard;

impl EventSink for Unheard {
    fn send(&mut self, _: Event) {}

    fn is_closed(&self) -> bool {
        false
    }
}

fn request(seed: u32, min_output_tokens: usize, background: bool) -> GenerateRequest {
    let prompt = (seed..seed + 40).map(TokenId).collect();
    GenerateRequest {
        min_output_tokens,
        background,
        ..GenerateRequest::greedy(prompt, 2_000, Box::new(Unheard))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_the_background_and_of_guaranteed_output() {
    let world = World::start(Setup::default()).await;
    world.gate.close();
    for request in [request(100, 1_000, false), request(200, 0, true)] {
        world.engine().submit(request).unwrap();
    }
    world
        .step_until("both run", |stats| stats.num_running == 2)
        .await;
    let stats = world.engine().stats();
    assert!(stats.num_guaranteed_blocks > 50, "{stats:?}");
    assert!(stats.output_reserve_ratio > 0.0, "{stats:?}");
    let text = world.get("/metrics").await.text;
    for (name, value) in [
        ("purser_num_background_running", 1.0),
        ("purser_num_background_waiting", 0.0),
        ("purser_background_abandoned_total", 0.0),
        ("purser_guarantee_waits_total", 0.0),
        (
            "purser_kv_guaranteed_blocks",
            stats.num_guaranteed_blocks as f64,
        ),
        ("purser_output_reserve_ratio", stats.output_reserve_ratio),
    ] {
        assert_eq!(sample(&text, name, &[]), value, "{name}\n{text}");
    }
}
