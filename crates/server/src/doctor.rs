//! `purser doctor [MODEL]`: what this machine and a model allow, measured in a few seconds, and what
//! to change.
//!
//! 1. `machine`: memory, and what reading it and multiplying take at most, with the threads that
//!    the engine would have.
//! 2. `forecast`: what follows for the model: how many tokens the KV cache holds, and how fast
//!    prompts and answers can be at most.
//! 3. `trial`: one request on the engine, as `serve` would start it.
//! 4. `advice`: settings that would change something, by what the figures say.
//!
//! It takes the flags of `serve`, so it also says what a flag is worth before it is used.

use std::io::Write;
use std::num::NonZero;

use anyhow::{Context, bail};
use clap::Args;
use models::Device;
use serde::Serialize;

mod advice;
mod forecast;
mod machine;
mod text;
mod trial;

use crate::config::serve::{EngineConfig, ServeConfig};
use crate::config::settings::ServeSettings;
use crate::config::{Environment, resolve};
use crate::serve;
use crate::sizing::{Room, Sizing, available_memory};
use advice::Advice;
use forecast::Forecast;
use machine::Machine;
use trial::{Length, Trial};

/// Flags of `purser doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// The flags of `serve`: what they would do is what is examined.
    #[command(flatten)]
    pub serve: ServeSettings,
}

/// Everything that was found out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    machine: Machine,
    forecast: Forecast,
    trial: Trial,
    advice: Vec<Advice>,
}

/// Examines and writes what it finds to `out`.
///
/// # Errors
/// When the settings, the model's files or the memory do not allow to serve; `out` closed.
pub async fn run(
    args: DoctorArgs,
    environment: Environment<'_>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let config = resolve(args.serve, environment)?;
    let report = tokio::task::spawn_blocking(move || examine(config))
        .await
        .context("examining the machine")??;
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        text::write(&report, out)?;
    }
    Ok(())
}

fn examine(config: ServeConfig) -> anyhow::Result<Report> {
    let engine = EngineConfig {
        device: on_processor(config.engine.device)?,
        ..config.engine.clone()
    };
    // Before anything is allocated: it is what `serve` would find.
    let available = available_memory();
    let model = models::open(&config.model)?;
    let room = Room {
        available,
        gpu_total: None,
    };
    let sizing = Sizing::new(&model, &engine, room)?;
    let machine = Machine::measure(threads(&engine), available);
    let forecast = Forecast::new(&model, &engine, &sizing, &machine);
    drop(model);
    let length = Length::for_a_second(&forecast);
    // Nobody's requests are run.
    let (app, thread) = serve::load(ServeConfig {
        traces: None,
        engine: engine.clone(),
        ..config
    })?;
    let trial = trial::run(app.engine(), app.model().vocab_size, length);
    app.stop_accepting();
    thread.join();
    let trial = trial?;
    let advice = advice::advise(&machine, &forecast, &trial, &engine);
    Ok(Report {
        machine,
        forecast,
        trial,
        advice,
    })
}

/// What is measured is the processor.
fn on_processor(device: Device) -> anyhow::Result<Device> {
    match device {
        Device::Auto => Ok(Device::Cpu),
        Device::Cuda(_) | Device::CudaEmulator => {
            bail!("--device: the doctor examines processors only; leave it out, or say cpu")
        }
        Device::Cpu | Device::Reference => Ok(device),
    }
}

/// Threads that the engine computes with.
fn threads(engine: &EngineConfig) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    engine.threads.unwrap_or(cores)
}
