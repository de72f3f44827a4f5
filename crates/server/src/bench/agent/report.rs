//! The file of results: what was measured, of whom, how, and every request.

use serde::Serialize;

use super::args::AgentArgs;
use super::conversation::Role;
use super::ending::{Ended, Ending, Roster};
use super::reuse::{self, Reuse, TurnRow};
use super::turn::Turn;
use crate::bench::asker::Target;
use crate::bench::goodput::Goodput;
use crate::bench::ledger::Ledger;
use crate::bench::lengths::Lengths;
use crate::bench::outcome::Outcome;
use crate::bench::pauses::Pauses;
use crate::bench::record::{Head, Record};
use crate::bench::summary::Summary;

/// Results while they come in.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) server: Option<Target>,
    /// Since the first request could be sent.
    pub(super) books: Option<(Ledger<Turn>, Roster)>,
    pub(super) notes: Vec<String>,
}

/// The whole file. Times in milliseconds, counts in tokens, shares from 0 to 1.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    settings: Settings<'a>,
    pub(super) summary: Summary,
    pub(super) reuse: Reuse,
    pub(super) turns: Vec<TurnRow>,
    pub(super) agents: Vec<Ended>,
    pub(super) notes: Vec<String>,
    requests: &'a [Outcome<Turn>],
}

#[derive(Debug, Serialize)]
struct Settings<'a> {
    agents: u32,
    turns: u32,
    system_len: u32,
    input_len: Lengths,
    result_len: Lengths,
    output_len: Lengths,
    pause: Pauses,
    tools: bool,
    block_size: u32,
    ignore_eos: bool,
    goodput: Option<&'a Goodput>,
}

impl<'a> Report<'a> {
    /// Sums up `outcomes` and `agents`, whose server is `server`.
    pub(super) fn new(
        args: &'a AgentArgs,
        record: &'a Record,
        server: &'a Target,
        outcomes: &'a [Outcome<Turn>],
        agents: Vec<Ended>,
    ) -> Self {
        let summary = Summary::of(outcomes, args.goodput.as_ref());
        let is_ended = |agent: &Ended| !matches!(agent.ending, Ending::Interrupted { .. });
        Self {
            head: record.head(
                args.command_line(&server.identity.model, record),
                agents.iter().all(is_ended),
                server,
            ),
            settings: Settings {
                agents: args.agents,
                turns: args.turns,
                system_len: args.system_len,
                input_len: args.input_len,
                result_len: args.result_len,
                output_len: args.output_len,
                pause: args.pause,
                tools: args.tools,
                block_size: args.block_size,
                ignore_eos: args.ignore_eos,
                goodput: args.goodput.as_ref(),
            },
            reuse: Reuse::of(outcomes, args.block_size),
            turns: reuse::rows(outcomes, args.block_size),
            notes: remarks(outcomes, &summary),
            agents,
            summary,
            requests: outcomes,
        }
    }

    /// Adds what was noted on the way.
    pub(super) fn noted(mut self, notes: &[String]) -> Self {
        self.notes.splice(0..0, notes.iter().cloned());
        self
    }
}

/// What a reader of the numbers should know and may not see in them.
fn remarks(outcomes: &[Outcome<Turn>], summary: &Summary) -> Vec<String> {
    let mut remarks = Vec::new();
    let answers = || outcomes.iter().filter_map(Outcome::answered);
    if summary.completed > 0 && answers().all(|answered| answered.cached_tokens.is_none()) {
        remarks.push(
            "the server does not report cached tokens, so nothing is known of prefixes \
             (vLLM: --enable-prompt-tokens-details, SGLang: --enable-cache-report)"
                .to_owned(),
        );
    }
    let turns = || outcomes.iter().map(|outcome| outcome.asked);
    let plain = turns().filter(|turn| turn.turn > 1 && turn.role == Role::User);
    let plain = plain.count();
    let broken: usize = turns().map(|turn| turn.broken_calls).sum();
    if plain > 0 {
        remarks.push(format!(
            "{plain} answers called no tool: the result was sent as a message of the user"
        ));
    }
    if broken > 0 {
        remarks.push(format!(
            "{broken} calls had arguments that are no JSON object: the history has {{}} in their \
             place, so their tokens are not reusable"
        ));
    }
    remarks
}
