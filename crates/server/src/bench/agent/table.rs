//! The turns and the agents as the user reads them.

use std::io::{self, Write};

use super::ending::{Ended, Ending};
use super::report::Report;
use super::reuse::{Reuse, TurnRow};
use crate::bench::summary;

/// # Errors
/// When `out` cannot be written.
pub(super) fn print(out: &mut dyn Write, report: &Report<'_>) -> io::Result<()> {
    writeln!(out)?;
    turns(out, &report.turns)?;
    writeln!(out)?;
    endings(out, &report.agents)?;
    summary::print(out, &report.summary)?;
    reuse(out, &report.reuse)?;
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(())
}

/// One line per turn, columns aligned to the right.
fn turns(out: &mut dyn Write, rows: &[TurnRow]) -> io::Result<()> {
    writeln!(
        out,
        "{:>4}{:>6}{:>10}{:>10}{:>10}{:>9}{:>6}{:>12}{:>12}{:>12}",
        "turn",
        "n",
        "prompt",
        "reusable",
        "cached",
        "share",
        "lost",
        "TTFT p50",
        "ITL p50",
        "E2EL p50"
    )?;
    for row in rows {
        let count = |count: Option<f64>| count.map_or("n/a".to_owned(), |n| format!("{n:.0}"));
        let p50 = |spread: Option<summary::Spread>| {
            spread.map_or("n/a".to_owned(), |spread| format!("{:.2}", spread.p50))
        };
        let share = row
            .cached_share
            .map(|share| format!("{:.1} %", share * 100.0));
        let losses = row.prefix_losses.map(|losses| losses.to_string());
        writeln!(
            out,
            "{:>4}{:>6}{:>10}{:>10}{:>10}{:>9}{:>6}{:>12}{:>12}{:>12}",
            row.turn,
            row.n,
            count(row.prompt_tokens),
            count(row.reusable_tokens),
            count(row.cached_tokens),
            share.as_deref().unwrap_or("n/a"),
            losses.as_deref().unwrap_or("n/a"),
            p50(row.ttft_ms),
            p50(row.itl_ms),
            p50(row.e2el_ms),
        )?;
    }
    Ok(())
}

/// How many agents took all turns, and a line for each of the others.
fn endings(out: &mut dyn Write, agents: &[Ended]) -> io::Result<()> {
    let finished = agents
        .iter()
        .filter(|agent| agent.ending == Ending::Finished);
    writeln!(
        out,
        "{} of {} agents took all turns",
        finished.count(),
        agents.len()
    )?;
    for Ended { agent, ending } in agents {
        match ending {
            Ending::Finished => {}
            Ending::ContextFull { turn, says } => {
                writeln!(out, "agent {agent}: context_full at turn {turn}: {says}")?;
            }
            Ending::Failed { turn, error } => {
                writeln!(out, "agent {agent}: failed at turn {turn}: {error}")?;
            }
            Ending::Interrupted { turn } => {
                writeln!(out, "agent {agent}: interrupted at turn {turn}")?;
            }
        }
    }
    Ok(())
}

fn reuse(out: &mut dyn Write, reuse: &Reuse) -> io::Result<()> {
    let Reuse {
        reusable_tokens: Some(reusable),
        reused_tokens: Some(reused),
        reused_share: Some(share),
        prefix_losses: Some(losses),
        lost_tokens: Some(lost),
    } = *reuse
    else {
        return Ok(());
    };
    writeln!(
        out,
        "\n{reused} of {reusable} reusable tokens were cached ({:.1} %); {losses} turns lost their \
         prefix, {lost} tokens of it",
        share * 100.0
    )
}
