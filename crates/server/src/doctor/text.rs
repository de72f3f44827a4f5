//! The report for people.

use std::io::{self, Write};

use super::Report;

const MIB: usize = 1 << 20;

/// Writes `report` in lines of at most 100 columns, as far as names allow.
pub(super) fn write(report: &Report, out: &mut impl Write) -> io::Result<()> {
    machine(report, out)?;
    memory(report, out)?;
    speed(report, out)?;
    advice(report, out)
}

fn machine(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let machine = &report.machine;
    writeln!(out, "Machine")?;
    writeln!(out, "  processor      {}", machine.processor)?;
    writeln!(
        out,
        "  threads        {} of {} cores",
        machine.threads, machine.cores
    )?;
    let [free, all] = [machine.available_bytes, machine.memory_bytes].map(|bytes| bytes / MIB);
    writeln!(out, "  memory         {free} of {all} MiB are free")?;
    writeln!(
        out,
        "  reads          {:.1} GB/s",
        machine.read_gb_per_second
    )?;
    for path in &machine.paths {
        writeln!(
            out,
            "  multiplies     {:.0} GOP/s, {}",
            path.gop_per_second, path.name
        )?;
    }
    Ok(())
}

fn memory(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let forecast = &report.forecast;
    writeln!(out, "\nModel")?;
    let millions = forecast.parameters as f64 / 1e6;
    writeln!(
        out,
        "  name           {}, {millions:.1} million weights",
        forecast.model
    )?;
    writeln!(
        out,
        "  weights        {} MiB in memory",
        forecast.weight_bytes / MIB
    )?;
    writeln!(
        out,
        "  a token        {} bytes of keys and values ({})",
        forecast.kv_bytes_per_token, forecast.kv_cache_dtype
    )?;
    writeln!(
        out,
        "  KV cache       {} MiB, {} tokens; all free memory would hold {}",
        forecast.kv_cache_bytes / MIB,
        forecast.kv_cache_tokens,
        forecast.most_kv_cache_tokens
    )?;
    writeln!(
        out,
        "  sequences      at most {} tokens, the model allows {}; {} tokens a step",
        forecast.max_model_len, forecast.max_position_embeddings, forecast.max_num_batched_tokens
    )
}

fn speed(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let (forecast, trial) = (&report.forecast, &report.trial);
    writeln!(out, "\nTokens per second, one request")?;
    for (name, limit, tokens, most, measured) in [
        (
            "prompt",
            "multiplying",
            trial.prompt_tokens,
            forecast.prefill_tokens_per_second,
            trial.prefill_tokens_per_second,
        ),
        (
            "answer",
            "reading the weights",
            trial.output_tokens,
            forecast.decode_tokens_per_second,
            trial.decode_tokens_per_second,
        ),
    ] {
        writeln!(
            out,
            "  {name}         {measured:.0} measured over {tokens} tokens; {most:.0} if only {limit} took time"
        )?;
    }
    Ok(())
}

fn advice(report: &Report, out: &mut impl Write) -> io::Result<()> {
    if report.advice.is_empty() {
        return writeln!(
            out,
            "\nNothing to change: the settings make use of what there is."
        );
    }
    writeln!(out, "\nTo change")?;
    for advice in &report.advice {
        writeln!(out, "  {}\n      {}", advice.setting, advice.reason)?;
    }
    Ok(())
}
