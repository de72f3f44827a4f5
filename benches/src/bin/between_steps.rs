//! What the engine does between two forward passes, as a share of a decoding step: one JSON line
//! per number of streams and way of sampling.

use std::io::Write;
use std::num::NonZero;

use anyhow::ensure;
use benches::decoding_engine::{DecodingEngine, Sampling, Shares};
use benches::machine::Provenance;
use clap::Parser;
use serde::Serialize;

/// Measure the engine's own share of a step that decodes.
#[derive(Parser)]
struct Args {
    /// A model's folder or GGUF file, or `embedded`.
    model: String,

    /// Streams that decode at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1,8,16")]
    streams: Vec<usize>,

    /// Ways of sampling.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Sampling::ALL)]
    sampling: Vec<Sampling>,

    /// Tokens that each stream generates.
    #[arg(long, default_value_t = 40)]
    tokens: usize,

    /// Threads [default: what the machine offers].
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

/// One line of output.
#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    device: &'a str,
    streams: usize,
    sampling: Sampling,
    #[serde(flatten)]
    shares: Shares,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let most = args.streams.iter().copied().max().unwrap_or(1);
    ensure!(args.tokens > 2, "a step between two others is measured");
    let engine = DecodingEngine::load(&args.model, most, args.tokens, args.threads)?;
    let provenance = Provenance::gather();
    for &streams in &args.streams {
        for &sampling in &args.sampling {
            let line = Line {
                model: &args.model,
                device: engine.description(),
                streams,
                sampling,
                shares: engine.measure(streams, sampling)?,
                provenance: &provenance,
            };
            let mut stdout = std::io::stdout().lock();
            writeln!(stdout, "{}", serde_json::to_string(&line)?)?;
        }
    }
    engine.shut_down();
    Ok(())
}
