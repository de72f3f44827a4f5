//! Between text and tokens: tokenizer, chat template, incremental detokenizer, stop strings and
//! tool-call parsers. No async, no HTTP; token ids are plain `u32`.
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
//! let mut detokenizer = Detokenizer::new(&tokenizer, SpecialTokenText::Skip);
//! let mut stops = StopMatcher::new(vec!["\n\n".into()], false)?;
//! let mut calls = ToolCallFormat::detect(template.source()).map(|format| format.parser());
//! for id in ids {
//!     let delta = stops.push(&detokenizer.push(id)); // text that can no longer be taken back
//!     let events = calls.as_mut().map(|parser| parser.push(&delta.text));
//!     # drop(events);
//!     if delta.matched.is_some() {
//!         break;
//!     }
//! }
//! let tail = stops.push(&detokenizer.finish()).text + &stops.finish();
//! # drop(tail);
//! # Ok(())
//! # }
//! ```

mod chat_template;
mod detokenizer;
mod encoding;
mod grammar;
mod stop_matcher;
mod token_decoder;
mod tokenizer;
mod tokenizer_files;
mod tool_call;

pub use chat_template::{ChatInput, ChatTemplate, ChatTemplates, LoadTemplateError, TemplateError};
pub use detokenizer::{Detokenizer, SpecialTokenText};
pub use encoding::Encoding;
pub use grammar::{Grammar, GrammarCompiler, GrammarError, GrammarMatcher, TokenSet};
pub use stop_matcher::{EmptyStopString, StopDelta, StopMatcher};
pub use tokenizer::{EncodeError, Tokenizer, TokenizerError};
pub use tokenizer_files::{ConfigError, SpecialTokens, TokenizerFiles};
pub use tool_call::{ToolCallFormat, ToolCallParser, ToolEvent};
