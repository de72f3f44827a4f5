//! TTFT against the hit rate.

use serde_json::Value;

use super::document::Document;
use super::{Shown, number};
use crate::measure::chart::{Axis, Chart, Mark, Point, Series};

pub(super) fn show(page: &mut Document, files: &[&Shown<'_>]) {
    page.chart(&chart(files));
    for one in files {
        if files.len() > 1 {
            page.heading(3, &format!("{}: {}", one.letter, one.name));
        }
        for (of, line) in [
            ("all measurements", &one.content()["line"]),
            ("medians", &one.content()["line_of_medians"]),
        ] {
            if !line.is_null() {
                page.paragraph(&format!(
                    "Through {of}: TTFT = {} ms + {} ms per uncached token, R² {}",
                    number(&line["fixed_ms"], 2),
                    number(&line["ms_per_token"], 4),
                    number(&line["r_squared"], 3)
                ));
            }
        }
        let rows = one.content()["summary"].as_array().into_iter().flatten();
        let rows: Vec<Vec<String>> = rows.map(cells).collect();
        let headings = [
            "hit rate", "observed", "n", "p50 ms", "p95 ms", "min ms", "max ms", "p50/cold",
            "p50/line",
        ];
        page.table(&headings, &rows);
    }
}

fn cells(row: &Value) -> Vec<String> {
    vec![
        format!("{} %", row["hit_rate_asked"]),
        format!("{} %", number(&row["hit_rate_observed"], 2)),
        row["n"].to_string(),
        number(&row["p50_ms"], 2),
        number(&row["p95_ms"], 2),
        number(&row["min_ms"], 2),
        number(&row["max_ms"], 2),
        number(&row["ratio_to_cold"], 3),
        number(&row["ratio_to_line"], 2),
    ]
}

/// Every measurement at the hit rate that the server reported, or else the one that was asked for,
/// and the line through the medians.
fn chart(files: &[&Shown<'_>]) -> Chart {
    let mut series = Vec::new();
    let mut most: f64 = 0.0;
    for one in files {
        let points = measurements(one);
        most = points.iter().map(|point| point.y).fold(most, f64::max);
        series.push(Series {
            name: one.label("measured"),
            points,
            mark: Mark::Points,
            style: one.style(0),
        });
        if let Some(points) = fitted(one) {
            series.push(Series {
                name: one.label("fitted"),
                points,
                mark: Mark::Line,
                style: one.style(0),
            });
        }
    }
    Chart {
        title: "Time to first token by prefix hit rate".to_owned(),
        x: Axis::percent("share of the prompt in the cache"),
        y: Axis::from_zero("TTFT, ms", most),
        series,
    }
}

fn measurements(one: &Shown<'_>) -> Vec<Point> {
    let all = one.content()["measurements"]
        .as_array()
        .into_iter()
        .flatten();
    all.filter_map(|measurement| {
        let observed = measurement["hit_rate_observed"].as_f64();
        let rate = observed.or(measurement["hit_rate_asked"].as_f64())?;
        Some(Point::at(rate, measurement["ttft_ms"].as_f64()?))
    })
    .collect()
}

/// The line from nothing to all cached, of a prompt of the mean length; it ends where it would be
/// below 0.
fn fitted(one: &Shown<'_>) -> Option<Vec<Point>> {
    let content = one.content();
    // Files of earlier versions have only the line through all measurements.
    let line = content.get("line_of_medians").unwrap_or(&content["line"]);
    let (fixed, slope) = (line["fixed_ms"].as_f64()?, line["ms_per_token"].as_f64()?);
    let all = one.content()["measurements"].as_array()?;
    let tokens = |measurement: &Value| {
        let counted = measurement["prompt_tokens"].as_f64();
        counted.or(measurement["prompt_tokens_asked"].as_f64())
    };
    let lengths: Vec<f64> = all.iter().filter_map(tokens).collect();
    let length = lengths.iter().sum::<f64>() / lengths.len() as f64;
    let at = |percent: f64| fixed + slope * length * (1.0 - percent / 100.0);
    let points = (0..=100).map(|percent| Point::at(f64::from(percent), at(f64::from(percent))));
    Some(points.filter(|point| point.y >= 0.0).collect())
}
