//! A prompt's predicted time beside the time that it took, on an engine with nothing else to do.
//!
//! Prints one JSON object: every shape of prompt with its times, and the quantiles of predicted /
//! measured and of its distance from 1 over all prompts.

use std::io::Write;
use std::num::NonZero;

use anyhow::ensure;
use benches::machine::Provenance;
use benches::prediction::{Comparison, PredictingEngine, PromptShape};
use benches::quantiles::Quantiles;
use benches::summary::Summary;
use benches::workload::token;
use clap::Parser;
use serde::Serialize;

/// Measure how right the engine's predictions of prefill times are.
#[derive(Parser)]
struct Args {
    /// A model's folder, or `embedded`.
    #[arg(default_value = "embedded")]
    model: String,

    /// Threads [default: what the machine offers].
    #[arg(long)]
    threads: Option<NonZero<usize>>,

    /// Tokens of the prompts.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "16,64,128,256,300,512,1000,2000,4000,8000"
    )]
    lengths: Vec<usize>,

    /// Shares of each prompt that are cached before, each at least 0 and at most 1.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,0.25,0.5,0.75,0.9,0.99"
    )]
    cached: Vec<f64>,

    /// Prompts of each length and share.
    #[arg(long, default_value_t = 5)]
    repeat: usize,

    /// Untimed rounds of all lengths and shares before.
    #[arg(long, default_value_t = 1)]
    warm_up: usize,

    /// Tokens generated after each prompt.
    #[arg(long, default_value_t = 8)]
    output_tokens: usize,

    /// Tokens computed in one step at most.
    #[arg(long, default_value_t = 256)]
    max_num_batched_tokens: usize,

    /// Order of the prompts.
    #[arg(long, default_value_t = 1)]
    seed: usize,
}

#[derive(Serialize)]
struct Report<'a> {
    model: &'a str,
    device: String,
    max_num_batched_tokens: usize,
    /// What the engine has learnt in the end: seconds per step, token and (query, key) pair.
    per_step: f64,
    per_token: f64,
    per_pair: f64,
    shapes: Vec<ShapeReport>,
    /// Predicted over measured, of all prompts.
    ratio: Quantiles,
    /// Its distance from 1.
    error: Quantiles,
    /// Share of the prompts whose error is at most 0.2.
    within_a_fifth: f64,
    /// Predicted over the time from admission to first token: what is between steps is not
    /// predicted.
    ratio_to_elapsed: Quantiles,
    #[serde(flatten)]
    provenance: Provenance,
}

#[derive(Serialize)]
struct ShapeReport {
    #[serde(flatten)]
    shape: PromptShape,
    predicted_ms: Summary,
    measured_ms: Summary,
    ratio: Summary,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let shapes = shapes(&args)?;
    let longest = args.lengths.iter().max().copied().unwrap_or(1);
    let mut engine = PredictingEngine::start(
        &args.model,
        longest + args.output_tokens,
        args.max_num_batched_tokens,
        args.threads,
    )?;
    for round in 0..args.warm_up {
        for at in shuffled(shapes.len(), args.seed + args.repeat + round) {
            engine.compare(shapes[at], args.output_tokens)?;
        }
    }
    let mut measured: Vec<Vec<Comparison>> = vec![Vec::new(); shapes.len()];
    for round in 0..args.repeat {
        for at in shuffled(shapes.len(), args.seed + round) {
            measured[at].push(engine.compare(shapes[at], args.output_tokens)?);
        }
    }
    let all: Vec<Comparison> = measured.iter().flatten().copied().collect();
    let ratios: Vec<f64> = all.iter().map(ratio).collect();
    let errors: Vec<f64> = ratios.iter().map(|ratio| (ratio - 1.0).abs()).collect();
    let elapsed: Vec<f64> = all.iter().map(|c| c.predicted / c.elapsed).collect();
    let costs = engine.step_costs()?;
    let within = errors.iter().filter(|&&error| error <= 0.2).count();
    let report = Report {
        model: &args.model,
        device: engine.description().to_owned(),
        max_num_batched_tokens: args.max_num_batched_tokens,
        per_step: costs.per_step,
        per_token: costs.per_token,
        per_pair: costs.per_pair,
        shapes: shapes
            .iter()
            .zip(&measured)
            .map(|(&shape, times)| shape_report(shape, times))
            .collect(),
        ratio: Quantiles::of(&ratios),
        error: Quantiles::of(&errors),
        within_a_fifth: within as f64 / errors.len() as f64,
        ratio_to_elapsed: Quantiles::of(&elapsed),
        provenance: Provenance::gather(),
    };
    engine.stop();
    writeln!(
        std::io::stdout().lock(),
        "{}",
        serde_json::to_string_pretty(&report)?
    )?;
    Ok(())
}

/// Every length with every cached share.
fn shapes(args: &Args) -> anyhow::Result<Vec<PromptShape>> {
    ensure!(
        args.cached.iter().all(|share| (0.0..=1.0).contains(share)),
        "a cached share is at least 0 and at most 1"
    );
    ensure!(
        args.repeat > 0 && !args.lengths.is_empty() && !args.cached.is_empty(),
        "there is something to measure"
    );
    let mut shapes = Vec::new();
    for &tokens in &args.lengths {
        ensure!(tokens > 0, "a prompt has at least one token");
        for share in &args.cached {
            let cached = (tokens as f64 * share) as usize;
            shapes.push(PromptShape { tokens, cached });
        }
    }
    Ok(shapes)
}

/// The numbers below `len` in an order that depends on `seed`.
fn shuffled(len: usize, seed: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by_key(|&at| token(seed, at, usize::from(u16::MAX)));
    order
}

fn ratio(comparison: &Comparison) -> f64 {
    comparison.predicted / comparison.measured
}

fn shape_report(shape: PromptShape, times: &[Comparison]) -> ShapeReport {
    let of =
        |value: fn(&Comparison) -> f64| Summary::of(&times.iter().map(value).collect::<Vec<f64>>());
    ShapeReport {
        shape,
        predicted_ms: of(|times| times.predicted * 1e3),
        measured_ms: of(|times| times.measured * 1e3),
        ratio: of(ratio),
    }
}
