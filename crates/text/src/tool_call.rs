//! Tool calls in a model's text, found while it streams.

mod hermes;
mod json_object;

use hermes::HermesParser;

/// How a family of models writes tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolCallFormat {
    /// `<tool_call>{"name": .., "arguments": {..}}</tool_call>`: Hermes, Qwen2.5, Qwen3, Pebble.
    Hermes,
}

/// A piece of an answer in which tool calls have been found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolEvent {
    /// Text of the answer.
    Content(String),
    /// A call begins; its arguments follow.
    CallStart {
        /// 0 for the first call of the answer.
        index: usize,
        /// The function that is called.
        name: String,
    },
    /// More of a call's arguments: JSON text, byte for byte as the model wrote it.
    ArgumentsDelta {
        /// Index of the call.
        index: usize,
        /// The text.
        text: String,
    },
}

/// Finds tool calls in a stream of text. The events do not depend on how the stream is cut,
/// except for where neighbouring texts are cut.
pub trait ToolCallParser: Send {
    /// Adds text and returns what has become certain.
    fn push(&mut self, delta: &str) -> Vec<ToolEvent>;

    /// Ends the stream and returns what was held back.
    fn finish(&mut self) -> Vec<ToolEvent>;
}

impl ToolCallFormat {
    /// The format that a chat template teaches the model; `None` when there is no parser for it.
    pub fn detect(template: &str) -> Option<Self> {
        // Qwen3-Coder and GLM put XML instead of JSON into the same tag.
        let json_calls = !template.contains("<function=") && !template.contains("<arg_key>");
        (template.contains("<tool_call>") && json_calls).then_some(Self::Hermes)
    }

    /// A parser at the beginning of an answer.
    pub fn parser(self) -> Box<dyn ToolCallParser> {
        match self {
            Self::Hermes => Box::new(HermesParser::default()),
        }
    }
}
