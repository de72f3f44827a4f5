//! Stopping: take no more, let what runs finish, then end it.

use std::io;
use std::time::Duration;

use engine::EngineThread;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::app::App;

/// How long the last spans of requests may take to be sent.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// How often the engine is looked at while it drains.
const POLL: Duration = Duration::from_millis(20);

/// SIGTERM and SIGINT.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes over both signals from the system's defaults.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            terminate,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Waits for a signal, then stops taking requests: whoever asks is told so, and `/ready` says it
/// too. What runs has `timeout` to finish; then, or at a second signal, it is ended with an error.
/// Completes when nothing runs any more.
pub async fn drain(app: &App, engine: &EngineThread, mut signals: StopSignals, timeout: Duration) {
    signals.next().await;
    tracing::info!(
        timeout_secs = timeout.as_secs_f64(),
        "stopping: no more requests are taken"
    );
    app.stop_accepting();
    tokio::select! {
        () = ended(app, engine) => return,
        () = tokio::time::sleep(timeout) => tracing::warn!("requests did not finish in time"),
        () = signals.next() => tracing::warn!("second signal"),
    }
    app.engine().abort();
    if let Some(encoder) = &app.model().encoder {
        encoder.abort();
    }
    ended(app, engine).await;
}

/// Sends the spans that still wait, if it does not take long.
pub async fn flush_traces(app: &App) {
    let Some(traces) = app.traces().cloned() else {
        return;
    };
    let flushing = tokio::task::spawn_blocking(move || traces.shutdown(LAST_SPANS));
    if let Err(error) = flushing.await {
        tracing::warn!(%error, "the last spans of requests were not sent");
    }
}

/// Completes when the engine has ended, which it does once it has finished all that it took, and the
/// encoder has finished likewise.
async fn ended(app: &App, engine: &EngineThread) {
    let encoder = app.model().encoder.as_ref();
    let encodes = || encoder.is_some_and(|encoder| !encoder.is_idle());
    while !engine.is_finished() || encodes() {
        tokio::time::sleep(POLL).await;
    }
}
