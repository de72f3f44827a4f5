//! The command line.

use clap::{Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::config::settings::ServeSettings;
use crate::doctor::DoctorArgs;
use crate::eval::EvalArgs;
use crate::why::WhyArgs;

const EXAMPLES: &str = "\
Examples:
  purser                                     serve the built-in model on 127.0.0.1:8000
  purser serve Qwen/Qwen3-0.6B --port 9000   serve a model of the hub
  purser serve ./model --max-model-len 8k    serve a folder
  purser bench ttft                          measure a running server
  purser why a.json b.json                   see where two requests part
  purser doctor Qwen/Qwen3-0.6B              see what fits here, and how fast it can be
  purser eval context                        see what survives a context budget

  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
       -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'

Every flag is also a variable (--max-model-len is PURSER_MAX_MODEL_LEN) and a key of the --config
file (max-model-len = \"8k\"). Flags are stronger than variables, variables than the file.";

/// LLM inference server for open-weight models, with an OpenAI-compatible API.
#[derive(Debug, Parser)]
#[command(name = "purser", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; `serve` when it is left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Flags of `serve`, which may be used without the word.
    #[command(flatten)]
    pub serve: ServeSettings,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a model over HTTP
    #[command(after_help = EXAMPLES)]
    Serve(Box<ServeSettings>),
    /// Measure a running server, this one or any other with OpenAI's API
    Bench(BenchArgs),
    /// Say where two request bodies part, and what that costs the prefix cache
    Why(WhyArgs),
    /// Say what this machine and a model allow, and which settings would change something
    Doctor(Box<DoctorArgs>),
    /// Evaluate what a context budget costs and which facts survive it
    Eval(EvalArgs),
}

/// An error and its causes in one line. Many errors tell their cause themselves; it is not told twice.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[derive(Debug, thiserror::Error)]
    #[error("config.json: {source}; see there")]
    struct Told {
        source: std::io::Error,
    }

    #[test]
    fn causes_are_told_once() {
        let told = Told {
            source: std::io::Error::other("not there"),
        };
        let error = anyhow::Error::new(told).context("opening the model");
        let want = "opening the model: config.json: not there; see there";
        assert_eq!(one_line(&error), want);
    }
}
