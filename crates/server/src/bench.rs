//! `purser bench`: measurements of a running server, ours or any other that speaks OpenAI's API.
//!
//! ```text
//! purser bench ttft --base-url http://127.0.0.1:8000 --prompt-tokens 2000 --repeat 5
//! purser bench load --request-rate 2 --input-len lognormal:400,0.8 --output-len 16..256
//! purser bench agent --agents 8 --turns 43 --pause lognormal:2,0.5
//! purser bench replay conversation_trace.jsonl --speed 0.5 --limit 200
//! ```
//!
//! `ttft` says what a warm prefix is worth: the time to the first token (TTFT) at several prefix
//! hit rates. A measurement at hit rate `h` sends
//!
//! 1. a *warming* request: a prefix of `h` % of the prompt, then a tail of its own;
//! 2. the *measured* request: the same prefix, then another tail, different from its first token.
//!
//! At 0 % nothing is warmed, at 100 % the measured prompt is the warming prompt. Each measurement
//! draws its own random prefix from the seed, so what is cold was never sent before, whatever the
//! server holds from elsewhere. The order of hit rates is shuffled in every repetition, so that
//! drift (clocks, heat, neighbours) does not line up with the hit rate.
//!
//! Prompts are lists of token ids when the server has `/tokenize` (vLLM's shape or llama.cpp's),
//! so lengths and hit rates are exact; otherwise they are text, and the observed hit rate says what
//! came of it. A server without `/v1/completions` is measured through `/v1/chat/completions`.
//!
//! The module knows nothing of the rest of the server but [`crate::measure`]. The binary needs `BenchArgs` as a subcommand
//! and a call of [`run`].
//!
//! - [`ttft`]: the time to the first token, one request at a time.
//! - [`load`]: many requests, at times of their own or so many at once.
//! - [`agent`]: conversations that grow by tool results, turn by turn.
//! - [`replay`]: the requests of a trace.
//! - [`compare`]: two files of results.
//! - [`report`]: files of results as a page.

use std::io;

use clap::{Args, Subcommand};

pub mod agent;
pub mod compare;
pub mod load;
pub mod replay;
pub mod report;
pub mod ttft;

mod arrivals;
mod asker;
mod distribution;
mod endpoint;
mod error;
mod goodput;
mod ledger;
mod lengths;
mod outcome;
mod page;
mod pauses;
mod prompt;
mod record;
mod results;
mod summary;

pub use agent::AgentArgs;
pub use arrivals::Rate;
pub use compare::CompareArgs;
pub use error::BenchError;
pub use goodput::Goodput;
pub use lengths::Lengths;
pub use load::LoadArgs;
pub use pauses::Pauses;
pub use record::RecordArgs;
pub use replay::ReplayArgs;
pub use report::ReportArgs;
pub use ttft::TtftArgs;

/// Measure a running server.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The measurements there are.
#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Time to first token at several prefix hit rates, of any OpenAI-compatible server
    Ttft(TtftArgs),
    /// Latencies and throughput under load: requests at a rate or so many at a time
    Load(LoadArgs),
    /// Agents that call tools in a loop: what of their prefixes is cached, and how long turns take
    Agent(AgentArgs),
    /// The requests of a trace at its times, or faster: Mooncake's, ShareGPT's, whole requests
    Replay(ReplayArgs),
    /// Two files of results: ratios with confidence intervals
    Compare(CompareArgs),
    /// Files of results as a page with tables and charts
    Report(ReportArgs),
}

/// Runs what `args` asks for; results go to standard output and to the file that they name.
///
/// # Errors
/// What the benchmark's own `run` says; also when the user interrupts it, after the results so far
/// are written.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    match args.command {
        BenchCommand::Ttft(args) => ttft::run(&args, &mut io::stdout(), interrupted()).await,
        BenchCommand::Load(args) => load::run(&args, &mut io::stdout(), interrupted()).await,
        BenchCommand::Agent(args) => agent::run(&args, &mut io::stdout(), interrupted()).await,
        BenchCommand::Replay(args) => replay::run(&args, &mut io::stdout(), interrupted()).await,
        BenchCommand::Compare(args) => compare::run(&args, &mut io::stdout()),
        BenchCommand::Report(args) => report::run(&args, &mut io::stdout()),
    }
}

/// Completes at Ctrl-C; where no handler can be installed Ctrl-C keeps ending the process.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
