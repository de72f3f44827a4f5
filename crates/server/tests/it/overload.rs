//! Full queues, clients that go away, and 200 of them at once.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::world::{PATIENCE, Setup, World};

fn prompt(number: usize) -> Vec<usize> {
    (0..40)
        .map(|index| 100 + (number * 37 + index * 11) % 3_900)
        .collect()
}

fn body(number: usize, max_tokens: usize, stream: bool) -> Value {
    json!({
        "prompt": prompt(number),
        "max_tokens": max_tokens,
        "ignore_eos": true,
        "stream": stream,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_429_with_a_time() {
    let setup = Setup {
        max_num_seqs: 2,
        max_queued_requests: 3,
        ..Setup::default()
    };
    let world = Arc::new(World::start(setup).await);
    world.gate.close();
    let waiting: Vec<_> = (0..30)
        .map(|number| {
            let world = Arc::clone(&world);
            let stream = number % 2 == 0;
            tokio::spawn(async move { world.ask("/v1/completions", body(number, 4, stream)).await })
        })
        .collect();
    // Whoever is refused hears it while the model stands still: let the engine look once.
    world.gate.allow(1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.gate.open();
    let answers: Vec<Answer> = join_all(waiting)
        .await
        .into_iter()
        .map(|answer| answer.unwrap())
        .collect();
    let (refused, served): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 429);
    assert!(refused.len() >= 10, "{} refused", refused.len());
    assert!(served.len() >= 3, "{} served", served.len());
    // Who was refused never was a request of the engine's.
    let metrics = world.get("/metrics").await.text;
    let sum = |name: &str| -> f64 {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!(sum("purser_request_success_total"), served.len() as f64);
    assert_eq!(sum("purser_requests_refused_total"), refused.len() as f64);
    for answer in refused {
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=3_600).contains(&seconds), "{seconds}");
        let error = answer.error(429);
        assert_eq!(error["type"], "rate_limit_error");
    }
    for answer in served {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    world.until_idle().await;
    world.complete(json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_frees_its_blocks() {
    let world = World::start(Setup::default()).await;
    world.gate.close();
    let mut stream = world
        .post("/v1/completions", &body(1, 3_000, true))
        .send()
        .await
        .unwrap()
        .bytes_stream();
    world.gate.allow(3);
    let first = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(first.starts_with(b"data: "), "{first:?}");
    assert_eq!(world.engine().stats().num_running, 1);
    drop(stream);
    world.gate.open();
    world.until_idle().await;
    let generated = world.engine().stats().generation_tokens;
    assert!(
        generated < 2_000,
        "the answer went on for {generated} tokens"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_queue_is_forgotten() {
    let world = World::start(Setup {
        max_num_seqs: 1,
        ..Setup::default()
    })
    .await;
    world.gate.close();
    let send = |number| {
        world
            .post("/v1/completions", &body(number, 3_000, true))
            .send()
    };
    let running = send(1).await;
    world.gate.allow(2);
    world.until("running", |stats| stats.num_running == 1).await;
    let queued = tokio::spawn(send(2));
    world
        .step_until("waiting", |stats| stats.num_waiting == 1)
        .await;
    queued.abort();
    world
        .step_until("alone", |stats| stats.num_waiting == 0)
        .await;
    assert_eq!(world.engine().stats().num_running, 1);
    drop(running);
    world.gate.open();
    world.until_idle().await;
    // The second prompt was never computed.
    assert_eq!(world.engine().stats().prompt_tokens_computed, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_a_whole_answer_may_leave_too() {
    let world = World::start(Setup::default()).await;
    world.gate.close();
    let request = world.post("/v1/completions", &body(1, 3_000, false)).send();
    let left = tokio::time::timeout(Duration::from_millis(300), request).await;
    assert!(left.is_err(), "nothing can have been answered");
    world.gate.open();
    world.until_idle().await;
    let generated = world.engine().stats().generation_tokens;
    assert!(
        generated < 2_000,
        "the answer went on for {generated} tokens"
    );
}

/// Reads a stream to its end, or leaves after some chunks.
async fn client(world: Arc<World>, number: usize, leaves_after: Option<usize>) {
    let request = world.post("/v1/completions", &body(number, 60, true));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    match leaves_after {
        Some(chunks) => {
            let mut stream = response.bytes_stream();
            for _ in 0..chunks {
                if stream.next().await.is_none() {
                    break;
                }
            }
        }
        None => {
            let chunks = Answer::read(response).await.chunks();
            let text: String = chunks
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["text"].as_str())
                .collect();
            let prompt: Vec<u32> = prompt(number).iter().map(|&token| token as u32).collect();
            assert_eq!(
                text,
                world.decode(&world.oracle(&prompt, 60)),
                "client {number}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_of_which_half_leave() {
    let seed = 0x5eed_u64;
    println!("seed {seed:#x}");
    let world = Arc::new(World::start(Setup::default()).await);
    let clients = (0..200_usize).map(|number| {
        // Knuth's multiplicative hash: where in its stream a client leaves.
        let random = (number as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let leaves_after = (number % 2 == 0).then_some(random as usize % 8);
        tokio::spawn(client(Arc::clone(&world), number, leaves_after))
    });
    for ended in join_all(clients).await {
        ended.unwrap();
    }
    world.until_idle().await;
    let stats = world.engine().stats();
    assert_eq!(
        (stats.num_running, stats.num_waiting, stats.num_used_blocks),
        (0, 0, 0)
    );
    assert_eq!(world.metric("vllm:kv_cache_usage_perc").await, 0.0);
    assert_eq!(world.metric("vllm:num_requests_running").await, 0.0);
    world.complete(json!({})).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_keep_a_slow_stream_alive() {
    let mut setup = Setup::default();
    setup.limits.keep_alive = Duration::from_millis(20);
    let world = World::start(setup).await;
    world.gate.close();
    let response = world
        .post("/v1/completions", &body(1, 2, true))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut stream = response.bytes_stream();
    let comment = tokio::time::timeout(PATIENCE, stream.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(comment.starts_with(b":"), "{comment:?}");
    world.gate.open();
    let mut rest = Vec::new();
    while let Some(bytes) = stream.next().await {
        rest.extend_from_slice(&bytes.unwrap());
    }
    assert!(
        rest.ends_with(b"data: [DONE]\n\n"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}
