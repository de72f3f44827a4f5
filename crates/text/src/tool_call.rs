//! Tool calls in a model's text, found while it streams.

mod call_header;
mod granite;
mod hermes;
mod json_calls;
mod json_object;
mod json_text;
mod llama3;
mod mistral;
mod named_call;
mod phi4_mini;
mod python_call;
mod python_literal;
mod python_string;
mod pythonic;
mod qwen3_coder;
mod surroundings;
mod tools;
mod value_types;

use std::str::FromStr;

pub(crate) use tools::Tools;
pub(crate) use value_types::ValueTypes;

use crate::answer_part::AnswerPart;
use crate::format_name::{self, UnknownFormat};
use crate::harmony::{HarmonyMessages, HarmonyParser};
use json_calls::JsonCalls;
use pythonic::PythonicCalls;
use qwen3_coder::Qwen3CoderCalls;

/// How a family of models writes tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToolCallFormat {
    /// `<tool_call>{"name": .., "arguments": {..}}</tool_call>`: Hermes, Qwen2.5, Qwen3, Granite 4,
    /// Pebble.
    Hermes,
    /// `{"name": .., "parameters": {..}}`, perhaps behind `<|python_tag|>`: Llama 3.1 to 3.3.
    Llama3Json,
    /// `[name(key="value", ..), ..]`: Llama 4, and Llama 3.2 with a template that asks for it.
    Pythonic,
    /// `[TOOL_CALLS]` and a list, or `name[ARGS]{..}`: Mistral.
    Mistral,
    /// `<|tool_call|>[{"name": .., "arguments": {..}}, ..]`: Granite 3.
    Granite,
    /// The same between `<|tool_call|>` and `<|/tool_call|>`, or behind `functools`: Phi-4-mini.
    Phi4MiniJson,
    /// `<tool_call><function=name><parameter=key>value</parameter></function></tool_call>`:
    /// Qwen3-Coder.
    Qwen3Coder,
    /// Messages to `functions.name` in the channels of OpenAI's harmony format: gpt-oss.
    OpenAi,
}

/// Finds tool calls in a stream of text. The parts do not depend on how the stream is cut,
/// except for where neighbouring texts are cut.
pub(crate) trait ToolCallParser: Send {
    /// Adds text and returns what has become certain.
    fn push(&mut self, delta: &str) -> Vec<AnswerPart>;

    /// Ends the stream and returns what was held back.
    fn finish(&mut self) -> Vec<AnswerPart>;
}

/// vLLM's names, a format's own first.
const NAMES: [(&str, ToolCallFormat); 12] = [
    ("hermes", ToolCallFormat::Hermes),
    ("granite4", ToolCallFormat::Hermes),
    ("llama3_json", ToolCallFormat::Llama3Json),
    ("llama4_json", ToolCallFormat::Llama3Json),
    ("pythonic", ToolCallFormat::Pythonic),
    ("llama4_pythonic", ToolCallFormat::Pythonic),
    ("mistral", ToolCallFormat::Mistral),
    ("granite", ToolCallFormat::Granite),
    ("phi4_mini_json", ToolCallFormat::Phi4MiniJson),
    ("qwen3_coder", ToolCallFormat::Qwen3Coder),
    ("qwen3_xml", ToolCallFormat::Qwen3Coder),
    ("openai", ToolCallFormat::OpenAi),
];

impl ToolCallFormat {
    /// The name of the format, as vLLM's `--tool-call-parser` spells it.
    pub fn name(self) -> &'static str {
        format_name::of(self, &NAMES)
    }

    /// All names that [`Self::from_str`] knows, aliases included.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The format that a chat template teaches the model; `None` when there is no parser for it.
    pub fn detect(template: &str) -> Option<Self> {
        let has = |text: &str| template.contains(text);
        if has("<|channel|>") && has("<|message|>") {
            // Other families write other things into channels.
            return has("functions.").then_some(Self::OpenAi);
        }
        if has("[TOOL_CALLS]") {
            return Some(Self::Mistral);
        }
        if has("<tool_call>") {
            if has("<function=") {
                return has("<parameter=").then_some(Self::Qwen3Coder);
            }
            // GLM puts XML of its own into the same tag.
            return (!has("<arg_key>")).then_some(Self::Hermes);
        }
        if has("functools[") || has("<|tool|>") && has("<|/tool|>") {
            return Some(Self::Phi4MiniJson);
        }
        if has("<|tool_call|>") && has("<|start_of_role|>") {
            return Some(Self::Granite);
        }
        if has("[func_name1(") {
            return Some(Self::Pythonic);
        }
        // Llama's tool results come from `ipython`, whatever the format of the calls.
        let asks_for_json =
            has("\"parameters\": dictionary") || has("\\\"parameters\\\": dictionary");
        (has("ipython") && asks_for_json && !has("<function=")).then_some(Self::Llama3Json)
    }

    /// Text of the tokens that the parser must see although they are special, see
    /// [`crate::Detokenizer::keeping`].
    pub fn special_markers(self) -> &'static [&'static str] {
        match self {
            Self::Hermes | Self::Qwen3Coder => hermes::SPECIAL_MARKERS,
            Self::Llama3Json => llama3::SPECIAL_MARKERS,
            Self::Pythonic => pythonic::SPECIAL_MARKERS,
            Self::Mistral => mistral::SPECIAL_MARKERS,
            Self::Granite => granite::SPECIAL_MARKERS,
            Self::Phi4MiniJson => phi4_mini::SPECIAL_MARKERS,
            Self::OpenAi => crate::harmony::SPECIAL_MARKERS,
        }
    }

    /// A parser at the beginning of an answer.
    pub(crate) fn parser(self, tools: Tools) -> Box<dyn ToolCallParser> {
        let arrangement = match self {
            Self::Hermes => &hermes::ARRANGEMENT,
            Self::Llama3Json => &llama3::ARRANGEMENT,
            Self::Mistral => &mistral::ARRANGEMENT,
            Self::Granite => &granite::ARRANGEMENT,
            Self::Phi4MiniJson => &phi4_mini::ARRANGEMENT,
            Self::Pythonic => return Box::new(PythonicCalls::new(tools)),
            Self::Qwen3Coder => return Box::new(Qwen3CoderCalls::new(tools)),
            Self::OpenAi => {
                let messages = HarmonyMessages {
                    reasoning: false,
                    calls: true,
                };
                return Box::new(HarmonyParser::new(messages, tools, false));
            }
        };
        Box::new(JsonCalls::new(arrangement, tools))
    }
}

impl FromStr for ToolCallFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        format_name::find("tool-call parser", name, &NAMES)
    }
}
