use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;

/// What a client receives that sends `request` and then waits, and how long until it is hung up on.
async fn talk(request: &str) -> (String, Duration) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/", get(|| async { "hello" }));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(
        listener,
        router,
        async { stopped.await.unwrap_or_default() },
        Duration::ZERO,
    ));
    let mut client = TcpStream::connect(address).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("sent");
    let began = Instant::now();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("text");
    let waited = began.elapsed();
    stop.send(()).expect("the server runs");
    server.await.expect("the server ends");
    (answer, waited)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_his_headers_is_hung_up_on() {
    for unfinished in ["", "P", "GET / HTTP/1.1\r\nHost: here\r\n"] {
        let (answer, waited) = talk(unfinished).await;
        assert!(!answer.contains("hello"), "{unfinished:?}: {answer}");
        assert!(waited >= HEADER_READ_TIMEOUT, "{unfinished:?}: {waited:?}");
        assert!(
            waited < 3 * HEADER_READ_TIMEOUT,
            "{unfinished:?}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_answered_first_and_closed_later() {
    let (answer, waited) = talk("GET / HTTP/1.1\r\nHost: here\r\n\r\n").await;
    assert!(answer.ends_with("hello"), "{answer}");
    assert!(waited >= HEADER_READ_TIMEOUT, "{waited:?}");
}
