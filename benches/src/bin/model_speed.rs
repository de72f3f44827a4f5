//! Tokens per second of a model through `ModelRunner::forward`, one JSON line per repetition.
//!
//! With `--on-request` it measures one repetition for each workload that it reads from standard
//! input, so that another program can take turns with a peer's. With `--greedy` it prints the most
//! likely continuation of a prompt instead, so that the computation can be compared as well.

use std::io::{BufRead, Write};
use std::num::NonZero;
use std::path::PathBuf;

use anyhow::Context;
use benches::machine::Provenance;
use benches::model_under_test::{ModelUnderTest, Settings, Timing};
use benches::workload::Workload;
use clap::{Parser, ValueEnum};
use models::{Dtype, KvCacheDtype};
use serde::Serialize;

/// Measure prefill and decode of a model, without scheduler and server.
#[derive(Parser)]
struct Args {
    /// A model's folder or GGUF file, or `embedded`.
    model: String,

    /// Element type of the weights.
    #[arg(long, value_enum, default_value = "auto")]
    dtype: WeightType,

    /// Element type of the KV cache.
    #[arg(long, value_enum, default_value = "auto")]
    kv_cache_dtype: KvType,

    /// Threads [default: what the machine offers].
    #[arg(long)]
    threads: Option<NonZero<usize>>,

    /// pp512: a prompt of 512 tokens; tg128: 128 tokens one by one; tg32x8@128: 32 tokens for each
    /// of 8 sequences that have 128 behind them; tg32x8@shared1024: 1,024, the same for all.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "pp512,pp2048,tg128,tg32x8@128"
    )]
    workloads: Vec<Workload>,

    /// Repetitions of each workload.
    #[arg(long, default_value_t = 5)]
    repeat: usize,

    /// Tokens computed in one step at most.
    #[arg(long, default_value_t = 512)]
    max_num_batched_tokens: usize,

    /// Tokens per block of the KV cache.
    #[arg(long, default_value_t = 16)]
    block_size: usize,

    /// Folders of LoRA adapters: measure each workload with the base model, with the first adapter
    /// for all sequences, and with the sequences divided over all of them.
    #[arg(long, num_args = 1.., conflicts_with_all = ["on_request", "greedy"])]
    adapters: Vec<PathBuf>,

    /// Measure when asked: one of the workloads per line of standard input.
    #[arg(long, conflicts_with = "repeat")]
    on_request: bool,

    /// Print the most likely tokens after these token ids instead of measuring.
    #[arg(long, value_delimiter = ',', conflicts_with = "on_request")]
    greedy: Vec<u32>,

    /// Tokens that `--greedy` prints.
    #[arg(long, default_value_t = 32)]
    greedy_tokens: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum WeightType {
    Auto,
    Bf16,
    F32,
}

#[derive(Clone, Copy, ValueEnum)]
enum KvType {
    Auto,
    Float32,
    Bfloat16,
    Int8,
    Fp8,
}

/// One line of output.
#[derive(Serialize)]
struct Line<'a> {
    model: &'a str,
    device: &'a str,
    workload: String,
    /// Adapters that the sequences use; 0 is the base model.
    adapters: usize,
    #[serde(flatten)]
    timing: Timing,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut model = ModelUnderTest::load(&args.model, &settings(&args))?;
    if !args.greedy.is_empty() {
        let tokens = model.greedy(&args.greedy, args.greedy_tokens)?;
        return print(&tokens);
    }
    let provenance = Provenance::gather();
    let mut measure = |workload: &Workload, adapters: usize| {
        model.use_adapters(adapters);
        let timing = model.measure(workload)?;
        print(&Line {
            model: &args.model,
            device: model.description(),
            workload: workload.to_string(),
            adapters,
            timing,
            provenance: &provenance,
        })
    };
    if args.on_request {
        for line in std::io::stdin().lock().lines() {
            let name = line.context("reading standard input")?;
            let workload = name.trim().parse()?;
            anyhow::ensure!(
                args.workloads.contains(&workload),
                "{workload} is not among --workloads, for which there is room"
            );
            measure(&workload, 0)?;
        }
        return Ok(());
    }
    let mut counts = vec![0, 1, args.adapters.len()];
    counts.truncate(1 + args.adapters.len());
    for _ in 0..args.repeat {
        for workload in &args.workloads {
            let mut counts = counts.iter();
            counts.try_for_each(|&count| measure(workload, count))?;
        }
    }
    Ok(())
}

fn settings(args: &Args) -> Settings<'_> {
    let dtype = match args.dtype {
        WeightType::Auto => Dtype::Auto,
        WeightType::Bf16 => Dtype::Bfloat16,
        WeightType::F32 => Dtype::Float32,
    };
    let kv_cache_dtype = match args.kv_cache_dtype {
        KvType::Auto => KvCacheDtype::Auto,
        KvType::Float32 => KvCacheDtype::Float32,
        KvType::Bfloat16 => KvCacheDtype::Bfloat16,
        KvType::Int8 => KvCacheDtype::Int8,
        KvType::Fp8 => KvCacheDtype::Fp8,
    };
    Settings {
        dtype,
        kv_cache_dtype,
        threads: args.threads,
        max_num_batched_tokens: args.max_num_batched_tokens,
        block_size: args.block_size,
        workloads: &args.workloads,
        max_len: args.greedy.len() + args.greedy_tokens,
        all_logits: false,
        adapters: &args.adapters,
    }
}

fn print(value: &impl Serialize) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(value)?)?;
    // A reader on a pipe waits for the line.
    stdout.flush()?;
    Ok(())
}
