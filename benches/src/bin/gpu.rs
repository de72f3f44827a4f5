//! The workloads that are measured on a GPU beside vLLM's figures ([`benches::gpu`]).

use std::io::Write;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use benches::gpu::{
    Journal, Line, Measured, Outcome, Requests, Scale, ServedEngine, Shape, Workload, measure,
    select, table, trace,
};
use clap::{Args, Parser, Subcommand};

/// Measure the engine on a GPU, or anywhere else, with the requests that vLLM was measured with.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure workloads
    Run(Box<RunArgs>),
    /// Print files of measurements as a table beside goals and vLLM's figures
    Table {
        /// What `run --results` wrote
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print requests as a trace for `purser bench replay`
    Trace(TraceArgs),
}

#[derive(Args)]
struct RunArgs {
    /// The model's shape
    #[arg(long)]
    model: Shape,

    /// Where to compute, as `purser serve --device`; or `cuda-emulator`, where it was built
    #[arg(long, default_value = "cuda")]
    device: String,

    /// Workloads: names, or beginnings of names before a `-` [default: all]
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,

    /// A line of JSON per measurement in place of the table
    #[arg(long)]
    json: bool,

    /// Divides counts and lengths, to try the program
    #[arg(long, default_value = "1")]
    scale: NonZero<usize>,

    /// Commit of the source tree
    #[arg(long, default_value = "unknown")]
    commit: String,

    /// File to which lines are added; what it has already is not measured again
    #[arg(long)]
    results: Option<PathBuf>,

    /// Seconds that the requests of a workload may take
    #[arg(long, default_value_t = 240)]
    limit: u64,

    /// Folder of the models' shapes
    #[arg(long, default_value = "benches/gpu")]
    shapes: PathBuf,

    /// Flags of `purser serve`
    #[arg(last = true)]
    serve: Vec<String>,
}

#[derive(Args)]
struct TraceArgs {
    /// Streams; 0 prints what comes first, to warm a server up
    #[arg(long, default_value_t = 64)]
    streams: usize,

    /// Every repetition has prompts of its own
    #[arg(long, default_value_t = 0)]
    repetition: u32,

    /// Divides counts and lengths
    #[arg(long, default_value = "1")]
    scale: NonZero<usize>,

    /// The model's shape
    #[arg(long)]
    model: Shape,

    /// Folder of the models' shapes
    #[arg(long, default_value = "benches/gpu")]
    shapes: PathBuf,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(args) => run(&args),
        Command::Table { files } => {
            let lines: anyhow::Result<Vec<Vec<Line>>> =
                files.iter().map(|path| Journal::read(path)).collect();
            print(&table(&lines?.concat()))
        }
        Command::Trace(args) => {
            let requests = args.model.requests(&args.shapes, Scale(args.scale))?;
            let requests = match args.streams {
                0 => requests.warm_up(),
                streams => requests.batch(streams, args.repetition),
            };
            print(&trace(&requests).join("\n"))
        }
    }
}

fn run(args: &RunArgs) -> anyhow::Result<()> {
    let mut journal = Journal::open(args.results.as_deref())?;
    let wanted = select(&args.only)?;
    let left = wanted
        .into_iter()
        .filter(|&workload| !journal.has(args.model, workload));
    let left: Vec<Workload> = left.collect();
    if !left.is_empty() {
        measure_all(args, &left, &mut journal)?;
    }
    match args.json {
        true => Ok(()),
        false => print(&table(journal.lines())),
    }
}

/// Ends with the first workload that fails: what the engine and the device are like then is not known.
fn measure_all(args: &RunArgs, left: &[Workload], journal: &mut Journal) -> anyhow::Result<()> {
    let requests = args.model.requests(&args.shapes, Scale(args.scale))?;
    let engine = load(args)?;
    let mut is_warm = false;
    for &workload in left {
        journal.add(line(args, workload, Outcome::Begun))?;
        let outcome = match measured(workload, &engine, &requests, &mut is_warm) {
            Ok(measured) => Outcome::Measured(measured),
            Err(error) => Outcome::Failed {
                reason: format!("{error:#}"),
            },
        };
        let line = line(args, workload, outcome);
        if args.json {
            print(&serde_json::to_string(&line)?)?;
        }
        journal.add(line.clone())?;
        if let Outcome::Failed { reason } = line.outcome {
            bail!("{workload}: {reason}");
        }
    }
    engine.shut_down();
    Ok(())
}

fn load(args: &RunArgs) -> anyhow::Result<ServedEngine> {
    let folder = args.model.folder(&args.shapes);
    let limit = Duration::from_secs(args.limit);
    ServedEngine::load(&folder, &args.device, &args.serve, limit)
}

/// Requests that nobody times come before the first one that is timed.
fn measured(
    workload: Workload,
    engine: &ServedEngine,
    requests: &Requests,
    is_warm: &mut bool,
) -> anyhow::Result<Measured> {
    if workload != Workload::Start && !*is_warm {
        engine.warm_up(&requests.warm_up())?;
        *is_warm = true;
    }
    measure(workload, engine, requests)
}

fn line(args: &RunArgs, workload: Workload, outcome: Outcome) -> Line {
    Line {
        model: args.model,
        workload: workload.to_string(),
        outcome,
        device: args.device.clone(),
        scale: args.scale.get(),
        commit: args.commit.clone(),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", text.trim_end())?;
    Ok(())
}
