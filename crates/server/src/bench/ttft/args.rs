//! The command line of `purser bench ttft`.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use serde::Serialize;

use crate::bench::record::{Record, RecordArgs};
use crate::measure::ServerArgs;

/// Options of `purser bench ttft`.
#[derive(Debug, Clone, Args)]
pub struct TtftArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

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

    /// What becomes of the results.
    #[command(flatten)]
    pub record: RecordArgs,
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
    pub(super) fn command_line(&self, model: &str, record: &Record) -> String {
        let rates: Vec<String> = self.hit_rates.iter().map(HitRate::to_string).collect();
        format!(
            "purser bench ttft {} --prompt-tokens {} --repeat {} --hit-rates {} --max-tokens {} {}",
            self.server.words(model),
            self.prompt_tokens,
            self.repeat,
            rates.join(","),
            self.max_tokens,
            self.record.words(record),
        )
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

#[cfg(test)]
mod tests;
