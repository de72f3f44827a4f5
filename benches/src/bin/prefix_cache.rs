//! What prefix caching costs when nothing is shared, and what it saves when everything is.
//!
//! Requests go through scheduler, prefix cache and model. `cost` has distinct prompts and takes
//! turns with caching on and off: the difference of the host's time per token is the price of
//! hashing, looking up, sealing and evicting, and it is set against the whole time per token.
//! `shared` counts the tokens that concurrent requests with one long common prefix compute.

use std::io::Write;

use anyhow::ensure;
use benches::machine::Provenance;
use benches::scheduled_run::{Requests, RunTiming, ScheduledModel, Sizes};
use benches::summary::Summary;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

/// Measure the prefix cache, without the server.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Distinct prompts, caching on and off.
    Cost(Cost),
    /// Concurrent prompts with a common prefix.
    Shared(Shared),
}

#[derive(Args)]
struct Cost {
    /// A model's folder, or `embedded`.
    #[arg(long, default_value = "embedded")]
    model: String,
    /// Requests of one run.
    #[arg(long, default_value_t = 24)]
    requests: usize,
    /// Tokens of each prompt.
    #[arg(long, default_value_t = 512)]
    prompt_tokens: usize,
    /// Tokens that each generates.
    #[arg(long, default_value_t = 32)]
    output_tokens: usize,
    /// Runs with caching, and as many without.
    #[arg(long, default_value_t = 5)]
    repeat: usize,
}

#[derive(Args)]
struct Shared {
    /// A model's folder, or `embedded`.
    #[arg(long, default_value = "embedded")]
    model: String,
    /// Requests at once.
    #[arg(long, default_value_t = 8)]
    requests: usize,
    /// Tokens with which all prompts begin.
    #[arg(long, default_value_t = 1500)]
    shared_tokens: usize,
    /// Tokens of each prompt after them.
    #[arg(long, default_value_t = 100)]
    own_tokens: usize,
    /// Tokens that each generates.
    #[arg(long, default_value_t = 64)]
    output_tokens: usize,
}

#[derive(Serialize)]
struct CostReport {
    #[serde(flatten)]
    provenance: Provenance,
    model: String,
    requests: Requests,
    sizes: Sizes,
    /// Host time per computed token with caching.
    host_ns_per_token_on: Summary,
    /// Host time per computed token without.
    host_ns_per_token_off: Summary,
    /// Model time per computed token, over all runs.
    model_ns_per_token: Summary,
    /// Difference of the medians over the time per token without caching, in percent.
    throughput_cost_percent: f64,
    /// Every run with caching.
    runs_on: Vec<RunTiming>,
    /// Every run without.
    runs_off: Vec<RunTiming>,
}

#[derive(Serialize)]
struct SharedReport {
    #[serde(flatten)]
    provenance: Provenance,
    model: String,
    requests: Requests,
    sizes: Sizes,
    caching: RunTiming,
    no_caching: RunTiming,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Cost(args) => print(&cost(args)?),
        Command::Shared(args) => print(&shared(args)?),
    }
}

fn cost(args: Cost) -> anyhow::Result<CostReport> {
    let requests = Requests {
        count: args.requests,
        shared_tokens: 0,
        own_tokens: args.prompt_tokens,
        output_tokens: args.output_tokens,
    };
    let sizes = sizes(&requests);
    let mut model = ScheduledModel::load(&args.model, sizes)?;
    let (mut on, mut off) = (Vec::new(), Vec::new());
    model.serve(&requests, true)?;
    for _ in 0..args.repeat {
        on.push(model.serve(&requests, true)?);
        off.push(model.serve(&requests, false)?);
    }
    let hits = on.iter().any(|run| run.prompt_tokens_cached > 0);
    ensure!(
        !hits,
        "the prompts were meant to be distinct, but some were cached"
    );
    let per_token = |runs: &[RunTiming], seconds: fn(&RunTiming) -> f64| {
        let times = runs
            .iter()
            .map(|run| seconds(run) * 1e9 / run.tokens_computed as f64);
        times.collect::<Vec<_>>()
    };
    let host_on = Summary::of(&per_token(&on, |run| run.host_seconds));
    let host_off = Summary::of(&per_token(&off, |run| run.host_seconds));
    let all = [on.clone(), off.clone()].concat();
    let model_time = Summary::of(&per_token(&all, |run| run.model_seconds));
    let without = model_time.median + host_off.median;
    Ok(CostReport {
        provenance: Provenance::gather(),
        model: args.model,
        requests,
        sizes,
        host_ns_per_token_on: host_on,
        host_ns_per_token_off: host_off,
        model_ns_per_token: model_time,
        throughput_cost_percent: (host_on.median - host_off.median) / without * 100.0,
        runs_on: on,
        runs_off: off,
    })
}

fn shared(args: Shared) -> anyhow::Result<SharedReport> {
    let requests = Requests {
        count: args.requests,
        shared_tokens: args.shared_tokens,
        own_tokens: args.own_tokens,
        output_tokens: args.output_tokens,
    };
    let sizes = sizes(&requests);
    let mut model = ScheduledModel::load(&args.model, sizes)?;
    Ok(SharedReport {
        provenance: Provenance::gather(),
        model: args.model,
        requests,
        sizes,
        caching: model.serve(&requests, true)?,
        no_caching: model.serve(&requests, false)?,
    })
}

/// Room for two rounds of eight sequences: later requests evict what the first ones left.
fn sizes(requests: &Requests) -> Sizes {
    let (block_size, max_num_seqs) = (16, 8);
    let longest = requests.shared_tokens + requests.own_tokens + requests.output_tokens;
    Sizes {
        block_size,
        num_blocks: 1 + 2 * max_num_seqs * (longest.div_ceil(block_size) + 1),
        max_num_seqs,
        max_num_batched_tokens: 512,
    }
}

fn print(report: &impl Serialize) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string_pretty(report)?)?;
    Ok(())
}
