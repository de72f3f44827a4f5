//! What is kept of a run: where results go, when it began, what prompts were drawn from.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;
use serde::Serialize;

use super::asker::Target;
use super::page;
use super::results::ResultsFile;
use crate::measure::clock;
use crate::measure::machine::Machine;
use crate::measure::server_args::quoted;

/// Options that say what becomes of the results.
#[derive(Debug, Clone, Args)]
pub struct RecordArgs {
    /// File for every raw measurement; - prints it in place of the table [default:
    /// BENCHMARK-TIME.json in the current folder]
    #[arg(long, value_name = "FILE.json")]
    pub output: Option<PathBuf>,

    /// File for a page with the tables and charts, which needs no network to be read
    #[arg(long, value_name = "FILE.html")]
    pub html: Option<PathBuf>,

    /// Prompts are drawn from this number: use each only once per server start, or what should be
    /// cold is cached [default: from the time of day]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Record {
    benchmark: &'static str,
    /// RFC 3339, UTC.
    started_at: String,
    pub(super) seed: u64,
    output: PathBuf,
    html: Option<PathBuf>,
    machine: Machine,
}

/// What every file of results begins with.
#[derive(Debug, Serialize)]
pub(super) struct Head<'a> {
    benchmark: &'static str,
    purser_version: &'static str,
    /// The commit of this tool, where `PURSER_COMMIT` named it when it was built.
    purser_commit: Option<&'static str>,
    /// Where this tool ran; also the server's where its address is this machine's.
    machine: &'a Machine,
    started_at: &'a str,
    /// The command that repeats the run; it leaves out the key.
    command: String,
    seed: u64,
    /// Whether everything was measured that was asked for.
    complete: bool,
    server: &'a Target,
}

/// How far a run came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub(super) done: usize,
    /// Under way when the user interrupted the run.
    pub(super) in_flight: usize,
    pub(super) total: usize,
    /// What is counted, in the plural.
    pub(super) unit: &'static str,
}

impl RecordArgs {
    /// These options for a command line, with the seed that was taken.
    pub(super) fn words(&self, record: &Record) -> String {
        let mut words = format!("--seed {}", record.seed);
        if let Some(output) = &self.output {
            words.push_str(" --output ");
            words.push_str(&quoted(&output.to_string_lossy()));
        }
        if let Some(html) = &self.html {
            words.push_str(" --html ");
            words.push_str(&quoted(&html.to_string_lossy()));
        }
        words
    }
}

impl Record {
    /// A run that begins now.
    ///
    /// # Errors
    /// When results could not be written, which is found out before minutes of measuring.
    pub(super) fn begin(benchmark: &'static str, args: &RecordArgs) -> anyhow::Result<Self> {
        let now = clock::since_epoch();
        let started_at = clock::rfc3339(now);
        let output = args.output.clone().unwrap_or_else(|| {
            PathBuf::from(format!(
                "{benchmark}-{}.json",
                started_at.replace([':', '-'], "")
            ))
        });
        check_output("--output", &output)?;
        if let Some(html) = &args.html {
            check_output("--html", html)?;
            ensure!(
                *html != output,
                "--html {}: --output is the same file",
                html.display()
            );
        }
        Ok(Self {
            benchmark,
            started_at,
            // Microseconds stay below 2^53, where JSON readers in other languages begin to round.
            seed: args.seed.unwrap_or(now.as_micros() as u64),
            output,
            html: args.html.clone(),
            machine: Machine::this(),
        })
    }

    /// Whether the file takes the place of everything that a person reads.
    pub(super) fn is_printed(&self) -> bool {
        self.output == Path::new("-")
    }

    pub(super) fn head<'a>(
        &'a self,
        command: String,
        complete: bool,
        server: &'a Target,
    ) -> Head<'a> {
        Head {
            benchmark: self.benchmark,
            purser_version: env!("CARGO_PKG_VERSION"),
            purser_commit: option_env!("PURSER_COMMIT"),
            machine: &self.machine,
            started_at: &self.started_at,
            command,
            seed: self.seed,
            complete,
            server,
        }
    }

    /// Writes `report` to its files and `table` to `out`, or only `report` to `out`.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(super) fn publish(
        &self,
        report: &impl Serialize,
        table: impl FnOnce(&mut dyn Write) -> io::Result<()>,
        out: &mut impl Write,
    ) -> anyhow::Result<()> {
        if self.is_printed() {
            write(report, out).context("cannot write to standard output")?;
        } else {
            table(out).context("cannot write to standard output")?;
            let place = self.output.display();
            let mut text = Vec::new();
            write(report, &mut text)?;
            save(&text, &self.output).with_context(|| format!("cannot write {place}"))?;
            writeln!(out, "every measurement: {place}")?;
        }
        let Some(html) = &self.html else {
            return Ok(());
        };
        let results = ResultsFile::of(serde_json::to_value(report)?)?;
        let place = html.display();
        let text = page::render(&[(self.benchmark.to_owned(), results)]);
        save(text.as_bytes(), html).with_context(|| format!("cannot write {place}"))?;
        if !self.is_printed() {
            writeln!(out, "tables and charts: {place}")?;
        }
        Ok(())
    }
}

impl Progress {
    /// What the run ends with: `ended` is `None` where the user interrupted it.
    ///
    /// # Errors
    /// Unless it came to its end.
    pub(super) fn outcome(self, ended: Option<anyhow::Result<()>>) -> anyhow::Result<()> {
        match ended {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) if self.done == 0 => Err(error),
            Some(Err(error)) => Err(error.context(format!("ended after {self}"))),
            None => Err(anyhow!("interrupted after {self}")),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} of {} {}", self.done, self.total, self.unit)?;
        match self.in_flight {
            0 => Ok(()),
            count => write!(out, ", {count} more in flight"),
        }
    }
}

fn write(report: &impl Serialize, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, report)?;
    writeln!(out)
}

/// Writes the file beside its place first, so that no half of it replaces an earlier one.
pub(super) fn save(text: &[u8], path: &Path) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}

/// # Errors
/// When no file can be at `path`, which `option` names.
pub(super) fn check_output(option: &str, path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!(
            "{option} {}: there is no folder {}",
            path.display(),
            folder.display()
        );
    }
    if path.is_dir() {
        bail!("{option} {} is a folder", path.display());
    }
    Ok(())
}
