//! Goals against figures.

use super::journal::{Line, Outcome};
use super::shape::Shape;
use super::target::{Target, target};
use super::workload::Workload;

/// A table in Markdown for each shape with goals, or for the tiny one if `lines` know no other, with every
/// workload of it. The last line of a workload counts.
pub fn table(lines: &[Line]) -> String {
    let is_trial = !lines.is_empty() && lines.iter().all(|line| line.model == Shape::Tiny);
    let shapes: &[Shape] = match is_trial {
        true => &[Shape::Tiny],
        false => &[Shape::L, Shape::Q],
    };
    let tables: Vec<String> = shapes.iter().map(|&shape| table_of(shape, lines)).collect();
    tables.join("\n")
}

fn table_of(shape: Shape, lines: &[Line]) -> String {
    let head = format!(
        "### {}\n\n\
         | workload | unit | goal | Purser | vLLM 0.24 | | |\n\
         |---|---|---|---|---|---|---|\n",
        shape.title()
    );
    let all = Workload::OF_THE_ENGINE
        .into_iter()
        .chain(Workload::OF_A_SERVER);
    let rows = all.filter_map(|workload| {
        let name = workload.to_string();
        let of_it = |line: &&Line| line.model == shape && line.workload == name;
        let line = lines.iter().rfind(of_it);
        let target = target(shape, workload);
        let is_asked = line.is_some() || !target.is_nothing();
        is_asked.then(|| row(workload, &target, line))
    });
    rows.fold(head, |table, row| table + &row + "\n")
}

fn row(workload: Workload, target: &Target, line: Option<&Line>) -> String {
    let figure = |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), number);
    let sign = if workload.is_rate() { ">=" } else { "<=" };
    let goal = target
        .goal
        .map_or_else(|| "-".to_owned(), |goal| format!("{sign} {}", number(goal)));
    let (value, verdict, rest) = match line {
        None => (None, "not run", String::new()),
        Some(line) => match &line.outcome {
            Outcome::Begun => (None, "not run", "begun, and no end".to_owned()),
            Outcome::Failed { reason } => (None, "failed", reason.clone()),
            Outcome::Measured(measured) => {
                let verdict = match target.is_met(workload, measured.value) {
                    _ if line.scale > 1 => "scaled",
                    Some(true) => "met",
                    Some(false) => "missed",
                    None => "-",
                };
                let details = measured.details.iter();
                let words: Vec<String> = details.map(|(name, v)| format!("{name} {v}")).collect();
                (Some(measured.value), verdict, words.join(", "))
            }
        },
    };
    let unit = workload.unit();
    let (value, vllm) = (figure(value), figure(target.vllm));
    // A message may have several lines, and bars.
    let rest = rest.replace(['\n', '|'], " ");
    format!("| {workload} | {unit} | {goal} | {value} | {vllm} | {verdict} | {rest} |")
}

/// Three digits, and all those before the point.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => grouped(value.round() as u64),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn grouped(value: u64) -> String {
    match value {
        0..1_000 => value.to_string(),
        value => format!("{},{:03}", grouped(value / 1_000), value % 1_000),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::gpu::Measured;

    fn line(workload: &str, scale: usize, outcome: Outcome) -> Line {
        Line {
            model: Shape::Q,
            workload: workload.to_owned(),
            outcome,
            device: "cuda".to_owned(),
            scale,
            commit: "abc".to_owned(),
        }
    }

    fn measured(value: f64) -> Outcome {
        let details = Map::from_iter([("itl_p50_ms".to_owned(), 2.25.into())]);
        let unit = String::new();
        Outcome::Measured(Measured {
            value,
            unit,
            details,
        })
    }

    #[test]
    fn rows_say_what_became_of_a_goal() {
        let reason = "one\ntwo".to_owned();
        let table = table(&[
            line("streams-64", 1, Outcome::Begun),
            line("streams-64", 1, measured(41_234.5)),
            line("decode-1-128", 1, measured(0.8)),
            line("decode-1-16384", 64, measured(0.8)),
            line("mixed", 1, Outcome::Failed { reason }),
            line("prefill-1x32768", 1, measured(1e6)),
        ]);
        let has = |row: &str| assert!(table.contains(row), "{row}\n{table}");
        has("| streams-64 | tok/s | >= 35,000 | 41,235 | 23,496 | met | itl_p50_ms 2.25 |");
        has("| decode-1-128 | ms/token | <= 0.70 | 0.80 | 1.62 | missed | itl_p50_ms 2.25 |");
        has("| decode-1-16384 | ms/token | <= 1.10 | 0.80 | 2.17 | scaled | itl_p50_ms 2.25 |");
        has("| mixed | s | <= 5.00 | - | 7.20 | failed | one two |");
        has("| prefill-1x32768 | tok/s | - | 1,000,000 | 117,806 | - | itl_p50_ms 2.25 |");
        has("| start | s | <= 4.00 | - | 72.7 | not run |  |");
        has("| http-64 | tok/s | >= 10,000 | - | 9,370 | not run |  |");
        assert_eq!(
            table.matches("http-64 ").count(),
            1,
            "there is a goal for L alone"
        );
        assert!(!table.contains("tiny"), "{table}");
    }
}
