//! The command line of `purser bench`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::Serialize;

/// Measure a running server.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub command: BenchCommand,
}

/// The measurements there are.
#[derive(Debug, Clone, Subcommand)]
pub enum BenchCommand {
    /// Time to first token at several prefix hit rates, of any OpenAI-compatible server
    Ttft(TtftArgs),
}

/// Options of `purser bench ttft`.
#[derive(Debug, Clone, Args)]
pub struct TtftArgs {
    /// Where the server listens; a trailing /v1 makes no difference
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8000")]
    pub base_url: String,

    /// Model to ask for [default: the first that /v1/models lists]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Key sent as a bearer token; never written to the results
    #[arg(
        long,
        value_name = "KEY",
        env = "OPENAI_API_KEY",
        hide_env_values = true
    )]
    pub api_key: Option<String>,

    /// Length of each prompt, in tokens
    #[arg(long, value_name = "N", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(2..=16_777_216))]
    pub prompt_tokens: u32,

    /// Measurements per hit rate
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub repeat: u32,

    /// Shares of the prompt to be found in the cache, in percent
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "0,25,50,75,90,99,100"
    )]
    pub hit_rates: Vec<HitRate>,

    /// Tokens to generate per request
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_tokens: u32,

    /// File for every raw measurement; - prints it in place of the table [default:
    /// ttft-TIME.json in the current folder]
    #[arg(long, value_name = "FILE.json")]
    pub output: Option<PathBuf>,

    /// Prompts are drawn from this number: use each only once per server start, or what should be
    /// cold is cached [default: from the time of day]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Give up when the server sends nothing for so many seconds
    #[arg(long, value_name = "S", default_value_t = 600,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

/// A share of the prompt in percent, between 0 and 100.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
pub struct HitRate(f64);

impl HitRate {
    /// The share in percent, 0 to 100.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.0
    }

    /// How many of `total` units, at least 1, come from the cache: all of them at 100 % only.
    #[must_use]
    pub fn share_of(self, total: usize) -> usize {
        if self.0 >= 100.0 {
            return total;
        }
        let share = (self.0 / 100.0 * total as f64).round() as usize;
        share.min(total.saturating_sub(1))
    }
}

impl FromStr for HitRate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let percent: f64 = text
            .trim()
            .parse()
            .map_err(|_| format!("{text:?} is not a number of percent"))?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{text} is outside 0..=100 percent"));
        }
        Ok(Self(percent))
    }
}

impl fmt::Display for HitRate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl TtftArgs {
    /// How many measurements a complete run has.
    #[must_use]
    pub fn total(&self) -> usize {
        self.repeat as usize * self.hit_rates.len()
    }

    /// The command that repeats this run, with every default spelled out and without the key.
    #[must_use]
    pub fn command_line(&self, model: &str, seed: u64) -> String {
        let rates: Vec<String> = self.hit_rates.iter().map(HitRate::to_string).collect();
        let mut line = format!(
            "purser bench ttft --base-url {} --model {} --prompt-tokens {} --repeat {} \
             --hit-rates {} --max-tokens {} --seed {seed} --timeout {}",
            quoted(&self.base_url),
            quoted(model),
            self.prompt_tokens,
            self.repeat,
            rates.join(","),
            self.max_tokens,
            self.timeout,
        );
        if let Some(output) = &self.output {
            line.push_str(" --output ");
            line.push_str(&quoted(&output.to_string_lossy()));
        }
        line
    }

    /// # Errors
    /// The first hit rate that is asked for twice.
    pub(super) fn check_hit_rates(&self) -> Result<(), HitRate> {
        for (at, rate) in self.hit_rates.iter().enumerate() {
            if self.hit_rates[..at].contains(rate) {
                return Err(*rate);
            }
        }
        Ok(())
    }
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests;
