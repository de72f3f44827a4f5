//! Reasoning in a model's text, found while it streams.

mod tagged;

use std::str::FromStr;

use crate::format_name::{self, UnknownFormat};
use crate::harmony;
pub(crate) use tagged::TaggedReasoning;
use tagged::Tags;

/// How a family of models writes what it thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReasoningFormat {
    /// `<think>..</think>` at the beginning of the answer, or opened by the prompt: Qwen3,
    /// SmolLM3, GLM-4.5.
    Qwen3,
    /// The same, but an answer without `<think>` begins with reasoning, too: DeepSeek-R1.
    DeepSeekR1,
    /// `Here is my thought process:` .. `Here is my response:`: Granite 3.2; and
    /// `<think>..</think><response>..</response>`: Granite 3.3.
    Granite,
    /// `[THINK]..[/THINK]`: Mistral's reasoning models.
    Mistral,
    /// The analysis channel of OpenAI's harmony format: gpt-oss.
    OpenAiGptOss,
}

/// vLLM's names.
const NAMES: [(&str, ReasoningFormat); 5] = [
    ("qwen3", ReasoningFormat::Qwen3),
    ("deepseek_r1", ReasoningFormat::DeepSeekR1),
    ("granite", ReasoningFormat::Granite),
    ("mistral", ReasoningFormat::Mistral),
    ("openai_gptoss", ReasoningFormat::OpenAiGptOss),
];

impl ReasoningFormat {
    /// The name of the format, as vLLM's `--reasoning-parser` spells it.
    pub fn name(self) -> &'static str {
        format_name::of(self, &NAMES)
    }

    /// All names that [`Self::from_str`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The format that a chat template speaks of; `None` for a model that does not reason.
    pub fn detect(template: &str) -> Option<Self> {
        let has = |text: &str| template.contains(text);
        if has("<|channel|>analysis") {
            Some(Self::OpenAiGptOss)
        } else if has("[THINK]") {
            Some(Self::Mistral)
        } else if has("Here is my thought process:") || has("<think>") && has("<response>") {
            Some(Self::Granite)
        } else if has("<｜Assistant｜>") && has("</think>") {
            Some(Self::DeepSeekR1)
        } else if has("<think>") || has("</think>") {
            Some(Self::Qwen3)
        } else {
            None
        }
    }

    /// Whether an answer to this prompt begins inside the reasoning: because the prompt ends with
    /// the tag that opens it, or because the format's answers do unless the prompt has closed it.
    /// Only the end of the prompt is looked at, since messages may speak of tags; where it ends
    /// inside a message that the model is to continue, the caller knows better.
    pub fn is_open_after(self, prompt: &str) -> bool {
        let prompt = prompt.trim_end();
        match self {
            Self::DeepSeekR1 => !prompt.ends_with("</think>"),
            Self::OpenAiGptOss => prompt.ends_with(harmony::ANALYSIS),
            _ => {
                let openers = self.tags().map_or(&[][..], |tags| tags.openers);
                openers.iter().any(|opener| prompt.ends_with(opener))
            }
        }
    }

    /// Whether the prompt ends with reasoning that has ended already, as templates write it where
    /// the model is not to think.
    pub fn is_closed_after(self, prompt: &str) -> bool {
        let closers = self.tags().map_or(&[][..], |tags| tags.closers);
        let prompt = prompt.trim_end();
        closers.iter().any(|closer| prompt.ends_with(closer))
    }

    /// Text that ends the reasoning and begins the answer, for a server that cuts it short. It is
    /// the model's text, special tokens included.
    pub fn reasoning_end(self) -> &'static str {
        match self {
            Self::Qwen3 | Self::DeepSeekR1 => "\n</think>\n\n",
            Self::Granite => "\n\nHere is my response:\n\n",
            Self::Mistral => "[/THINK]",
            Self::OpenAiGptOss => harmony::REASONING_END,
        }
    }

    /// Text of the tokens that the parser must see although they are special, see
    /// [`crate::Detokenizer::keeping`].
    pub fn special_markers(self) -> &'static [&'static str] {
        match self {
            Self::Qwen3 | Self::DeepSeekR1 | Self::Granite => &["<think>", "</think>"],
            Self::Mistral => &["[THINK]", "[/THINK]"],
            Self::OpenAiGptOss => harmony::SPECIAL_MARKERS,
        }
    }

    /// Texts that begin and end the reasoning; `None` where messages have headers instead.
    pub(crate) fn tag_texts(self) -> Option<(&'static [&'static str], &'static [&'static str])> {
        self.tags().map(|tags| (tags.openers, tags.closers))
    }

    /// What stands around the reasoning; `None` where messages have headers instead.
    fn tags(self) -> Option<&'static Tags> {
        match self {
            Self::Qwen3 | Self::DeepSeekR1 => Some(&THINK),
            Self::Granite => Some(&GRANITE),
            Self::Mistral => Some(&MISTRAL),
            Self::OpenAiGptOss => None,
        }
    }

    /// A parser at the beginning of an answer; `None` where messages have headers instead of tags.
    pub(crate) fn tagged(self, open: bool) -> Option<TaggedReasoning> {
        self.tags().map(|tags| TaggedReasoning::new(tags, open))
    }
}

impl FromStr for ReasoningFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        format_name::find("reasoning parser", name, &NAMES)
    }
}

/// Qwen3's template writes `<think>\n..\n</think>\n\n` and cuts line breaks there from what it is
/// given.
const THINK: Tags = Tags {
    openers: &["<think>"],
    closers: &["</think>"],
    padding: &['\n'],
    wrapper: None,
};

/// The models say so, in a line of its own or not; some quantised ones abbreviate.
const GRANITE: Tags = Tags {
    openers: &[
        "Here is my thought process:",
        "Here's my thought process:",
        "<think>",
    ],
    closers: &["Here is my response:", "Here's my response:", "</think>"],
    padding: &[' ', '\t', '\n', '\r'],
    wrapper: Some(("<response>", "</response>")),
};

/// The tags are tokens, and mistral-common's templates write everything between them as it is.
const MISTRAL: Tags = Tags {
    openers: &["[THINK]"],
    closers: &["[/THINK]"],
    padding: &[],
    wrapper: None,
};
