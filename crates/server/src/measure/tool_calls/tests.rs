use serde_json::{Value, json};

use super::ToolCalls;

fn calls(pieces: &[Value]) -> ToolCalls {
    let mut calls = ToolCalls::default();
    for piece in pieces {
        calls.add(&serde_json::from_value(piece.clone()).unwrap());
    }
    calls
}

#[test]
fn pieces_become_the_calls_they_belong_to() {
    let calls = calls(&[
        json!({"index": 0, "id": "a", "function": {"name": "read", "arguments": ""}}),
        json!({"index": 1, "id": "b", "function": {"name": "list"}}),
        json!({"index": 0, "function": {"arguments": "{\"x\""}}),
        json!({"index": 0, "function": {"arguments": ": 1}"}}),
        json!({"function": {"arguments": "{}"}}),
    ]);
    let whole = json!([
        {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{\"x\": 1}"}},
        {"id": "b", "type": "function", "function": {"name": "list", "arguments": "{}"}},
    ]);
    assert_eq!(calls.to_json(), whole);
    assert_eq!(calls.ids().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((calls.broken(), calls.is_empty()), (0, false));
}

#[test]
fn arguments_that_were_cut_are_counted_and_left_out() {
    for arguments in ["", "{\"x\": ", "[1]"] {
        let calls = calls(&[
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": arguments}}),
        ]);
        assert_eq!(calls.broken(), 1, "{arguments:?}");
        assert_eq!(calls.to_json()[0]["function"]["arguments"], "{}");
    }
    assert!(calls(&[]).is_empty());
}
