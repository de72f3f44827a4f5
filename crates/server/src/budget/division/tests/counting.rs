//! Exact counts in hard cases.

use context::{SegmentKind, StablePrefix, Zone};
use serde_json::{Value, json};

use super::families::{Family, family, now, read_body};
use crate::budget::division::Division;
use crate::budget::place::Place;
use crate::prompt;

fn divide(family: &Family, body: &Value) -> Division {
    let conversation = read_body(body).unwrap();
    let notes = &conversation.notes.annotations;
    Division::new(&family.model, &conversation, notes, &[], None, now()).unwrap()
}

/// The text of a segment's tokens.
fn shown(family: &Family, division: &Division, segment: usize) -> String {
    let segment = &division.segments[segment];
    let ids = &division.tokens[segment.start..segment.end()];
    let text = family.model.tokenizer.decode(ids, false).unwrap();
    text.trim().to_owned()
}

fn all_shown(family: &Family, division: &Division) -> Vec<String> {
    let segments = 0..division.segments.len();
    segments.map(|at| shown(family, division, at)).collect()
}

fn says(role: &str, content: &str) -> Value {
    json!({"role": role, "content": content})
}

#[test]
fn marks_do_not_hide_what_a_template_looks_for() {
    // Qwen3 does not take a user message for a question if it is a tool's response in tags.
    let family = family("qwen3");
    let body = json!({"messages": [
        says("user", "Which file?"),
        {"role": "assistant", "content": "I look.", "reasoning_content": "Let me see."},
        says("user", "<tool_response>\nledger.rs and books.rs\n</tool_response>"),
    ]});
    let division = divide(&family, &body);
    let expected = [
        "Which file?",
        "Let me see.",
        "I look.",
        "<tool_response>\nledger.rs and books.rs\n</tool_response>",
    ];
    assert_eq!(all_shown(&family, &division), expected);
    assert!(division.is_exact);
}

#[test]
fn reasoning_that_is_left_out_costs_nothing() {
    let family = family("qwen3");
    let answer = |text: &str, thought: &str| json!({"role": "assistant", "content": text, "reasoning_content": thought});
    // The same thought: the template shows only the later one.
    let body = json!({"messages": [says("user", "One?"), answer("Yes.", "Hm, a thought"),
        says("user", "Two?"), answer("Also.", "Hm, a thought"), says("tool", "a result")]});
    let division = divide(&family, &body);
    assert_eq!(division.segments.len(), 7);
    assert_eq!(
        division.segments[1].tokens, 0,
        "old reasoning is not in the prompt"
    );
    assert_eq!(shown(&family, &division, 4), "Hm, a thought");
    assert!(division.is_exact);
}

#[test]
fn equal_texts_are_each_counted_in_their_place() {
    // The template compares messages with the last question of the user.
    let family = family("mistral_tools");
    let tool = json!({"type": "function", "function": {"name": "read"}});
    let body = json!({"tools": [tool], "messages": [says("user", "go on"),
        says("assistant", "done"), says("user", "go on"), says("assistant", "done"),
        says("user", "go on")]});
    let division = divide(&family, &body);
    assert!(division.is_exact);
    let texts = (0..division.segments.len())
        .filter(|at| division.places[*at].message().is_some())
        .map(|at| shown(&family, &division, at));
    let expected = ["go on", "done", "go on", "done", "go on"];
    assert_eq!(texts.collect::<Vec<_>>(), expected);
}

#[test]
fn tools_and_calls_are_counted_as_a_whole() {
    let function = json!({"name": "get", "description": "Gets.", "parameters": {"type": "object"}});
    let other = json!({"name": "set", "description": "Sets {one}."});
    let called = json!({"name": "get", "arguments": "{\"at\": \"Oslo }\", \"days\": [1, 2]}"});
    let body = json!({
        "tools": [{"type": "function", "function": function},
            {"type": "function", "function": other}],
        "messages": [says("user", "?"),
            {"role": "assistant", "content": null,
             "tool_calls": [{"id": "abcdefghi", "type": "function", "function": called}]},
            {"role": "tool", "tool_call_id": "abcdefghi", "content": "cold"}]});
    for name in ["qwen25", "qwen3", "mistral_tools", "llama3_tools"] {
        let family = family(name);
        let division = divide(&family, &body);
        assert!(division.is_exact, "{name}");
        let of = |wanted: fn(&Place) -> bool| -> Vec<String> {
            let places = division.places.iter().enumerate();
            let found = places.filter(|(_, place)| wanted(place));
            found.map(|(at, _)| shown(&family, &division, at)).collect()
        };
        let tools = of(|place| matches!(place, Place::Tool(_)));
        for (tool, words) in tools.iter().zip(["Gets.", "Sets {one}."]) {
            assert!(
                tool.starts_with('{') && tool.ends_with('}'),
                "{name}: {tools:?}"
            );
            assert!(tool.contains(words), "{name}: {tools:?}");
        }
        let calls = of(|place| matches!(place, Place::Call(..)));
        assert!(
            calls[0].starts_with('{') && calls[0].ends_with('}'),
            "{name}: {calls:?}"
        );
        assert!(
            calls[0].contains("Oslo }") && calls[0].contains("days"),
            "{name}: {calls:?}"
        );
    }
}

#[test]
fn a_mark_on_a_part_ends_the_prefix_with_that_part() {
    for name in ["chatml", "parts", "qwen3"] {
        let family = family(name);
        let mark = json!({"type": "ephemeral"});
        let body = json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": "The first of three."},
            {"type": "text", "text": "The second of three.", "cache_control": mark},
            {"type": "text", "text": "The third of three."}]}]});
        let conversation = read_body(&body).unwrap();
        let division = divide(&family, &body);
        assert!(division.is_exact);
        let until = Some(StablePrefix::CacheControl);
        let end = division
            .marked_end(until, &conversation.notes.marks)
            .unwrap();
        let ids = &division.tokens[..end];
        let prefix = family.model.tokenizer.decode(ids, false).unwrap();
        assert!(
            prefix.trim_end().ends_with("The second of three."),
            "{name}: {prefix:?}"
        );
        let plain = prompt::render(&family.model, &conversation, now()).unwrap();
        assert!(plain.starts_with(&prefix), "{name}: {prefix:?}");
    }
}

#[test]
fn a_mark_on_a_text_leaves_the_calls_behind_it() {
    let text = json!({"type": "text", "text": "I look.", "cache_control": {"type": "ephemeral"}});
    let call = json!({"type": "tool_use", "id": "a", "name": "look", "input": {}});
    let body = json!({"messages": [says("user", "?"),
        {"role": "assistant", "content": [text, call]}]});
    let marks = read_body(&body).unwrap().notes.marks;
    let division = divide(&family("qwen3"), &body);
    let end = division.marked_end(None, &marks).unwrap();
    assert_eq!(division.places[1..], [Place::Message(1), Place::Call(1, 0)]);
    assert_eq!(end, division.segments[1].end());
    assert!(end <= division.segments[2].start);
}

#[test]
fn retrieved_text_beside_a_question_is_told_from_it() {
    let part = |text: &str| json!({"type": "text", "text": text});
    let body = json!({"messages": [{"role": "user", "content": [
        part("<context>Boats float.</context>"), part("Do they?")]}]});
    let zones = |body: &Value| -> Vec<Zone> {
        let division = divide(&family("qwen3"), body);
        division
            .segments
            .iter()
            .map(|segment| segment.zone.clone())
            .collect()
    };
    assert_eq!(zones(&body), [Zone::Retrieval, Zone::LiveTurn]);
    // All that a user says is the question, whatever it is wrapped in.
    let alone = json!({"messages": [says("user", "<context>Boats float.</context>")]});
    assert_eq!(zones(&alone), [Zone::LiveTurn]);
}

#[test]
fn parts_have_zones_of_their_own() {
    let body = json!({"messages": [
        {"role": "user", "content": [
            {"type": "document", "source": {"type": "text", "data": "A fjord is deep."}},
            {"type": "text", "text": "<documents>Boats float.</documents>"},
            {"type": "text", "text": "I like boats.",
             "context": {"zone": "memory", "tier": "offloadable", "pin": true}},
            {"type": "text", "text": "How deep?"}]},
        says("assistant", "Very."),
        {"role": "user", "content": "And cold?", "context": {"depends_on": ["call"]}},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "call", "name": "measure", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call",
            "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "degrees"}]}]}]});
    let division = divide(&family("qwen3"), &body);
    let zones: Vec<&str> = division.segments.iter().map(|s| s.zone.name()).collect();
    let expected = [
        "retrieval",
        "retrieval",
        "memory",
        "history",
        "history",
        "live_turn",
        "live_turn",
        "tool_outputs",
    ];
    assert_eq!(zones, expected);
    let segments = &division.segments;
    assert_eq!(segments[0].kind, SegmentKind::Document);
    // Text in tags may be shortened like a document.
    assert_eq!(segments[1].kind, SegmentKind::Document);
    assert_eq!(
        (&segments[2].kind, segments[2].pinned),
        (&SegmentKind::Memory, true)
    );
    assert_eq!(segments[5].depends_on, [7]);
    assert_eq!(segments[7].zone, Zone::ToolOutputs);
    assert_eq!(division.texts[7], "4\ndegrees");
    assert_eq!(division.messages, [0, 0, 0, 0, 1, 2, 3, 4].map(Some));
}

#[test]
fn a_thousand_messages_are_read_in_one_go() {
    let mut messages = vec![says("system", "Keep it short.")];
    for turn in 0..250 {
        let id = format!("call_{turn}");
        let code = format!("fn fee() -> u32 {{\n    {turn}\n}}\n").repeat(20);
        messages.push(says("user", &format!("What is fee {turn}?")));
        messages.push(
            json!({"role": "assistant", "content": [{"type": "tool_use", "id": id,
            "name": "read", "input": {"path": format!("src/part_{turn}/ledger.rs")}}]}),
        );
        messages.push(json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": id, "content": code}]}));
        messages.push(says("assistant", &format!("The fee is {turn}.")));
    }
    messages.push(says("user", "And the sum?"));
    let division = divide(&family("qwen25"), &json!({"messages": messages}));
    assert!(division.is_exact);
    assert_eq!(division.segments.len(), 1_002);
    let last = division.segments.last().unwrap();
    assert!(last.live && last.turn == 251);
}
