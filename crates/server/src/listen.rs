//! Connections: accepted, answered, and closed without cutting anybody short.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long a client may take to begin a request and to send its headers. A connection that is kept
/// for further requests is closed after so long without one.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause after a connection could not be accepted, usually because all file descriptors are in use.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers with `router` until `stop` completes. Then it accepts no more connections and lets the
/// requests that are under way finish, for at most `last_words`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    last_words: Duration,
) {
    let (open, closing) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(answer(stream, router.clone(), closing.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            // Keeps the set from growing by those that have ended.
            Some(_) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    drop((listener, open));
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(last_words, all).await.is_err() {
        tracing::warn!("some clients did not read to the end");
    }
}

/// Serves one connection until it ends, or until the request under way when `closing` ends.
async fn answer(stream: TcpStream, router: Router, mut closing: watch::Receiver<()>) {
    // Without this a small piece of a stream waits for the acknowledgement of the one before it
    // (Nagle), which clients delay by up to 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::warn!(%error, "cannot switch Nagle's algorithm off");
    }
    // Finding out whether a client speaks HTTP/2 waits for its first bytes without a timeout, and
    // the clients of an inference server speak HTTP/1.1 where there is no TLS.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests;
