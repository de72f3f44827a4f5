//! `purser bench compare A.json B.json`: how much faster one run was than the other, and how sure
//! that is.

use std::io::Write;
use std::path::PathBuf;

use anyhow::ensure;
use clap::Args;
use serde::Serialize;

use super::results::{ResultsFile, Run};
use crate::measure::random::Random;

mod bootstrap;
mod table;

use bootstrap::Interval;

/// Draws of the bootstrap begin with it, so that the same files give the same intervals.
const SEED: u64 = 1;

/// Options of `purser bench compare`.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Results of the run that is compared with
    #[arg(value_name = "A.json")]
    pub baseline: PathBuf,

    /// Results of the other run, of the same benchmark
    #[arg(value_name = "B.json")]
    pub candidate: PathBuf,

    /// Print JSON in place of the table
    #[arg(long)]
    pub json: bool,
}

/// What was found; `a` is the baseline, `b` the candidate.
#[derive(Debug, Serialize)]
struct Comparison<'a> {
    a: &'a Run,
    b: &'a Run,
    rows: Vec<Row>,
    /// What a reader should know before believing the rows.
    notes: Vec<String>,
}

/// A quantile of a metric in both runs.
#[derive(Debug, Serialize)]
struct Row {
    metric: String,
    /// The numbers that it is of.
    n: [usize; 2],
    a: f64,
    b: f64,
    /// `b` by `a`.
    ratio: Interval,
}

/// Compares the files that `args` names and prints to `out`.
///
/// # Errors
/// When a file cannot be read, holds no results of a benchmark, or not of the same one as the other.
pub fn run(args: &CompareArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let [a, b] = [&args.baseline, &args.candidate].map(|path| ResultsFile::read(path));
    let [a, b] = [a?, b?];
    ensure!(
        a.run.benchmark == b.run.benchmark,
        "{} has results of `bench {}`, {} of `bench {}`",
        args.baseline.display(),
        a.run.benchmark,
        args.candidate.display(),
        b.run.benchmark,
    );
    let comparison = Comparison {
        rows: rows(&a, &b),
        notes: notes(&a, &b),
        a: &a.run,
        b: &b.run,
    };
    ensure!(
        !comparison.rows.is_empty(),
        "the two runs have nothing in common that was measured"
    );
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &comparison)?;
        writeln!(out)?;
    } else {
        table::print(out, &comparison)?;
    }
    Ok(())
}

/// Every quantile that both runs have numbers for, in the order of `a`.
fn rows(a: &ResultsFile, b: &ResultsFile) -> Vec<Row> {
    let mut rows = Vec::new();
    for sample in &a.samples {
        let Some(other) = b.samples.iter().find(|other| other.metric == sample.metric) else {
            continue;
        };
        for &share in sample.shares {
            let mut random = Random::new(SEED);
            let clusters = [&sample.clusters[..], &other.clusters[..]];
            let [a, b] = clusters.map(|clusters| bootstrap::quantile_of(clusters, share));
            rows.push(Row {
                metric: format!("{} p{:.0}", sample.metric, share * 100.0),
                n: clusters.map(|clusters| clusters.iter().map(Vec::len).sum()),
                a,
                b,
                ratio: bootstrap::ratio(clusters, share, &mut random),
            });
        }
    }
    rows
}

fn notes(a: &ResultsFile, b: &ResultsFile) -> Vec<String> {
    let mut notes = Vec::new();
    for (name, file) in [("A", a), ("B", b)] {
        if !file.run.complete {
            notes.push(format!("{name} was ended before everything was measured"));
        }
        if file.failed > 0 {
            notes.push(format!(
                "{name}: {} requests failed and count nowhere",
                file.failed
            ));
        }
        if file.in_flight > 0 {
            notes.push(format!(
                "{name}: {} requests were in flight at the interruption and count nowhere",
                file.in_flight
            ));
        }
    }
    let settings = a.settings.iter().chain(&b.settings);
    let mut names: Vec<&String> = settings.map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let [a, b] = [a, b].map(|file| file.settings.get(name).cloned().unwrap_or_default());
        if a != b {
            notes.push(format!("{name} differs: {a} and {b}"));
        }
    }
    for file in [a, b] {
        if file
            .samples
            .iter()
            .any(|sample| sample.clusters.len() < FEW)
        {
            notes.push(format!(
                "with fewer than {FEW} measurements of each kind intervals are too narrow"
            ));
            break;
        }
    }
    notes
}

/// Fewer measurements say little about how numbers are spread.
const FEW: usize = 20;

#[cfg(test)]
mod tests;
