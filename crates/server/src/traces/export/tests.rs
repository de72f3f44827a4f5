use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use tokio::net::TcpListener;

use super::*;
use crate::traces::Traces;

fn config(address: std::net::SocketAddr, path: &str) -> TracesConfig {
    TracesConfig {
        endpoint: format!("http://{address}{path}").parse().unwrap(),
        timeout: Duration::from_secs(60),
        service_name: None,
        max_queue: 4,
        max_batch: 4,
        delay: Duration::from_secs(3_600),
    }
}

/// Ends requests of one span each.
fn end(traces: &Traces, spans: usize) {
    for _ in 0..spans {
        drop(traces.begin(&Request::new(Body::empty())));
    }
}

/// What was lost: spans that nobody was told of, and why.
fn tally(traces: &Traces) -> Option<(usize, String)> {
    let tally = traces.losses.lock();
    tally.told.map(|_| (tally.untold, tally.reason.clone()))
}

/// Waits until something was lost.
async fn lost(traces: &Traces) -> (usize, String) {
    let told = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(tally) = tally(traces) {
                return tally;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    told.await.expect("something is lost")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_counted_and_told_once() {
    // It takes connections and says nothing.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let traces = Traces::start(&config(deaf.local_addr().unwrap(), "/")).unwrap();
    end(&traces, 4);
    // The first four are a batch and leave the queue; accepting says that they are on their way.
    let on_its_way = tokio::task::spawn_blocking(move || deaf.accept().map(|it| (it, deaf)));
    let connection = on_its_way.await.unwrap().unwrap();
    end(&traces, 4);
    assert_eq!(tally(&traces), None, "there was room");
    end(&traces, 6);
    let reason = "the collector does not keep up".to_owned();
    // The first was told; so soon after it, the others are not.
    assert_eq!(lost(&traces).await, (5, reason));
    traces.losses.tell();
    assert_eq!(lost(&traces).await.0, 0);
    drop(connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn why_spans_were_lost_is_what_the_system_says() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let traces = Traces::start(&config(address, "/")).unwrap();
    end(&traces, 4);
    let (untold, reason) = lost(&traces).await;
    assert!(untold == 0 && reason.contains("refused"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn collectors_may_take_some_or_none() {
    let rejection = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: 3,
            error_message: "too old".to_owned(),
        }),
    };
    let body = rejection.encode_to_vec();
    let picky = move || std::future::ready(body.clone());
    let router = Router::new().route("/picky", post(picky));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await });
    for (path, expected) in [
        ("/picky", "the collector rejected them: too old"),
        ("/elsewhere", "404"),
    ] {
        let traces = Traces::start(&config(address, path)).unwrap();
        end(&traces, 4);
        let (untold, reason) = lost(&traces).await;
        assert!(untold == 0 && reason.contains(expected), "{reason}");
    }
    assert_eq!(rejected(&[]), None, "all were taken");
    assert_eq!(rejected(b"no protobuf"), None);
}
