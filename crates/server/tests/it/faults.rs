//! Requests that are no requests, and models that fail.

use std::io::{Read, Write};
use std::net::TcpStream;

use models::testing::FakeRunner;
use serde_json::json;

use crate::answer::Answer;
use crate::world::{PATIENCE, Setup, World};

const CHAT: &str = "/v1/chat/completions";

async fn send(world: &World, body: impl Into<reqwest::Body>, content_type: &str) -> Answer {
    let request = world.client.post(format!("{}{CHAT}", world.url)).body(body);
    let request = request.header("content-type", content_type);
    Answer::read(request.send().await.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json() {
    let world = World::start(Setup::default()).await;
    for (body, message) in [
        (&b"{\"messages\": "[..], "not JSON"),
        (b"", "not JSON"),
        (b"{} trailing", "not JSON"),
        (b"{\"temperature\": NaN}", "not JSON"),
        (b"{\"messages\": \"\xff\xfe\"}", "not UTF-8"),
        (b"[1, 2]", "must be a JSON object"),
        (b"\"hello\"", "must be a JSON object"),
        (b"null", "must be a JSON object"),
    ] {
        let error = send(&world, body, "application/json").await.error(400);
        let text = error["message"].as_str().unwrap();
        assert!(
            text.contains(message),
            "{:?}: {text}",
            String::from_utf8_lossy(body)
        );
    }
    // Deeper than anything sensible: refused, not a stack overflow.
    let deep = format!("{{\"messages\": {}", "[".repeat(100_000));
    send(&world, deep, "application/json").await.error(400);
    // A number that no float holds.
    let huge = format!("{{\"max_tokens\": 1{}, \"messages\": []}}", "0".repeat(400));
    send(&world, huge, "application/json").await.error(400);
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_types_and_sizes_of_bodies() {
    let mut setup = Setup::default();
    setup.limits.max_body_bytes = 4 << 20;
    let world = World::start(setup).await;
    let error = send(
        &world,
        "messages=hello",
        "application/x-www-form-urlencoded",
    )
    .await
    .error(415);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("application/json"),
        "{error}"
    );
    let body = json!({"messages": [{"role": "user", "content": "x".repeat(10 << 20)}]}).to_string();
    send(&world, body, "application/json").await.error(413);
    // The same without a length in front.
    let chunks = (0..60).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100_000]));
    let stream = reqwest::Body::wrap_stream(futures::stream::iter(chunks));
    send(&world, stream, "application/json").await.error(413);
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1});
    send(&world, body.to_string(), "application/json; charset=utf-8")
        .await
        .ok();
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_methods_that_do_not_exist() {
    let world = World::start(Setup::default()).await;
    let error = world.get("/v1/nothing").await.error(404);
    assert!(
        error["message"].as_str().unwrap().contains("/v1/nothing"),
        "{error}"
    );
    world.get(CHAT).await.error(405);
    world.ask("/health", json!({})).await.error(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_are_taken_over_or_made() {
    let world = World::start(Setup::default()).await;
    let id = async |given: &str| {
        let request = world.client.get(format!("{}/health", world.url));
        let answer =
            Answer::read(request.header("x-request-id", given).send().await.unwrap()).await;
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(id("mine-1").await, "mine-1");
    let long = "x".repeat(1_000);
    for insane in ["", "a b", &long] {
        let made = id(insane).await;
        assert!(made != insane && !made.is_empty(), "{made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_http() {
    let world = World::start(Setup::default()).await;
    let address = world.url.strip_prefix("http://").unwrap().to_owned();
    let answers = tokio::task::spawn_blocking(move || {
        let garbage: [&[u8]; 3] = [
            b"\x00\x01\x02\x03\r\n\r\n",
            b"GET\r\n\r\n",
            b"POST /v1/completions HTTP/1.1\r\n\xff: 1",
        ];
        for bytes in garbage {
            let mut socket = TcpStream::connect(&address).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.write_all(bytes).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            // A reset is as good as an answer.
            let _ = socket.read_to_end(&mut answer);
        }
    });
    answers.await.unwrap();
    world.complete(json!({})).await.ok();
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_is_a_500_and_the_next_request_is_served() {
    let world = World::start_with(Setup::default(), |limits, _| {
        Box::new(FakeRunner::new(limits).failing_at_step(1))
    })
    .await;
    let error = world.complete(json!({"max_tokens": 4})).await.error(500);
    assert_eq!(error["type"], "server_error");
    world.complete(json!({"max_tokens": 4})).await.ok();
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_fails_in_mid_stream_is_an_error_event() {
    let world = World::start_with(Setup::default(), |limits, _| {
        Box::new(FakeRunner::new(limits).failing_at_step(5))
    })
    .await;
    let fields = json!({"max_tokens": 40, "ignore_eos": true, "stream": true});
    let chunks = world.complete(fields).await.chunks();
    let error = &chunks.last().unwrap()["error"];
    assert_eq!(error["type"], "server_error", "{chunks:?}");
    assert!(
        error["message"].as_str().unwrap().contains("failed"),
        "{error}"
    );
    assert!(chunks.len() >= 4, "{chunks:?}");
    world.until_idle().await;
}
