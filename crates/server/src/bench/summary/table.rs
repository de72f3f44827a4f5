//! The summary as the user reads it.

use std::io::{self, Write};

use super::{Spread, Summary};

/// # Errors
/// When `out` cannot be written.
pub(in crate::bench) fn print(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    let Summary {
        completed,
        failed,
        duration_s,
        ..
    } = summary;
    write!(out, "{completed} answered, {failed} failed")?;
    for (index, (kind, count)) in summary.failures.iter().enumerate() {
        let separator = if index == 0 { " (" } else { ", " };
        write!(out, "{separator}{kind}: {count}")?;
    }
    let close = if summary.failures.is_empty() { "" } else { ")" };
    write!(out, "{close}")?;
    if summary.in_flight_at_interrupt > 0 {
        let count = summary.in_flight_at_interrupt;
        write!(out, ", {count} in flight at the interruption")?;
    }
    writeln!(out, " in {duration_s:.2} s")?;
    write!(out, "{:.3} requests/s", summary.request_throughput)?;
    if let Some(goodput) = summary.request_goodput {
        write!(out, ", of them good {goodput:.3}")?;
    }
    write!(out, "; {:.1} output tokens/s", summary.output_throughput)?;
    if let Some(total) = summary.total_token_throughput {
        write!(out, ", {total:.1} with prompts")?;
    }
    writeln!(out)?;
    if let Some(input) = summary.input_tokens.filter(|&tokens| tokens > 0) {
        write!(out, "{input} prompt tokens")?;
        if let Some(cached) = summary.cached_tokens {
            let share = cached as f64 / input as f64 * 100.0;
            write!(out, ", of them {cached} from the cache ({share:.1} %)")?;
        }
        writeln!(out, "; {} generated", summary.output_tokens)?;
    }
    writeln!(out)?;
    spreads(out, summary)
}

/// One line per metric, columns aligned to the right.
fn spreads(out: &mut dyn Write, summary: &Summary) -> io::Result<()> {
    writeln!(
        out,
        "{:6}{:>9}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}",
        "ms", "n", "mean", "p50", "p90", "p95", "p99", "max"
    )?;
    let rows = [
        ("TTFT", summary.ttft_ms),
        ("ITL", summary.itl_ms),
        ("TPOT", summary.tpot_ms),
        ("E2EL", summary.e2el_ms),
    ];
    for (name, spread) in rows {
        let Some(spread) = spread else {
            writeln!(out, "{name:6}{:>9}", 0)?;
            continue;
        };
        let Spread {
            n,
            mean,
            p50,
            p90,
            p95,
            p99,
            max,
            ..
        } = spread;
        writeln!(
            out,
            "{name:6}{n:>9}{mean:>11.2}{p50:>11.2}{p90:>11.2}{p95:>11.2}{p99:>11.2}{max:>11.2}"
        )?;
    }
    Ok(())
}
