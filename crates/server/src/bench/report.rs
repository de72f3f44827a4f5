//! `purser bench report A.json [B.json ..] -o report.html`: files of results as one page.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::page;
use super::record::{check_output, save};
use super::results::ResultsFile;

/// Options of `purser bench report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// Files of results, of any of the benchmarks; those of the same one share charts
    #[arg(value_name = "FILE.json", required = true)]
    pub results: Vec<PathBuf>,

    /// Where the page goes
    #[arg(short, long, value_name = "FILE.html", default_value = "report.html")]
    pub output: PathBuf,
}

/// Writes the page that `args` names and says so to `out`.
///
/// # Errors
/// When a file cannot be read or holds no results of a benchmark, or when the page cannot be written.
pub fn run(args: &ReportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    check_output("--output", &args.output)?;
    let mut files = Vec::new();
    for path in &args.results {
        files.push((path.display().to_string(), ResultsFile::read(path)?));
    }
    let place = args.output.display();
    let text = page::render(&files);
    save(text.as_bytes(), &args.output).with_context(|| format!("cannot write {place}"))?;
    writeln!(out, "tables and charts: {place}")?;
    Ok(())
}
