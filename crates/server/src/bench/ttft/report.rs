//! The file of results: what was measured, of whom, how, and every raw number.

use serde::Serialize;

use super::args::{HitRate, TtftArgs};
use super::line::Line;
use super::measurement::{Measurement, Place};
use super::summary::{self, Row};
use crate::bench::asker::Target;
use crate::bench::record::{Head, Record};

/// Results while they come in.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) server: Option<Target>,
    pub(super) measurements: Vec<Measurement>,
    /// What is being measured.
    pub(super) under_way: Option<Place>,
    pub(super) notes: Vec<String>,
}

/// The whole file. Times in milliseconds, rates in percent, counts in tokens.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    settings: Settings<'a>,
    /// Measurements without an end when the user interrupted the run.
    in_flight_at_interrupt: usize,
    pub(super) summary: Vec<Row>,
    /// Through all measurements.
    pub(super) line: Option<Line>,
    /// Through the medians of the hit rates, which a few disturbed measurements do not move.
    pub(super) line_of_medians: Option<Line>,
    pub(super) notes: Vec<String>,
    measurements: &'a [Measurement],
}

#[derive(Debug, Serialize)]
struct Settings<'a> {
    prompt_tokens: u32,
    repeat: u32,
    hit_rates: &'a [HitRate],
    max_tokens: u32,
}

impl<'a> Report<'a> {
    /// Sums up what there is of `results`, whose server is `server`.
    pub(super) fn new(
        args: &'a TtftArgs,
        record: &'a Record,
        server: &'a Target,
        results: &'a Results,
    ) -> Self {
        let mut rows = summary::rows(&results.measurements);
        let line_of_medians = summary::line_of_medians(&mut rows, &results.measurements);
        let mut notes = results.notes.clone();
        notes.extend(remarks(&rows, record.seed));
        Self {
            head: record.head(
                args.command_line(&server.identity.model, record),
                results.measurements.len() == args.total(),
                server,
            ),
            settings: Settings {
                prompt_tokens: args.prompt_tokens,
                repeat: args.repeat,
                hit_rates: &args.hit_rates,
                max_tokens: args.max_tokens,
            },
            in_flight_at_interrupt: usize::from(results.under_way.is_some()),
            summary: rows,
            line: Line::of_all(&results.measurements),
            line_of_medians,
            notes,
            measurements: &results.measurements,
        }
    }
}

/// What a reader of the numbers should know and may not see in them.
fn remarks(rows: &[Row], seed: u64) -> Vec<String> {
    let mut remarks = Vec::new();
    if rows.is_empty() {
        return remarks;
    }
    if rows.iter().all(|row| row.hit_rate_observed.is_none()) {
        remarks.push(
            "the server does not report cached tokens, so hit rates are as asked only \
             (vLLM: --enable-prompt-tokens-details, SGLang: --enable-cache-report)"
                .to_owned(),
        );
        return remarks;
    }
    let observed = |row: &Row| row.hit_rate_observed.unwrap_or_default();
    let cold = rows.iter().find(|row| row.hit_rate_asked.percent() == 0.0);
    if let Some(row) = cold.filter(|row| observed(row) > 5.0) {
        remarks.push(format!(
            "{:.0} % of the cold prompts were in the cache: was the seed {seed} used against this \
             server before?",
            observed(row)
        ));
    }
    let warm: Vec<&Row> = rows
        .iter()
        .filter(|row| row.hit_rate_asked.percent() >= 50.0)
        .collect();
    if !warm.is_empty() && warm.iter().all(|row| observed(row) < 1.0) {
        remarks.push("nothing was found in the cache: is prefix caching off?".to_owned());
    }
    remarks
}
