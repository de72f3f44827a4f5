use std::time::Duration;

use super::read;
use crate::bench::endpoint::Endpoint;
use crate::bench::replay::trace::Prompt;

#[test]
fn bodies_times_and_order_are_read() {
    let text = r#"{"at_ms": 0, "id": "a", "body": {"messages": [], "max_tokens": 3}}
                  {"at_ms": 1.5, "follows": "a", "body": {"prompt": [1, 2]}}"#;
    let trace = read(text).unwrap();
    let [first, second] = &trace.requests[..] else {
        panic!("two requests")
    };
    assert_eq!((first.follows, second.follows), (None, Some(0)));
    assert_eq!(second.at, Duration::from_micros(1500));
    let endpoint = |prompt: &Prompt| match prompt {
        Prompt::Body { endpoint, .. } => *endpoint,
        other => panic!("{other:?}"),
    };
    assert_eq!(endpoint(&first.prompt), Endpoint::Chat);
    assert_eq!(endpoint(&second.prompt), Endpoint::Completions);
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_field() {
    let check = |line: &str, words: &[&str]| {
        let good = r#"{"at_ms": 0, "id": "a", "body": {"prompt": "x"}}"#;
        let error = format!("{:#}", read(&format!("{good}\n{line}")).unwrap_err());
        assert!(error.starts_with("line 2"), "{error}");
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    check(r#"{"body": {"prompt": "x"}}"#, &["\"at_ms\"", "missing"]);
    check(r#"{"at_ms": 1}"#, &["\"body\"", "missing"]);
    check(
        r#"{"at_ms": 1, "body": {}}"#,
        &["\"body\"", "`messages` or `prompt`"],
    );
    check(
        r#"{"at_ms": 1, "body": {"prompt": "x", "stream_options": 1}}"#,
        &["\"body\"", "stream_options"],
    );
    check(
        r#"{"at_ms": 1, "id": "a", "body": {"prompt": "x"}}"#,
        &["\"id\"", "twice"],
    );
    check(
        r#"{"at_ms": 1, "id": "b", "follows": "b", "body": {"prompt": "x"}}"#,
        &["\"follows\"", "no earlier line"],
    );
    check(
        r#"{"at_ms": 1, "then": 2, "body": {"prompt": "x"}}"#,
        &["\"then\"", "none of"],
    );
}
