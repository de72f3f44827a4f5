use clap::Parser;
use serde_json::{Value, json};

use super::read;
use crate::bench::ReplayArgs;
use crate::bench::replay::trace::{Prompt, Trace};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    args: ReplayArgs,
}

fn trace(conversations: &Value, options: &str) -> anyhow::Result<Trace> {
    let words = ["replay", "trace.json"].into_iter();
    let args = Cli::parse_from(words.chain(options.split_whitespace())).args;
    read(&conversations.to_string(), &args, 3)
}

fn conversation(turns: &[(&str, &str)]) -> Value {
    let turn = |(from, value): &(&str, &str)| json!({"from": from, "value": value});
    json!({"id": "x", "conversations": turns.iter().map(turn).collect::<Vec<_>>()})
}

#[test]
fn each_answer_is_asked_for_with_the_recorded_history() {
    let first = conversation(&[
        ("system", "Be brief."),
        ("human", "Hello?"),
        ("gpt", "Hello to you, too."),
        ("user", "Bye."),
        ("gpt", "Bye."),
    ]);
    let second = conversation(&[("human", "One?"), ("gpt", "Two.")]);
    let trace = trace(&json!([first, second]), "").unwrap();
    let facts: Vec<_> = trace
        .requests
        .iter()
        .map(|request| {
            let Prompt::Messages { messages, len } = &request.prompt else {
                panic!("messages")
            };
            (
                messages[*len - 1]["content"].as_str().unwrap(),
                *len,
                request.follows,
                request.output_len,
            )
        })
        .collect();
    // 18 bytes are 5 tokens, 4 bytes are one.
    let expected = [
        ("Hello?", 2, None, Some(5)),
        ("Bye.", 4, Some(0), Some(1)),
        ("One?", 1, None, Some(1)),
    ];
    assert_eq!(facts, expected);
    assert_eq!(trace.requests[1].place, "[0].conversations[4]");
    assert!(trace.notes[0].contains("4 bytes"), "{:?}", trace.notes);
}

#[test]
fn what_nobody_asked_or_answered_is_noted() {
    let half = conversation(&[("gpt", "So"), ("human", "a"), ("gpt", "b"), ("human", "c")]);
    let trace = trace(&json!([half]), "--output-len 7").unwrap();
    assert_eq!(trace.requests.len(), 1);
    assert_eq!(trace.requests[0].output_len, Some(7));
    let expected = [
        "1 answers stand before any question: they are history only",
        "1 questions have no recorded answer and are not asked",
    ];
    assert_eq!(trace.notes, expected);
}

#[test]
fn conversations_begin_at_the_rate() {
    let one = || conversation(&[("human", "a"), ("gpt", "b")]);
    let trace = trace(&json!([one(), one(), one()]), "--request-rate 5").unwrap();
    let times: Vec<_> = trace.requests.iter().map(|request| request.at).collect();
    assert!(times[0].is_zero() && times[0] < times[1] && times[1] < times[2]);
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_field() {
    let check = |conversations: Value, words: &[&str]| {
        let error = format!("{:#}", trace(&conversations, "").unwrap_err());
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    check(json!({}), &["no JSON array"]);
    check(json!([1]), &["[0]"]);
    check(json!([{"id": 1}]), &["[0]", "\"conversations\"", "missing"]);
    let good = conversation(&[("human", "a"), ("gpt", "b")]);
    check(
        json!([good, conversation(&[("human", "a"), ("tool", "b")])]),
        &["[1].conversations[1]", "\"from\"", "\"tool\""],
    );
    check(
        json!([{"conversations": [{"from": "human", "value": 7}]}]),
        &["[0].conversations[0]", "\"value\"", "7 is no text"],
    );
}
