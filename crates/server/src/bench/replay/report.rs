//! The file of results: what was replayed, to whom, how, and every request.

use serde::Serialize;

use super::args::ReplayArgs;
use super::crew::Asked;
use super::format::Format;
use super::hits::Hits;
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
    pub(super) replayed: Option<Replayed>,
    /// Since the first request could be sent.
    pub(super) ledger: Option<Ledger<Asked>>,
    pub(super) notes: Vec<String>,
}

/// What is replayed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replayed {
    pub(super) format: Format,
    pub(super) requests: usize,
    /// Of all requests together.
    pub(super) hits: Hits,
}

/// The whole file. Times in milliseconds, counts in tokens, rates from 0 to 1.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    settings: Settings<'a>,
    pub(super) summary: Summary,
    pub(super) hits: HitRates,
    pub(super) notes: Vec<String>,
    requests: &'a [Outcome<Asked>],
}

/// What of the prompts could be found in a cache, and what was.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct HitRates {
    /// Prompts in blocks that the trace had before, by all prompts: what a cache without limits finds.
    pub(super) hit_rate_asked: Option<f64>,
    /// What these are counted in: `tokens` or `bytes`.
    pub(super) asked_in: &'static str,
    /// Cached tokens by prompt tokens; `None` unless the server counts both.
    pub(super) hit_rate_observed: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Settings<'a> {
    trace: String,
    format: Format,
    /// Requests of the trace, after `limit`.
    requests: usize,
    limit: Option<u32>,
    speed: Option<f64>,
    request_rate: Option<Rate>,
    max_concurrency: Option<u32>,
    hash_block_size: Option<u32>,
    output_len: Option<Lengths>,
    ignore_eos: Option<bool>,
    goodput: Option<&'a Goodput>,
}

impl<'a> Report<'a> {
    /// Sums up `outcomes` of what was `replayed` to `server`.
    pub(super) fn new(
        args: &'a ReplayArgs,
        record: &'a Record,
        (server, replayed): (&'a Target, Replayed),
        outcomes: &'a [Outcome<Asked>],
        notes: &[String],
    ) -> Self {
        let summary = Summary::of(outcomes, args.goodput.as_ref());
        let Replayed {
            format,
            requests,
            hits,
        } = replayed;
        let hits = HitRates {
            hit_rate_asked: hits.rate(),
            asked_in: match format {
                Format::Mooncake => "tokens",
                Format::Sharegpt | Format::Purser => "bytes",
            },
            hit_rate_observed: match (summary.cached_tokens, summary.input_tokens) {
                (Some(cached), Some(input)) if input > 0 => Some(cached as f64 / input as f64),
                _ => None,
            },
        };
        let command = args.command_line(format, &server.identity.model, record);
        let is_complete = summary.completed + summary.failed == requests;
        Self {
            head: record.head(command, is_complete, server),
            settings: Settings {
                trace: args.trace.to_string_lossy().into_owned(),
                format,
                requests,
                limit: args.limit,
                speed: (format != Format::Sharegpt).then(|| args.speed()),
                request_rate: (format == Format::Sharegpt).then(|| args.request_rate()),
                max_concurrency: args.max_concurrency,
                hash_block_size: (format == Format::Mooncake).then(|| args.hash_block_size()),
                output_len: args.output_len,
                ignore_eos: (format != Format::Purser).then(|| args.ignore_eos.unwrap_or(true)),
                goodput: args.goodput.as_ref(),
            },
            notes: [notes, &remarks(args, &summary, hits)].concat(),
            summary,
            hits,
            requests: outcomes,
        }
    }
}

/// A request that is sent later after its time is worth a note.
const LATE_MS: f64 = 5.0;

/// What a reader of the numbers should know and may not see in them.
fn remarks(args: &ReplayArgs, summary: &Summary, hits: HitRates) -> Vec<String> {
    let mut remarks = Vec::new();
    let late = summary.late_ms.filter(|late| late.p99 > LATE_MS);
    if let Some(late) = late.filter(|_| args.max_concurrency.is_none()) {
        remarks.push(format!(
            "1 % of the requests were sent {:.0} ms late or later: this machine could not keep up",
            late.p99
        ));
    }
    if summary.failed > 0 {
        remarks.push(format!(
            "the asked hit rate counts the {} failed requests, too",
            summary.failed
        ));
    }
    if summary.completed > 0 && hits.hit_rate_observed.is_none() {
        remarks.push(
            "the server does not report cached tokens \
             (vLLM: --enable-prompt-tokens-details, SGLang: --enable-cache-report)"
                .to_owned(),
        );
    }
    remarks
}
