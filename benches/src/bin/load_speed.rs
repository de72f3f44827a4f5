//! How long loading a model takes, and how much memory at most.
//!
//! Memory is what Linux says of the process while the weights are packed, asked for whenever the
//! loader tells its progress: anonymous pages, which only this process can free, and resident pages
//! of files, which the system can drop at any time. Each run should be a process of its own.

use std::io::Write;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::Context;
use benches::model_under_test::source;
use benches::stopwatch::Stopwatch;
use clap::{Parser, ValueEnum};
use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, Quantization, SumOrder, WeightsCache,
};

/// Load a model once.
#[derive(Parser)]
struct Args {
    /// A model's folder or GGUF file, or `embedded`.
    model: String,

    /// What becomes of the weights.
    #[arg(long, default_value = "none")]
    quantization: Format,

    /// Folder for quantised weights; a second run finds what the first one wrote.
    #[arg(long)]
    weights_cache: Option<PathBuf>,

    /// Threads [default: what the machine offers].
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    None,
    Bf16,
    #[value(name = "q8_0")]
    Q8_0,
    #[value(name = "q4_k_m")]
    Q4KM,
}

/// The most that was seen, in bytes.
#[derive(Default)]
struct Peak {
    anonymous: usize,
    files: usize,
    resident: usize,
}

impl Peak {
    /// Takes what the process has now.
    fn look(&mut self) {
        self.anonymous = self.anonymous.max(status("RssAnon"));
        self.files = self.files.max(status("RssFile"));
        self.resident = self.resident.max(status("VmHWM"));
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let quantization = match args.quantization {
        Format::None => Quantization::None,
        Format::Bf16 => Quantization::Bf16,
        Format::Q8_0 => Quantization::Q8_0,
        Format::Q4KM => Quantization::Q4KM,
    };
    let before = status("RssAnon");
    let watch = Stopwatch::start();
    let model = models::open(&source(&args.model)).context("opening the model")?;
    let model = match args.weights_cache {
        Some(folder) => model.with_weights_cache(WeightsCache {
            folder,
            max_bytes: u64::MAX,
            only_slow: false,
        }),
        None => model,
    };
    let weights = model.loaded_weight_bytes(Dtype::Auto, quantization);
    let options = LoadOptions {
        device: Device::Cpu,
        dtype: Dtype::Auto,
        quantization,
        limits: Limits {
            num_blocks: 2,
            window_blocks: None,
            block_size: 16,
            max_num_batched_tokens: 1,
            max_num_seqs: 1,
            max_model_len: 16,
        },
        threads: args.threads,
        pin_threads: false,
        sum_order: SumOrder::Free,
        kv_cache_dtype: KvCacheDtype::Auto,
        lora: None,
    };
    let mut peak = Peak::default();
    let loaded = model.load(&options, &mut |_| peak.look())?;
    let seconds = watch.elapsed().as_secs_f64();
    peak.look();
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    writeln!(
        std::io::stdout(),
        "{seconds:.3} s; weights {:.1} MiB; anonymous {:.1} MiB at most, {:.1} before, {:.1} at the \
         end; files {:.1} MiB at most; resident {:.1} MiB at most; {}; {:?}",
        mib(weights),
        mib(peak.anonymous),
        mib(before),
        mib(status("RssAnon")),
        mib(peak.files),
        mib(peak.resident),
        loaded.description,
        loaded.cache_notices,
    )?;
    Ok(())
}

/// A size of `/proc/self/status`, in bytes; 0 where there is none.
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string(Path::new("/proc/self/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
    kib.and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1024
}
