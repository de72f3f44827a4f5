//! From grammars to matchers.

use std::fmt;
use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value, json};
use toktrie::TokEnv;

use super::lark::{self, Lark, literal};
use super::vocabulary::Vocabulary;
use super::{Grammar, GrammarError, GrammarMatcher, Preamble};
use crate::Tokenizer;

/// White space between the parts of JSON: models write it, but one that is not sure goes on with it
/// for ever.
const WHITE_SPACE: &str = r"[ \t\n\r]{0,24}";

/// Key of a schema under which llguidance takes options.
const OPTIONS: &str = "x-guidance";

/// Compiles grammars for one vocabulary. Making it takes time for each token of the vocabulary; it
/// can be shared by threads.
pub struct GrammarCompiler {
    tokenizer: Tokenizer,
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
        let tokenizer = tokenizer.clone();
        Ok(Self { tokenizer, factory })
    }

    /// A matcher at the beginning of an answer, which may begin with a preamble.
    ///
    /// # Errors
    ///
    /// `Invalid` with the place and the reason.
    pub fn compile(
        &self,
        grammar: &Grammar,
        preamble: Option<Preamble>,
    ) -> Result<GrammarMatcher, GrammarError> {
        let grammar = self.translate(grammar, preamble)?;
        let parser = self.factory.create_parser(grammar).map_err(invalid)?;
        let mut matcher = GrammarMatcher::new(Matcher::new(Ok(parser)));
        // Some of what goes beyond the parser's limits does so only now.
        match matcher.allowed() {
            Ok(_) => Ok(matcher),
            Err(GrammarError::Stuck(reason)) => Err(GrammarError::Invalid(reason)),
            Err(other) => Err(other),
        }
    }

    /// What llguidance compiles. What stands alone goes in as it is, so that errors speak of what
    /// the caller wrote.
    fn translate(
        &self,
        grammar: &Grammar,
        preamble: Option<Preamble>,
    ) -> Result<TopLevelGrammar, GrammarError> {
        match (grammar, preamble) {
            (Grammar::JsonSchema(schema), None) => {
                return Ok(TopLevelGrammar::from_json_schema(with_options(schema)));
            }
            (Grammar::Lark(text), None) => {
                check_lark(text)?;
                return Ok(TopLevelGrammar::from_lark(text.clone()));
            }
            _ => {}
        }
        let mut lark = Lark::new(&self.tokenizer);
        let body = body(grammar, &mut lark)?;
        let start = match preamble {
            Some(preamble) => {
                let calls = matches!(grammar, Grammar::Calls(calls) if calls.has_messages());
                preamble.write(&body, calls, &mut lark)
            }
            None => body,
        };
        lark.rule("start", &start);
        Ok(TopLevelGrammar::from_lark(lark.into_text()))
    }
}

/// What the grammar is as part of a rule.
pub(super) fn body(grammar: &Grammar, lark: &mut Lark<'_>) -> Result<String, GrammarError> {
    Ok(match grammar {
        Grammar::JsonObject => lark.json(&json!({"type": "object"})),
        Grammar::JsonSchema(schema) => lark.json(schema),
        Grammar::Regex(pattern) => lark::regex(pattern),
        Grammar::Choice(texts) => choice(texts)?,
        Grammar::Lark(text) => {
            check_lark(text)?;
            format!("%lark {{\n{text}\n}}")
        }
        Grammar::Calls(calls) => calls.write(lark)?,
    })
}

/// llama.cpp's grammars look alike and mean something else.
fn check_lark(text: &str) -> Result<(), GrammarError> {
    if text.contains("::=") {
        let reason = "this is GBNF (\"::=\"); write it in Lark, where a rule is \"name: body\"";
        return Err(GrammarError::Invalid(reason.to_owned()));
    }
    Ok(())
}

/// The schema with our options, except for those that it brings itself.
pub(super) fn with_options(schema: &Value) -> Value {
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
    let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
    Ok(format!("({})", texts.join(" | ")))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "what a result is mapped with"
)]
fn invalid(error: anyhow::Error) -> GrammarError {
    GrammarError::Invalid(said(&error))
}

/// An error's text, without llguidance's mark for the parser's insides that it leaves out.
pub(super) fn said(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.trim_end()
        .trim_end_matches("<non-verbose/>")
        .trim_end()
        .to_owned()
}

impl fmt::Debug for GrammarCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarCompiler").finish_non_exhaustive()
    }
}
