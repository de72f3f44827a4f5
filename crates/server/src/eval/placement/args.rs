//! The command line of `purser eval placement`.

use std::path::PathBuf;

use clap::Args;

use crate::eval::error::EvalError;
use crate::measure::ServerArgs;

/// Options of `purser eval placement`.
#[derive(Debug, Clone, Args)]
pub struct PlacementArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub server: ServerArgs,

    /// Tasks are drawn from this number on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Tasks: a question, the document that answers it, and others
    #[arg(long, value_name = "N", default_value_t = 24,
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tasks: u32,

    /// Documents of each task
    #[arg(long, value_name = "N", default_value_t = 12,
          value_parser = clap::value_parser!(u32).range(3..=1_000))]
    pub documents: u32,

    /// Sentences of each document, the one that is asked for included
    #[arg(long, value_name = "N", default_value_t = 6,
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub sentences: u32,

    /// Places at which the document is asked for, from the first to the last
    #[arg(long, value_name = "N", default_value_t = 9,
          value_parser = clap::value_parser!(u32).range(3..=101))]
    pub positions: u32,

    /// Folder for the results [default: placement-TIME in the current folder]
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
}

impl PlacementArgs {
    /// # Errors
    /// `TooManyPositions`.
    pub(super) fn check(&self) -> Result<(), EvalError> {
        let (positions, documents) = (self.positions, self.documents);
        if positions > documents {
            return Err(EvalError::TooManyPositions {
                positions,
                documents,
            });
        }
        Ok(())
    }

    /// The command that repeats this run, with every default spelled out and without the key.
    pub(super) fn command_line(&self, model: &str) -> String {
        format!(
            "purser eval placement --base-url {} --model {model} --seed {} --tasks {} \
             --documents {} --sentences {} --positions {} --timeout {}",
            self.server.base_url,
            self.seed,
            self.tasks,
            self.documents,
            self.sentences,
            self.positions,
            self.server.timeout,
        )
    }
}
