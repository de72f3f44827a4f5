use clap::Parser;
use serde_json::Value;

use super::page;
use crate::eval::args::ContextArgs;
use crate::eval::example::measured;
use crate::eval::report::{Origin, Report};
use crate::measure::identity::Identity;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ContextArgs,
}

fn origin() -> Origin {
    Origin {
        started_at: "2026-11-21T04:36:26Z".to_owned(),
        command: "purser eval context".to_owned(),
        server: Identity {
            base_url: "http://127.0.0.1:8000".to_owned(),
            version: Value::Null,
            server_header: None,
            owned_by: None,
            model: "pebble".to_owned(),
            served_models: Vec::new(),
            max_model_len: None,
        },
        langchain_core: None,
    }
}

#[test]
fn the_page_is_stable() {
    let args = Cli::parse_from(["context", "--seed", "7"]).args;
    let (origin, measured) = (origin(), measured());
    let page = page(&Report::new(&args, &origin, &measured, false));
    let expected = include_str!("page.md");
    // What is shown when the test fails replaces page.md, once it has been read.
    println!("{page}");
    for (line, (found, expected)) in page.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", line + 1);
    }
    assert_eq!(page.lines().count(), expected.lines().count());
}

#[test]
fn every_row_has_a_cell_per_heading() {
    let args = Cli::parse_from(["context", "--seed", "7"]).args;
    let (origin, measured) = (origin(), measured());
    let page = page(&Report::new(&args, &origin, &measured, true));
    let mut columns = None;
    for line in page.lines() {
        if !line.starts_with('|') {
            columns = None;
            continue;
        }
        let cells = line.replace("\\|", "").matches('|').count();
        assert_eq!(*columns.get_or_insert(cells), cells, "{line}");
    }
    assert!(!page.contains("not completed"));
}
