//! The served model as requests see it: names, tokenizer, templates, defaults.

use context::Window;
use engine::TokenId;
use serde_json::Value;
use text::{AnswerFormat, ChatTemplates, Preamble, ReasoningFormat, Tokenizer, ToolCallFormat};

use crate::adapters::{Adapters, ServedAdapter};
use crate::encoder::ServedEncoder;

/// Tokens at a prompt's end among which is what begins or ends the model's thinking.
const PREAMBLE_TOKENS: usize = 32;

/// What does not change while the server runs.
#[derive(Clone)]
pub struct ServedModel {
    /// Names that clients may use; the first stands in answers.
    pub names: Vec<String>,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Chat templates; `None` for a model that only completes text.
    pub templates: Option<ChatTemplates>,
    /// How the model writes tool calls, if there is a parser for it.
    pub tool_calls: Option<ToolCallFormat>,
    /// How the model writes what it thinks, if there is a parser for it.
    pub reasoning: Option<ReasoningFormat>,
    /// What a request gets that does not say.
    pub defaults: GenerationDefaults,
    /// Tokens of prompt and output together.
    pub window: Window,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<TokenId>,
    /// Rows of the model's embedding: ids below it can be computed.
    pub vocab_size: usize,
    /// Texts longer than this cannot fit, see [`max_text_bytes`].
    pub max_text_bytes: usize,
    /// Adapters of the model, which requests may name instead of it.
    pub adapters: Adapters,
    /// A model beside it that embeds texts.
    pub encoder: Option<ServedEncoder>,
}

/// Bytes of text beyond which no tokenisation fits into `window`: every token the longest of the
/// vocabulary, and a normaliser that leaves a quarter of the bytes (composing characters leaves at
/// least a third). Longer texts are refused without spending seconds on counting their tokens.
pub fn max_text_bytes(tokenizer: &Tokenizer, vocab_size: usize, window: Window) -> usize {
    let ids = 0..u32::try_from(vocab_size).unwrap_or(u32::MAX);
    let longest = ids
        .map(|id| tokenizer.token_bytes(id).len())
        .max()
        .unwrap_or(0);
    window
        .tokens
        .saturating_mul(longest.max(1))
        .saturating_mul(4)
}

/// Defaults of the model's `generation_config.json`, as vLLM takes them over.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationDefaults {
    /// 0 when the model says `do_sample: false`.
    pub temperature: f32,
    /// `None` is all.
    pub top_k: Option<u32>,
    /// 1 is all.
    pub top_p: f32,
    /// 0 is all.
    pub min_p: f32,
    /// 1 is none.
    pub repetition_penalty: f32,
    /// Output tokens of a request that does not say; yields to the prompt.
    pub max_tokens: Option<usize>,
}

impl ServedModel {
    /// The name in answers.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// The name in answers that are computed with an adapter, or with none.
    pub fn name_with<'a>(&'a self, adapter: Option<&'a ServedAdapter>) -> &'a str {
        adapter.map_or(self.name(), |adapter| &adapter.name)
    }

    /// All names that a request may have now.
    pub fn known_names(&self) -> Vec<String> {
        let encoder = self.encoder.iter();
        let encoder = encoder.map(|encoder| encoder.name().to_owned());
        self.generating_names().into_iter().chain(encoder).collect()
    }

    /// Those of what generates: the model and its adapters.
    pub fn generating_names(&self) -> Vec<String> {
        let adapters = self.adapters.list();
        let adapters = adapters.iter().map(|adapter| adapter.name.clone());
        self.names.iter().cloned().chain(adapters).collect()
    }

    /// What the model may think behind a prompt before it answers; `None` where it does not, or
    /// where the prompt ends the thinking.
    pub fn preamble(&self, prompt: &[u32]) -> Option<Preamble> {
        let format = self.reasoning?;
        let tail = &prompt[prompt.len().saturating_sub(PREAMBLE_TOKENS)..];
        let tail = self.tokenizer.decode(tail, false).unwrap_or_default();
        (!format.is_closed_after(&tail)).then(|| Preamble {
            format,
            open: format.is_open_after(&tail),
        })
    }

    /// How an answer behind a prompt is written; `tools` are those that it may call.
    pub fn answer_format<'a>(
        &self,
        preamble: Option<Preamble>,
        tools: &'a [Value],
    ) -> AnswerFormat<'a> {
        AnswerFormat {
            reasoning: self.reasoning,
            reasoning_open: preamble.is_some_and(|preamble| preamble.open),
            tool_calls: self.tool_calls.filter(|_| !tools.is_empty()),
            tools,
        }
    }

    /// Whether the model can compute a token of this id.
    pub fn has_token(&self, id: u32) -> bool {
        (id as usize) < self.vocab_size
    }
}

impl Default for GenerationDefaults {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            max_tokens: None,
        }
    }
}

impl GenerationDefaults {
    /// Reads `generation_config.json`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let config: Value = serde_json::from_slice(bytes)
            .map_err(|error| format!("generation_config.json: {error}"))?;
        let number = |name: &str, low: f64, high: f64| match config.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64().filter(|n| (low..=high).contains(n)) {
                Some(number) => Ok(Some(number)),
                None => Err(format!(
                    "generation_config.json: {name} is {value} and must be in {low}..={high}"
                )),
            },
        };
        let greedy = config.get("do_sample") == Some(&Value::Bool(false));
        let defaults = Self::default();
        let temperature = number("temperature", 0.0, 100.0)?.map_or(1.0, |n| n as f32);
        Ok(Self {
            temperature: if greedy { 0.0 } else { temperature },
            top_k: number("top_k", 0.0, f64::from(u32::MAX))?
                .map(|k| k as u32)
                .filter(|&k| k > 0),
            top_p: number("top_p", f64::MIN_POSITIVE, 1.0)?.map_or(defaults.top_p, |n| n as f32),
            min_p: number("min_p", 0.0, 1.0)?.map_or(defaults.min_p, |n| n as f32),
            repetition_penalty: number("repetition_penalty", f64::MIN_POSITIVE, 100.0)?
                .map_or(defaults.repetition_penalty, |n| n as f32),
            max_tokens: number("max_new_tokens", 1.0, 1e12)?.map(|n| n as usize),
        })
    }
}
