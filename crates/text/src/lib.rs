//! Between text and tokens: tokenizer, chat template, incremental detokenizer, stop strings,
//! parsers of reasoning and tool calls. No async, no HTTP; token ids are plain `u32`.
//!
//! # Tour
//!
//! ```no_run
//! # use text::*;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (json, config) = (vec![], vec![]);
//! # let (messages, now) = (vec![serde_json::json!({"role": "user", "content": "hi"})],
//! #     chrono::NaiveDateTime::default());
//! let files = TokenizerFiles { tokenizer_config: Some(&config), ..TokenizerFiles::new(&json) };
//! let tokenizer = Tokenizer::from_files(&files)?; // cheap to clone, shared by threads
//! let templates = ChatTemplates::from_files(&files)?.ok_or("no chat template")?;
//!
//! let template = templates.select(false)?; // the `tool_use` template when there are tools
//! let messages = template.prepare_messages(&messages); // OpenAI's shape -> the template's
//! let prompt = template.render(&ChatInput::new(&messages, now))?;
//! let ids = tokenizer.encode(&prompt, false)?; // the template has written the special tokens
//!
//! let reasoning = ReasoningFormat::detect(template.source());
//! let format = AnswerFormat {
//!     reasoning,
//!     reasoning_open: reasoning.is_some_and(|reasoning| reasoning.is_open_after(&prompt)),
//!     tool_calls: ToolCallFormat::detect(template.source()),
//!     tools: &[], // those that were rendered
//! };
//! let markers = format.special_markers(); // tokens that the parser must see
//! let mut detokenizer = Detokenizer::new(&tokenizer, SpecialTokenText::Skip).keeping(&markers);
//! let mut stops = StopMatcher::new(vec!["\n\n".into()], false)?;
//! let mut parser = AnswerParser::new(&format);
//! for id in ids {
//!     let delta = stops.push(&detokenizer.push(id)); // text that can no longer be taken back
//!     let parts = parser.push(&delta.text); // content, reasoning, calls
//!     # drop(parts);
//!     if delta.matched.is_some() {
//!         break;
//!     }
//! }
//! let tail = stops.push(&detokenizer.finish()).text + &stops.finish();
//! let mut parts = parser.push(&tail);
//! parts.extend(parser.finish());
//! # Ok(())
//! # }
//! ```

mod answer_parser;
mod answer_part;
mod chat_template;
mod detokenizer;
mod encoding;
mod format_name;
mod grammar;
mod harmony;
mod reasoning;
mod stop_matcher;
mod token_decoder;
mod tokenizer;
mod tokenizer_files;
mod tool_call;

pub use answer_parser::{AnswerFormat, AnswerParser};
pub use answer_part::AnswerPart;
pub use chat_template::{ChatInput, ChatTemplate, ChatTemplates, LoadTemplateError, TemplateError};
pub use detokenizer::{Detokenizer, SpecialTokenText};
pub use encoding::Encoding;
pub use format_name::UnknownFormat;
pub use grammar::{
    CallGrammar, Grammar, GrammarCompiler, GrammarError, GrammarMatcher, Instead, Preamble,
    TokenSet,
};
pub use reasoning::ReasoningFormat;
pub use stop_matcher::{EmptyStopString, StopDelta, StopMatcher};
pub use tokenizer::{EncodeError, Tokenizer, TokenizerError};
pub use tokenizer_files::{ConfigError, SpecialTokens, TokenizerFiles};
pub use tool_call::ToolCallFormat;
