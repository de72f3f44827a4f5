//! What the machine can do at most: bytes read per second, and operations per second of each
//! instruction path that it has. One JSON line per quantity and number of threads.

use std::io::Write;

use benches::machine::Provenance;
use benches::stopwatch::Stopwatch;
use benches::summary::Summary;
use clap::Parser;
use kernels::peaks::{Operands, Peak, read as read_words};
use serde::Serialize;

/// Measure read bandwidth and peak rates.
#[derive(Parser)]
struct Args {
    /// Threads.
    #[arg(long, value_delimiter = ',', default_value = "1,2")]
    threads: Vec<usize>,
    /// MiB to read per repetition; larger than every cache.
    #[arg(long, default_value_t = 512)]
    mib: usize,
    /// Repetitions.
    #[arg(long, default_value_t = 7)]
    repeat: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    quantity: &'a str,
    /// What a path multiplies: `f32`, `bf16` or `integer`; `bytes` for reading.
    kind: &'static str,
    unit: &'static str,
    threads: usize,
    #[serde(flatten)]
    summary: Summary,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

/// Iterations of a peak's loop: some hundredths of a second.
const ITERATIONS: u64 = 10_000_000;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let provenance = Provenance::gather();
    let words = vec![1_u64; args.mib * 1024 * 1024 / size_of::<u64>()];
    let mut stdout = std::io::stdout().lock();
    let mut print = |quantity, kind, unit, threads, summary| {
        let line = Line {
            quantity,
            kind,
            unit,
            threads,
            summary,
            provenance: &provenance,
        };
        let text = serde_json::to_string(&line)?;
        writeln!(stdout, "{text}").map_err(anyhow::Error::from)
    };
    for &threads in &args.threads {
        let gigabytes = (words.len() * size_of::<u64>()) as f64 / 1e9;
        let reads = repeat(args.repeat, || gigabytes / read(&words, threads));
        print("read", "bytes", "GB/s", threads, reads)?;
        for peak in Peak::of_this_machine() {
            let rates = repeat(args.repeat, || compute(&peak, threads));
            print(peak.name, kind(peak.operands), "GOP/s", threads, rates)?;
        }
    }
    Ok(())
}

fn kind(operands: Operands) -> &'static str {
    match operands {
        Operands::Float32 => "f32",
        Operands::Bfloat16 => "bf16",
        Operands::Integer => "integer",
    }
}

/// One repetition is not counted: it brings pages and clocks to where they stay.
fn repeat(repetitions: usize, mut measure: impl FnMut() -> f64) -> Summary {
    measure();
    Summary::of(&(0..repetitions).map(|_| measure()).collect::<Vec<_>>())
}

/// Seconds until `threads` threads have read all of `words` once.
fn read(words: &[u64], threads: usize) -> f64 {
    let share = words.len().div_ceil(threads);
    let stopwatch = Stopwatch::start();
    std::thread::scope(|scope| {
        for part in words.chunks(share) {
            scope.spawn(move || read_words(part));
        }
    });
    stopwatch.elapsed().as_secs_f64()
}

/// 10^9 operations per second of `threads` threads together.
fn compute(peak: &Peak, threads: usize) -> f64 {
    let stopwatch = Stopwatch::start();
    let operations: u64 = std::thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| peak.run(ITERATIONS)))
            .collect();
        let counts = spawned
            .into_iter()
            .map(|thread| thread.join().expect("the loop does not panic"));
        counts.sum()
    });
    operations as f64 / 1e9 / stopwatch.elapsed().as_secs_f64()
}
