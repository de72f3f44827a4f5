//! `purser eval placement` against the server of this crate.

use std::fs;
use std::future::pending;

use clap::Parser;
use serde_json::Value;
use server::eval::{PlacementArgs, placement};

use crate::documents::number;
use crate::world::{Setup, World};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: PlacementArgs,
}

#[tokio::test]
async fn the_evidence_is_asked_for_at_every_place_and_by_every_rule() {
    let world = World::start(Setup::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let run = async |options: &str| {
        let fixed = ["placement", "--base-url", &world.url, "--output-dir"];
        let path = [folder.path().to_str().unwrap()];
        let args = fixed.into_iter().chain(path).chain(options.split(' '));
        let mut out = Vec::new();
        let ended = placement::run(&Cli::parse_from(args).args, &mut out, pending()).await;
        (
            ended.map_err(|error| error.to_string()),
            String::from_utf8(out).unwrap(),
        )
    };
    let (ended, out) = run("--tasks 2 --documents 4 --positions 3 --sentences 2").await;
    assert_eq!(ended, Ok(()));
    assert!(out.contains("No U-curve"), "{out}");
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("placement.json")).unwrap();
    assert_eq!(
        (&json["complete"], &json["shape"]),
        (&true.into(), &"none".into())
    );
    assert_eq!(json["notes"], Value::Array(Vec::new()));
    // What a model says that only hashes its context is never right.
    assert_eq!(json["excluded"], 2);
    let tasks = json["answers"].as_array().unwrap();
    for task in tasks {
        let answers = task["answers"].as_array().unwrap();
        let stood = |name: &str| {
            let mut named = answers
                .iter()
                .filter(|answer| answer["arrangement"] == name);
            let answer = named.next().unwrap();
            let all = if name == "alone" { 1 } else { 4 };
            assert_eq!(number(&answer["placed"]), all);
            number(&answer["stood_at"])
        };
        assert_eq!(["alone", "0", "2", "3"].map(stood), [0, 0, 2, 3]);
        // The last rank is first where the best is last; the first two are at the edges.
        let rank = stood("head");
        assert_eq!(stood("tail"), 3 - rank);
        assert_eq!(stood("edges"), [0, 3, 1, 2][rank]);
        assert_eq!(answers.len(), 9);
    }
    assert!(read("placement.md").contains("| `edges` less `as_is` |"));
    assert!(read("placement.svg").starts_with("<svg"));

    let (ended, _) = run("--documents 4 --positions 5").await;
    assert!(ended.unwrap_err().contains("--positions 5"));
}
