//! How agents end.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// How one agent ended; turns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub(super) enum Ending {
    /// After all its turns.
    Finished,
    /// Its history did not fit the server any more.
    ContextFull {
        /// The turn that was not answered.
        turn: u32,
        /// Who found out: the server, or this tool by the server's limit.
        says: String,
    },
    /// A request got no answer.
    Failed {
        /// The request's turn.
        turn: u32,
        error: String,
    },
    /// The user ended the run.
    Interrupted {
        /// The turn in which the agent was.
        turn: u32,
    },
}

/// An agent in the results.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Ended {
    /// From 1.
    pub(super) agent: u32,
    #[serde(flatten)]
    pub(super) ending: Ending,
}

/// Where the agents of a run are; who runs them and who counts them share it.
#[derive(Debug, Clone)]
pub(super) struct Roster(Arc<Mutex<Vec<Ending>>>);

impl Roster {
    /// Of `agents` that have not begun.
    pub(super) fn new(agents: u32) -> Self {
        let waiting = Ending::Interrupted { turn: 1 };
        Self(Arc::new(Mutex::new(vec![waiting; agents as usize])))
    }

    /// What `agent`, counted from 1, ends with if nothing else is said of it.
    pub(super) fn set(&self, agent: u32, ending: Ending) {
        let mut endings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        endings[agent as usize - 1] = ending;
    }

    /// All agents in their order.
    pub(super) fn ended(&self) -> Vec<Ended> {
        let endings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbered = (1..).zip(endings.iter().cloned());
        numbered
            .map(|(agent, ending)| Ended { agent, ending })
            .collect()
    }
}
