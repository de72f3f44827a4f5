//! The items of a response's input as messages of a chat.
//!
//! What the model did in one turn stands in several items (reasoning, a message, calls) and is one
//! message of a chat.

use serde_json::{Map, Value, json};

use crate::validate::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// What a request adds to a conversation.
pub(super) struct Input {
    /// Messages of a chat, and the number of the item that each begins with.
    pub(super) messages: Vec<(usize, Value)>,
    /// The items as they came; a text is a message of the user.
    pub(super) items: Vec<Value>,
}

/// Takes `input`, which follows the messages `before`.
///
/// # Errors
/// The first wrong item, by its number.
pub(super) fn input(fields: &mut Fields, before: &[Value], max: usize) -> Result<Input, ApiError> {
    let items = match fields.value("input") {
        None => return Err(fields.missing("input")),
        Some(Value::String(text)) => {
            let content = json!([{"type": "input_text", "text": text}]);
            vec![json!({"type": "message", "role": "user", "content": content})]
        }
        Some(Value::Array(items)) => items,
        Some(other) => return Err(wrong_type("input", "a string or an array of items", &other)),
    };
    if items.is_empty() {
        let message = "`input` is empty: a conversation has at least one message.";
        return Err(ApiError::field("input", message));
    }
    if before.len() + items.len() > max {
        let len = before.len() + items.len();
        let message = format!("`input` makes a conversation of {len} items, at most {max}.");
        return Err(ApiError::field("input", message));
    }
    let mut reader = Reader::default();
    for calls in before.iter().filter_map(|it| it["tool_calls"].as_array()) {
        let ids = calls.iter().filter_map(|call| call["id"].as_str());
        reader.calls.extend(ids.map(str::to_owned));
    }
    for (index, item) in items.iter().enumerate() {
        reader.index = index;
        reader.item(item.clone())?;
    }
    reader.close();
    Ok(Input {
        messages: reader.messages,
        items,
    })
}

#[derive(Default)]
struct Reader {
    messages: Vec<(usize, Value)>,
    /// What the model did in the turn that is being read, and the number of its first item.
    open: Option<(usize, Map<String, Value>)>,
    /// Ids of the calls so far.
    calls: Vec<String>,
    index: usize,
}

impl Reader {
    fn item(&mut self, item: Value) -> Result<(), ApiError> {
        let path = format!("input[{}]", self.index);
        let mut item = Fields::from_value(path, item)?;
        let kind = item.string("type")?;
        match kind.as_deref().unwrap_or("message") {
            "message" => self.message(&mut item)?,
            "reasoning" => self.reasoning(&mut item)?,
            "function_call" => self.call(&mut item)?,
            "function_call_output" => self.output(&mut item)?,
            "item_reference" => {
                let message = format!(
                    "`{}`: items are not kept one by one; use `previous_response_id`.",
                    item.name()
                );
                return Err(ApiError::unsupported(item.name(), message));
            }
            other => {
                let path = item.path("type");
                let message = format!("`{path}`: items of type `{other}` are not supported.");
                return Err(ApiError::unsupported(path, message));
            }
        }
        // What a response has told of the item, and clients send back.
        item.finish(&["id", "status", "phase"], &[])
    }

    fn message(&mut self, item: &mut Fields) -> Result<(), ApiError> {
        let role = item.string("role")?.ok_or_else(|| item.missing("role"))?;
        if !matches!(role.as_str(), "user" | "assistant" | "system" | "developer") {
            let path = item.path("role");
            let message = format!("`{path}` must be user, assistant, system or developer.");
            return Err(ApiError::field(path, message));
        }
        let path = item.path("content");
        let content = item
            .value("content")
            .ok_or_else(|| item.missing("content"))?;
        let content = content_of(&path, content)?;
        if role != "assistant" {
            self.close();
            let message = json!({"role": role, "content": content});
            self.messages.push((self.index, message));
            return Ok(());
        }
        self.turn(&["content", "tool_calls"])
            .insert("content".to_owned(), content);
        Ok(())
    }

    fn reasoning(&mut self, item: &mut Fields) -> Result<(), ApiError> {
        let mut texts = Vec::new();
        for name in ["content", "summary"] {
            let path = item.path(name);
            for (number, part) in item.array(name)?.into_iter().flatten().enumerate() {
                let path = format!("{path}[{number}]");
                let mut part = Fields::from_value(path, part)?;
                part.value("type");
                let text = part.string("text")?.ok_or_else(|| part.missing("text"))?;
                part.finish(&[], &[])?;
                texts.push((name, text));
            }
        }
        item.value("encrypted_content");
        // The whole of it, or else what is there in its place.
        let has_whole = texts.iter().any(|(name, _)| *name == "content");
        let told = texts
            .into_iter()
            .filter(|(name, _)| !has_whole || *name == "content");
        let told: Vec<String> = told.map(|(_, text)| text).collect();
        if !told.is_empty() {
            let turn = self.turn(&["reasoning_content", "content", "tool_calls"]);
            turn.insert("reasoning_content".to_owned(), told.join("\n\n").into());
        }
        Ok(())
    }

    fn call(&mut self, item: &mut Fields) -> Result<(), ApiError> {
        let mut text = |name| item.string(name)?.ok_or_else(|| item.missing(name));
        let (id, name) = (text("call_id")?, text("name")?);
        let arguments = text("arguments")?;
        let call = json!({"id": id, "type": "function",
            "function": {"name": name, "arguments": arguments}});
        self.calls.push(id);
        let turn = self.turn(&[]);
        turn.entry("content").or_insert(Value::Null);
        let calls = turn.entry("tool_calls").or_insert_with(|| json!([]));
        if let Some(calls) = calls.as_array_mut() {
            calls.push(call);
        }
        Ok(())
    }

    fn output(&mut self, item: &mut Fields) -> Result<(), ApiError> {
        let id = item
            .string("call_id")?
            .ok_or_else(|| item.missing("call_id"))?;
        let path = item.path("output");
        let output = item.value("output").ok_or_else(|| item.missing("output"))?;
        let content = content_of(&path, output)?;
        if !self.calls.contains(&id) {
            let path = item.path("call_id");
            let message = format!("`{path}`: no `function_call` before it has the id {id:?}.");
            return Err(ApiError::field(path, message));
        }
        self.close();
        let message = json!({"role": "tool", "tool_call_id": id, "content": content});
        self.messages.push((self.index, message));
        Ok(())
    }

    /// The turn of the model that the item belongs to: another one if this has one of `taken`.
    fn turn(&mut self, taken: &[&str]) -> &mut Map<String, Value> {
        let is_taken = |turn: &Map<String, Value>| {
            let has = |name: &&str| turn.get(*name).is_some_and(|value| !value.is_null());
            taken.iter().any(has)
        };
        if self.open.as_ref().is_some_and(|(_, turn)| is_taken(turn)) {
            self.close();
        }
        let index = self.index;
        let (_, turn) = self.open.get_or_insert_with(|| {
            let role = ("role".to_owned(), Value::from("assistant"));
            (index, Map::from_iter([role]))
        });
        turn
    }

    fn close(&mut self) {
        if let Some((index, mut turn)) = self.open.take() {
            turn.entry("content").or_insert_with(|| "".into());
            self.messages.push((index, Value::Object(turn)));
        }
    }
}

/// A text, or the texts of parts.
fn content_of(path: &str, content: Value) -> Result<Value, ApiError> {
    let parts = match content {
        Value::String(_) => return Ok(content),
        Value::Array(parts) => parts,
        other => return Err(wrong_type(path, "a string or an array of parts", &other)),
    };
    let mut texts = Vec::with_capacity(parts.len());
    for (number, part) in parts.into_iter().enumerate() {
        let mut part = Fields::from_value(format!("{path}[{number}]"), part)?;
        let kind = part.string("type")?.ok_or_else(|| part.missing("type"))?;
        let name = match kind.as_str() {
            "input_text" | "output_text" | "text" => "text",
            "refusal" => "refusal",
            other => {
                let message = format!(
                    "`{}`: content of type `{other}` is not supported; this server's models read \
                     text.",
                    part.name()
                );
                return Err(ApiError::unsupported(part.name(), message));
            }
        };
        let text = part.string(name)?.ok_or_else(|| part.missing(name))?;
        part.finish(&["annotations", "logprobs"], &[])?;
        texts.push(text);
    }
    Ok(match texts.len() {
        // A text alone is a plain text, as most templates expect it.
        0 | 1 => texts.pop().unwrap_or_default().into(),
        _ => {
            let parts = texts
                .iter()
                .map(|text| json!({"type": "text", "text": text}));
            Value::Array(parts.collect())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &Value, before: &[Value]) -> Result<Vec<(usize, Value)>, ApiError> {
        let mut fields = Fields::from_value(String::new(), json!({"input": input}))?;
        Ok(super::input(&mut fields, before, 100)?.messages)
    }

    fn call(id: &str) -> Value {
        json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}",
            "id": "fc_1", "status": "completed"})
    }

    fn chat_call(id: &str) -> Value {
        json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}})
    }

    #[test]
    fn a_turn_of_several_items_is_one_message() {
        let input = json!([
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}],
             "content": [{"type": "reasoning_text", "text": "Hm."}], "encrypted_content": null},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
             "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
            call("a"), call("b"),
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b",
             "output": [{"type": "input_text", "text": "2"}]},
            {"type": "message", "role": "assistant", "content": "Both."},
            {"type": "message", "role": "assistant", "content": "And more."},
            {"role": "developer", "content": [{"type": "input_text", "text": "x"},
             {"type": "input_text", "text": "y"}]},
        ]);
        let expected = vec![
            (0, json!({"role": "user", "content": "Hi"})),
            (
                1,
                json!({"role": "assistant", "reasoning_content": "Hm.", "content": "I look.",
                "tool_calls": [chat_call("a"), chat_call("b")]}),
            ),
            (
                5,
                json!({"role": "tool", "tool_call_id": "a", "content": "1"}),
            ),
            (
                6,
                json!({"role": "tool", "tool_call_id": "b", "content": "2"}),
            ),
            (7, json!({"role": "assistant", "content": "Both."})),
            (8, json!({"role": "assistant", "content": "And more."})),
            (
                9,
                json!({"role": "developer", "content": [{"type": "text", "text": "x"},
                {"type": "text", "text": "y"}]}),
            ),
        ];
        assert_eq!(read(&input, &[]), Ok(expected));
        let text = vec![(0, json!({"role": "user", "content": "Hi"}))];
        assert_eq!(read(&json!("Hi"), &[]), Ok(text));
    }

    #[test]
    fn results_follow_calls_of_this_or_an_earlier_request() {
        let output = json!([{"type": "function_call_output", "call_id": "a", "output": "1"}]);
        let error = read(&output, &[]).expect_err("no call");
        assert!(
            error.message().contains("`input[0].call_id`"),
            "{}",
            error.message()
        );
        let before =
            [json!({"role": "assistant", "content": null, "tool_calls": [chat_call("a")]})];
        assert!(read(&output, &before).is_ok());
        let alone = read(&json!([call("a")]), &[]).expect("a call");
        assert_eq!(alone[0].1["content"], Value::Null);
    }

    #[test]
    fn wrong_items_are_named() {
        for (input, named) in [
            (json!([]), "`input`"),
            (json!(1), "`input`"),
            (json!([1]), "`input[0]`"),
            (json!([{"role": "user"}]), "`input[0].content`"),
            (json!([{"role": "tool", "content": "x"}]), "`input[0].role`"),
            (
                json!([{"role": "user", "content": "x", "nme": 1}]),
                "`input[0].nme`",
            ),
            (json!([{"type": "image"}]), "`input[0].type`"),
            (json!([{"type": "item_reference", "id": "x"}]), "`input[0]`"),
            (
                json!([{"role": "user", "content": [{"type": "input_image"}]}]),
                "`input[0].content[0]`",
            ),
            (
                json!([{"type": "function_call", "name": "f"}]),
                "`input[0].call_id`",
            ),
        ] {
            let error = read(&input, &[]).expect_err("a wrong item");
            assert!(
                error.message().contains(named),
                "{input}: {}",
                error.message()
            );
        }
    }
}
