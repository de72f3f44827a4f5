//! A model whose layers with a sliding window have a pool of their own.

use engine::WindowConfig;
use serde_json::{Value, json};

use crate::metrics::sample;
use crate::world::{BLOCK_SIZE, Setup, World};

/// Tokens that a token sees in these layers.
const WINDOW: usize = 100;

/// Twenty window blocks more than what runs needs.
async fn world() -> World {
    let setup = Setup {
        max_num_seqs: 4,
        max_num_batched_tokens: 64,
        ..Setup::default()
    };
    let (seqs, step) = (setup.max_num_seqs, setup.max_num_batched_tokens);
    let least = WindowConfig::blocks_for(WINDOW, BLOCK_SIZE, seqs, step);
    World::start(Setup {
        window: Some(WindowConfig {
            tokens: WINDOW,
            num_blocks: least as u32 + 20,
        }),
        ..setup
    })
    .await
}

fn tokens(start: u32, len: u32) -> Vec<u32> {
    (0..len)
        .map(|at| 100 + (start * 977 + at * 31 + at / 7) % 2_000)
        .collect()
}

async fn complete(world: &World, prompt: &[u32]) -> Value {
    let body = json!({"prompt": prompt, "max_tokens": 40, "explain_cache": true});
    world.ask("/v1/completions", body).await.ok()
}

fn cached(answer: &Value) -> u64 {
    answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        .as_u64()
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_behind_a_window_is_given_back_and_the_end_of_a_prefix_found() {
    let world = world().await;
    let prompt = tokens(1, 2_000);
    assert_eq!(cached(&complete(&world, &prompt).await), 0);
    // The next turn finds all of it, though most of its window blocks hold later tokens by now.
    let next = [&prompt[..], &tokens(2, 100)].concat();
    assert_eq!(cached(&complete(&world, &next).await), 2_000);
    let text = world.get("/metrics").await.text;
    assert!(sample(&text, "purser_cache_window_evictions_total", &[]) > 50.0);
    assert_eq!(sample(&text, "purser_cache_evictions_total", &[]), 0.0);
    world.until_idle().await;
    let text = world.get("/metrics").await.text;
    let used = sample(&text, "purser_kv_window_blocks", &["state=\"used\""]);
    assert_eq!(used, 0.0);
    // One that parts early finds nothing whose window is left, and is told who took it.
    let early = [&prompt[..500], &tokens(3, 100)].concat();
    let answer = complete(&world, &early).await;
    assert_eq!(cached(&answer), 0);
    assert_eq!(answer["cache"]["miss"]["reason"], "evicted", "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_do_not_depend_on_it() {
    let apart = world().await;
    let shared = World::start(Setup::default()).await;
    for prompt in [tokens(4, 700), tokens(4, 900), tokens(5, 3), tokens(4, 650)] {
        let (apart, shared) = futures::join!(complete(&apart, &prompt), complete(&shared, &prompt));
        assert_eq!(apart["choices"], shared["choices"]);
    }
}
