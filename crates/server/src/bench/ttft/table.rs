//! The summary as the user reads it.

use std::io::{self, Write};

use super::line::Line;
use super::summary::Row;

const HEADINGS: [&str; 9] = [
    "hit rate", "observed", "n", "p50 ms", "p95 ms", "min ms", "max ms", "p50/cold", "p50/line",
];

/// Prints one line per hit rate, columns aligned to the right.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn print_rows(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    let lines: Vec<[String; 9]> = std::iter::once(HEADINGS.map(str::to_owned))
        .chain(rows.iter().map(cells))
        .collect();
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for line in &lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:>width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  "))?;
    }
    Ok(())
}

/// Prints what a token costs; `of` says what the line goes through.
///
/// # Errors
/// When `out` cannot be written.
pub(super) fn print_line(out: &mut impl Write, of: &str, line: &Line) -> io::Result<()> {
    let sign = if line.ms_per_token < 0.0 { '-' } else { '+' };
    write!(
        out,
        "{of}: TTFT = {:.2} ms {sign} {:.4} ms per uncached token",
        line.fixed_ms,
        line.ms_per_token.abs()
    )?;
    if let Some(rate) = line.prefill_tokens_per_second {
        write!(out, " (prefill {rate:.0} tokens/s)")?;
    }
    let from = match line.uncached_tokens_from {
        "usage" => "counted by the server",
        _ => "as asked",
    };
    writeln!(out, ", R2 {:.3}, uncached tokens {from}", line.r_squared)
}

fn cells(row: &Row) -> [String; 9] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
    [
        format!("{} %", row.hit_rate_asked),
        or_none(row.hit_rate_observed.map(|rate| format!("{rate:.2} %"))),
        row.n.to_string(),
        format!("{:.2}", row.p50_ms),
        format!("{:.2}", row.p95_ms),
        format!("{:.2}", row.min_ms),
        format!("{:.2}", row.max_ms),
        or_none(row.ratio_to_cold.map(|ratio| format!("{ratio:.3}"))),
        or_none(row.ratio_to_line.map(|ratio| format!("{ratio:.2}"))),
    ]
}
