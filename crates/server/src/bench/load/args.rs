//! The command line of `purser bench load`.

use clap::{ArgAction, Args};

use crate::bench::arrivals::Rate;
use crate::bench::goodput::Goodput;
use crate::bench::lengths::Lengths;
use crate::bench::record::{Record, RecordArgs};
use crate::measure::ServerArgs;

/// Options of `purser bench load`, named as those of vLLM's `bench serve` where it has them.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Requests in all
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub num_prompts: u32,

    /// Requests that arrive per second, however slow the server is; inf: all at once, or as places
    /// become free under --max-concurrency
    #[arg(long, value_name = "RATE", default_value = "inf")]
    pub request_rate: Rate,

    /// How evenly they arrive: 1 is a Poisson process, less comes in bursts, more is more even
    #[arg(long, value_name = "SHAPE", default_value_t = 1.0, value_parser = burstiness)]
    pub burstiness: f64,

    /// Requests that run at once, at most; waiting for a place counts as the server's time where a
    /// rate is asked for
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_concurrency: Option<u32>,

    /// Prompt tokens of a request's own: N, MIN..MAX, normal:MEAN,SD or lognormal:MEDIAN,SIGMA
    #[arg(long, value_name = "LENGTHS", default_value = "512")]
    pub input_len: Lengths,

    /// Tokens to generate, as --input-len
    #[arg(long, value_name = "LENGTHS", default_value = "128")]
    pub output_len: Lengths,

    /// Tokens that all requests of a group begin with
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=16_777_216))]
    pub prefix_len: u32,

    /// Groups of requests, each with a prefix of its own; every request draws its group
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub prefix_groups: u32,

    /// Ask for answers of full length; `false` leaves the field out, for servers without it
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub ignore_eos: bool,

    /// Count requests that take at most so many milliseconds: ttft:500,tpot:50,e2el:10000
    #[arg(long, value_name = "LIMITS")]
    pub goodput: Option<Goodput>,

    /// What becomes of the results.
    #[command(flatten)]
    pub record: RecordArgs,
}

impl LoadArgs {
    /// Whether requests are sent as places become free, not at times of their own: a closed loop.
    pub(super) fn is_closed_loop(&self) -> bool {
        self.request_rate.is_infinite() && self.max_concurrency.is_some()
    }

    /// The command that repeats this run, with every default spelled out and without the key.
    pub(super) fn command_line(&self, model: &str, record: &Record) -> String {
        let mut line = format!(
            "purser bench load {} --num-prompts {} --request-rate {} --burstiness {} --input-len {} \
             --output-len {} --prefix-len {} --prefix-groups {} --ignore-eos {}",
            self.server.words(model),
            self.num_prompts,
            self.request_rate,
            self.burstiness,
            self.input_len,
            self.output_len,
            self.prefix_len,
            self.prefix_groups,
            self.ignore_eos,
        );
        if let Some(concurrency) = self.max_concurrency {
            line.push_str(&format!(" --max-concurrency {concurrency}"));
        }
        if let Some(goodput) = &self.goodput {
            line.push_str(&format!(" --goodput {goodput}"));
        }
        line.push(' ');
        line.push_str(&self.record.words(record));
        line
    }
}

fn burstiness(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(shape) if (0.01..=1000.0).contains(&shape) => Ok(shape),
        _ => Err(format!("{text:?} is no number from 0.01 to 1000")),
    }
}
