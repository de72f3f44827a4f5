//! Grammars that an answer has to follow, as sets of the tokens that may come next.
//!
//! llguidance does the work: it walks a trie of the vocabulary along an Earley parser, so a set
//! takes tens of microseconds and nothing is compiled per state.

mod calls;
mod compiler;
mod lark;
mod matcher;
mod preamble;
mod vocabulary;

use serde_json::Value;

pub use calls::{CallGrammar, Instead};
pub use compiler::GrammarCompiler;
pub use matcher::{GrammarMatcher, TokenSet};
pub use preamble::Preamble;

/// What an answer has to be, from its first byte to its last.
#[derive(Clone, Debug, PartialEq)]
pub enum Grammar {
    /// Any JSON object.
    JsonObject,
    /// JSON that a schema validates, draft 2020-12 as far as
    /// [llguidance](https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md) goes.
    /// Its properties come in the schema's order.
    JsonSchema(Value),
    /// Text that a regular expression matches from end to end, in the syntax of Rust's `regex`.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A context-free grammar in
    /// [llguidance's dialect of Lark](https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md),
    /// which begins at the rule `start`.
    Lark(String),
    /// Calls of tools, with arguments by their schemas.
    Calls(CallGrammar),
}

/// Why there is no grammar, or why it cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// It cannot be compiled; the text says where and why.
    #[error("{0}")]
    Invalid(String),
    /// No token of the vocabulary ends an answer, so none that follows a grammar could end.
    #[error("the model has no end-of-sequence token, which an answer with a grammar ends by")]
    NoEnd,
    /// The parser reached one of its limits, or met a token that the grammar does not allow.
    #[error("the grammar cannot go on: {0}")]
    Stuck(String),
}
