//! The file of results: what was measured, of whom, how, and every raw number.

use serde::Serialize;

use super::args::ContextArgs;
use super::compose::ANSWER_TOKENS;
use super::differences::{Difference, differences};
use super::facts::FactKind;
use super::failures::Cause;
use super::policy::Policy;
use super::replay::Run;
use super::summary::{Controls, Row, controls, percent, rows};
use super::trace::{Planted, TraceKind};
use crate::measure::identity::Identity;

/// Results while they come in.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) traces: Vec<TraceFacts>,
    pub(super) runs: Vec<Run>,
    /// Of each episode: its questions with nothing but the statement that answers them.
    pub(super) gold: Vec<Run>,
    pub(super) notes: Vec<String>,
}

/// An episode in the results.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TraceFacts {
    pub(super) kind: TraceKind,
    pub(super) seed: u64,
    pub(super) fingerprint: String,
    /// Of all messages.
    pub(super) tokens: usize,
    /// Of the longest prompt, of which budgets are shares.
    pub(super) full_tokens: usize,
    pub(super) messages: usize,
    /// Share of the tokens that are in tool results.
    pub(super) tool_share: f64,
    pub(super) facts: Vec<Planted>,
}

/// A wrong answer that the whole history would have answered rightly.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Failure {
    pub(super) trace: usize,
    pub(super) policy: Policy,
    /// Percent.
    pub(super) budget: Option<u32>,
    pub(super) fact: FactKind,
    pub(super) question: String,
    pub(super) expected: String,
    pub(super) answer: String,
    pub(super) cause: Option<Cause>,
}

/// When, from what, and with whom.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Origin {
    /// RFC 3339, UTC.
    pub(super) started_at: String,
    /// The command that repeats the run; it leaves out the key.
    pub(super) command: String,
    pub(super) server: Identity,
    /// Version of `langchain-core`, where its prompts were measured.
    pub(super) langchain_core: Option<String>,
}

/// The whole file. Times in milliseconds, shares from 0 to 1, counts in tokens.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) evaluation: &'static str,
    pub(super) purser_version: &'static str,
    #[serde(flatten)]
    pub(super) origin: &'a Origin,
    /// Whether everything was measured that was asked for.
    pub(super) complete: bool,
    pub(super) seed: u64,
    /// Tokens that each budget keeps for the answer.
    pub(super) answer_tokens: usize,
    pub(super) controls: Controls,
    pub(super) rows: Vec<Row>,
    pub(super) differences: Vec<Difference>,
    pub(super) notes: &'a [String],
    pub(super) failures: Vec<Failure>,
    pub(super) traces: &'a [TraceFacts],
    pub(super) runs: &'a [Run],
    pub(super) gold: &'a [Run],
}

impl Measured {
    /// Whether the fact of that number was found in the whole history.
    pub(super) fn right_with_full(&self, trace: usize, fact: usize) -> bool {
        let full = self
            .runs
            .iter()
            .find(|run| run.trace == trace && run.policy == Policy::Full);
        full.is_some_and(|run| run.probes[fact].right)
    }

    /// Whether the model can be asked for the fact at all: it is right with the whole history or
    /// with nothing but the statement.
    pub(super) fn is_included(&self, trace: usize, fact: usize) -> bool {
        let gold = self.gold.get(trace);
        gold.is_some_and(|run| run.probes[fact].right) || self.right_with_full(trace, fact)
    }

    /// Wrong answers to questions that are right with the whole history.
    fn failures(&self) -> Vec<Failure> {
        let wrong = self.runs.iter().flat_map(|run| {
            let wrong = run.probes.iter().filter(|probe| !probe.right);
            wrong.map(move |probe| (run, probe))
        });
        wrong
            .filter(|(run, probe)| self.right_with_full(run.trace, probe.fact))
            .map(|(run, probe)| {
                let fact = &self.traces[run.trace].facts[probe.fact].fact;
                Failure {
                    trace: run.trace,
                    policy: run.policy,
                    budget: percent(run),
                    fact: fact.kind,
                    question: fact.question.clone(),
                    expected: fact.value.clone(),
                    answer: probe.answer.clone(),
                    cause: probe.cause.clone(),
                }
            })
            .collect()
    }
}

impl<'a> Report<'a> {
    /// Sums up what there is.
    pub(super) fn new(
        args: &ContextArgs,
        origin: &'a Origin,
        measured: &'a Measured,
        complete: bool,
    ) -> Self {
        Self {
            evaluation: "context",
            purser_version: env!("CARGO_PKG_VERSION"),
            origin,
            complete,
            seed: args.seed,
            answer_tokens: ANSWER_TOKENS,
            controls: controls(measured),
            rows: rows(measured, args.seed),
            differences: differences(measured, args.seed),
            notes: &measured.notes,
            failures: measured.failures(),
            traces: &measured.traces,
            runs: &measured.runs,
            gold: &measured.gold,
        }
    }
}
