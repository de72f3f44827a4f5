//! Latencies and throughput of requests.

use serde_json::Value;

use super::document::Document;
use super::{Shown, number, percent};
use crate::bench::results::Sample;
use crate::measure::chart::{Axis, Chart, Mark, Point, Series};
use crate::measure::quantile::quantile;

/// As the results name metrics, and where the summary has them.
const METRICS: [(&str, &str); 4] = [
    ("TTFT", "ttft_ms"),
    ("ITL", "itl_ms"),
    ("TPOT", "tpot_ms"),
    ("E2EL", "e2el_ms"),
];

/// The highest percentile that charts show: the last one would set their scale.
const TOP: u32 = 99;

pub(super) fn show(page: &mut Document, files: &[&Shown<'_>]) {
    page.heading(3, "Throughput");
    throughput(page, files);
    if files.len() > 1 {
        for (metric, field) in [METRICS[0], METRICS[2]] {
            page.chart(&against_throughput(files, metric, field));
        }
    }
    page.heading(3, "Latencies");
    page.table(
        &["ms", "n", "mean", "p50", "p90", "p95", "p99", "max"],
        &spreads(files),
    );
    for (metric, _) in METRICS {
        if let Some(chart) = curves(files, metric) {
            page.chart(&chart);
        }
    }
}

fn throughput(page: &mut Document, files: &[&Shown<'_>]) {
    let row = |one: &&Shown<'_>| {
        let summary = &one.content()["summary"];
        let hits = &one.content()["hits"];
        let share = summary["cached_tokens"]
            .as_f64()
            .zip(summary["input_tokens"].as_f64())
            .map_or(Value::Null, |(cached, input)| Value::from(cached / input));
        vec![
            one.letter.clone(),
            summary["completed"].to_string(),
            summary["failed"].to_string(),
            summary["in_flight_at_interrupt"].to_string(),
            number(&summary["duration_s"], 2),
            number(&summary["request_throughput"], 3),
            number(&summary["request_goodput"], 3),
            number(&summary["output_throughput"], 1),
            number(&summary["total_token_throughput"], 1),
            percent(&hits["hit_rate_asked"]),
            percent(&share),
        ]
    };
    let headings = [
        "",
        "answered",
        "failed",
        "in flight",
        "seconds",
        "requests/s",
        "good/s",
        "output tokens/s",
        "with prompts",
        "hits asked",
        "cached",
    ];
    page.table(&headings, &files.iter().map(row).collect::<Vec<_>>());
}

fn spreads(files: &[&Shown<'_>]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (metric, field) in METRICS {
        for one in files {
            let spread = &one.content()["summary"][field];
            let mut row = vec![one.label(metric), number(&spread["n"], 0)];
            let fields = ["mean", "p50", "p90", "p95", "p99", "max"];
            row.extend(fields.map(|field| number(&spread[field], 2)));
            rows.push(row);
        }
    }
    rows
}

/// How much of a metric lies below what; `None` where no file has numbers.
fn curves(files: &[&Shown<'_>], metric: &str) -> Option<Chart> {
    let mut series = Vec::new();
    for one in files {
        let sample = one.file.samples.iter().find(|s| s.metric == metric);
        let Some(sample) = sample else { continue };
        series.push(Series {
            name: one.label(metric),
            points: curve(sample),
            mark: Mark::Line,
            style: one.style(0),
        });
    }
    let ends = series.iter().filter_map(|s| Some(s.points.last()?.y));
    let most = ends.reduce(f64::max)?;
    Some(Chart {
        title: format!("{metric} by percentile, up to {TOP} %"),
        x: Axis::percent("requests that took no longer"),
        y: Axis::from_zero(&format!("{metric}, ms"), most),
        series,
    })
}

fn curve(sample: &Sample) -> Vec<Point> {
    let mut numbers: Vec<f64> = sample.clusters.iter().flatten().copied().collect();
    numbers.sort_by(f64::total_cmp);
    let at = |percent: u32| {
        let percent = f64::from(percent);
        Point::at(percent, quantile(&numbers, percent / 100.0))
    };
    (0..=TOP).map(at).collect()
}

/// A point for each file: what a server gives and what it costs.
fn against_throughput(files: &[&Shown<'_>], metric: &str, field: &str) -> Chart {
    let series: Vec<Series> = ["p50", "p99"]
        .into_iter()
        .enumerate()
        .map(|(dash, share)| {
            let point = |one: &&Shown<'_>| {
                let summary = &one.content()["summary"];
                let (x, y) = (&summary["output_throughput"], &summary[field][share]);
                Some(Point::at(x.as_f64()?, y.as_f64()?))
            };
            let mut points: Vec<Point> = files.iter().filter_map(point).collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            Series {
                name: share.to_owned(),
                points,
                mark: Mark::LineAndPoints,
                style: files[0].style(dash),
            }
        })
        .collect();
    let points = || series.iter().flat_map(|series| &series.points);
    let most = |of: fn(&Point) -> f64| points().map(of).fold(0.0, f64::max);
    Chart {
        title: format!("{metric} against throughput, a point for each file"),
        x: Axis::from_zero("output tokens/s", most(|point| point.x)),
        y: Axis::from_zero(&format!("{metric}, ms"), most(|point| point.y)),
        series,
    }
}
