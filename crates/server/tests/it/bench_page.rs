//! Pages of results: `--html` on the benchmarks, and `purser bench report`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::future::pending;
use std::path::Path;
use std::time::Duration;

use clap::Parser;
use server::bench::{BenchArgs, BenchCommand, agent, load, replay, report, ttft};

use crate::fake_server::{Config, Fake};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: BenchArgs,
}

/// Runs a benchmark; what it printed, or its error.
async fn bench(words: &[&str]) -> Result<String, String> {
    let words = ["purser"].iter().chain(words);
    let mut out = Vec::new();
    let outcome = match Cli::try_parse_from(words).unwrap().args.command {
        BenchCommand::Ttft(args) => ttft::run(&args, &mut out, pending()).await,
        BenchCommand::Load(args) => load::run(&args, &mut out, pending()).await,
        BenchCommand::Agent(args) => agent::run(&args, &mut out, pending()).await,
        BenchCommand::Replay(args) => replay::run(&args, &mut out, pending()).await,
        BenchCommand::Report(args) => report::run(&args, &mut out),
        BenchCommand::Compare(_) => unreachable!("not asked for here"),
    };
    outcome.map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(out).unwrap())
}

/// `name` in `folder` as an argument.
fn place(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}

const TRACE: &str = r#"{"timestamp": 0, "input_length": 40, "output_length": 2, "hash_ids": [1]}"#;

#[tokio::test]
async fn every_benchmark_makes_a_page_and_all_make_one_together() {
    let config = Config {
        between: Some(Duration::ZERO),
        token: " so",
        ..Config::default()
    };
    let (_fake, url) = Fake::start(config).await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| place(folder.path(), name);
    let trace = at("trace.jsonl");
    fs::write(&trace, TRACE).unwrap();
    let runs: [(&[&str], &str); 4] = [
        (
            &["ttft", "--prompt-tokens", "100", "--repeat", "2"],
            "Time to first token by prefix hit rate",
        ),
        (
            &[
                "load",
                "--num-prompts",
                "5",
                "--input-len",
                "20",
                "--output-len",
                "3",
            ],
            "TTFT by percentile",
        ),
        (
            &[
                "agent",
                "--agents",
                "2",
                "--turns",
                "3",
                "--pause",
                "0",
                "--system-len",
                "50",
                "--input-len",
                "20",
                "--result-len",
                "20",
                "--output-len",
                "3",
            ],
            "Share of the prompt that was cached, by turn",
        ),
        (&["replay", &trace], "E2EL by percentile"),
    ];
    let mut results = Vec::new();
    for (words, chart) in runs {
        let [json, html] = ["json", "html"].map(|kind| at(&format!("{}.{kind}", words[0])));
        let where_to = ["--base-url", &url, "--output", &json, "--html", &html];
        let out = bench(&[words, &where_to].concat()).await.unwrap();
        assert!(out.contains(&format!("tables and charts: {html}")), "{out}");
        let page = fs::read_to_string(&html).unwrap();
        assert!(page.contains(chart), "{chart} is missing");
        assert!(
            page.contains(&format!("purser bench {} --base-url", words[0])) || words[0] == "replay"
        );
        assert!(page.ends_with("</html>\n"));
        results.push(json);
    }
    let all = at("all.html");
    let mut words = vec!["report", "-o", &all];
    words.extend(results.iter().map(String::as_str));
    bench(&words).await.unwrap();
    let page = fs::read_to_string(&all).unwrap();
    assert!(runs.iter().all(|(_, chart)| page.contains(chart)));
    assert!(results.iter().all(|name| page.contains(name.as_str())));
}

#[tokio::test]
async fn a_page_that_cannot_be_written_is_said_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (there, missing) = (
        place(folder.path(), "a.json"),
        place(folder.path(), "no/a.html"),
    );
    let error = bench(&["load", "--output", &there, "--html", &missing]).await;
    let error = error.unwrap_err();
    assert!(
        error.contains("--html") && error.contains("no folder"),
        "{error}"
    );
    let error = bench(&["load", "--output", &there, "--html", &there]).await;
    assert!(error.unwrap_err().contains("--output is the same file"));
    fs::write(&there, "{}").unwrap();
    let error = bench(&["report", &there, "-o", &missing]).await;
    assert!(error.unwrap_err().contains("no folder"));
    let page = place(folder.path(), "a.html");
    let error = bench(&["report", &there, "-o", &page]).await.unwrap_err();
    assert!(
        error.contains("a.json") && error.contains("no results"),
        "{error}"
    );
}
