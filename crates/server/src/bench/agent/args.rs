//! The command line of `purser bench agent`.

use clap::{ArgAction, Args};

use crate::bench::goodput::Goodput;
use crate::bench::lengths::Lengths;
use crate::bench::pauses::Pauses;
use crate::bench::record::{Record, RecordArgs};
use crate::measure::ServerArgs;

/// Options of `purser bench agent`.
#[derive(Debug, Clone, Args)]
pub struct AgentArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Agents that run at once, each with a conversation of its own
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub agents: u32,

    /// Requests of each agent; one whose history no longer fits the server ends before
    #[arg(long, value_name = "N", default_value_t = 43,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub turns: u32,

    /// Tokens of the system prompt that all agents have in common, besides the tools' definitions
    #[arg(long, value_name = "N", default_value_t = 4000,
          value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    pub system_len: u32,

    /// Tokens of an agent's task, its first message: N, MIN..MAX, normal:MEAN,SD or
    /// lognormal:MEDIAN,SIGMA
    #[arg(long, value_name = "LENGTHS", default_value = "200..800")]
    pub input_len: Lengths,

    /// Tokens of the tool result that each later turn adds, as --input-len
    #[arg(long, value_name = "LENGTHS", default_value = "lognormal:600,0.7")]
    pub result_len: Lengths,

    /// Tokens to generate in each turn, as --input-len
    #[arg(long, value_name = "LENGTHS", default_value = "32..128")]
    pub output_len: Lengths,

    /// Seconds between an answer and the next request, in which the tool runs: S, MIN..MAX,
    /// normal:MEAN,SD or lognormal:MEDIAN,SIGMA
    #[arg(long, value_name = "PAUSES", default_value = "lognormal:1,0.5")]
    pub pause: Pauses,

    /// Send definitions of tools; `false` leaves them out, for servers that refuse them
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub tools: bool,

    /// Tokens of the server's cache blocks: a prefix is lost when more than one block of the previous
    /// prompt is not found
    #[arg(long, value_name = "N", default_value_t = 16,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub block_size: u32,

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

impl AgentArgs {
    /// Requests of a run in which every history fits.
    pub(super) fn total(&self) -> u64 {
        u64::from(self.agents) * u64::from(self.turns)
    }

    /// The command that repeats this run, with every default spelled out and without the key.
    pub(super) fn command_line(&self, model: &str, record: &Record) -> String {
        let mut line = format!(
            "purser bench agent {} --agents {} --turns {} --system-len {} --input-len {} \
             --result-len {} --output-len {} --pause {} --tools {} --block-size {} --ignore-eos {}",
            self.server.words(model),
            self.agents,
            self.turns,
            self.system_len,
            self.input_len,
            self.result_len,
            self.output_len,
            self.pause,
            self.tools,
            self.block_size,
            self.ignore_eos,
        );
        if let Some(goodput) = &self.goodput {
            line.push_str(&format!(" --goodput {goodput}"));
        }
        line.push(' ');
        line.push_str(&self.record.words(record));
        line
    }
}
