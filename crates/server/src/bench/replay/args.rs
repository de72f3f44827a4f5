//! The command line of `purser bench replay`.

use std::path::PathBuf;

use anyhow::bail;
use clap::{ArgAction, Args};

use super::format::Format;
use crate::bench::arrivals::Rate;
use crate::bench::goodput::Goodput;
use crate::bench::lengths::Lengths;
use crate::bench::record::{Record, RecordArgs};
use crate::measure::ServerArgs;
use crate::measure::server_args::quoted;

/// Options of `purser bench replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The trace: Mooncake's JSONL, ShareGPT's JSON, or JSONL of whole requests
    #[arg(value_name = "FILE")]
    pub trace: PathBuf,

    /// What the trace is written in [default: by its content]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<Format>,

    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

    /// How much faster than recorded, for traces with times [default: 1]
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    pub speed: Option<f64>,

    /// Conversations that begin per second, for traces without times; inf: all at once [default: inf]
    #[arg(long, value_name = "RATE")]
    pub request_rate: Option<Rate>,

    /// Only the first requests of the trace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,

    /// Requests that run at once, at most; waiting for a place counts as the server's time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_concurrency: Option<u32>,

    /// Tokens that each of Mooncake's hash ids stands for [default: 512]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub hash_block_size: Option<u32>,

    /// Tokens to generate for conversations: N, MIN..MAX, normal:MEAN,SD or lognormal:MEDIAN,SIGMA
    /// [default: a quarter of the recorded answer's bytes]
    #[arg(long, value_name = "LENGTHS")]
    pub output_len: Option<Lengths>,

    /// Ask for answers of full length; whole requests say it themselves [default: true]
    #[arg(long, value_name = "BOOL", action = ArgAction::Set)]
    pub ignore_eos: Option<bool>,

    /// Count requests that take at most so many milliseconds: ttft:500,tpot:50,e2el:10000
    #[arg(long, value_name = "LIMITS")]
    pub goodput: Option<Goodput>,

    /// What becomes of the results.
    #[command(flatten)]
    pub record: RecordArgs,
}

impl ReplayArgs {
    /// # Errors
    /// The first option that traces of `format` have no use for.
    pub(super) fn check(&self, format: Format) -> anyhow::Result<()> {
        let options = [
            ("--speed", self.speed.is_some(), format != Format::Sharegpt),
            (
                "--request-rate",
                self.request_rate.is_some(),
                format == Format::Sharegpt,
            ),
            (
                "--hash-block-size",
                self.hash_block_size.is_some(),
                format == Format::Mooncake,
            ),
            (
                "--output-len",
                self.output_len.is_some(),
                format == Format::Sharegpt,
            ),
            (
                "--ignore-eos",
                self.ignore_eos.is_some(),
                format != Format::Purser,
            ),
        ];
        for (option, is_given, is_of_use) in options {
            if is_given && !is_of_use {
                bail!("{option} means nothing for a trace of the format {format}");
            }
        }
        Ok(())
    }

    pub(super) fn speed(&self) -> f64 {
        self.speed.unwrap_or(1.0)
    }

    pub(super) fn hash_block_size(&self) -> u32 {
        self.hash_block_size.unwrap_or(512)
    }

    pub(super) fn request_rate(&self) -> Rate {
        self.request_rate.unwrap_or(Rate::INFINITE)
    }

    /// The command that repeats this run, with the defaults spelled out and without the key.
    pub(super) fn command_line(&self, format: Format, model: &str, record: &Record) -> String {
        let trace = self.trace.to_string_lossy();
        let mut line = format!(
            "purser bench replay {} --format {format} {}",
            quoted(&trace),
            self.server.words(model)
        );
        let ignore_eos = self.ignore_eos.unwrap_or(true);
        line.push_str(&match format {
            Format::Mooncake => format!(
                " --speed {} --hash-block-size {} --ignore-eos {ignore_eos}",
                self.speed(),
                self.hash_block_size()
            ),
            Format::Sharegpt => format!(
                " --request-rate {} --ignore-eos {ignore_eos}",
                self.request_rate()
            ),
            Format::Purser => format!(" --speed {}", self.speed()),
        });
        let options = [
            ("--limit", self.limit.map(|n| n.to_string())),
            (
                "--max-concurrency",
                self.max_concurrency.map(|n| n.to_string()),
            ),
            ("--output-len", self.output_len.map(|l| l.to_string())),
            ("--goodput", self.goodput.as_ref().map(Goodput::to_string)),
        ];
        for (option, value) in options {
            if let Some(value) = value {
                line.push_str(&format!(" {option} {value}"));
            }
        }
        line.push(' ');
        line.push_str(&self.record.words(record));
        line
    }
}

fn speed(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(speed) if (1e-6..=1e6).contains(&speed) => Ok(speed),
        _ => Err(format!("{text:?} is no number from 0.000001 to 1000000")),
    }
}
