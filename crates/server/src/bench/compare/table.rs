//! The comparison as the user reads it.

use std::io::{self, Write};

use super::{Comparison, Interval};
use crate::bench::results::Run;

/// # Errors
/// When `out` cannot be written.
pub(super) fn print(out: &mut impl Write, comparison: &Comparison<'_>) -> io::Result<()> {
    for (name, run) in [("A", comparison.a), ("B", comparison.b)] {
        let Run {
            started_at, server, ..
        } = run;
        let version = match &server.version["version"] {
            serde_json::Value::String(version) => format!(", version {version}"),
            _ => String::new(),
        };
        let (base_url, model) = (&server.base_url, &server.model);
        writeln!(
            out,
            "{name}: {base_url}, model {model}{version}, {started_at}"
        )?;
    }
    writeln!(out)?;
    let width = comparison.rows.iter().map(|row| row.metric.chars().count());
    let width = width.max().unwrap_or(0);
    writeln!(
        out,
        "{:width$}  {:>7}  {:>7}  {:>10}  {:>10}  {:>6}  {:15}",
        "", "n of A", "n of B", "A ms", "B ms", "B/A", "95 % interval"
    )?;
    for row in &comparison.rows {
        let Interval { ratio, low, high } = row.ratio;
        let interval = format!("{low:.3}..{high:.3}");
        writeln!(
            out,
            "{:width$}  {:>7}  {:>7}  {:>10.2}  {:>10.2}  {ratio:>6.3}  {interval:15}  {}",
            row.metric,
            row.n[0],
            row.n[1],
            row.a,
            row.b,
            verdict(row.ratio),
        )?;
    }
    for note in &comparison.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

/// What the interval allows to say of B.
fn verdict(ratio: Interval) -> &'static str {
    match ratio {
        Interval { high, .. } if high < 1.0 => "faster",
        Interval { low, .. } if low > 1.0 => "slower",
        _ => "no difference shown",
    }
}
