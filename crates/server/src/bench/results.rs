//! Files of results as they are read back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A file of results.
#[derive(Debug)]
pub(super) struct ResultsFile {
    pub(super) run: Run,
    pub(super) settings: Map<String, Value>,
    /// What else is in it, by the names of the file.
    pub(super) content: Value,
    /// None of them empty.
    pub(super) samples: Vec<Sample>,
    /// Requests without an answer.
    pub(super) failed: usize,
    /// Requests that had no end when the user interrupted the run.
    pub(super) in_flight: usize,
}

/// Which run it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) benchmark: String,
    pub(super) started_at: String,
    pub(super) command: String,
    pub(super) complete: bool,
    pub(super) server: Server,
}

/// Who was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) base_url: String,
    pub(super) model: String,
    #[serde(default)]
    pub(super) version: Value,
}

/// All numbers of a metric.
#[derive(Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) metric: String,
    /// Of each request.
    pub(super) clusters: Vec<Vec<f64>>,
    /// Quantiles that are compared.
    pub(super) shares: &'static [f64],
}

/// The parts that both benchmarks have, and the numbers of either.
#[derive(Debug, Deserialize)]
struct Content {
    #[serde(flatten)]
    run: Run,
    settings: Map<String, Value>,
    /// Of `bench ttft`; the other benchmarks say it of each request.
    #[serde(default)]
    in_flight_at_interrupt: usize,
    #[serde(default)]
    measurements: Vec<Measurement>,
    #[serde(default)]
    requests: Vec<Request>,
}

/// Of `bench ttft`.
#[derive(Debug, Deserialize)]
struct Measurement {
    hit_rate_asked: f64,
    ttft_ms: f64,
}

/// Of the other benchmarks; a request without an answer has no times of one.
#[derive(Debug, Deserialize)]
struct Request {
    error: Option<String>,
    in_flight_ms: Option<f64>,
    ttft_ms: Option<f64>,
    tpot_ms: Option<f64>,
    e2el_ms: Option<f64>,
    #[serde(default)]
    itl_ms: Vec<f64>,
}

impl ResultsFile {
    /// # Errors
    /// When it cannot be read or holds no results.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let place = path.display();
        let text = fs::read(path).with_context(|| format!("cannot read {place}"))?;
        let content: Value = serde_json::from_slice(&text)
            .with_context(|| format!("{place} is no file of results of `purser bench`"))?;
        Self::of(content).with_context(|| place.to_string())
    }

    /// # Errors
    /// When `file` holds no results of a benchmark.
    pub(super) fn of(file: Value) -> anyhow::Result<Self> {
        let content =
            Content::deserialize(&file).context("these are no results of `purser bench`")?;
        let samples = match content.run.benchmark.as_str() {
            "ttft" => of_ttft(&content.measurements),
            "load" | "agent" | "replay" => of_load(&content.requests),
            other => bail!("`bench {other}` is not known"),
        };
        let count = |of: fn(&&Request) -> bool| content.requests.iter().filter(of).count();
        let in_flight = count(|request| request.in_flight_ms.is_some());
        Ok(Self {
            run: content.run,
            settings: content.settings,
            content: file,
            samples,
            failed: count(|request| request.error.is_some()),
            in_flight: in_flight + content.in_flight_at_interrupt,
        })
    }
}

/// A sample for each hit rate.
fn of_ttft(measurements: &[Measurement]) -> Vec<Sample> {
    let mut rates: BTreeMap<u64, Vec<Vec<f64>>> = BTreeMap::new();
    for measurement in measurements {
        // Thousandths of a percent: a number that maps are sorted by.
        let rate = (measurement.hit_rate_asked * 1e3).round() as u64;
        rates
            .entry(rate)
            .or_default()
            .push(vec![measurement.ttft_ms]);
    }
    let sample = |(rate, clusters)| Sample {
        metric: format!("TTFT at {} % hits", rate as f64 / 1e3),
        clusters,
        shares: &[0.5],
    };
    rates.into_iter().map(sample).collect()
}

fn of_load(requests: &[Request]) -> Vec<Sample> {
    let one = |of: fn(&Request) -> Option<f64>| -> Vec<Vec<f64>> {
        requests.iter().filter_map(of).map(|ms| vec![ms]).collect()
    };
    let gaps = requests.iter().map(|request| request.itl_ms.clone());
    let samples = [
        ("TTFT", one(|request| request.ttft_ms)),
        ("ITL", gaps.filter(|gaps| !gaps.is_empty()).collect()),
        ("TPOT", one(|request| request.tpot_ms)),
        ("E2EL", one(|request| request.e2el_ms)),
    ];
    samples
        .into_iter()
        .filter(|(_, clusters)| !clusters.is_empty())
        .map(|(metric, clusters)| Sample {
            metric: metric.to_owned(),
            clusters,
            shares: &[0.5, 0.99],
        })
        .collect()
}
