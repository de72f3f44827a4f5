//! Calls in OpenAI's harmony format: messages to a function, of which an answer has one.

use super::{CallGrammar, Instead, arguments_schema};
use crate::grammar::GrammarError;
use crate::grammar::compiler::body;
use crate::grammar::lark::{Lark, literal};

/// The message that calls, or else one in the channel `final`; what ends it ends the answer, so that
/// calls are never parallel.
///
/// # Errors
///
/// What is wrong with the form that the answer may have instead.
pub(super) fn write(calls: &CallGrammar, lark: &mut Lark<'_>) -> Result<String, GrammarError> {
    let messages = calls.functions().map(|function| {
        let name = function["name"].as_str().unwrap_or_default();
        let header = [
            lark.marker("<|channel|>"),
            literal(&format!("commentary to=functions.{name} ")),
            lark.marker("<|constrain|>"),
            literal("json"),
            lark.marker("<|message|>"),
            lark.json(&arguments_schema(&function["parameters"])),
        ];
        header.join(" ")
    });
    let messages: Vec<String> = messages.collect();
    lark.rule("message", &messages.join(" | "));
    Ok(match &calls.instead {
        Instead::Nothing => "message".to_owned(),
        Instead::Text => format!("(message | {} /(?s:.*)/)", final_header(lark)),
        Instead::Form(form) => {
            format!("(message | {} {})", final_header(lark), body(form, lark)?)
        }
    })
}

/// What stands before what the user is told.
pub(in crate::grammar) fn final_header(lark: &Lark<'_>) -> String {
    let header = [
        lark.marker("<|channel|>"),
        literal("final"),
        lark.marker("<|message|>"),
    ];
    header.join(" ")
}
