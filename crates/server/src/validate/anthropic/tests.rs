use std::time::Duration;

use serde_json::json;

use super::*;
use crate::budget::place::Place;
use crate::validate::budget::Target;
use crate::validate::chat;

const LIMITS: RequestLimits = RequestLimits {
    max_body_bytes: 1 << 20,
    max_messages: 32,
    max_n: 8,
    max_logprobs: 20,
    keep_alive: Duration::from_secs(15),
};

fn fields(body: &Value) -> Fields {
    Fields::from_value(String::new(), body.clone()).expect("an object")
}

/// As a chat completion.
fn chat(body: &Value) -> Result<Conversation, ApiError> {
    chat::conversation(&mut fields(body), &LIMITS)
}

/// As Anthropic's API has it.
fn own(body: &Value) -> Result<Conversation, ApiError> {
    let mut fields = fields(body);
    let conversation = conversation(&mut fields, &LIMITS)?;
    fields.finish(&[], &[])?;
    Ok(conversation)
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn user(content: &Value) -> Value {
    json!({"role": "user", "content": content})
}

fn assistant(content: &Value) -> Value {
    json!({"role": "assistant", "content": content})
}

fn tool_use(id: &str, input: &Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": "look", "input": input})
}

fn tool_result(id: &str, content: &Value) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn called(id: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function",
        "function": {"name": "look", "arguments": arguments}})
}

/// A loop of tools in Anthropic's shape.
fn tool_loop() -> Value {
    let mark = json!({"type": "ephemeral"});
    let mut marked = tool_result("b", &json!([text("deep"), text("and cold")]));
    marked["content"][0]["cache_control"] = mark.clone();
    let mut failed = tool_result("c", &json!("no such fjord"));
    failed["is_error"] = json!(true);
    json!([
        user(&json!([
            {"type": "document", "title": "Fjords", "context": "an encyclopedia",
             "source": {"type": "text", "media_type": "text/plain", "data": "A fjord is deep."}},
            text("How deep?"),
        ])),
        assistant(&json!([
            {"type": "thinking", "thinking": "I must look.", "signature": "s"},
            text("I look."),
            tool_use("a", &json!({"at": "fjord"})),
            tool_use("b", &json!({})),
        ])),
        user(&json!([
            tool_result("a", &json!("1308 m")),
            marked,
            {"type": "search_result", "source": "https://a", "title": "Hit",
             "content": [text("Sognefjord")]},
            {"type": "text", "text": "Go on.", "cache_control": mark},
        ])),
        assistant(&json!([{"type": "redacted_thinking", "data": "x"}, tool_use("c", &json!({}))])),
        user(&json!([failed])),
    ])
}

#[test]
fn a_loop_of_tools_becomes_openais_messages() {
    let conversation = chat(&json!({"messages": tool_loop()})).expect("a good conversation");
    let result =
        |id: &str, content: &str| json!({"role": "tool", "tool_call_id": id, "content": content});
    let expected = [
        user(&json!([
            text("Title: Fjords\nContext: an encyclopedia\nA fjord is deep."),
            text("How deep?")
        ])),
        json!({"role": "assistant", "content": "I look.", "reasoning_content": "I must look.",
            "tool_calls": [called("a", r#"{"at":"fjord"}"#), called("b", "{}")]}),
        result("a", "1308 m"),
        result("b", "deep\nand cold"),
        user(&json!([
            text("Title: Hit\nSource: https://a\nSognefjord"),
            text("Go on.")
        ])),
        json!({"role": "assistant", "content": null, "tool_calls": [called("c", "{}")]}),
        result("c", "Error: no such fjord"),
    ];
    assert_eq!(conversation.messages, expected);
    let notes = &conversation.notes;
    assert_eq!(notes.origins, [0, 1, 2, 2, 2, 3, 4].map(Some));
    assert_eq!(
        notes.marks,
        [Place::Message(3), Place::Part(4, 1)].map(|place| Mark {
            place: MarkPlace::Place(place),
            ttl: CacheTtl::FiveMinutes,
        })
    );
    let documents: Vec<_> = notes.documents.iter().copied().collect();
    assert_eq!(documents, [Place::Part(0, 0), Place::Part(4, 0)]);
    assert_eq!(notes.num_redacted, 1);
}

#[test]
fn the_request_of_anthropics_api_is_a_conversation() {
    let schema = json!({"type": "object", "properties": {}});
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let body = json!({
        "system": [text("Be brief."), {"type": "text", "text": "Be kind.", "cache_control": mark}],
        "messages": [user(&json!("Hi")), assistant(&json!("Well,"))],
        "tools": [{"name": "look", "description": "Looks.", "input_schema": schema,
            "cache_control": mark}],
        "tool_choice": {"type": "auto"},
        "cache_control": mark,
    });
    let conversation = own(&body).expect("a good request");
    let system = json!({"role": "system", "content": [text("Be brief."), text("Be kind.")]});
    let said = [system, user(&json!("Hi")), assistant(&json!("Well,"))];
    assert_eq!(conversation.messages, said);
    let tool = json!({"type": "function",
        "function": {"name": "look", "description": "Looks.", "parameters": schema}});
    assert_eq!(conversation.tools, Tools::new(vec![tool], true));
    let notes = &conversation.notes;
    assert_eq!(notes.origins, [None, Some(0), Some(1)]);
    let [system, tool] = [Place::Part(0, 1), Place::Tool(0)].map(MarkPlace::Place);
    let marks = [system, tool, MarkPlace::Message(2)].map(|place| Mark {
        place,
        ttl: CacheTtl::Hour,
    });
    assert_eq!(notes.marks, marks);
    assert!(conversation.continue_final_message && !conversation.add_generation_prompt);
}

#[test]
fn openais_messages_stay_as_they_are() {
    let message = json!({"content": [text("a"), {"type": "text", "text": "b", "more": 1}],
        "name": "eve", "role": "user"});
    let refusal = assistant(&json!([{"type": "refusal", "refusal": "No."}]));
    let result = json!({"role": "tool", "tool_call_id": "x", "content": [text("c")]});
    let messages = json!([message, refusal, result]);
    let conversation = chat(&json!({"messages": messages})).expect("good messages");
    let said = assistant(&json!([text("No.")]));
    assert_eq!(conversation.messages, [message.clone(), said, result]);
    // Not only the same fields: templates that print them all see their order.
    assert_eq!(conversation.messages[0].to_string(), message.to_string());
    assert_eq!(conversation.notes.origins, [0, 1, 2].map(Some));
}

#[test]
fn notes_are_taken_from_parts_calls_and_messages() {
    let mut call = tool_use("a", &json!({}));
    call["context"] = json!({"pin": true});
    let mut result = tool_result("a", &json!("r"));
    result["context"] = json!({"score": 0.5, "id": "r"});
    let part = json!({"type": "text", "text": "p", "context": {"zone": "memory"}});
    let mut said = user(&json!([part, text("q")]));
    said["context"] = json!({"tier": "clearable", "depends_on": ["r"]});
    let body = json!({"messages": [user(&json!("?")), assistant(&json!([call])),
        user(&json!([result])), said]});
    let conversation = chat(&body).expect("good notes");
    let notes = conversation.notes.annotations;
    let targets: Vec<_> = notes.iter().map(|note| note.target.clone()).collect();
    let expected = [
        Target::Place(Place::Call(1, 0)),
        Target::Place(Place::Message(2)),
        Target::Message(3),
        Target::Place(Place::Part(3, 0)),
    ];
    assert_eq!(targets, expected);
    let paths: Vec<_> = notes.iter().map(|note| note.path.as_str()).collect();
    let content = |message: usize| format!("messages[{message}].content[0].context");
    let (first, second, last) = (content(1), content(2), content(3));
    assert_eq!(
        paths,
        [first.as_str(), &second, "messages[3].context", &last]
    );
    assert!(!json!(conversation.messages).to_string().contains("context"));
}

#[test]
fn a_wrong_block_is_named_with_its_path() {
    let document = |source: &Value| user(&json!([{"type": "document", "source": source}]));
    let asked = assistant(&json!([tool_use("a", &json!({}))]));
    let answer = tool_result("a", &json!("r"));
    let image = json!([{"type": "image", "source": {}}]);
    let blocks = [
        (user(&image), "content[0]"),
        (user(&json!([{"text": "x"}])), "content[0]"),
        (user(&json!([{"type": "text"}])), "content[0].text"),
        (user(&json!([tool_use("b", &json!({}))])), "content[0].type"),
        (assistant(&json!([answer])), "content[0].type"),
        (
            assistant(&json!([tool_use("b", &json!("{}"))])),
            "content[0].input",
        ),
        (
            assistant(&json!([{"type": "tool_use", "name": "x", "input": {}}])),
            "content[0].id",
        ),
        (
            assistant(&json!([{"type": "thinking", "thinking": "x",
                "cache_control": {"type": "ephemeral"}}])),
            "content[0].cache_control",
        ),
        (
            user(&json!([tool_result("z", &json!("r"))])),
            "content[0].tool_use_id",
        ),
        (
            user(&json!([tool_result("a", &image)])),
            "content[0].content[0]",
        ),
        (user(&json!([text("late"), answer])), "content[1]"),
        (
            document(&json!({"type": "base64", "data": "x"})),
            "content[0].source",
        ),
        (document(&json!({"type": "text"})), "content[0].source.data"),
        (
            user(
                &json!([{"type": "search_result", "source": "s", "title": "t", "content": [],
                "citations": {"enabled": true}}]),
            ),
            "content[0].citations.enabled",
        ),
        (
            json!({"role": "assistant", "content": [tool_use("b", &json!({}))],
                "tool_calls": [called("c", "{}")]}),
            "tool_calls",
        ),
        (
            json!({"role": "tool", "tool_call_id": "a", "content": [
                {"type": "text", "text": "x", "context": {"pin": true}}]}),
            "content[0].context",
        ),
    ];
    for (message, path) in blocks {
        let body = json!({"messages": [user(&json!("?")), asked, message]});
        let error = chat(&body).expect_err("something is wrong");
        let expected = format!("messages[2].{path}");
        assert_eq!(error.body()["error"]["param"], expected, "{message}");
    }
}

#[test]
fn a_wrong_field_beside_the_messages_is_named() {
    let schema = json!({"type": "object"});
    let tool = |tool: Value| json!({"messages": [user(&json!("Hi"))], "tools": [tool]});
    let wrong = [
        (tool(json!({"name": "x"})), "tools[0].input_schema"),
        (tool(json!({"input_schema": schema})), "tools[0].name"),
        (
            tool(json!({"name": "a b", "input_schema": schema})),
            "tools[0].name",
        ),
        (
            tool(json!({"type": "bash_20250124", "name": "bash"})),
            "tools[0].type",
        ),
        (
            tool(json!({"name": "x", "input_schema": schema, "strict": "yes"})),
            "tools[0].strict",
        ),
        (
            tool(json!({"name": "x", "input_schema": schema, "parameters": {}})),
            "tools[0].parameters",
        ),
        (
            json!({"messages": [user(&json!("Hi"))], "tool_choice": {"type": "any"}}),
            "tool_choice.type",
        ),
        (
            json!({"messages": [{"role": "system", "content": "x"}]}),
            "messages[0].role",
        ),
        (
            json!({"messages": [user(&json!("Hi"))], "system": 3}),
            "system",
        ),
        (
            json!({"messages": [user(&json!("Hi"))], "system": [{"type": "text", "text": "x",
                "cache_control": {"type": "eternal"}}]}),
            "system[0].cache_control",
        ),
    ];
    for (body, path) in wrong {
        let error = own(&body).expect_err("something is wrong");
        assert_eq!(error.body()["error"]["param"], path, "{body}");
    }
}
