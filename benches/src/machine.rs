//! Where and how a number came about; it stands beside every result.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// Machine, commit and command of a measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Provenance {
    /// The processor's name.
    pub processor: String,
    /// Vector extensions that matter for speed.
    pub features: Vec<String>,
    /// Threads of the hardware.
    pub hardware_threads: usize,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// Commit of the source tree; `+` at its end when files differ from it.
    pub commit: String,
    /// The command line.
    pub command: String,
}

/// Extensions by which processors differ in speed, in `/proc/cpuinfo`'s spelling.
const FEATURES: [&str; 8] = [
    "avx2",
    "fma",
    "avx512f",
    "avx512_bf16",
    "avx512_vnni",
    "amx_bf16",
    "asimd",
    "sve",
];

impl Provenance {
    /// Asks the system; what it does not say reads `unknown`.
    pub fn gather() -> Self {
        let cpu_info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |names: [&str; 2]| {
            let line = cpu_info
                .lines()
                .find(|line| names.iter().any(|name| line.starts_with(name)));
            line.and_then(|line| line.split_once(':'))
                .map_or("", |(_, value)| value.trim())
        };
        let processor = match field(["model name", "CPU part"]) {
            "" => "unknown",
            name => name,
        };
        let flags: Vec<&str> = field(["flags", "Features"]).split(' ').collect();
        let features = FEATURES.into_iter().filter(|name| flags.contains(name));
        Self {
            processor: processor.to_owned(),
            features: features.map(str::to_owned).collect(),
            hardware_threads: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_gib(),
            commit: commit(),
            command: command_line(),
        }
    }
}

fn memory_gib() -> f64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = info
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    (kib.unwrap_or(0.0) / 1024.0 / 1024.0 * 10.0).round() / 10.0
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "+",
    }
}

/// The arguments, with the program's name instead of its path.
fn command_line() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().unwrap_or_default().to_owned();
    std::iter::once(name)
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}
