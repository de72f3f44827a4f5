use clap::Parser;

use super::{HitRate, TtftArgs};
use crate::bench::record::Record;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: TtftArgs,
}

fn parse(words: &[&str]) -> Result<TtftArgs, String> {
    let words = std::iter::once(&"ttft").chain(words);
    Cli::try_parse_from(words)
        .map(|cli| cli.args)
        .map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let args = parse(&[]).unwrap();
    let rates: Vec<f64> = args.hit_rates.iter().map(|rate| rate.percent()).collect();
    assert_eq!(rates, [0.0, 25.0, 50.0, 75.0, 90.0, 99.0, 100.0]);
    assert_eq!(
        (args.prompt_tokens, args.repeat, args.max_tokens),
        (2000, 5, 1)
    );
    assert_eq!(args.total(), 35);
}

#[test]
fn impossible_numbers_are_refused_by_name() {
    let check = |words: &[&str], expected: &str| {
        let message = parse(words).unwrap_err();
        assert!(message.contains(expected), "{words:?}: {message}");
    };
    check(&["--hit-rates", "0,101"], "101 is outside 0..=100 percent");
    check(&["--hit-rates=-1"], "-1 is outside 0..=100 percent");
    check(&["--hit-rates", "NaN"], "NaN is outside 0..=100 percent");
    check(
        &["--hit-rates", "ten"],
        "\"ten\" is not a number of percent",
    );
    check(&["--hit-rates", ""], "is not a number of percent");
    check(&["--prompt-tokens", "1"], "--prompt-tokens");
    check(&["--repeat", "0"], "--repeat");
    check(&["--max-tokens", "0"], "--max-tokens");
}

#[test]
fn a_rate_may_not_be_there_twice() {
    let rate: HitRate = "50".parse().unwrap();
    assert_eq!(
        parse(&["--hit-rates", "0,50,50.0"])
            .unwrap()
            .check_hit_rates(),
        Err(rate)
    );
    assert_eq!(
        parse(&["--hit-rates", "0, 50,99.5"])
            .unwrap()
            .check_hit_rates(),
        Ok(())
    );
}

#[test]
fn the_command_line_can_be_pasted_and_keeps_the_key_to_itself() {
    let args = parse(&[
        "--api-key",
        "sk-secret",
        "--output",
        "it's.json",
        "--seed",
        "7",
    ])
    .unwrap();
    let record = Record::begin("ttft", &args.record).unwrap();
    let line = args.command_line("a model", &record);
    let expected = "purser bench ttft --base-url http://127.0.0.1:8000 --model 'a model' \
        --timeout 600 --prompt-tokens 2000 --repeat 5 --hit-rates 0,25,50,75,90,99,100 \
        --max-tokens 1 --seed 7 --output 'it'\\''s.json'";
    assert_eq!(line, expected);
}
