//! One run of `purser bench agent`: agents that call tools in a loop, from the first request to the
//! written file.
//!
//! Each agent sends its whole history in every turn, as agents do: a system prompt and tools that all
//! agents have in common, a task of its own, then for every turn what the server really answered and a
//! tool's result. So the prompt of a turn begins with the one before it and the answer to that, and
//! what a server finds of it in its cache can be compared with what it could find. An agent is a
//! closed loop: its next request is sent a pause after the answer.

use std::future::Future;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::bail;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::asker::{Asker, Longest, Target};
use super::ledger::Ledger;
use super::outcome;
use super::record::{Progress, Record};
use crate::measure::{clock, progress};

mod args;
mod conversation;
mod ending;
mod report;
mod reuse;
mod script;
mod table;
mod toolbox;
mod turn;
mod worker;

pub use args::AgentArgs;

use conversation::Conversation;
use ending::{Ending, Roster};
use report::{Report, Results};
use worker::{Office, Worker};

/// Measures, prints tables to `out` and writes the file that `args` names.
///
/// When `interrupt` completes, the results so far are printed and written.
///
/// # Errors
/// When the server cannot be asked or answers no request ([`BenchError`](super::BenchError)), when
/// `interrupt` came first, or when the results cannot be written.
pub async fn run(
    args: &AgentArgs,
    out: &mut impl Write,
    interrupt: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let record = Record::begin("agent", &args.record)?;
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
    let (mut outcomes, agents) = match &results.books {
        Some((ledger, roster)) => (ledger.outcomes(), roster.ended()),
        None => (Vec::new(), Vec::new()),
    };
    outcomes.sort_by_key(|outcome| (outcome.asked.agent, outcome.asked.turn));
    let finished = |agent: &&ending::Ended| !matches!(agent.ending, Ending::Interrupted { .. });
    let progress = Progress {
        done: agents.iter().filter(finished).count(),
        in_flight: outcomes.iter().filter(|o| o.is_in_flight()).count(),
        total: args.agents as usize,
        unit: "agents",
    };
    if let Some(server) = results.server.as_ref().filter(|_| !outcomes.is_empty()) {
        let report = Report::new(args, &record, server, &outcomes, agents).noted(&results.notes);
        record.publish(&report, |out| table::print(out, &report), out)?;
    }
    progress.outcome(ended)
}

/// Lets the agents work; what has ended is in `results`.
async fn measure(
    args: &AgentArgs,
    seed: u64,
    text: &mut dyn Write,
    results: &mut Results,
) -> anyhow::Result<()> {
    let longest = Longest {
        prompt_tokens: args.system_len.saturating_add(args.input_len.longest()),
        max_tokens: args.output_len.longest(),
        option: "--system-len, --input-len or --output-len",
    };
    let mut asker = Asker::open_chat(&args.server, longest, seed).await?;
    results.notes.append(&mut asker.notes);
    introduce(args, results.server.insert(asker.target()), seed, text)?;
    let (system, scripts) = script::write(args, asker.form(), seed);
    let ledger = Ledger::new(clock::monotonic());
    let roster = Roster::new(args.agents);
    results.books = Some((ledger.clone(), roster.clone()));
    let bar = progress::bar(args.total());
    let office = Office {
        asker: Arc::new(asker),
        ledger: ledger.clone(),
        roster: roster.clone(),
        bar: bar.clone(),
        turns: args.turns,
        settings: settings(args),
    };
    let mut agents = JoinSet::new();
    for (number, script) in (1..).zip(scripts) {
        let worker = Worker {
            office: office.clone(),
            number,
            script,
            conversation: Conversation::new(&system),
            previous: None,
        };
        agents.spawn(worker.work());
    }
    agents.join_all().await;
    bar.finish_and_clear();
    if let Some(error) = outcome::no_answer(&ledger.outcomes()) {
        bail!("no request was answered: {error}");
    }
    let first = roster.ended().into_iter().map(|agent| agent.ending).next();
    match first.filter(|_| ledger.outcomes().is_empty()) {
        Some(Ending::ContextFull { says, .. }) => {
            bail!(
                "no first request fits the server ({says}); choose a smaller {}",
                longest.option
            )
        }
        _ => Ok(()),
    }
}

/// Fields that every request has.
fn settings(args: &AgentArgs) -> Value {
    let mut settings = json!({"temperature": 0});
    if args.tools {
        settings["tools"] = toolbox::definitions();
    }
    if args.ignore_eos {
        settings["ignore_eos"] = Value::Bool(true);
    }
    settings
}

fn introduce(args: &AgentArgs, server: &Target, seed: u64, text: &mut dyn Write) -> io::Result<()> {
    let identity = &server.identity;
    writeln!(text, "{}, model {}", identity.base_url, identity.model)?;
    writeln!(
        text,
        "{} agents of {} turns through {}, {} tokens in common, tasks of {}, results of {}, {} to \
         generate, pauses of {} s, seed {seed}",
        args.agents,
        args.turns,
        server.endpoint,
        args.system_len,
        args.input_len,
        args.result_len,
        args.output_len,
        args.pause,
    )
}
