//! What a client is told while its context is decided
//! (`stream_options.include_context_budget`).

use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// The name of the events in a stream.
const EVENT: &str = "context_budget";

/// How far the budgeter is with a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The prompt is counted, and its edits are chosen.
    Planning,
    /// Old turns are summarised while the client waits.
    Compacting {
        /// Summaries that are there.
        done: usize,
        /// Summaries that the plan counts on.
        total: usize,
    },
    /// The context is settled; with the report, if the client wants one.
    Applied(Option<Value>),
}

/// Tells one client of the stages of its request; one that does not listen is told nothing.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<UnboundedSender<Stage>>);

impl Stage {
    /// The event of a stream.
    pub fn event(&self) -> String {
        let data = match self {
            Self::Planning => json!({"stage": "planning"}),
            Self::Compacting { done, total } => {
                json!({"stage": "compacting", "done": done, "total": total})
            }
            Self::Applied(None) => json!({"stage": "applied"}),
            Self::Applied(Some(report)) => json!({"stage": "applied", "context_budget": report}),
        };
        format!("event: {EVENT}\ndata: {data}\n\n")
    }

    /// Whether what comes next may take long.
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Compacting { .. })
    }
}

impl Progress {
    /// To a client that listens, with what it hears.
    pub fn new() -> (Self, UnboundedReceiver<Stage>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    /// Tells of a stage.
    pub fn tell(&self, stage: Stage) {
        if let Some(sender) = &self.0 {
            // The client may have gone.
            sender.send(stage).ok();
        }
    }
}
