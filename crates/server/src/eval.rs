//! `purser eval`: whether a context that was cut down still holds what its task needs.
//!
//! ```text
//! purser eval context --base-url http://127.0.0.1:8000 --traces 8 --length 6000
//! ```
//!
//! `context` replays agent episodes against a running server, turn by turn, once per policy and
//! budget, and asks about facts that were planted in them. A policy is a way to make a history fit
//! into a budget: cuts that a client makes, LangChain's `trim_messages`, and the server's own
//! `context_budget`. It says which facts survive, how many tokens had to be computed, how many were
//! found in the cache, and how long the first token took.
//!
//! 1. `generator` draws episodes from a seed, `facts` what is planted in them.
//! 2. `sizing` makes them as long as asked, by the server's own count.
//! 3. `compose` applies a policy to a history, `replay` sends what it gives.
//! 4. `scoring` says whether an answer is right, `summary` with which certainty.
//! 5. `report`, `markdown` and `chart` write the results.
//!
//! [`placement`] asks for one document among others, wherever it stands.
//!
//! The module knows nothing of the rest of the server but [`crate::measure`].

use std::io;

pub mod args;
pub mod context;
pub mod placement;

mod asker;
mod bootstrap;
mod compose;
mod cut;
mod differences;
mod error;
#[cfg(test)]
mod example;
mod facts;
mod failures;
mod generator;
mod markdown;
mod message;
mod outline;
mod plots;
mod policy;
mod prose;
mod rendered;
mod replay;
mod report;
mod scoring;
mod sizing;
mod summary;
mod trace;
mod trimmed;

pub use args::{ContextArgs, EvalArgs, EvalCommand};
pub use error::EvalError;
pub use placement::PlacementArgs;

/// Runs what `args` asks for; results go to standard output and to the folder that they name.
///
/// # Errors
/// What [`context::run`] says; also when the user interrupts it, after the results so far are
/// written.
pub async fn run(args: EvalArgs) -> anyhow::Result<()> {
    match args.command {
        EvalCommand::Context(args) => context::run(&args, &mut io::stdout(), interrupted()).await,
        EvalCommand::Placement(args) => {
            placement::run(&args, &mut io::stdout(), interrupted()).await
        }
    }
}

/// Completes at Ctrl-C; where no handler can be installed Ctrl-C keeps ending the process.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
