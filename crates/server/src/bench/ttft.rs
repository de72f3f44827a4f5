//! One run of `purser bench ttft`, from the first request to the written file.

use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};

use super::args::TtftArgs;
use super::error::BenchError;
use super::measurement::Place;
use super::report::{Origin, Report, Results, Target};
use super::session::Session;
use super::table;
use crate::measure::client::Client;
use crate::measure::clock;
use crate::measure::progress;

/// Measures, prints a table to `out` and writes the file that `args` names.
///
/// When `interrupt` completes, or when a request fails, the results so far are printed and written.
///
/// # Errors
/// When the server refuses or breaks off ([`BenchError`]), when `interrupt` came first, or when the
/// results cannot be written.
pub async fn run(
    args: &TtftArgs,
    out: &mut impl Write,
    interrupt: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    args.check_hit_rates().map_err(BenchError::HitRateTwice)?;
    let now = clock::since_epoch();
    let started_at = clock::rfc3339(now);
    // Microseconds stay below 2^53, where JSON readers in other languages begin to round.
    let seed = args.seed.unwrap_or(now.as_micros() as u64);
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| default_output(&started_at));
    let to_stdout = output == Path::new("-");
    check_output(&output)?;
    let client = Client::new(&args.base_url, args.api_key.as_deref(), args.timeout)?;
    let mut results = Results::default();
    let ended = {
        let mut sink = io::sink();
        let text: &mut dyn Write = if to_stdout { &mut sink } else { &mut *out };
        tokio::select! {
            outcome = measure(args, &client, seed, text, &mut results) => Some(outcome),
            () = interrupt => None,
        }
    };
    let taken = results.measurements.len();
    if let Some(server) = results.server.as_ref().filter(|_| taken > 0) {
        let report = Report::new(args, &Origin { started_at, seed }, server, &results);
        if to_stdout {
            report
                .write(out)
                .context("cannot write to standard output")?;
        } else {
            print(&report, out).context("cannot write to standard output")?;
            let place = output.display();
            report
                .save(&output)
                .with_context(|| format!("cannot write {place}"))?;
            writeln!(out, "every measurement: {place}")?;
        }
    }
    match ended {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) if taken == 0 => Err(error),
        Some(Err(error)) => Err(error.context(format!(
            "ended after {taken} of {} measurements",
            args.total()
        ))),
        None => Err(anyhow!(
            "interrupted after {taken} of {} measurements",
            args.total()
        )),
    }
}

/// Takes the measurements one after the other; what is taken stays in `results`.
async fn measure(
    args: &TtftArgs,
    client: &Client,
    seed: u64,
    text: &mut dyn Write,
    results: &mut Results,
) -> anyhow::Result<()> {
    let mut session = Session::open(args, client, seed).await?;
    results.notes.append(&mut session.notes);
    introduce(args, results.server.insert(session.target()), seed, text)?;
    let bar = progress::bar(args.total() as u64);
    bar.set_message("warm-up");
    session.warm_up().await?;
    for repetition in 0..args.repeat {
        for hit_rate in session.order() {
            bar.set_message(format!("{hit_rate} % cached"));
            let order = results.measurements.len() as u32;
            let place = Place {
                repetition,
                order,
                hit_rate,
                prompt_tokens: args.prompt_tokens,
            };
            results.measurements.push(session.measure(place).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn introduce(args: &TtftArgs, server: &Target, seed: u64, text: &mut dyn Write) -> io::Result<()> {
    let identity = &server.identity;
    let version = match &identity.version["version"] {
        serde_json::Value::String(version) => format!(", version {version}"),
        _ => String::new(),
    };
    writeln!(
        text,
        "{}, model {}{version}",
        identity.base_url, identity.model
    )?;
    writeln!(
        text,
        "{} prompt tokens as {} through {}, {} to generate, {} x {} measurements, seed {seed}",
        args.prompt_tokens,
        server.prompt_form.replace('_', " "),
        server.endpoint,
        args.max_tokens,
        args.repeat,
        args.hit_rates.len(),
    )
}

fn print(report: &Report<'_>, mut out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    table::print_rows(&mut out, &report.summary)?;
    if let Some(line) = &report.line {
        table::print_line(&mut out, line)?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

fn default_output(started_at: &str) -> PathBuf {
    PathBuf::from(format!("ttft-{}.json", started_at.replace([':', '-'], "")))
}

/// Finds out before minutes of measuring that the results could not be written.
fn check_output(path: &Path) -> anyhow::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        bail!(
            "--output {}: there is no folder {}",
            path.display(),
            folder.display()
        );
    }
    if path.is_dir() {
        bail!("--output {} is a folder", path.display());
    }
    Ok(())
}
