//! What the machine can do at most: bytes read per second and f32 operations per second.
//!
//! Plain Rust that the compiler turns into vector instructions, so it is to be built for the
//! machine that it measures, with `-C target-cpu=native`. Without that, `mul_add` is a library call
//! and the peak means nothing.

use std::hint::black_box;
use std::io::Write;

use benches::machine::Provenance;
use benches::stopwatch::Stopwatch;
use benches::summary::Summary;
use clap::Parser;
use serde::Serialize;

/// Measure read bandwidth and peak f32 rate.
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
    quantity: &'static str,
    unit: &'static str,
    threads: usize,
    #[serde(flatten)]
    summary: Summary,
    #[serde(flatten)]
    provenance: &'a Provenance,
}

/// Elements of a vector register with 256 bits, and independent sums: enough of them to hide the
/// latency of an addition (4 cycles at 2 a cycle), few enough for 16 registers.
const LANES: usize = 8;
const SUMS: usize = 12;
/// Iterations of the peak measurement: some tenths of a second.
const ITERATIONS: usize = 20_000_000;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let provenance = Provenance::gather();
    let words = vec![1_u64; args.mib * 1024 * 1024 / size_of::<u64>()];
    let mut stdout = std::io::stdout().lock();
    for &threads in &args.threads {
        let gigabytes = (words.len() * size_of::<u64>()) as f64 / 1e9;
        let reads = repeat(args.repeat, || gigabytes / read(&words, threads));
        let operations = (threads * ITERATIONS * SUMS * LANES * 2) as f64 / 1e9;
        let rates = repeat(args.repeat, || operations / multiply_add(threads));
        let results = [("read", "GB/s", reads), ("f32 FMA", "GFLOP/s", rates)];
        for (quantity, unit, summary) in results {
            let line = Line {
                quantity,
                unit,
                threads,
                summary,
                provenance: &provenance,
            };
            writeln!(stdout, "{}", serde_json::to_string(&line)?)?;
        }
    }
    Ok(())
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
            scope.spawn(move || {
                black_box(part.iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)))
            });
        }
    });
    stopwatch.elapsed().as_secs_f64()
}

/// Seconds until `threads` threads have each done `ITERATIONS * SUMS * LANES` multiply-adds.
fn multiply_add(threads: usize) -> f64 {
    let stopwatch = Stopwatch::start();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let factor = [black_box(1.000_000_1_f32); LANES];
                let term = [black_box(1e-7_f32); LANES];
                let mut sums = [[1.0_f32; LANES]; SUMS];
                for _ in 0..ITERATIONS {
                    for sum in &mut sums {
                        for lane in 0..LANES {
                            sum[lane] = sum[lane].mul_add(factor[lane], term[lane]);
                        }
                    }
                }
                black_box(sums)
            });
        }
    });
    stopwatch.elapsed().as_secs_f64()
}
