//! Tool calls out of the pieces in which a stream brings them.

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The calls of one answer, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolCalls(Vec<ToolCall>);

/// A part of a call: names come whole, arguments in pieces.
#[derive(Debug, Deserialize)]
pub(crate) struct CallPiece {
    /// Which call of the answer it belongs to; the last one where a server does not say it.
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionPiece>,
}

#[derive(Debug, Deserialize)]
struct FunctionPiece {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ToolCall {
    index: usize,
    id: String,
    name: String,
    arguments: String,
}

impl ToolCalls {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn add(&mut self, piece: &CallPiece) {
        let last = self.0.last().map_or(0, |call| call.index);
        let index = piece.index.unwrap_or(last);
        let place = match self.0.iter().position(|call| call.index == index) {
            Some(place) => place,
            None => {
                self.0.push(ToolCall {
                    index,
                    id: String::new(),
                    name: String::new(),
                    arguments: String::new(),
                });
                self.0.len() - 1
            }
        };
        let call = &mut self.0[place];
        call.id.extend(piece.id.as_deref());
        if let Some(function) = &piece.function {
            call.name.extend(function.name.as_deref());
            call.arguments.extend(function.arguments.as_deref());
        }
    }

    /// The identifiers by which results name their calls.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|call| call.id.as_str())
    }

    /// How many have arguments that are no JSON object, because the answer was cut or the model erred.
    pub(crate) fn broken(&self) -> usize {
        self.0.iter().filter(|call| !call.is_whole()).count()
    }

    /// As the message of the assistant has them. Broken arguments are `{}` there, because servers
    /// refuse a history with others.
    pub(crate) fn to_json(&self) -> Value {
        let call = |call: &ToolCall| {
            let arguments = if call.is_whole() {
                &call.arguments
            } else {
                "{}"
            };
            json!({
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments},
            })
        };
        self.0.iter().map(call).collect()
    }
}

impl ToolCall {
    fn is_whole(&self) -> bool {
        serde_json::from_str::<Map<String, Value>>(&self.arguments).is_ok()
    }
}

#[cfg(test)]
mod tests;
