//! What the machine has, and what it can do at most.

use std::num::NonZero;

use models::peaks::{self, Operands, Peak};
use serde::Serialize;
use sysinfo::System;

use crate::clock;

/// Bytes that are read to measure how fast that goes: more than caches hold.
const READ_BYTES: usize = 512 << 20;
/// Iterations of a peak's loop: some hundredths of a second.
const ITERATIONS: u64 = 5_000_000;
/// Of so many measurements the best one counts: what disturbs only slows down.
const REPETITIONS: usize = 3;

/// The machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    /// The processor's name, as the system says it.
    pub(super) processor: String,
    /// Threads that run at the same time.
    pub(super) cores: usize,
    /// Threads that the engine computes with, and that measured what follows.
    pub(super) threads: usize,
    /// All of the memory, in bytes.
    pub(super) memory_bytes: usize,
    /// What of it is free.
    pub(super) available_bytes: usize,
    /// 10^9 bytes read per second.
    pub(super) read_gb_per_second: f64,
    /// What the processor multiplies, and how fast; the rate of one that lacks an instruction is
    /// not here.
    pub(super) paths: Vec<Path>,
}

/// A way to multiply.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Path {
    /// Operands and instructions.
    pub(super) name: &'static str,
    /// `f32`, `bf16` or `integer`.
    pub(super) operands: &'static str,
    /// 10^9 multiplications and additions per second.
    pub(super) gop_per_second: f64,
}

impl Machine {
    /// Measures with `threads` threads; `available` is the memory that is free, in bytes.
    pub(super) fn measure(threads: usize, available: usize) -> Self {
        let mut system = System::new();
        system.refresh_memory();
        system.refresh_cpu_all();
        let processor = system
            .cpus()
            .first()
            .map(|cpu| cpu.brand().trim().to_owned());
        Self {
            processor: processor
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "unknown".to_owned()),
            cores: std::thread::available_parallelism().map_or(1, NonZero::get),
            threads,
            memory_bytes: usize::try_from(system.total_memory()).unwrap_or(usize::MAX),
            available_bytes: available,
            read_gb_per_second: read(threads, READ_BYTES.min(available / 4)),
            paths: Peak::of_this_machine()
                .iter()
                .map(|peak| path(peak, threads))
                .collect(),
        }
    }

    /// The fastest way to multiply operands of one of these kinds, in 10^9 operations per second.
    pub(super) fn peak(&self, operands: &[&str]) -> f64 {
        let fitting = self
            .paths
            .iter()
            .filter(|path| operands.contains(&path.operands));
        fitting.map(|path| path.gop_per_second).fold(0.0, f64::max)
    }
}

fn path(peak: &Peak, threads: usize) -> Path {
    let work = || {
        std::thread::scope(|scope| {
            let spawned: Vec<_> = (0..threads)
                .map(|_| scope.spawn(|| peak.run(ITERATIONS)))
                .collect();
            let counts = spawned
                .into_iter()
                .map(|thread| thread.join().expect("the loop does not panic"));
            counts.sum::<u64>() as f64
        })
    };
    Path {
        name: peak.name,
        operands: match peak.operands {
            Operands::Float32 => "f32",
            Operands::Bfloat16 => "bf16",
            Operands::Integer => "integer",
        },
        gop_per_second: best_rate(work) / 1e9,
    }
}

/// 10^9 bytes per second that `threads` threads read together.
fn read(threads: usize, bytes: usize) -> f64 {
    let words = vec![1_u64; (bytes / size_of::<u64>()).max(1)];
    let share = words.len().div_ceil(threads);
    let work = || {
        std::thread::scope(|scope| {
            for part in words.chunks(share) {
                scope.spawn(move || peaks::read(part));
            }
        });
        size_of_val(&words[..]) as f64
    };
    best_rate(work) / 1e9
}

/// The highest amount of `work` per second. The first time brings pages and clocks to where they
/// stay, and is not counted.
fn best_rate(work: impl Fn() -> f64) -> f64 {
    work();
    let rates = (0..REPETITIONS).map(|_| {
        let start = clock::now();
        let amount = work();
        amount / (clock::now() - start).as_secs_f64().max(1e-9)
    });
    rates.fold(0.0, f64::max)
}
