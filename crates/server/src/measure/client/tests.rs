use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::*;

const STREAM: &str = "data: {\"choices\": [{\"text\": \"a\"}]}\n\ndata: [DONE]\n\n";

/// Reads a request of one packet.
fn hear(connection: &mut TcpStream) -> usize {
    connection.read(&mut [0; 4096]).expect("it can be read")
}

fn answer(connection: &mut TcpStream) {
    let length = STREAM.len();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nKeep-Alive: timeout=5";
    write!(
        connection,
        "{head}\r\nContent-Length: {length}\r\n\r\n{STREAM}"
    )
    .expect("it is open");
}

fn thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let thread = thread::Builder::new().name("server".to_owned());
    thread.spawn(body).expect("a thread can be started")
}

async fn stream(client: &Client) -> Result<StreamAnswer, ServerError> {
    client
        .stream("/v1/completions", &json!({"prompt": "a"}))
        .await
}

fn client(listener: &TcpListener) -> Client {
    let address = listener.local_addr().expect("it listens");
    Client::new(&format!("http://{address}"), None, 5).expect("the address is right")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let client = client(&listener);
    let server = thread(move || {
        let mut kept = listener.accept().expect("a client comes").0;
        hear(&mut kept);
        answer(&mut kept);
        // The second request comes on the same connection and meets its end.
        assert!(hear(&mut kept) > 0);
        drop(kept);
        let mut fresh = listener.accept().expect("the client comes again").0;
        hear(&mut fresh);
        answer(&mut fresh);
    });
    for _ in 0..2 {
        let answer = stream(&client).await.expect("each request is answered");
        assert_eq!(answer.text, "a");
    }
    server.join().expect("the server saw what it should");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_asked_twice_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let client = client(&listener);
    let server = thread(move || {
        for _ in 0..2 {
            let mut connection = listener.accept().expect("a client comes").0;
            hear(&mut connection);
        }
        listener.set_nonblocking(true).expect("it can be");
        thread::sleep(Duration::from_millis(50));
        listener
            .accept()
            .map(|_| ())
            .expect_err("nobody else comes")
            .kind()
    });
    let error = stream(&client).await.expect_err("there is no answer");
    assert!(matches!(error, ServerError::Unreachable { .. }), "{error}");
    assert_eq!(
        server.join().expect("it ran"),
        std::io::ErrorKind::WouldBlock
    );
}

#[test]
fn the_last_chunk_adds_to_the_report_of_the_first() {
    let mut report = None;
    add_report(
        &mut report,
        json!({"edits": [1], "cost": {"actual_prefill_ms": null}}),
    );
    add_report(&mut report, json!({"cost": {"actual_prefill_ms": 3.0}}));
    let whole = json!({"edits": [1], "cost": {"actual_prefill_ms": 3.0}});
    assert_eq!(report, Some(whole));
}
