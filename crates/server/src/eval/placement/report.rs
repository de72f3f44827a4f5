//! The results as a file of figures, a page and a chart.

use serde::Serialize;

use super::curve::{Curve, Place};
use crate::eval::bootstrap::Interval;
use crate::eval::markdown::{cells, shares};
use crate::eval::report::Origin;
use crate::measure::chart::{Axis, Chart, Mark, Point, Series, Style};

/// An answer.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    /// `alone`, a rule, or the place from 0.
    pub(super) arrangement: String,
    /// Where the document stood that answers, from 0; `None` if it was left out.
    pub(super) stood_at: Option<usize>,
    /// Documents in the prompt.
    pub(super) placed: usize,
    pub(super) prompt_tokens: u64,
    pub(super) answer: String,
    pub(super) right: bool,
}

/// A task and its answers.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TaskAnswers {
    pub(super) seed: u64,
    pub(super) question: String,
    pub(super) expected: String,
    pub(super) answers: Vec<Answer>,
}

/// The whole file.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) evaluation: &'static str,
    pub(super) purser_version: &'static str,
    #[serde(flatten)]
    pub(super) origin: &'a Origin,
    /// Whether all tasks were asked.
    pub(super) complete: bool,
    pub(super) seed: u64,
    pub(super) documents: u32,
    pub(super) statement: &'static str,
    #[serde(flatten)]
    pub(super) curve: Curve,
    pub(super) notes: Vec<String>,
    pub(super) answers: &'a [TaskAnswers],
}

impl Report<'_> {
    /// Tables, and the chart beside them.
    pub(super) fn page(&self) -> String {
        format!(
            "# Where a document is read best\n\n{}\n![accuracy by place](placement.svg)\n",
            self.tables()
        )
    }

    /// What was measured.
    pub(super) fn tables(&self) -> String {
        let Self { origin, curve, .. } = self;
        let mut page = format!(
            "- {}, model {}\n- `{}`\n- {} tasks of {} documents, seeds from {}; {} more are wrong \
             even with nothing but the document that answers, and excluded. Intervals: 95 %, \
             bootstrap over tasks.\n",
            origin.started_at,
            origin.server.model,
            origin.command,
            curve.tasks,
            self.documents,
            self.seed,
            curve.excluded
        );
        if !self.complete {
            page.push_str("- **The run was not completed.**\n");
        }
        for note in &self.notes {
            page.push_str(&format!("- Note: {note}\n"));
        }
        page.push_str(&format!("\n**{}**\n\n", self.statement));
        let row = |page: &mut String, name: &str, interval: Option<Interval>| {
            cells(page, &[name.to_owned(), shares(interval)]);
        };
        page.push_str("| the document stands | answered rightly |\n| --- | --- |\n");
        for Place { share, accuracy } in &curve.places {
            row(&mut page, &format!("at {:.0} %", share * 100.0), *accuracy);
        }
        row(
            &mut page,
            "first less middle third",
            curve.first_less_middle,
        );
        row(&mut page, "last less middle third", curve.last_less_middle);
        page.push_str("\n| rule | answered rightly |\n| --- | --- |\n");
        for rule in &curve.rules {
            row(&mut page, &format!("`{}`", rule.rule), rule.accuracy);
        }
        row(&mut page, "`edges` less `as_is`", curve.edges_less_as_is);
        page
    }

    /// Accuracy by place; rules are levels.
    pub(super) fn chart(&self) -> Chart {
        let point = |x: f64, accuracy: Interval| Point {
            x,
            y: accuracy.value * 100.0,
            low: accuracy.low * 100.0,
            high: accuracy.high * 100.0,
        };
        let places = self.curve.places.iter().filter_map(|place| {
            let accuracy = place.accuracy?;
            Some(point(place.share * 100.0, accuracy))
        });
        let mut series = vec![Series {
            name: "by place".to_owned(),
            points: places.collect(),
            mark: Mark::LineAndPoints,
            style: Style::numbered(0),
        }];
        series.extend(
            self.curve
                .rules
                .iter()
                .enumerate()
                .filter_map(|(number, rule)| {
                    Some(Series {
                        name: rule.rule.to_owned(),
                        points: vec![point(0.0, rule.accuracy?)],
                        mark: Mark::Level,
                        style: Style::numbered(number + 1),
                    })
                }),
        );
        Chart {
            title: "The document that answers, by its place".to_owned(),
            x: Axis {
                label: "place among the documents, %".to_owned(),
                range: (0.0, 100.0),
                ticks: [0.0, 25.0, 50.0, 75.0, 100.0]
                    .map(|at| (at, format!("{at:.0}")))
                    .to_vec(),
            },
            y: Axis::percent("answered rightly"),
            series,
        }
    }
}
