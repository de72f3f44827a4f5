//! Messages of Ollama's API, whose calls have no ids: results follow in the order of the calls.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// Messages as a chat has them.
///
/// # Errors
/// The first wrong one, by its number.
pub(super) fn to_chat(messages: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    let mut waiting = VecDeque::new();
    let numbered = messages.into_iter().enumerate();
    numbered
        .map(|(index, message)| to_message(index, message, &mut waiting))
        .collect()
}

/// `waiting` are the ids of calls without a result, and their names.
fn to_message(
    index: usize,
    message: Value,
    waiting: &mut VecDeque<(String, String)>,
) -> Result<Value, ApiError> {
    let path = format!("messages[{index}]");
    let mut fields = Fields::from_value(path.clone(), message)?;
    let role = fields
        .string("role")?
        .ok_or_else(|| fields.missing("role"))?;
    let content = fields.string("content")?.unwrap_or_default();
    let thinking = fields.string("thinking")?.filter(|text| !text.is_empty());
    let calls = fields.array("tool_calls")?.unwrap_or_default();
    let name = fields.string("tool_name")?;
    let name = name.or(fields.string("name")?);
    let id = fields.string("tool_call_id")?;
    fields.finish(&[], &[("images", "this server's models read text.")])?;
    let mut said = json!({"role": role, "content": content});
    if let Some(thinking) = thinking {
        said["reasoning_content"] = thinking.into();
    }
    if !calls.is_empty() {
        let calls = calls.into_iter().enumerate().map(|(number, call)| {
            let path = format!("{path}.tool_calls[{number}]");
            to_call(&path, call, format!("call_{index}_{number}"), waiting)
        });
        said["tool_calls"] = Value::Array(calls.collect::<Result<_, _>>()?);
    }
    if role == "tool" {
        let id = id.or_else(|| answered(name.as_deref(), waiting));
        let id = id.ok_or_else(|| {
            let message = format!("`{path}`: no call before it waits for a result.");
            ApiError::field(&path, message)
        })?;
        said["tool_call_id"] = id.into();
        if let Some(name) = name {
            said["name"] = name.into();
        }
    }
    Ok(said)
}

/// The id of the call that a result is of: the first that waits, of the tool if it is named.
fn answered(name: Option<&str>, waiting: &mut VecDeque<(String, String)>) -> Option<String> {
    let is_it = |(_, called): &(String, String)| name.is_none_or(|name| name == called);
    let at = waiting.iter().position(is_it)?;
    waiting.remove(at).map(|(id, _)| id)
}

fn to_call(
    path: &str,
    call: Value,
    made_id: String,
    waiting: &mut VecDeque<(String, String)>,
) -> Result<Value, ApiError> {
    let mut call = Fields::from_value(path.to_owned(), call)?;
    let id = call.string("id")?.unwrap_or(made_id);
    call.value("type");
    let function = call
        .object("function")?
        .ok_or_else(|| call.missing("function"))?;
    let inner = call.path("function");
    call.finish(&[], &[])?;
    let mut function = Fields::from_value(inner, Value::Object(function))?;
    let name = function
        .string("name")?
        .ok_or_else(|| function.missing("name"))?;
    let arguments = function.object("arguments")?.unwrap_or_default();
    function.finish(&["index", "description"], &[])?;
    waiting.push_back((id.clone(), name.clone()));
    let arguments = Value::Object(arguments).to_string();
    Ok(json!({"id": id, "type": "function",
        "function": {"name": name, "arguments": arguments}}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_belong_to_calls_in_their_order_or_by_name() {
        let call = |name: &str| json!({"function": {"name": name, "arguments": {"a": 1}}});
        let messages = vec![
            json!({"role": "user", "content": "Hi"}),
            json!({"role": "assistant", "thinking": "Hm.", "tool_calls": [call("f"), call("g")]}),
            json!({"role": "tool", "tool_name": "g", "content": "2"}),
            json!({"role": "tool", "content": "1"}),
        ];
        let chat = to_chat(messages).expect("good messages");
        assert_eq!(
            chat[1]["tool_calls"][0]["function"]["arguments"],
            "{\"a\":1}"
        );
        assert_eq!(chat[1]["reasoning_content"], "Hm.");
        assert_eq!(chat[2]["tool_call_id"], chat[1]["tool_calls"][1]["id"]);
        assert_eq!(chat[3]["tool_call_id"], chat[1]["tool_calls"][0]["id"]);
    }

    #[test]
    fn wrong_messages_are_named() {
        for (message, named) in [
            (json!(1), "`messages[0]`"),
            (json!({"content": "x"}), "`messages[0].role`"),
            (json!({"role": "tool", "content": "x"}), "`messages[0]`"),
            (
                json!({"role": "user", "content": "x", "images": ["aGk="]}),
                "`messages[0].images`",
            ),
            (
                json!({"role": "assistant", "tool_calls": [{}]}),
                "`messages[0].tool_calls[0].function`",
            ),
            (
                json!({"role": "user", "content": "x", "foo": 1}),
                "`messages[0].foo`",
            ),
        ] {
            let error = to_chat(vec![message.clone()]).expect_err("a wrong message");
            assert!(
                error.message().contains(named),
                "{message}: {}",
                error.message()
            );
        }
    }
}
