//! Prefixes that clients keep, and `/v1/cache`.

use serde_json::{Value, json};

use crate::metrics::sample;
use crate::world::{Setup, World, with};

/// A pool of 4,000 tokens.
async fn world() -> World {
    let setup = Setup {
        num_blocks: 251,
        max_model_len: 3_000,
        ..Setup::default()
    };
    World::start(setup).await
}

/// A prompt of `len` tokens that no other `start` has.
fn tokens(start: u32, len: u32) -> Vec<u32> {
    (0..len)
        .map(|at| 100 + (start * 977 + at * 31 + at / 7) % 2_000)
        .collect()
}

async fn complete(world: &World, prompt: Vec<u32>, fields: Value) -> Value {
    let body = with(json!({"prompt": prompt, "max_tokens": 1}), fields);
    world.ask("/v1/completions", body).await.ok()
}

fn cached(answer: &Value) -> u64 {
    answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        .as_u64()
        .expect("a count")
}

/// Twenty prompts of 500 tokens.
async fn flood(world: &World, first: u32, fields: Value) {
    for start in first..first + 20 {
        complete(world, tokens(start, 500), fields.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_that_is_kept_survives_a_flood() {
    for fields in [
        json!({"prompt_cache_retention": "24h"}),
        json!({"prompt_cache_options": {"ttl": "1h"}}),
        json!({}),
    ] {
        let world = world().await;
        let asked = fields != json!({});
        complete(&world, tokens(1, 2_000), fields).await;
        flood(&world, 10, json!({})).await;
        let text = world.get("/metrics").await.text;
        let retained = sample(&text, "purser_kv_retained_blocks", &[]);
        assert_eq!(retained, if asked { 125.0 } else { 0.0 });
        assert_eq!(
            sample(&text, "purser_cache_retained_evictions_total", &[]),
            0.0
        );
        let again = complete(&world, tokens(1, 2_000), json!({})).await;
        assert_eq!(cached(&again), if asked { 1_999 } else { 0 });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_over_its_quota_takes_nothing_from_others() {
    let world = world().await;
    let kept = |key: &str| json!({"prompt_cache_retention": "24h", "prompt_cache_key": key});
    complete(&world, tokens(1, 960), kept("careful")).await;
    flood(&world, 10, kept("greedy")).await;
    let text = world.get("/metrics").await.text;
    // 60 blocks of one key, and half of the pool for the other.
    assert_eq!(sample(&text, "purser_kv_retained_blocks", &[]), 185.0);
    let again = complete(&world, tokens(1, 960), json!({})).await;
    assert_eq!(cached(&again), 959);
    let list = world.get("/v1/requests?limit=100").await.ok();
    let data = list["data"].as_array().expect("a list");
    let retained: Vec<u64> = data
        .iter()
        .rev()
        .map(|told| told["cache"]["retained_tokens"].as_u64().expect("a count"))
        .collect();
    assert_eq!(retained[0], 960);
    assert_eq!(retained[1..21].iter().sum::<u64>(), 2_000, "{retained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_keep_what_stands_before_them() {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(30);
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let system = |marked: bool| {
        let mut part = json!({"type": "text", "text": long});
        if marked {
            part["cache_control"] = mark.clone();
        }
        json!({"role": "system", "content": [part]})
    };
    let user = |text: &str| json!({"role": "user", "content": text});
    for marked in [true, false] {
        let world = world().await;
        let asked = json!({"messages": [system(marked), user("Who jumps?")], "max_tokens": 2});
        let first = world.chat(asked).await.ok();
        let told = world
            .get(&format!(
                "/v1/requests/{}",
                first["id"].as_str().expect("an id")
            ))
            .await
            .ok();
        let retained = told["cache"]["retained_tokens"].as_u64().expect("a count");
        let prompt = first["usage"]["prompt_tokens"].as_u64().expect("a count");
        assert_eq!(retained > 0, marked, "{told}");
        assert!(
            !marked || retained + 40 > prompt && retained < prompt,
            "{retained} of {prompt}"
        );
        flood(&world, 10, json!({})).await;
        let other = json!({"messages": [system(false), user("And over whom?")], "max_tokens": 2});
        let again = world.chat(other).await.ok();
        assert_eq!(
            cached(&again) >= retained && cached(&again) > 0,
            marked,
            "{again}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warmed_prompt_costs_one_token() {
    let world = world().await;
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(30);
    let chat = json!({
        "messages": [{"role": "system", "content": long}, {"role": "user", "content": "Hi"}],
        "prompt_cache_retention": "24h",
    });
    let warmed = world.ask("/v1/cache/warm", chat.clone()).await.ok();
    assert_eq!(warmed["object"], "cache.warm");
    assert_eq!(warmed["cached_tokens"], 0);
    assert_eq!(warmed["computed_tokens"], warmed["prompt_tokens"]);
    assert!(warmed["retained_tokens"].as_u64() > Some(300), "{warmed}");
    let answer = world
        .ask(
            "/v1/chat/completions",
            with(chat.clone(), json!({"max_tokens": 2})),
        )
        .await
        .ok();
    assert_eq!(answer["usage"]["prompt_tokens"], warmed["prompt_tokens"]);
    assert_eq!(Some(cached(&answer) + 1), warmed["prompt_tokens"].as_u64());
    let again = world.ask("/v1/cache/warm", chat).await.ok();
    assert_eq!(again["computed_tokens"], 1);
    world.ask("/v1/cache/warm", json!({})).await.error(400);
    let enforced = json!({"messages": [], "context_budget": {"mode": "enforce"}});
    world.ask("/v1/cache/warm", enforced).await.error(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_forgets_everything_but_what_runs() {
    let world = world().await;
    complete(
        &world,
        tokens(1, 500),
        json!({"prompt_cache_retention": "24h"}),
    )
    .await;
    world.until_idle().await;
    let reset = world.ask("/v1/cache/reset", json!({})).await.ok();
    assert_eq!(reset["object"], "cache.reset");
    assert_eq!(reset["dropped_blocks"], 32);
    let again = complete(&world, tokens(1, 500), json!({})).await;
    assert_eq!(cached(&again), 0);
    let text = world.get("/metrics").await.text;
    assert_eq!(sample(&text, "purser_kv_retained_blocks", &[]), 0.0);
    world
        .ask("/v1/cache/reset", json!({"force": true}))
        .await
        .error(400);

    world.until_idle().await;
    world.gate.close();
    let running = tokio::spawn(
        world
            .post(
                "/v1/completions",
                &json!({"prompt": [5, 6, 7], "max_tokens": 3}),
            )
            .send(),
    );
    world
        .step_until("running", |stats| stats.num_running == 1)
        .await;
    let (refused, ()) = tokio::join!(world.ask("/v1/cache/reset", json!({})), async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        world.gate.allow(1);
    });
    refused.error(409);
    world.gate.open();
    running.await.expect("a task").expect("an answer");
    world.until_idle().await;
    world.ask("/v1/cache/reset", json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_wishes_are_refused() {
    let world = World::start(Setup::default()).await;
    for (fields, name) in [
        (
            json!({"prompt_cache_retention": "forever"}),
            "prompt_cache_retention",
        ),
        (
            json!({"prompt_cache_key": "x".repeat(600)}),
            "prompt_cache_key",
        ),
        (
            json!({"prompt_cache_options": {"ttl": "2d"}}),
            "prompt_cache_options.ttl",
        ),
    ] {
        let error = world.chat(fields).await.error(400);
        assert_eq!(error["param"], name);
    }
}
