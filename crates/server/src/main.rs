//! `purser`: serve a model, or measure a server.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use server::cli::{Cli, Command, one_line};
use server::config::serve::LogFormat;
use server::config::settings::ServeSettings;
use server::{bench, config, doctor, eval, serve, why};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with its causes; a closed standard error hears nothing.
            let _ = writeln!(std::io::stderr(), "purser: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let Cli { command, serve } = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    match command {
        None => runtime.block_on(run_server(serve)),
        Some(Command::Serve(settings)) => runtime.block_on(run_server(*settings)),
        Some(Command::Bench(args)) => runtime.block_on(bench::run(args)),
        Some(Command::Why(args)) => why::run(&args, &mut std::io::stdout().lock()),
        Some(Command::Doctor(args)) => {
            let environment = &config::process_environment;
            runtime.block_on(doctor::run(*args, environment, &mut std::io::stdout()))
        }
        Some(Command::Eval(args)) => runtime.block_on(eval::run(args)),
    }
}

async fn run_server(settings: ServeSettings) -> anyhow::Result<()> {
    let config = config::resolve(settings, &config::process_environment)?;
    start_logs(config.log_format);
    let has_web_ui = config.web_ui;
    serve::run(config, |url| {
        let offer = match has_web_ui {
            true => "Open it in a browser, or try",
            false => "Try",
        };
        // A closed standard output is no reason not to serve.
        let _ = writeln!(
            std::io::stdout(),
            "Purser listens on {url}\n\
             {offer}: curl {url}/v1/chat/completions -H 'Content-Type: application/json' \
             -d '{{\"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'"
        );
    })
    .await
}

fn start_logs(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
}
