//! One run of `purser bench load`: many requests, from the first one to the written file.
//!
//! At a request rate requests arrive whatever the server does (an open loop), and each one's times
//! begin when it should have been sent. At an infinite rate with a limit on concurrency the next
//! request is sent when one has ended (a closed loop).

use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use indicatif::ProgressBar;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::asker::{Asker, Longest, Target};
use super::ledger::Ledger;
use super::outcome;
use super::record::{Progress, Record};
use super::summary;
use crate::measure::{clock, progress};

mod args;
mod plan;
mod report;

pub use args::LoadArgs;

use plan::{Asked, Plan, Planned};
use report::{Report, Results};

/// Measures, prints a summary to `out` and writes the file that `args` names.
///
/// When `interrupt` completes, the results so far are printed and written.
///
/// # Errors
/// When the server cannot be asked or answers no request ([`BenchError`](super::BenchError)), when
/// `interrupt` came first, or when the results cannot be written.
pub async fn run(
    args: &LoadArgs,
    out: &mut impl Write,
    interrupt: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let record = Record::begin("load", &args.record)?;
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
    let mut outcomes = results
        .ledger
        .as_ref()
        .map_or_else(Vec::new, Ledger::outcomes);
    outcomes.sort_by_key(|outcome| outcome.asked.index);
    let in_flight = outcomes.iter().filter(|o| o.is_in_flight()).count();
    let progress = Progress {
        done: outcomes.len() - in_flight,
        in_flight,
        total: args.num_prompts as usize,
        unit: "requests",
    };
    if let Some(server) = results.server.as_ref().filter(|_| !outcomes.is_empty()) {
        let report = Report::new(args, &record, server, &results, &outcomes);
        record.publish(&report, |out| print(&report, out), out)?;
    }
    progress.outcome(ended)
}

/// Sends the requests; what has ended is in `results`.
async fn measure(
    args: &LoadArgs,
    seed: u64,
    text: &mut dyn Write,
    results: &mut Results,
) -> anyhow::Result<()> {
    let longest = Longest {
        prompt_tokens: args.prefix_len.saturating_add(args.input_len.longest()),
        max_tokens: args.output_len.longest(),
        option: "--input-len, --output-len or --prefix-len",
    };
    let mut asker = Asker::open(&args.server, longest, seed).await?;
    results.notes.append(&mut asker.notes);
    introduce(args, results.server.insert(asker.target()), seed, text)?;
    let mut plan = Plan::new(args, asker.form().clone(), seed);
    asker.ask(&plan.warm_up(), 1, &[]).await?;
    let bar = progress::bar(u64::from(args.num_prompts));
    let ledger = Ledger::new(clock::monotonic());
    results.ledger = Some(ledger.clone());
    let crew = Crew::new(args, asker, ledger.clone(), bar.clone());
    crew.send_all(plan).await;
    bar.finish_and_clear();
    match outcome::no_answer(&ledger.outcomes()) {
        Some(error) => bail!("no request was answered: {error}"),
        None => Ok(()),
    }
}

/// Those who send requests.
struct Crew {
    asker: Arc<Asker>,
    ignore_eos: bool,
    is_closed_loop: bool,
    /// One for each request that may run, where there is a limit.
    places: Option<Arc<Semaphore>>,
    ledger: Ledger<Asked>,
    bar: ProgressBar,
}

impl Crew {
    fn new(args: &LoadArgs, asker: Asker, ledger: Ledger<Asked>, bar: ProgressBar) -> Self {
        let places = |places: u32| Arc::new(Semaphore::new(places as usize));
        Self {
            asker: Arc::new(asker),
            ignore_eos: args.ignore_eos,
            is_closed_loop: args.is_closed_loop(),
            places: args.max_concurrency.map(places),
            ledger,
            bar,
        }
    }

    /// Sends every request of `plan` at its time, and waits for the last answer.
    async fn send_all(self, plan: Plan<'_>) {
        let mut running = JoinSet::new();
        let begin = self.ledger.begin();
        for mut planned in plan {
            tokio::time::sleep_until((begin + planned.at).into()).await;
            let place = match &self.places {
                Some(places) => places.clone().acquire_owned().await.ok(),
                None => None,
            };
            if self.is_closed_loop {
                planned.at = begin.elapsed();
            }
            let due = begin + planned.at;
            running.spawn(self.send(planned, due, place));
            while running.try_join_next().is_some() {}
        }
        running.join_all().await;
    }

    /// One request, which should have been sent when it was `due`.
    fn send(
        &self,
        planned: Planned,
        due: Instant,
        place: Option<OwnedSemaphorePermit>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (asker, ledger) = (self.asker.clone(), self.ledger.clone());
        let bar = self.bar.clone();
        let settings = match self.ignore_eos {
            true => vec![("ignore_eos", Value::Bool(true))],
            false => Vec::new(),
        };
        async move {
            let Planned { asked, prompt, .. } = planned;
            let output_len = asked.output_len;
            let ticket = ledger.open(asked, due);
            let answer = asker.ask(&prompt, output_len, &settings).await;
            ledger.close(ticket, &answer);
            // Only now: who takes the place finds the request closed.
            drop(place);
            bar.inc(1);
        }
    }
}

fn introduce(args: &LoadArgs, server: &Target, seed: u64, text: &mut dyn Write) -> io::Result<()> {
    let identity = &server.identity;
    writeln!(text, "{}, model {}", identity.base_url, identity.model)?;
    write!(
        text,
        "{} requests as {} through {}, ",
        args.num_prompts,
        server.prompt_form.replace('_', " "),
        server.endpoint,
    )?;
    match (args.request_rate.is_infinite(), args.max_concurrency) {
        (true, None) => write!(text, "all at once")?,
        (true, Some(places)) => write!(text, "{places} at a time")?,
        (false, None) => write!(text, "{} per second", args.request_rate)?,
        (false, Some(places)) => {
            write!(
                text,
                "{} per second, at most {places} at a time",
                args.request_rate
            )?;
        }
    }
    write!(text, "; prompts of {}", args.input_len)?;
    if args.prefix_len > 0 {
        write!(
            text,
            " behind {} common to each of {} groups",
            args.prefix_len, args.prefix_groups
        )?;
    }
    writeln!(text, ", {} to generate, seed {seed}", args.output_len)
}

fn print(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    summary::print(out, &report.summary)?;
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}
