//! Agents, turn by turn.

use serde_json::Value;

use super::document::Document;
use super::{Shown, number, percent, text};
use crate::measure::chart::{Axis, Chart, Mark, Point, Series};

pub(super) fn show(page: &mut Document, files: &[&Shown<'_>]) {
    page.chart(&times(files));
    page.chart(&shares(files));
    for one in files {
        let content = one.content();
        page.heading(3, &one.label("turns"));
        let rows: Vec<Vec<String>> = turns(one).map(cells).collect();
        let headings = [
            "turn", "n", "prompt", "reusable", "cached", "share", "lost", "TTFT p50", "ITL p50",
            "E2EL p50",
        ];
        page.table(&headings, &rows);
        let reuse = &content["reuse"];
        page.facts(&[
            ("reusable tokens", number(&reuse["reusable_tokens"], 0)),
            ("of these cached", percent(&reuse["reused_share"])),
            (
                "turns that lost their prefix",
                number(&reuse["prefix_losses"], 0),
            ),
            ("tokens lost", number(&reuse["lost_tokens"], 0)),
        ]);
        let agents = content["agents"].as_array().into_iter().flatten();
        let ends: Vec<String> = agents.map(end).collect();
        page.list(&ends);
    }
}

fn turns<'a>(one: &'a Shown<'_>) -> impl Iterator<Item = &'a Value> {
    one.content()["turns"].as_array().into_iter().flatten()
}

fn cells(row: &Value) -> Vec<String> {
    vec![
        row["turn"].to_string(),
        row["n"].to_string(),
        number(&row["prompt_tokens"], 0),
        number(&row["reusable_tokens"], 0),
        number(&row["cached_tokens"], 0),
        percent(&row["cached_share"]),
        number(&row["prefix_losses"], 0),
        number(&row["ttft_ms"]["p50"], 2),
        number(&row["itl_ms"]["p50"], 2),
        number(&row["e2el_ms"]["p50"], 2),
    ]
}

/// How an agent ended.
fn end(agent: &Value) -> String {
    let turn = match &agent["turn"] {
        Value::Null => String::new(),
        turn => format!(" at turn {turn}"),
    };
    let why = [&agent["says"], &agent["error"]];
    let why = why.into_iter().find(|why| !why.is_null());
    let why = why.map_or_else(String::new, |why| format!(": {}", text(why)));
    format!(
        "agent {}: {}{turn}{why}",
        agent["agent"],
        text(&agent["end"])
    )
}

fn times(files: &[&Shown<'_>]) -> Chart {
    let mut series = Vec::new();
    for one in files {
        for (dash, share) in ["p50", "p90"].into_iter().enumerate() {
            let of_row = |row: &Value| row["ttft_ms"][share].as_f64();
            series.push(by_turn(one, share, dash, of_row));
        }
    }
    let points = series.iter().flat_map(|series| &series.points);
    let most = points.map(|point| point.y).fold(0.0, f64::max);
    Chart {
        title: "Time to first token by turn".to_owned(),
        x: turn_axis(&series),
        y: Axis::from_zero("TTFT, ms", most),
        series,
    }
}

fn shares(files: &[&Shown<'_>]) -> Chart {
    let mut series = Vec::new();
    for one in files {
        let cached = |row: &Value| Some(row["cached_share"].as_f64()? * 100.0);
        series.push(by_turn(one, "cached", 0, cached));
        let reusable = |row: &Value| {
            let (tokens, all) = (&row["reusable_tokens"], &row["prompt_tokens"]);
            Some(tokens.as_f64()? / all.as_f64()? * 100.0)
        };
        series.push(by_turn(one, "reusable", 1, reusable));
    }
    Chart {
        title: "Share of the prompt that was cached, by turn".to_owned(),
        x: turn_axis(&series),
        y: Axis::percent("of the prompt's tokens"),
        series,
    }
}

fn by_turn(
    one: &Shown<'_>,
    name: &str,
    dash: usize,
    of_row: impl Fn(&Value) -> Option<f64>,
) -> Series {
    let point = |row: &Value| Some(Point::at(row["turn"].as_f64()?, of_row(row)?));
    Series {
        name: one.label(name),
        points: turns(one).filter_map(point).collect(),
        mark: Mark::LineAndPoints,
        style: one.style(dash),
    }
}

fn turn_axis(series: &[Series]) -> Axis {
    let points = series.iter().flat_map(|series| &series.points);
    Axis::of_counts("turn", points.map(|point| point.x).fold(1.0, f64::max))
}
