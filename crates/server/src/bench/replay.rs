//! One run of `purser bench replay`: the requests of a trace at the times of the trace, from the first
//! one to the written file.
//!
//! An open loop: requests are due when the trace says so, whatever the server does, and each one's
//! times begin when it was due. A request that follows another is due when that one's answer has ended,
//! where this is later: its client could not have sent it before.

use std::future::Future;
use std::io::{self, Write};

use anyhow::bail;

use super::asker::{Asker, Longest, Target};
use super::ledger::Ledger;
use super::record::{Progress, Record};
use super::{outcome, summary};
use crate::measure::{clock, progress};

mod args;
mod crew;
mod format;
mod hits;
mod mooncake;
mod record_line;
mod report;
mod requests;
mod sharegpt;
mod trace;

pub use args::ReplayArgs;
pub use format::Format;

use crew::Crew;
use hits::Hits;
use report::{Replayed, Report, Results};
use trace::{Prompt, Trace};

/// Replays, prints a summary to `out` and writes the file that `args` names.
///
/// When `interrupt` completes, the results so far are printed and written.
///
/// # Errors
/// When the trace cannot be read, when the server cannot be asked or answers no request
/// ([`BenchError`](super::BenchError)), when `interrupt` came first, or when the results cannot be
/// written.
pub async fn run(
    args: &ReplayArgs,
    out: &mut impl Write,
    interrupt: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let record = Record::begin("replay", &args.record)?;
    let trace = Trace::read(args, record.seed)?;
    let total = trace.requests.len();
    let mut results = Results::default();
    let ended = {
        let mut sink = io::sink();
        let text: &mut dyn Write = if record.is_printed() {
            &mut sink
        } else {
            &mut *out
        };
        tokio::select! {
            outcome = measure(args, trace, record.seed, text, &mut results) => Some(outcome),
            () = interrupt => None,
        }
    };
    let mut outcomes = results
        .ledger
        .as_ref()
        .map_or_else(Vec::new, Ledger::outcomes);
    outcomes.sort_by_key(|outcome| outcome.asked.index);
    let in_flight = outcomes.iter().filter(|o| o.is_in_flight()).count();
    let progress = Progress {
        done: outcomes.len() - in_flight,
        in_flight,
        total,
        unit: "requests",
    };
    let known = results.server.as_ref().zip(results.replayed);
    if let Some(known) = known.filter(|_| !outcomes.is_empty()) {
        let report = Report::new(args, &record, known, &outcomes, &results.notes);
        record.publish(&report, |out| print(&report, out), out)?;
    }
    progress.outcome(ended)
}

/// Sends the requests; what has ended is in `results`.
async fn measure(
    args: &ReplayArgs,
    mut trace: Trace,
    seed: u64,
    text: &mut dyn Write,
    results: &mut Results,
) -> anyhow::Result<()> {
    let shortest = shortest(&trace);
    let mut asker = match trace.needs_chat() {
        true => Asker::open_chat(&args.server, shortest, seed).await?,
        false => Asker::open(&args.server, shortest, seed).await?,
    };
    results.notes.append(&mut asker.notes);
    results.notes.append(&mut trace.notes);
    let mut order: Vec<usize> = (0..trace.requests.len()).collect();
    order.sort_by_key(|&index| trace.requests[index].at);
    let hits = hits::of_trace(&trace, &order, args.hash_block_size());
    let replayed = Replayed {
        format: trace.format,
        requests: trace.requests.len(),
        hits: Hits::sum(hits.iter().copied()),
    };
    results.replayed = Some(replayed);
    introduce(args, results.server.insert(asker.target()), &trace, text)?;
    let bar = progress::bar(trace.requests.len() as u64);
    let ledger = Ledger::new(clock::monotonic());
    results.ledger = Some(ledger.clone());
    let parts = (ledger.clone(), bar.clone());
    let crew = Crew::new(args, (asker, trace, hits), parts, seed);
    crew.send_all(&order).await;
    bar.finish_and_clear();
    match outcome::no_answer(&ledger.outcomes()) {
        Some(error) => bail!("no request was answered: {error}"),
        None => Ok(()),
    }
}

/// The shortest request: where not even it fits, nothing can be replayed. Longer ones that do not are
/// refused one by one, and counted.
fn shortest(trace: &Trace) -> Longest {
    let lengths = trace.requests.iter().map(|request| match request.prompt {
        Prompt::Blocks { tokens, .. } => (tokens, request.output_len.unwrap_or(1)),
        Prompt::Messages { .. } | Prompt::Body { .. } => (1, 1),
    });
    let (prompt_tokens, max_tokens) = lengths.min().unwrap_or((1, 1));
    Longest {
        prompt_tokens,
        max_tokens,
        option: "trace",
    }
}

fn introduce(
    args: &ReplayArgs,
    server: &Target,
    trace: &Trace,
    text: &mut dyn Write,
) -> io::Result<()> {
    let identity = &server.identity;
    writeln!(text, "{}, model {}", identity.base_url, identity.model)?;
    let last = trace.requests.iter().map(|request| request.at).max();
    write!(
        text,
        "{} requests of {} ({}) in {:.1} s",
        trace.requests.len(),
        args.trace.display(),
        trace.format,
        last.unwrap_or_default().as_secs_f64(),
    )?;
    match args.max_concurrency {
        Some(places) => writeln!(text, ", at most {places} at a time"),
        None => writeln!(text),
    }
}

fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    summary::print(out, &report.summary)?;
    let percent = |rate: Option<f64>| match rate {
        Some(rate) => format!("{:.1} %", rate * 100.0),
        None => "n/a".to_owned(),
    };
    writeln!(
        out,
        "\nhit rate: {} asked (of {}), {} observed",
        percent(report.hits.hit_rate_asked),
        report.hits.asked_in,
        percent(report.hits.hit_rate_observed),
    )?;
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
