//! The file of results: what was measured, of whom, how, and every request.

use serde::Serialize;

use super::args::LoadArgs;
use super::plan::Asked;
use crate::bench::arrivals::Rate;
use crate::bench::asker::Target;
use crate::bench::goodput::Goodput;
use crate::bench::ledger::Ledger;
use crate::bench::lengths::Lengths;
use crate::bench::outcome::Outcome;
use crate::bench::record::{Head, Record};
use crate::bench::summary::Summary;

/// Results while they come in.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) server: Option<Target>,
    /// Since the first request could be sent.
    pub(super) ledger: Option<Ledger<Asked>>,
    pub(super) notes: Vec<String>,
}

/// The whole file. Times in milliseconds, counts in tokens.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    settings: Settings<'a>,
    pub(super) summary: Summary,
    pub(super) notes: Vec<String>,
    requests: &'a [Outcome<Asked>],
}

#[derive(Debug, Serialize)]
struct Settings<'a> {
    num_prompts: u32,
    request_rate: Rate,
    burstiness: f64,
    max_concurrency: Option<u32>,
    input_len: Lengths,
    output_len: Lengths,
    prefix_len: u32,
    prefix_groups: u32,
    ignore_eos: bool,
    goodput: Option<&'a Goodput>,
}

impl<'a> Report<'a> {
    /// Sums up `outcomes`, which are those of `results`, whose server is `server`.
    pub(super) fn new(
        args: &'a LoadArgs,
        record: &'a Record,
        server: &'a Target,
        results: &Results,
        outcomes: &'a [Outcome<Asked>],
    ) -> Self {
        let summary = Summary::of(outcomes, args.goodput.as_ref());
        let mut notes = results.notes.clone();
        notes.extend(remarks(args, outcomes, &summary));
        Self {
            head: record.head(
                args.command_line(&server.identity.model, record),
                summary.completed + summary.failed == args.num_prompts as usize,
                server,
            ),
            settings: Settings {
                num_prompts: args.num_prompts,
                request_rate: args.request_rate,
                burstiness: args.burstiness,
                max_concurrency: args.max_concurrency,
                input_len: args.input_len,
                output_len: args.output_len,
                prefix_len: args.prefix_len,
                prefix_groups: args.prefix_groups,
                ignore_eos: args.ignore_eos,
                goodput: args.goodput.as_ref(),
            },
            summary,
            notes,
            requests: outcomes,
        }
    }
}

/// A request that is sent later after its time is worth a note.
const LATE_MS: f64 = 5.0;

/// What a reader of the numbers should know and may not see in them.
fn remarks(args: &LoadArgs, outcomes: &[Outcome<Asked>], summary: &Summary) -> Vec<String> {
    let mut remarks = Vec::new();
    let answered = || outcomes.iter().filter_map(|o| Some((o, o.answered()?)));
    let short = answered()
        .filter(|(outcome, answered)| {
            answered.completion_tokens < u64::from(outcome.asked.output_len)
        })
        .count();
    if short > 0 {
        remarks.push(format!(
            "{short} answers were shorter than asked{}",
            if args.ignore_eos {
                ""
            } else {
                " (--ignore-eos is false)"
            }
        ));
    }
    let grouped = answered().filter(|(_, a)| (a.itl_ms.len() as u64) + 1 < a.completion_tokens);
    let grouped = grouped.count();
    if grouped > 0 {
        remarks.push(format!(
            "{grouped} answers came in chunks of several tokens: ITL is between chunks"
        ));
    }
    let late = summary.late_ms.filter(|late| late.p99 > LATE_MS);
    if let Some(late) = late.filter(|_| args.max_concurrency.is_none()) {
        remarks.push(format!(
            "1 % of the requests were sent {:.0} ms late or later: this machine could not keep up",
            late.p99
        ));
    }
    if summary.completed > 0 && summary.cached_tokens.is_none() && args.prefix_len > 0 {
        remarks.push(
            "the server does not report cached tokens \
             (vLLM: --enable-prompt-tokens-details, SGLang: --enable-cache-report)"
                .to_owned(),
        );
    }
    remarks
}
