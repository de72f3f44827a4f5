use std::path::PathBuf;

use serde_json::{Value, json};

use super::{WhyArgs, run};

fn body(folder: &std::path::Path, name: &str, body: &Value) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, body.to_string()).expect("a folder");
    path
}

fn why(a: &Value, b: &Value, json: bool) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let args = WhyArgs {
        a: body(folder.path(), "a.json", a),
        b: body(folder.path(), "b.json", b),
        model: None,
        block_size: 16,
        json,
    };
    let mut out = Vec::new();
    run(&args, &mut out)?;
    Ok(String::from_utf8(out)?)
}

fn chat(clock: &str) -> Value {
    let long = "The quick brown fox jumps over the lazy dog. ".repeat(5);
    json!({"model": "whatever", "temperature": 0, "messages": [
        {"role": "system", "content": format!("It is {clock}. {long}")},
        {"role": "user", "content": "Who jumps?"},
    ]})
}

#[test]
fn the_clock_in_the_system_prompt_is_found() {
    let told = why(&chat("11:30"), &chat("12:30"), true).expect("good bodies");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(
        told["message"],
        json!({"index": 0, "role": "system"}),
        "{told}"
    );
    let text = |side: &str| {
        let field = |name: &str| told[side][name].as_str().expect("a text").to_owned();
        field("before") + &field("text") + &field("after")
    };
    assert!(
        text("a").contains("It is 11:30") && text("b").contains("It is 12:30"),
        "{told}"
    );
    let count = |name: &str| told[name].as_u64().expect("a count");
    assert_eq!(
        count("computed_tokens"),
        count("b_tokens") - count("shared_tokens")
    );
    assert!(count("same_end_tokens") > 40, "{told}");
    let told = why(&chat("11:30"), &chat("12:30"), false).expect("good bodies");
    assert!(
        told.contains("message 0 (system)") && told.contains("would be cached"),
        "{told}"
    );
}

#[test]
fn a_longer_conversation_costs_what_is_new() {
    let a = chat("11:30");
    let mut b = a.clone();
    let more = [
        json!({"role": "assistant", "content": "The fox."}),
        json!({"role": "user", "content": "Over whom?"}),
    ];
    b["messages"].as_array_mut().expect("an array").extend(more);
    let told = why(&a, &b, false).expect("good bodies");
    assert!(
        told.contains("A ends there; B goes on in message 2 (assistant)"),
        "{told}"
    );
    let same = why(&a, &a, false).expect("good bodies");
    assert!(
        same.contains("They are the same.") && same.contains(" 1 computed"),
        "{same}"
    );
}

#[test]
fn texts_are_compared_too() {
    let told = why(
        &json!({"prompt": "one two three"}),
        &json!({"prompt": "one two four"}),
        false,
    );
    let told = told.expect("good bodies");
    assert!(
        told.contains("one two[ th]ree") && told.contains("one two[ f]our"),
        "{told}"
    );
}

#[test]
fn a_wrong_body_is_named() {
    let error = why(&json!({"messages": 3}), &chat("1"), false).expect_err("no messages");
    let told = format!("{error:#}");
    assert!(
        told.contains("a.json") && told.contains("messages"),
        "{told}"
    );
    let error = why(&chat("1"), &json!({"prompt": [1, 2]}), false).expect_err("no text");
    assert!(format!("{error:#}").contains("b.json"), "{error:#}");
}
