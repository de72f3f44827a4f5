//! The command line of `purser eval`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::error::EvalError;
use super::placement::PlacementArgs;
use super::policy::Policy;
use super::trace::TraceKind;
use crate::measure::ServerArgs;

/// A JSON object of the command line.
pub type JsonObject = Map<String, Value>;

/// Evaluate a running server.
#[derive(Debug, Clone, Args)]
pub struct EvalArgs {
    /// What to evaluate.
    #[command(subcommand)]
    pub command: EvalCommand,
}

/// The evaluations there are.
#[derive(Debug, Clone, Subcommand)]
pub enum EvalCommand {
    /// Which planted facts survive a context budget, and what it costs, by policy
    Context(Box<ContextArgs>),
    /// Where in a prompt the model reads a document best, and what that makes of placement rules
    Placement(PlacementArgs),
}

/// Options of `purser eval context`.
#[derive(Debug, Clone, Args)]
pub struct ContextArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Episodes are drawn from this number on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Episodes of each kind
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub traces: u32,

    /// Kinds of episodes
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "tools,dialogue,retrieval"
    )]
    pub kinds: Vec<TraceKind>,

    /// Budgets in percent of an episode with its longest question
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "100,75,50,35,25,15",
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub budgets: Vec<u32>,

    /// Policies [default: all that the server and --trimmed allow]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub policies: Vec<Policy>,

    /// Length of each episode in tokens
    #[arg(long, value_name = "N", default_value_t = 6000,
          value_parser = clap::value_parser!(u64).range(200..=16_777_216))]
    pub length: u64,

    /// How often the model is asked in each episode, or thereabouts [default: by the length]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub turns: Option<u64>,

    /// Folder for the results [default: context-TIME in the current folder]
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,

    /// More fields of `context_budget` for the server's own policies, as a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub context_budget: Option<JsonObject>,

    /// What LangChain keeps of the same episodes, made by scripts/reference/trim_messages.py
    #[arg(long, value_name = "FILE.json")]
    pub trimmed: Option<PathBuf>,

    /// Write the episodes for trim_messages.py to this file, and measure nothing
    #[arg(long, value_name = "FILE.json", conflicts_with = "trimmed")]
    pub export_traces: Option<PathBuf>,
}

impl ContextArgs {
    /// # Errors
    /// The first value of a list that is there twice.
    pub(super) fn check_lists(&self) -> Result<(), EvalError> {
        check("budgets", &self.budgets, u32::to_string)?;
        check("kinds", &self.kinds, |kind| kind.name().to_owned())?;
        check("policies", &self.policies, |policy| {
            policy.name().to_owned()
        })
    }

    /// The command that repeats this run, with every default spelled out and without the key.
    pub(super) fn command_line(&self, model: &str) -> String {
        let budgets: Vec<String> = self.budgets.iter().map(u32::to_string).collect();
        let kinds: Vec<&str> = self.kinds.iter().map(|kind| kind.name()).collect();
        let mut line = format!(
            "purser eval context --base-url {} --model {model} --seed {} --traces {} --kinds {} \
             --budgets {} --length {} --timeout {}",
            self.server.base_url,
            self.seed,
            self.traces,
            kinds.join(","),
            budgets.join(","),
            self.length,
            self.server.timeout,
        );
        if let Some(turns) = self.turns {
            line.push_str(&format!(" --turns {turns}"));
        }
        if !self.policies.is_empty() {
            let policies: Vec<&str> = self.policies.iter().map(|policy| policy.name()).collect();
            line.push_str(&format!(" --policies {}", policies.join(",")));
        }
        if let Some(fields) = &self.context_budget {
            let json = Value::Object(fields.clone()).to_string();
            line.push_str(&format!(
                " --context-budget '{}'",
                json.replace('\'', r"'\''")
            ));
        }
        if let Some(trimmed) = &self.trimmed {
            line.push_str(&format!(" --trimmed {}", trimmed.display()));
        }
        line
    }
}

fn object(text: &str) -> Result<JsonObject, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON object: {error}"))
}

fn check<T: PartialEq>(
    option: &'static str,
    values: &[T],
    name: impl Fn(&T) -> String,
) -> Result<(), EvalError> {
    for (at, value) in values.iter().enumerate() {
        if values[..at].contains(value) {
            return Err(EvalError::Twice {
                option,
                value: name(value),
            });
        }
    }
    Ok(())
}
