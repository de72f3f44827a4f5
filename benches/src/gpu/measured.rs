//! From a workload to its figure.

use std::time::Duration;

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::process_age::process_age;
use super::requests::{Request, Requests};
use super::scale::BLOCK_SIZE;
use super::served_engine::{Answer, ServedEngine};
use super::workload::Workload;
use crate::quantiles::quantile;

/// Times that a workload is repeated with prompts of its own, where it is short enough.
const REPETITIONS: u32 = 3;

/// What a workload took.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Measured {
    /// The workload's figure: of repetitions the median.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// Whatever else is known.
    pub details: Map<String, Value>,
}

/// Measures `workload`, with its requests drawn by `requests`. [`Workload::Start`] is measured by its
/// call, so it comes first.
///
/// # Errors
/// A request that fails, or finds other than the right number of tokens cached; a workload of a server.
pub fn measure(
    workload: Workload,
    engine: &ServedEngine,
    requests: &Requests,
) -> anyhow::Result<Measured> {
    let (value, details) = match workload {
        Workload::Start => (process_age()?.as_secs_f64(), json!({})),
        Workload::Decode { prompt } => decode(engine, |rep| requests.single(prompt, rep))?,
        Workload::Streams { count } => streams(engine, |rep| requests.batch(count, rep))?,
        Workload::Prefill { count, prompt } => {
            prefill(engine, |rep| requests.prefill(count, prompt, rep))?
        }
        Workload::Ttft {
            prompt,
            cached,
            percent,
        } => {
            let probes = if prompt > 16_384 { 5 } else { 9 };
            let probes = requests.probes(prompt, (percent, cached), requests.scale.of(probes));
            if probes.shared > 0 {
                engine.run(&[probes.base])?;
            }
            ttft(engine, &probes.probes, probes.shared)?
        }
        Workload::Mixed { shared } => mixed(engine, &requests.mixed(shared))?,
        Workload::Http | Workload::HttpCpu => {
            bail!("{workload} is measured by streaming_clients.py")
        }
    };
    let details = match details {
        Value::Object(details) => details,
        _ => Map::new(),
    };
    Ok(Measured {
        value: rounded(value),
        unit: workload.unit().to_owned(),
        details,
    })
}

fn decode(
    engine: &ServedEngine,
    draw: impl Fn(u32) -> Vec<Request>,
) -> anyhow::Result<(f64, Value)> {
    let answers = repeat(engine, draw)?.concat();
    let gaps = gaps_ms(&answers);
    ensure!(!gaps.is_empty(), "a time per token needs two tokens");
    let details = json!({
        "p99_ms": rounded(quantile(&gaps, 99)),
        "ttft_ms": rounded(median(&ttfts_ms(&answers))),
    });
    Ok((median(&gaps), details))
}

fn streams(
    engine: &ServedEngine,
    draw: impl Fn(u32) -> Vec<Request>,
) -> anyhow::Result<(f64, Value)> {
    let runs = repeat(engine, draw)?;
    let rates: Vec<f64> = runs.iter().map(|run| output_rate(run)).collect();
    let answers = runs.concat();
    let gaps = gaps_ms(&answers);
    ensure!(!gaps.is_empty(), "a time per token needs two tokens");
    let ttfts = ttfts_ms(&answers);
    let details = json!({
        "runs": rates.iter().copied().map(rounded).collect::<Vec<f64>>(),
        "itl_p50_ms": rounded(median(&gaps)),
        "itl_p99_ms": rounded(quantile(&gaps, 99)),
        "ttft_p50_ms": rounded(median(&ttfts)),
        "ttft_p99_ms": rounded(quantile(&ttfts, 99)),
    });
    Ok((median(&rates), details))
}

fn prefill(
    engine: &ServedEngine,
    draw: impl Fn(u32) -> Vec<Request>,
) -> anyhow::Result<(f64, Value)> {
    let prompt_tokens: usize = draw(0).iter().map(|request| request.prompt.len()).sum();
    let runs = repeat(engine, draw)?;
    let rates: Vec<f64> = runs
        .iter()
        .map(|run| prompt_tokens as f64 / wall(run).as_secs_f64())
        .collect();
    let details = json!({"runs": rates.iter().copied().map(rounded).collect::<Vec<f64>>()});
    Ok((median(&rates), details))
}

/// One request at a time.
fn ttft(engine: &ServedEngine, probes: &[Request], shared: usize) -> anyhow::Result<(f64, Value)> {
    let mut times = Vec::with_capacity(probes.len());
    for probe in probes {
        let answers = engine.run(std::slice::from_ref(probe))?;
        let cached = answers[0].cached_tokens;
        // A tail may begin with the token that another prompt has there: of blocks a part is shared, too.
        ensure!(
            (shared..shared + BLOCK_SIZE).contains(&cached),
            "{cached} of {} tokens were cached, and not {shared}",
            probe.prompt.len()
        );
        times.extend(ttfts_ms(&answers));
    }
    let details = json!({
        "cached_tokens": shared,
        "runs": times.iter().copied().map(rounded).collect::<Vec<f64>>(),
    });
    Ok((median(&times), details))
}

fn mixed(engine: &ServedEngine, requests: &[Request]) -> anyhow::Result<(f64, Value)> {
    let answers = engine.run(requests)?;
    let cached: usize = answers.iter().map(|answer| answer.cached_tokens).sum();
    let details = json!({
        "output_tokens_per_second": rounded(output_rate(&answers)),
        "cached_tokens": cached,
    });
    Ok((wall(&answers).as_secs_f64(), details))
}

fn repeat(
    engine: &ServedEngine,
    draw: impl Fn(u32) -> Vec<Request>,
) -> anyhow::Result<Vec<Vec<Answer>>> {
    (0..REPETITIONS).map(|rep| engine.run(&draw(rep))).collect()
}

/// From the first request to the last token.
fn wall(answers: &[Answer]) -> Duration {
    let last = answers.iter().filter_map(|answer| answer.tokens.last());
    last.max().copied().unwrap_or_default()
}

fn output_rate(answers: &[Answer]) -> f64 {
    let tokens: usize = answers.iter().map(|answer| answer.tokens.len()).sum();
    tokens as f64 / wall(answers).as_secs_f64()
}

/// Milliseconds between two tokens of an answer.
fn gaps_ms(answers: &[Answer]) -> Vec<f64> {
    let gaps = answers.iter().flat_map(|answer| answer.tokens.windows(2));
    gaps.map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3)
        .collect()
}

fn ttfts_ms(answers: &[Answer]) -> Vec<f64> {
    let first = |answer: &Answer| Some((*answer.tokens.first()? - answer.submitted).as_secs_f64());
    answers
        .iter()
        .filter_map(first)
        .map(|seconds| seconds * 1e3)
        .collect()
}

fn median(values: &[f64]) -> f64 {
    quantile(values, 50)
}

/// To four digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
