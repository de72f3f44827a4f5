//! One run of `purser eval context`, from the first request to the written files.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use anyhow::{Context, anyhow};
use serde_json::json;

use super::args::ContextArgs;
use super::asker::{Asker, Outcome, Prompt, Request};
use super::compose::ANSWER_TOKENS;
use super::error::EvalError;
use super::message::Role;
use super::policy::{AppliedBy, Policy};
use super::rendered::Rendered;
use super::replay::{Budget, Replay};
use super::report::{Measured, Origin, Report, TraceFacts};
use super::sizing::sized;
use super::trace::Trace;
use super::trimmed::{self, Trimmed};
use super::{markdown, plots};
use crate::measure::clock;
use crate::measure::identity::Identity;
use crate::measure::progress;
use crate::measure::random::Random;

/// Room for a question beside an episode, in tokens; questions are shorter.
const QUESTION_TOKENS: u64 = 64;

/// What is measured, and how.
struct Evaluation<'a> {
    args: &'a ContextArgs,
    asker: &'a Asker,
    trimmed: Option<&'a Trimmed>,
    policies: Vec<Policy>,
}

/// Measures, prints the main tables to `out` and writes the folder that `args` names.
///
/// When `interrupt` completes, or when a request fails, the results so far are written.
///
/// # Errors
/// When the server refuses or breaks off ([`EvalError`]), when `interrupt` came first, or when the
/// results cannot be written.
pub async fn run(
    args: &ContextArgs,
    out: &mut impl Write,
    interrupt: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    args.check_lists()?;
    let now = clock::since_epoch();
    let started_at = clock::rfc3339(now);
    let trimmed = args.trimmed.as_deref().map(Trimmed::load).transpose()?;
    let client = args.server.client()?;
    let server = Identity::discover(&client, args.server.model.as_deref())
        .await
        .map_err(EvalError::from)?;
    check_length(args, &server)?;
    let asker = Asker {
        client,
        model: server.model.clone(),
        run: format!("eval-{}", now.as_micros()),
    };
    let traces = episodes(args, &asker).await?;
    if let Some(path) = &args.export_traces {
        return export(args, &traces, path, out);
    }
    let folder = args
        .output_dir
        .clone()
        .unwrap_or_else(|| default_folder(&started_at));
    let place = folder.display();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {place}"))?;
    let origin = Origin {
        started_at,
        command: args.command_line(&server.model),
        server,
        langchain_core: trimmed
            .as_ref()
            .map(|trimmed| trimmed.langchain_core.clone()),
    };
    let mut measured = Measured::default();
    let ended = {
        let trimmed = trimmed.as_ref();
        tokio::select! {
            outcome = measure(args, &asker, trimmed, &traces, &mut measured) => Some(outcome),
            () = interrupt => None,
        }
    };
    if !measured.runs.is_empty() {
        let complete = matches!(ended, Some(Ok(())));
        let report = Report::new(args, &origin, &measured, complete);
        save(&report, &folder).with_context(|| format!("cannot write {place}"))?;
        writeln!(
            out,
            "{}\nreport and every answer: {place}",
            markdown::head(&report)
        )?;
    }
    let taken = measured.runs.len();
    match ended {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(anyhow!(error).context(format!("ended after {taken} replays"))),
        None => Err(anyhow!("interrupted after {taken} replays")),
    }
}

/// The episodes, in the order of kinds and seeds.
async fn episodes(args: &ContextArgs, asker: &Asker) -> Result<Vec<(Trace, Rendered)>, EvalError> {
    let bar = progress::bar(u64::from(args.traces) * args.kinds.len() as u64);
    bar.set_message("episodes");
    let mut traces = Vec::new();
    for &kind in &args.kinds {
        for number in 0..u64::from(args.traces) {
            let seed = args.seed.wrapping_add(number);
            traces.push(sized(kind, seed, args.length, args.turns, asker).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(traces)
}

/// Takes the measurements one after the other; what is taken stays in `measured`.
async fn measure(
    args: &ContextArgs,
    asker: &Asker,
    trimmed: Option<&Trimmed>,
    traces: &[(Trace, Rendered)],
    measured: &mut Measured,
) -> Result<(), EvalError> {
    let mut evaluation = Evaluation {
        args,
        asker,
        trimmed,
        policies: Vec::new(),
    };
    evaluation.choose_policies(&mut measured.notes).await?;
    let settings = args.context_budget.clone().unwrap_or_default();
    let budgeted = evaluation
        .policies
        .iter()
        .filter(|policy| policy.has_budget())
        .count();
    let each = 2 + budgeted * args.budgets.len();
    let bar = progress::bar((each * traces.len()) as u64);
    for (number, (trace, rendered)) in traces.iter().enumerate() {
        let replay = Replay {
            asker,
            trace,
            rendered,
            number,
            settings: &settings,
        };
        let name = format!("{} {}", trace.kind, trace.seed);
        bar.set_message(format!("{name}: controls"));
        let gold = replay.oracle(false).await?;
        let full = replay.run(Policy::Full, None, None).await?;
        bar.inc(1);
        let oracle = replay.oracle(true).await?;
        bar.inc(1);
        // All at once: an interruption leaves no episode without its controls.
        measured.traces.push(TraceFacts::new(trace, rendered));
        measured.gold.push(gold);
        measured.runs.extend([full, oracle]);
        for (policy, percent) in evaluation.order(trace.seed) {
            bar.set_message(format!("{name}: {} {percent} %", policy.name()));
            evaluation
                .measure(replay, policy, percent, measured)
                .await?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

impl Evaluation<'_> {
    /// Leaves out what the server or the command line does not allow, and says so.
    async fn choose_policies(&mut self, notes: &mut Vec<String>) -> Result<(), EvalError> {
        let asked = &self.args.policies;
        for policy in Policy::ALL {
            if !asked.is_empty() && !asked.contains(&policy) {
                continue;
            }
            let missing = match (policy, policy.applied_by()) {
                (Policy::LangchainTrim, _) if self.trimmed.is_none() => {
                    Some("--trimmed is not given".to_owned())
                }
                (_, AppliedBy::Server(ablation)) => self.why_not(ablation).await?,
                _ => None,
            };
            match missing {
                Some(reason) => notes.push(format!("{} is left out: {reason}", policy.name())),
                None => self.policies.push(policy),
            }
        }
        Ok(())
    }

    /// Why the server cannot apply `context_budget`, or not without that part of its work.
    async fn why_not(&self, ablation: Option<&str>) -> Result<Option<String>, EvalError> {
        let mut budget = json!({"mode": "enforce", "report": "summary"});
        if let Some(part) = ablation {
            budget["ablation"] = json!([part]);
        }
        let request = Request {
            prompt: Prompt::Chat(json!([{"role": "user", "content": "Hello"}])),
            max_tokens: 1,
            salt: "capabilities".to_owned(),
            context_budget: Some(budget),
        };
        Ok(match self.asker.ask(&request).await? {
            Outcome::Answer(answer) if answer.context_budget.is_some() => None,
            Outcome::Answer(_) => Some("the server does not report a context budget".to_owned()),
            Outcome::Refused(refusal) => Some(format!("the server says {:?}", refusal.message)),
        })
    }

    /// Policies with budgets in an order of the episode's own, so that drift of the machine does
    /// not line up with a policy.
    fn order(&self, seed: u64) -> Vec<(Policy, u32)> {
        let policies = self.policies.iter().filter(|policy| policy.has_budget());
        let mut order: Vec<(Policy, u32)> = policies
            .flat_map(|&policy| {
                self.args
                    .budgets
                    .iter()
                    .map(move |&percent| (policy, percent))
            })
            .collect();
        Random::new(seed).shuffle(&mut order);
        order
    }

    async fn measure(
        &self,
        replay: Replay<'_>,
        policy: Policy,
        percent: u32,
        measured: &mut Measured,
    ) -> Result<(), EvalError> {
        let budget = budget(replay.rendered, percent);
        let kept = match (policy, self.trimmed) {
            (Policy::LangchainTrim, Some(trimmed)) => {
                let limit = budget.tokens.saturating_sub(ANSWER_TOKENS);
                match trimmed.kept(replay.trace, limit) {
                    Ok(kept) => Some(kept),
                    Err(reason) => {
                        measured.notes.push(format!(
                            "{} is left out for {} {} at {percent} %: {reason}",
                            policy.name(),
                            replay.trace.kind,
                            replay.trace.seed
                        ));
                        return Ok(());
                    }
                }
            }
            _ => None,
        };
        measured
            .runs
            .push(replay.run(policy, Some(budget), kept).await?);
        Ok(())
    }
}

impl TraceFacts {
    fn new(trace: &Trace, rendered: &Rendered) -> Self {
        let counts = rendered.counts().into_iter().zip(&trace.messages);
        let tools: usize = counts
            .filter(|(_, message)| message.role == Role::Tool)
            .map(|(tokens, _)| tokens)
            .sum();
        Self {
            kind: trace.kind,
            seed: trace.seed,
            fingerprint: trace.fingerprint(),
            tokens: rendered.ids.len(),
            full_tokens: rendered.full_tokens(),
            messages: trace.messages.len(),
            tool_share: tools as f64 / rendered.ids.len() as f64,
            facts: trace.facts.clone(),
        }
    }
}

/// The share of the longest prompt and its answer: at 100 % nothing needs to be left out.
fn budget(rendered: &Rendered, percent: u32) -> Budget {
    let whole = rendered.full_tokens() + ANSWER_TOKENS;
    let tokens = (whole as f64 * f64::from(percent) / 100.0).round() as usize;
    Budget { percent, tokens }
}

/// # Errors
/// `TooLong`, where the window is known and too small.
fn check_length(args: &ContextArgs, server: &Identity) -> Result<(), EvalError> {
    let needed = args.length + QUESTION_TOKENS + ANSWER_TOKENS as u64;
    match server.max_model_len {
        Some(window) if needed > window => Err(EvalError::TooLong {
            length: args.length,
            window,
        }),
        _ => Ok(()),
    }
}

/// Writes the episodes and the limits of their budgets for the script.
fn export(
    args: &ContextArgs,
    traces: &[(Trace, Rendered)],
    path: &Path,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let limits = |rendered: &Rendered| -> Vec<usize> {
        let tokens = args
            .budgets
            .iter()
            .map(|&percent| budget(rendered, percent).tokens);
        tokens
            .map(|tokens| tokens.saturating_sub(ANSWER_TOKENS))
            .collect()
    };
    let limits: Vec<Vec<usize>> = traces
        .iter()
        .map(|(_, rendered)| limits(rendered))
        .collect();
    let text = trimmed::export(traces, &limits).to_string();
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    writeln!(out, "{} episodes: {}", traces.len(), path.display())?;
    Ok(())
}

/// Writes the files.
fn save(report: &Report<'_>, folder: &Path) -> io::Result<()> {
    let json = serde_json::to_string_pretty(report)?;
    let all = report
        .rows
        .iter()
        .filter(|row| row.kind.is_none())
        .cloned()
        .collect::<Vec<_>>();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text);
    write("results.json", &format!("{json}\n"))?;
    write("report.md", &markdown::page(report))?;
    write("accuracy-by-budget.svg", &plots::by_budget(&all).to_svg())?;
    write("accuracy-by-prefill.svg", &plots::by_prefill(&all).to_svg())
}

fn default_folder(started_at: &str) -> PathBuf {
    PathBuf::from(format!("context-{}", started_at.replace([':', '-'], "")))
}
