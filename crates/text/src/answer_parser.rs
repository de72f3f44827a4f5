//! Reasoning, tool calls and text of one answer, told apart while it streams.

use serde_json::Value;

use crate::answer_part::AnswerPart;
use crate::harmony::{HarmonyMessages, HarmonyParser};
use crate::reasoning::{ReasoningFormat, TaggedReasoning};
use crate::tool_call::{ToolCallFormat, ToolCallParser, Tools};

/// How an answer is written. By default, everything is content.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerFormat<'a> {
    /// How reasoning is written; `None` leaves it in the content, as the model wrote it.
    pub reasoning: Option<ReasoningFormat>,
    /// Whether the answer begins inside the reasoning, see [`ReasoningFormat::is_open_after`].
    pub reasoning_open: bool,
    /// How calls are written; `None` leaves them in the content, as the model wrote them.
    pub tool_calls: Option<ToolCallFormat>,
    /// The tools that the model was told of, in OpenAI's shape. Their names tell calls without
    /// markers from text, their schemas strings from other values where values are plain text;
    /// without any, every name may be a tool's, and such values are strings.
    pub tools: &'a [Value],
}

/// Parser of one answer: first reasoning is found, then tool calls in what is not reasoning.
///
/// The parts do not depend on how the text is cut into deltas, except for where neighbouring
/// texts are cut. White space that the families' chat templates write around reasoning and calls
/// belongs to the format and is dropped; text that only looks like reasoning or a call is content.
pub struct AnswerParser {
    reasoning: Option<ReasoningParser>,
    calls: Option<Box<dyn ToolCallParser>>,
}

enum ReasoningParser {
    Tagged(TaggedReasoning),
    Harmony(HarmonyParser),
}

impl AnswerFormat<'_> {
    /// Text of the tokens that the parser must see although they are special, see
    /// [`crate::Detokenizer::keeping`].
    pub fn special_markers(&self) -> Vec<&'static str> {
        let mut markers = Vec::new();
        if let Some(reasoning) = self.reasoning {
            markers.extend(reasoning.special_markers());
        }
        let calls = self.tool_calls.map(ToolCallFormat::special_markers);
        for marker in calls.unwrap_or_default() {
            if !markers.contains(marker) {
                markers.push(marker);
            }
        }
        markers
    }
}

impl AnswerParser {
    /// A parser at the beginning of an answer.
    pub fn new(format: &AnswerFormat<'_>) -> Self {
        let tools = Tools::new(format.tools);
        let open = format.reasoning_open;
        let mut calls = format.tool_calls;
        let reasoning = format
            .reasoning
            .map(|reasoning| match reasoning.tagged(open) {
                Some(tagged) => ReasoningParser::Tagged(tagged),
                None => {
                    // One parser reads messages of both kinds.
                    let messages = HarmonyMessages {
                        reasoning: true,
                        calls: calls.take_if(|it| *it == ToolCallFormat::OpenAi).is_some(),
                    };
                    ReasoningParser::Harmony(HarmonyParser::new(messages, tools.clone(), open))
                }
            });
        Self {
            reasoning,
            calls: calls.map(|format| format.parser(tools)),
        }
    }

    /// Whether the model is thinking: the last text was reasoning, or the next will be. A server
    /// that limits reasoning counts the tokens of such states, and ends them with
    /// [`ReasoningFormat::reasoning_end`].
    pub fn is_inside_reasoning(&self) -> bool {
        match &self.reasoning {
            Some(ReasoningParser::Tagged(parser)) => parser.is_inside(),
            Some(ReasoningParser::Harmony(parser)) => parser.is_inside_reasoning(),
            None => false,
        }
    }

    /// Adds text and returns what has become certain.
    pub fn push(&mut self, delta: &str) -> Vec<AnswerPart> {
        let parts = match &mut self.reasoning {
            Some(ReasoningParser::Tagged(parser)) => parser.push(delta),
            Some(ReasoningParser::Harmony(parser)) => parser.push(delta),
            None if delta.is_empty() => Vec::new(),
            None => vec![AnswerPart::Content(delta.to_owned())],
        };
        self.find_calls(parts)
    }

    /// Ends the answer and returns what was held back.
    pub fn finish(&mut self) -> Vec<AnswerPart> {
        let parts = match &mut self.reasoning {
            Some(ReasoningParser::Tagged(parser)) => parser.finish(),
            Some(ReasoningParser::Harmony(parser)) => parser.finish(),
            None => Vec::new(),
        };
        let mut parts = self.find_calls(parts);
        if let Some(calls) = &mut self.calls {
            parts.extend(calls.finish());
        }
        parts
    }

    fn find_calls(&mut self, parts: Vec<AnswerPart>) -> Vec<AnswerPart> {
        let Some(calls) = &mut self.calls else {
            return parts;
        };
        let mut found = Vec::new();
        for part in parts {
            match part {
                AnswerPart::Content(text) => found.extend(calls.push(&text)),
                other => found.push(other),
            }
        }
        found
    }
}
