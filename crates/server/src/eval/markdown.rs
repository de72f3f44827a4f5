//! The results as a page of tables.

use std::fmt::Write;

use super::bootstrap::Interval;
use super::differences::Difference;
use super::facts::FactKind;
use super::report::{Failure, Report};
use super::summary::{Row, Tally};

/// Failures that are printed; all of them are in the JSON file.
const FAILURES: usize = 40;

/// The page; the charts are files beside it.
pub(super) fn page(report: &Report<'_>) -> String {
    let mut page = format!("# Context evaluation\n\n{}", head(report));
    page.push_str("\n![accuracy by budget](accuracy-by-budget.svg)\n");
    page.push_str("\n![accuracy by prefilled tokens](accuracy-by-prefill.svg)\n");
    page.push_str("\n## Retention by kind of fact\n\n");
    by_fact(
        &mut page,
        report.rows.iter().filter(|row| row.kind.is_none()),
    );
    page.push_str("\n## Retention by kind of episode\n\n");
    by_episode(&mut page, &report.rows);
    if !report.failures.is_empty() {
        page.push_str("\n## Failures\n\n");
        failures(&mut page, &report.failures);
    }
    page
}

/// Its beginning: what was measured, and the main tables.
pub(super) fn head(report: &Report<'_>) -> String {
    let mut page = String::new();
    introduction(&mut page, report);
    page.push_str("## Policies\n\n");
    policies(
        &mut page,
        report.rows.iter().filter(|row| row.kind.is_none()),
    );
    if !report.differences.is_empty() {
        page.push_str("\n## Against ours\n\n");
        differences(&mut page, &report.differences);
    }
    page
}

fn introduction(page: &mut String, report: &Report<'_>) {
    let origin = report.origin;
    let traces = report.traces.len();
    let (first, last) = (
        report
            .traces
            .iter()
            .map(|trace| trace.full_tokens)
            .min()
            .unwrap_or(0),
        report
            .traces
            .iter()
            .map(|trace| trace.full_tokens)
            .max()
            .unwrap_or(0),
    );
    line(
        page,
        &format!("- {}, model {}", origin.started_at, origin.server.model),
    );
    line(page, &format!("- `{}`", origin.command));
    line(
        page,
        &format!(
            "- {traces} episodes of {first} to {last} tokens, seeds from {}",
            report.seed
        ),
    );
    let controls = report.controls;
    line(
        page,
        &format!(
            "- {} facts asked for; right with the whole history: {}, with nothing but the \
             statement: {}; wrong both times and excluded: {}",
            controls.asked,
            controls.right_with_full,
            controls.right_with_statement,
            controls.excluded
        ),
    );
    line(
        page,
        &format!(
            "- Each budget keeps {} tokens for the answer. Intervals: 95 %, bootstrap over \
             episodes.",
            report.answer_tokens
        ),
    );
    if !report.complete {
        line(page, "- **The run was not completed.**");
    }
    for note in report.notes {
        line(page, &format!("- Note: {note}"));
    }
    page.push('\n');
}

fn policies<'a>(page: &mut String, rows: impl Iterator<Item = &'a Row>) {
    let headings = [
        "policy",
        "budget",
        "retention",
        "absent, not made up",
        "prompt tokens",
        "cached tokens",
        "prefilled tokens",
        "hit rate after turn 1",
        "TTFT p50 ms",
        "TTFT p95 ms",
        "edits",
        "refused turns",
        "over budget",
    ];
    heading(page, &headings, 2);
    for row in rows {
        let cost = row.cost.as_ref();
        let number = |figure: Option<f64>, digits: usize| {
            figure.map_or("-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        let of_turns = |count: Option<usize>| {
            let turns = cost.map_or(0, |cost| cost.turns);
            count.map_or("-".to_owned(), |count| format!("{count}/{turns}"))
        };
        let hits = cost.and_then(|cost| cost.hit_rate);
        cells(
            page,
            &[
                row.policy.name().to_owned(),
                budget(row.budget),
                shares(row.retention),
                tally(row.absent),
                number(cost.map(|cost| cost.prompt_tokens), 0),
                number(cost.map(|cost| cost.cached_tokens), 0),
                number(cost.map(|cost| cost.prefilled_tokens), 0),
                hits.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0)),
                number(cost.and_then(|cost| cost.ttft_p50_ms), 1),
                number(cost.and_then(|cost| cost.ttft_p95_ms), 1),
                number(cost.map(|cost| cost.edits), 0),
                of_turns(cost.map(|cost| cost.refused)),
                of_turns(cost.map(|cost| cost.over_budget)),
            ],
        );
    }
}

fn differences(page: &mut String, differences: &[Difference]) {
    let headings = [
        "policy",
        "budget",
        "episodes",
        "retention minus ours",
        "prefilled tokens by ours",
    ];
    heading(page, &headings, 2);
    for difference in differences {
        let ratio = difference.prefilled_ratio.map_or("-".to_owned(), |ratio| {
            format!("{:.2} [{:.2}, {:.2}]", ratio.value, ratio.low, ratio.high)
        });
        let points = difference.retention.map_or("-".to_owned(), |difference| {
            let [value, low, high] = percents(difference);
            format!("{value:+.1} [{low:+.1}, {high:+.1}]")
        });
        cells(
            page,
            &[
                difference.policy.name().to_owned(),
                budget(Some(difference.budget)),
                difference.traces.to_string(),
                points,
                ratio,
            ],
        );
    }
}

fn by_fact<'a>(page: &mut String, rows: impl Iterator<Item = &'a Row> + Clone) {
    let kinds: Vec<FactKind> = FactKind::ALL
        .into_iter()
        .filter(|&kind| {
            rows.clone()
                .any(|row| row.by_fact.iter().any(|(of, _)| *of == kind))
        })
        .collect();
    let names = kinds.iter().map(|kind| kind.name());
    let headings: Vec<&str> = ["policy", "budget"].into_iter().chain(names).collect();
    heading(page, &headings, 2);
    for row in rows {
        let mut line = vec![row.policy.name().to_owned(), budget(row.budget)];
        line.extend(kinds.iter().map(|&kind| {
            let found = row.by_fact.iter().find(|(of, _)| *of == kind);
            found.map_or("-".to_owned(), |&(_, of)| tally(of))
        }));
        cells(page, &line);
    }
}

fn by_episode(page: &mut String, rows: &[Row]) {
    let headings = [
        "episodes",
        "policy",
        "budget",
        "retention",
        "prefilled tokens",
        "hit rate",
    ];
    heading(page, &headings, 3);
    for row in rows {
        let Some(kind) = row.kind else { continue };
        let cost = row.cost.as_ref();
        let hits = cost.and_then(|cost| cost.hit_rate);
        cells(
            page,
            &[
                format!("{} {kind}", row.traces),
                row.policy.name().to_owned(),
                budget(row.budget),
                shares(row.retention),
                cost.map_or("-".to_owned(), |cost| {
                    format!("{:.0}", cost.prefilled_tokens)
                }),
                hits.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0)),
            ],
        );
    }
}

fn failures(page: &mut String, failures: &[Failure]) {
    let intro = format!(
        "Questions that are right with the whole history and wrong under a policy: {}. The first \
         {}:\n",
        failures.len(),
        FAILURES.min(failures.len())
    );
    line(page, &intro);
    let headings = [
        "episode", "policy", "budget", "fact", "question", "expected", "answer", "why",
    ];
    heading(page, &headings, 8);
    for failure in failures.iter().take(FAILURES) {
        cells(
            page,
            &[
                failure.trace.to_string(),
                failure.policy.name().to_owned(),
                budget(failure.budget),
                failure.fact.name().to_owned(),
                failure.question.clone(),
                failure.expected.clone(),
                failure.answer.clone(),
                failure
                    .cause
                    .as_ref()
                    .map_or_else(String::new, |cause| cause.describe()),
            ],
        );
    }
}

fn line(page: &mut String, text: &str) {
    page.push_str(text);
    page.push('\n');
}

/// Headings; the first `words` columns are aligned to the left, the others to the right.
fn heading(page: &mut String, headings: &[&str], words: usize) {
    line(page, &format!("| {} |", headings.join(" | ")));
    let rules = (0..headings.len()).map(|column| if column < words { "---" } else { "---:" });
    line(
        page,
        &format!("| {} |", rules.collect::<Vec<_>>().join(" | ")),
    );
}

/// One row; what would end a cell is escaped.
pub(super) fn cells(page: &mut String, cells: &[String]) {
    page.push('|');
    for cell in cells {
        let cell = cell
            .replace('\\', r"\\")
            .replace('|', r"\|")
            .replace(['\n', '\r'], " ");
        // Writing to a string cannot fail.
        let _ = write!(page, " {cell} |");
    }
    page.push('\n');
}

fn budget(percent: Option<u32>) -> String {
    percent.map_or("-".to_owned(), |percent| format!("{percent} %"))
}

fn tally(tally: Tally) -> String {
    format!("{}/{}", tally.right, tally.asked)
}

pub(super) fn shares(interval: Option<Interval>) -> String {
    interval.map_or("-".to_owned(), |interval| {
        let [value, low, high] = percents(interval);
        format!("{value:.1} % [{low:.1}, {high:.1}]")
    })
}

fn percents(interval: Interval) -> [f64; 3] {
    [interval.value, interval.low, interval.high].map(|share| share * 100.0)
}

#[cfg(test)]
mod tests;
