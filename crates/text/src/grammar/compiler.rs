//! From grammars to matchers.

use std::fmt;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::TokEnv;

use super::vocabulary::Vocabulary;
use super::{Grammar, GrammarError, GrammarMatcher};
use crate::Tokenizer;

/// White space between the parts of JSON: models write it, but one that is not sure goes on with it
/// for ever.
const WHITE_SPACE: &str = r"[ \t\n\r]{0,24}";

/// Key of a schema under which llguidance takes options.
const OPTIONS: &str = "x-guidance";

/// Compiles grammars for one vocabulary. Making it takes time for each token of the vocabulary; it
/// can be shared by threads.
pub struct GrammarCompiler {
    factory: ParserFactory,
}

impl GrammarCompiler {
    /// Prepares the vocabulary of `tokenizer`.
    ///
    /// # Errors
    ///
    /// `NoEnd` where no token ends an answer, `Invalid` for a vocabulary that cannot be walked.
    pub fn new(tokenizer: &Tokenizer) -> Result<Self, GrammarError> {
        let env: TokEnv = Arc::new(Vocabulary::new(tokenizer)?);
        let mut factory = ParserFactory::new_simple(&env).map_err(invalid)?;
        factory.quiet();
        // Errors go to clients: they name the place in the grammar, not the parser's insides.
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// A matcher at the beginning of an answer.
    ///
    /// # Errors
    ///
    /// `Invalid` with the place and the reason.
    pub fn compile(&self, grammar: &Grammar) -> Result<GrammarMatcher, GrammarError> {
        let grammar = match grammar {
            Grammar::JsonObject => TopLevelGrammar::from_json_schema(with_options(&json!({
                "type": "object"
            }))),
            Grammar::JsonSchema(schema) => TopLevelGrammar::from_json_schema(with_options(schema)),
            Grammar::Regex(pattern) => TopLevelGrammar::from_regex(pattern),
            Grammar::Choice(texts) => TopLevelGrammar::from_lark(choice(texts)?),
            Grammar::Lark(grammar) if grammar.contains("::=") => {
                let reason =
                    "this is GBNF (\"::=\"); write it in Lark, where a rule is \"name: body\"";
                return Err(GrammarError::Invalid(reason.to_owned()));
            }
            Grammar::Lark(grammar) => TopLevelGrammar::from_lark(grammar.clone()),
        };
        let parser = self.factory.create_parser(grammar).map_err(invalid)?;
        Ok(GrammarMatcher::new(Matcher::new(Ok(parser))))
    }
}

/// The schema with our options, except for those that it brings itself.
fn with_options(schema: &Value) -> Value {
    let mut schema = match schema {
        // `true` allows everything; options need an object.
        Value::Bool(true) => json!({}),
        other => other.clone(),
    };
    if let Some(fields) = schema.as_object_mut() {
        let own = fields.entry(OPTIONS).or_insert_with(|| json!({}));
        if let Some(own) = own.as_object_mut()
            && !own.contains_key("whitespace_flexible")
        {
            own.entry("whitespace_pattern")
                .or_insert_with(|| WHITE_SPACE.into());
        }
    }
    schema
}

/// A rule of alternatives.
fn choice(texts: &[String]) -> Result<String, GrammarError> {
    if texts.is_empty() {
        return Err(GrammarError::Invalid(
            "there is nothing to choose from".to_owned(),
        ));
    }
    // JSON's strings are Lark's.
    let texts: Vec<String> = texts.iter().map(|text| json!(text).to_string()).collect();
    Ok(format!("start: {}", texts.join(" | ")))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what a result is mapped with"
)]
fn invalid(error: anyhow::Error) -> GrammarError {
    GrammarError::Invalid(format!("{error:#}"))
}

impl fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarCompiler").finish_non_exhaustive()
    }
}
