//! One run of `purser bench ttft`, from the first request to the written file.

use std::future::Future;
use std::io::{self, Write};

use super::asker::Target;
use super::error::BenchError;
use super::record::{Progress, Record};
use crate::measure::progress;

mod args;
mod line;
mod measurement;
mod report;
mod session;
mod summary;
mod table;

pub use args::{HitRate, TtftArgs};

use measurement::Place;
use report::{Report, Results};
use session::Session;

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
    let record = Record::begin("ttft", &args.record)?;
    let mut results = Results::default();
    let ended = {
        let mut sink = io::sink();
        let text: &mut dyn Write = if record.is_printed() {
            &mut sink
        } else {
            &mut *out
        };
        tokio::select! {
            outcome = measure(args, record.seed, text, &mut results) => Some(outcome),
            () = interrupt => None,
        }
    };
    let progress = Progress {
        done: results.measurements.len(),
        in_flight: usize::from(results.under_way.is_some()),
        total: args.total(),
        unit: "measurements",
    };
    if let Some(server) = results
        .server
        .as_ref()
        .filter(|_| progress.done + progress.in_flight > 0)
    {
        let report = Report::new(args, &record, server, &results);
        record.publish(&report, |out| print(&report, out), out)?;
    }
    progress.outcome(ended)
}

/// Takes the measurements one after the other; what is taken stays in `results`.
async fn measure(
    args: &TtftArgs,
    seed: u64,
    text: &mut dyn Write,
    results: &mut Results,
) -> anyhow::Result<()> {
    let mut session = Session::open(args, seed).await?;
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
            results.under_way = Some(place);
            let measurement = session.measure(place).await;
            results.under_way = None;
            results.measurements.push(measurement?);
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

fn print(report: &Report<'_>, mut out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    table::print_rows(&mut out, &report.summary)?;
    let lines = [
        ("all measurements", &report.line),
        ("medians", &report.line_of_medians),
    ];
    for (of, line) in lines {
        if let Some(line) = line {
            table::print_line(&mut out, of, line)?;
        }
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
