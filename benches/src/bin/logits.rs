//! The logits of a model after every token of given sequences, to compare formats of its weights.
//!
//! Reads one JSON array of token ids per line of standard input. Writes the rows one after the
//! other to the file named: `[tokens of all sequences, vocab_size]`, little-endian f32.

use std::fs::File;
use std::io::{BufRead, BufWriter, Write};
use std::num::NonZero;
use std::path::PathBuf;

use anyhow::Context;
use benches::model_under_test::{ModelUnderTest, Settings};
use clap::Parser;
use models::{Dtype, KvCacheDtype};

/// Write a model's logits.
#[derive(Parser)]
struct Args {
    /// A model's folder or GGUF file, or `embedded`.
    model: String,

    /// Where to.
    #[arg(long)]
    out: PathBuf,

    /// Compute with weights in f32 instead of what the checkpoint holds.
    #[arg(long)]
    float32: bool,

    /// Threads [default: what the machine offers].
    #[arg(long)]
    threads: Option<NonZero<usize>>,

    /// Tokens computed in one step at most.
    #[arg(long, default_value_t = 64)]
    max_num_batched_tokens: usize,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut sequences: Vec<Vec<u32>> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.context("reading standard input")?;
        sequences.push(serde_json::from_str(&line).context("a line is an array of token ids")?);
    }
    let settings = Settings {
        dtype: if args.float32 {
            Dtype::Float32
        } else {
            Dtype::Auto
        },
        // The weights' rounding alone is compared.
        kv_cache_dtype: KvCacheDtype::Float32,
        threads: args.threads,
        max_num_batched_tokens: args.max_num_batched_tokens,
        block_size: 16,
        workloads: &[],
        max_len: sequences.iter().map(Vec::len).max().unwrap_or(0),
        all_logits: true,
        adapters: &[],
    };
    let mut model = ModelUnderTest::load(&args.model, &settings)?;
    let file = File::create(&args.out).with_context(|| format!("{}", args.out.display()))?;
    let mut out = BufWriter::new(file);
    for sequence in &sequences {
        model.logits(sequence, |row| {
            let bytes: Vec<u8> = row.iter().flat_map(|logit| logit.to_le_bytes()).collect();
            Ok(out.write_all(&bytes)?)
        })?;
    }
    Ok(out.flush()?)
}
