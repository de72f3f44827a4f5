use std::time::Duration;

use super::read;
use crate::bench::replay::trace::Prompt;

/// The first two requests of a published trace, in blocks of 512.
const TRACE: &str = r#"
{"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 2353, 2354]}

{"timestamp": 30535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 2366]}
"#;

#[test]
fn times_lengths_and_blocks_are_read() {
    let trace = read(TRACE, 512).unwrap();
    let [first, second] = &trace.requests[..] else {
        panic!("two requests")
    };
    assert_eq!(
        (first.place.as_str(), second.place.as_str()),
        ("line 2", "line 4")
    );
    assert_eq!(first.at, Duration::from_millis(27_482));
    assert_eq!((first.output_len, second.output_len), (Some(52), Some(26)));
    let Prompt::Blocks { ids, tokens } = &second.prompt else {
        panic!("blocks")
    };
    assert_eq!((ids.len(), *tokens), (13, 6472));
    assert!(trace.notes.is_empty());
}

#[test]
fn fields_that_mean_nothing_here_are_noted() {
    let line = r#"{"timestamp": 0, "input_length": 3, "output_length": 2, "hash_ids": [1], "turn": 1, "type": "text"}"#;
    let notes = read(line, 512).unwrap().notes;
    assert_eq!(notes, ["fields that are not replayed: turn, type"]);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_field() {
    let check = |line: &str, words: &[&str]| {
        let good = r#"{"timestamp": 0, "input_length": 3, "output_length": 2, "hash_ids": [1]}"#;
        let error = format!("{:#}", read(&format!("{good}\n{line}"), 512).unwrap_err());
        assert!(error.starts_with("line 2"), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    check("{", &["no JSON"]);
    check("[1]", &["no JSON object"]);
    check(r#"{"input_length": 3}"#, &["\"timestamp\"", "missing"]);
    check(
        r#"{"timestamp": -1, "input_length": 3}"#,
        &["\"timestamp\"", "-1"],
    );
    check(
        r#"{"timestamp": 1, "input_length": 0}"#,
        &["\"input_length\"", "0 is no number of tokens"],
    );
    check(
        r#"{"timestamp": 1, "input_length": 3, "output_length": "x"}"#,
        &["\"output_length\""],
    );
    check(
        r#"{"timestamp": 1, "input_length": 3, "output_length": 2, "hash_ids": [1, "b"]}"#,
        &["\"hash_ids\""],
    );
    check(
        r#"{"timestamp": 1, "input_length": 513, "output_length": 2, "hash_ids": [1]}"#,
        &[
            "\"hash_ids\"",
            "513 tokens in blocks of 512 have 2 ids, there are 1",
        ],
    );
}
