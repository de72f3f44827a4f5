//! `purser eval placement`: where in a prompt the model reads a document best.
//!
//! Each task is a question, the document that answers it, and others. The document is put at places
//! from the first to the last, and where the rules of `zones.retrieval.placement` put it; the gain
//! of `edges` is claimed only if the model shows the curve that it is for.

use std::fs;
use std::future::Future;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::Value;

use super::asker::{Asker, Outcome, Prompt, Request};
use super::compose::ANSWER_TOKENS;
use super::error::EvalError;
use super::report::Origin;
use super::scoring::is_right;
use crate::measure::clock;
use crate::measure::identity::Identity;
use crate::measure::progress;

mod args;
mod curve;
mod report;
mod task;

pub use args::PlacementArgs;

use curve::{Curve, RULES, Scored};
use report::{Answer, Report, TaskAnswers};
use task::{Arrangement, Task};

/// Measures, prints the tables to `out` and writes the folder that `args` names.
///
/// When `interrupt` completes, or when a request fails, the tasks so far are written.
///
/// # Errors
/// When the server refuses or breaks off ([`EvalError`]), when `interrupt` came first, or when the
/// results cannot be written.
pub async fn run(
    args: &PlacementArgs,
    out: &mut impl Write,
    interrupt: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    args.check()?;
    let now = clock::since_epoch();
    let started_at = clock::rfc3339(now);
    let client = args.server.client()?;
    let server = Identity::discover(&client, args.server.model.as_deref())
        .await
        .map_err(EvalError::from)?;
    let asker = Asker {
        client,
        model: server.model.clone(),
        run: format!("eval-{}", now.as_micros()),
    };
    let folder = args.output_dir.clone().unwrap_or_else(|| {
        PathBuf::from(format!("placement-{}", started_at.replace([':', '-'], "")))
    });
    let place = folder.display();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {place}"))?;
    let origin = Origin {
        started_at,
        command: args.command_line(&server.model),
        server,
        langchain_core: None,
    };
    let mut answers = Vec::new();
    let ended = tokio::select! {
        outcome = measure(args, &asker, &mut answers) => Some(outcome),
        () = interrupt => None,
    };
    let taken = answers.len();
    if taken > 0 {
        let report = summed_up(args, &origin, &answers, matches!(ended, Some(Ok(()))));
        save(&report, &folder).with_context(|| format!("cannot write {place}"))?;
        writeln!(out, "{}\nreport and every answer: {place}", report.tables())?;
    }
    match ended {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(anyhow!(error).context(format!("ended after {taken} tasks"))),
        None => Err(anyhow!("interrupted after {taken} tasks")),
    }
}

/// Asks one task after the other; what is answered in full stays in `answers`.
async fn measure(
    args: &PlacementArgs,
    asker: &Asker,
    answers: &mut Vec<TaskAnswers>,
) -> Result<(), EvalError> {
    let arrangements = arrangements(args);
    let bar = progress::bar(u64::from(args.tasks) * arrangements.len() as u64);
    for number in 0..u64::from(args.tasks) {
        let seed = args.seed.wrapping_add(number);
        let task = Task::draw(seed, args.documents as usize, args.sentences as usize);
        bar.set_message(format!("task {seed}"));
        let mut of_task = Vec::new();
        for arrangement in &arrangements {
            of_task.push(ask(asker, &task, *arrangement).await?);
            bar.inc(1);
        }
        answers.push(TaskAnswers {
            seed: task.seed,
            question: task.fact.question.clone(),
            expected: task.fact.value.clone(),
            answers: of_task,
        });
    }
    bar.finish_and_clear();
    Ok(())
}

/// Alone, then every place, then every rule.
fn arrangements(args: &PlacementArgs) -> Vec<Arrangement> {
    let (places, documents) = (args.positions as usize, args.documents as usize);
    let place = |at: usize| {
        let share = at as f64 / (places - 1) as f64;
        Arrangement::At((share * (documents - 1) as f64).round() as usize)
    };
    std::iter::once(Arrangement::Alone)
        .chain((0..places).map(place))
        .chain(RULES.map(Arrangement::Rule))
        .collect()
}

async fn ask(asker: &Asker, task: &Task, arrangement: Arrangement) -> Result<Answer, EvalError> {
    let request = Request {
        prompt: Prompt::Chat(task.messages()),
        max_tokens: ANSWER_TOKENS as u32,
        salt: format!("placement-{}", task.seed),
        context_budget: Some(task.context_budget(arrangement)),
    };
    let no_placement = |reason: &str| EvalError::NoPlacement {
        reason: reason.to_owned(),
    };
    let answer = match asker.ask(&request).await? {
        Outcome::Answer(answer) => answer,
        Outcome::Refused(refusal) => return Err(no_placement(&refusal.message)),
    };
    let report = answer.context_budget.unwrap_or_default();
    let placements = report["placement"].as_array().into_iter().flatten();
    let mut placed = placements.filter(|placed| placed["zone"] == "retrieval");
    let order = placed.find_map(|placed| placed["order"].as_array());
    let Some(order) = order else {
        return Err(no_placement("its report names none"));
    };
    Ok(Answer {
        arrangement: match arrangement {
            Arrangement::Alone => "alone".to_owned(),
            Arrangement::At(place) => place.to_string(),
            Arrangement::Rule(rule) => rule.to_owned(),
        },
        stood_at: order.iter().position(|id: &Value| id == task.evidence()),
        placed: order.len(),
        prompt_tokens: answer.usage.prompt_tokens.unwrap_or(0),
        right: is_right(&task.fact, &answer.text),
        answer: answer.text,
    })
}

fn summed_up<'a>(
    args: &PlacementArgs,
    origin: &'a Origin,
    answers: &'a [TaskAnswers],
    complete: bool,
) -> Report<'a> {
    let places = args.positions as usize;
    let scored = answers.iter().map(|task| {
        let right: Vec<bool> = task.answers.iter().map(|answer| answer.right).collect();
        Scored {
            alone: right[0],
            at: right[1..=places].to_vec(),
            by_rule: right[1 + places..].to_vec(),
        }
    });
    let curve = Curve::new(&scored.collect::<Vec<_>>(), args.seed);
    let all = answers.iter().flat_map(|task| &task.answers[1..]);
    let short = all.filter(|answer| answer.placed < args.documents as usize);
    let notes = match short.count() {
        0 => Vec::new(),
        short => vec![format!(
            "{short} prompts have not all documents: no room for them"
        )],
    };
    Report {
        evaluation: "placement",
        purser_version: env!("CARGO_PKG_VERSION"),
        origin,
        complete,
        seed: args.seed,
        documents: args.documents,
        statement: curve.statement(),
        curve,
        notes,
        answers,
    }
}

fn save(report: &Report<'_>, folder: &Path) -> io::Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write("placement.json", &format!("{json}\n"))?;
    write("placement.md", &report.page())?;
    write("placement.svg", &report.chart().to_svg())
}
