//! Requests that fail, clients that leave, and collectors that do not answer.

use std::time::Duration;

use models::testing::FakeRunner;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;
use tokio::time::Instant;

use super::{COMPLETIONS, adds_up, nests, world};
use crate::collector::{Collector, Trace, config};
use crate::context::CHAT;
use crate::world::{Setup, World};

/// Checks that a trace failed in this way.
fn has_failed(trace: &Trace, kind: &str, reason: &str) {
    let status = trace.root.status.as_ref().expect("a status");
    assert_eq!(status.code, StatusCode::Error as i32);
    assert_eq!(status.message, reason);
    assert_eq!(trace.told()["error.type"], kind);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_says_so() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let wrong = json!({"messages": [], "temperature": "hot"});
    world.ask(CHAT, wrong).await.error(400);
    let trace = collector.trace().await;
    has_failed(&trace, "400", "Bad Request");
    assert!(trace.children(&trace.root).is_empty());
    assert_eq!(trace.told()["http.response.status_code"], 400);

    let streamed = json!({"messages": [], "temperature": "hot", "stream": true});
    world.ask(CHAT, streamed).await.error(400);
    has_failed(&collector.traces(2).await[1], "400", "Bad Request");

    world.app.stop_accepting();
    let answer = world.ask(COMPLETIONS, json!({"prompt": [5, 6, 7]})).await;
    answer.error(503);
    let trace = &collector.traces(3).await[2];
    has_failed(trace, "503", "the server is shutting down");
    // Strangers make no spans, and neither does whoever only looks.
    world.get("/v1/models").await.ok();
    world
        .app
        .traces()
        .unwrap()
        .shutdown(Duration::from_secs(60));
    assert_eq!(collector.traces(3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_finds_the_queue_full_has_waited() {
    let collector = Collector::start().await;
    let setup = Setup {
        max_num_seqs: 1,
        max_queued_requests: 1,
        traces: Some(collector.config()),
        ..Setup::default()
    };
    let world = World::start(setup).await;
    world.gate.close();
    let asked: Vec<_> = (0..6)
        .map(|number| {
            let body = json!({"prompt": [5, 6, 7 + number], "max_tokens": 2});
            tokio::spawn(world.post(COMPLETIONS, &body).send())
        })
        .collect();
    // Whoever is refused hears it while the model stands still: let the engine look once.
    world.gate.allow(1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.gate.open();
    let mut num_refused = 0;
    for answer in asked {
        num_refused += usize::from(answer.await.unwrap().unwrap().status() == 429);
    }
    assert!(num_refused > 0, "there was room for all");
    let traces = collector.traces(6).await;
    let refused = traces
        .iter()
        .filter(|trace| trace.told()["error.type"] == "429");
    let mut found = 0;
    for trace in refused {
        found += 1;
        let status = trace.root.status.as_ref().expect("a status");
        assert!(
            status.message.starts_with("the queue is full"),
            "{status:?}"
        );
        assert_eq!(trace.names_in(&trace.root), ["prepare", "queue"]);
    }
    assert_eq!(found, num_refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_is_noticed() {
    let collector = Collector::start().await;
    let world = world(&collector).await;
    let body = |stream: bool| json!({"prompt": [5, 6, 7], "max_tokens": 4_000, "stream": stream, "ignore_eos": true});
    // In the middle of a stream.
    world.gate.close();
    let asked = tokio::spawn(world.post(COMPLETIONS, &body(true)).send());
    world
        .step_until("running", |stats| stats.num_running == 1)
        .await;
    world.gate.allow(2);
    let mut response = asked.await.unwrap().unwrap();
    response.chunk().await.unwrap().expect("a token");
    drop(response);
    world.gate.open();
    let trace = collector.trace().await;
    has_failed(&trace, "cancelled", "the client has gone");
    let names = ["prepare", "queue", "prefill", "decode"];
    assert_eq!(trace.names_in(&trace.root), names);
    let told = trace.told();
    adds_up(&trace, &trace.root, &told["gen_ai.latency.e2e"]);
    assert_eq!(told["gen_ai.response.finish_reasons"], json!([]));
    assert!(told["gen_ai.usage.output_tokens"].as_i64().unwrap() >= 1);

    // Before there is an answer, and before the engine has looked at it.
    world.until_idle().await;
    world.gate.close();
    let holding = tokio::spawn(world.post(COMPLETIONS, &body(true)).send());
    world
        .step_until("running", |stats| stats.num_running == 1)
        .await;
    let asked = tokio::spawn(world.post(COMPLETIONS, &body(false)).send());
    tokio::time::sleep(Duration::from_millis(100)).await;
    asked.abort();
    let trace = &collector.traces(2).await[1];
    has_failed(trace, "cancelled", "the client has gone");
    assert_eq!(trace.names_in(&trace.root), ["prepare", "queue"]);
    nests(trace.child(&trace.root, "queue"), &trace.root);
    assert!(trace.told().get("http.response.status_code").is_none());
    holding.abort();
    world.gate.open();
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_says_why() {
    let collector = Collector::start().await;
    for (number, stream) in [false, true].into_iter().enumerate() {
        let setup = Setup {
            traces: Some(collector.config()),
            ..Setup::default()
        };
        // With the prompt and a token out, a stream has begun.
        let world = World::start_with(setup, |limits, _| {
            Box::new(FakeRunner::new(limits).failing_at_step(3))
        })
        .await;
        let body = json!({"prompt": [5, 6, 7], "max_tokens": 8, "ignore_eos": true,
            "stream": stream});
        let answer = world.ask(COMPLETIONS, body).await;
        let trace = &collector.traces(number + 1).await[number];
        let status = trace.root.status.as_ref().expect("a status");
        assert!(status.message.starts_with("the model failed"), "{status:?}");
        let kind = match stream {
            false => "500",
            true => "failed",
        };
        assert_eq!(trace.told()["error.type"], kind, "{}", answer.text);
        let told = trace.told();
        adds_up(trace, &trace.root, &told["gen_ai.latency.e2e"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_collector() {
    // One that nobody runs, and one that takes what comes and says nothing.
    let listen = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (absent, deaf) = (listen(), listen());
    let addresses = [&absent, &deaf].map(|it| it.local_addr().unwrap());
    drop(absent);
    for address in addresses {
        let mut traces = config(&format!("http://{address}/v1/traces"));
        (traces.max_queue, traces.max_batch) = (8, 4);
        let world = World::start(Setup {
            traces: Some(traces),
            ..Setup::default()
        })
        .await;
        let begin = Instant::now();
        for number in 0..40 {
            let body = json!({"prompt": [5, 6, 7 + number], "max_tokens": 2, "ignore_eos": true});
            let answer = world.ask(COMPLETIONS, body).await.ok();
            assert_eq!(answer["usage"]["completion_tokens"], 2);
        }
        assert!(begin.elapsed() < Duration::from_secs(30));
        let begin = Instant::now();
        let traces = world.app.traces().unwrap().clone();
        let stop = move || traces.shutdown(Duration::from_millis(200));
        tokio::task::spawn_blocking(stop).await.unwrap();
        assert!(begin.elapsed() < Duration::from_secs(30));
        world.complete(json!({"max_tokens": 1})).await.ok();
    }
}
