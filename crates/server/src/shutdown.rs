//! Stopping: take no more, let what runs finish, then end it.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::app::App;

/// How often the engine is looked at while it drains.
const POLL: Duration = Duration::from_millis(20);

/// How long clients that do not read may keep the server from ending.
const LAST_WORDS: Duration = Duration::from_secs(3);

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

/// Waits for a signal, then stops taking requests and returns, whereupon the listener closes. What
/// runs has `timeout` to finish; then, or at a second signal, it is ended with an error. `overdue`
/// hears when even telling the clients has taken too long.
pub async fn drain(
    app: App,
    mut signals: StopSignals,
    timeout: Duration,
    overdue: oneshot::Sender<()>,
) {
    signals.next().await;
    tracing::info!(
        timeout_secs = timeout.as_secs_f64(),
        "stopping: no more requests are taken"
    );
    app.stop_accepting();
    tokio::spawn(async move {
        tokio::select! {
            () = idle(&app) => {}
            () = tokio::time::sleep(timeout) => tracing::warn!("requests did not finish in time"),
            () = signals.next() => tracing::warn!("second signal"),
        }
        app.engine().abort();
        tokio::time::sleep(LAST_WORDS).await;
        // Nobody listens when all connections have closed in time.
        let _ = overdue.send(());
    });
}

async fn idle(app: &App) {
    loop {
        let stats = app.engine().stats();
        if stats.num_running + stats.num_waiting == 0 {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}
