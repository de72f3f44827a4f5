//! `cargo xtask <task>`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use xtask::{ci, clients, cuda_toolkit, licences, tidy, tree::Tree, web};

/// The project's automation.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must pass: format, lints, tidy, licences, tests, docs, clients.
    Ci,
    /// The rules of ARCHITECTURE.md that no compiler checks.
    Tidy,
    /// Licences of all dependencies against deny.toml.
    Licences,
    /// Talks to the server with the clients that people have; needs Python 3, and Node.js with npm.
    Clients {
        /// A built `purser` [default: it is built in release]
        binary: Option<PathBuf>,
    },
    /// Installs nvcc under the target folder, for the feature `cuda`; needs Python 3.
    CudaToolkit,
    /// Tests the web page in Chromium; needs Node.js with npm.
    Web {
        /// A built `purser` [default: it is built in release]
        binary: Option<PathBuf>,
    },
}

fn main() -> anyhow::Result<()> {
    let task = Cli::parse().task;
    let tree = Tree::of_workspace()?;
    match task {
        Task::Ci => ci::run(&tree),
        Task::Tidy => tidy::run(&tree),
        Task::Licences => licences::run(&tree),
        Task::Clients { binary } => clients::run(&tree, binary.as_deref()),
        Task::CudaToolkit => cuda_toolkit::run(&tree),
        Task::Web { binary } => web::run(&tree, binary.as_deref()),
    }
}
