//! Text of grammars in llguidance's dialect of Lark.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::compiler::with_options;
use crate::Tokenizer;

/// A grammar that is being written.
pub(super) struct Lark<'a> {
    tokenizer: &'a Tokenizer,
    text: String,
    /// Names that are taken.
    names: BTreeSet<String>,
}

impl<'a> Lark<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            text: String::new(),
            names: BTreeSet::new(),
        }
    }

    /// Adds a rule, or a terminal if the name is in capitals.
    pub(super) fn rule(&mut self, name: &str, body: &str) {
        self.names.insert(name.to_owned());
        self.text.push_str(&format!("{name}: {body}\n"));
    }

    /// Adds a rule unless there is one of its name.
    pub(super) fn rule_once(&mut self, name: &str, body: &str) {
        if !self.names.contains(name) {
            self.rule(name, body);
        }
    }

    /// A name for a rule that begins in this way.
    pub(super) fn new_name(&mut self, begin: &str) -> String {
        let name = format!("{begin}_{}", self.names.len());
        self.names.insert(name.clone());
        name
    }

    /// JSON by a schema.
    pub(super) fn json(&self, schema: &Value) -> String {
        format!("%json {}", with_options(schema))
    }

    /// A special token of this text, or the text where there is none. Nothing for an empty text.
    pub(super) fn marker(&self, text: &str) -> String {
        match self.special_id(text) {
            Some(id) => format!("<[{id}]>"),
            None => literal(text),
        }
    }

    /// Whether a special token has this text.
    pub(super) fn is_special(&self, text: &str) -> bool {
        self.special_id(text).is_some()
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn special_id(&self, text: &str) -> Option<u32> {
        let id = self.tokenizer.token_to_id(text)?;
        self.tokenizer.is_special(id).then_some(id)
    }
}

/// Just this text; nothing for an empty one. Lark's strings are those of JSON.
pub(super) fn literal(text: &str) -> String {
    match text {
        "" => String::new(),
        text => json!(text).to_string(),
    }
}

/// A regular expression between slashes.
pub(super) fn regex(pattern: &str) -> String {
    let mut text = String::from("/");
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            '/' if !escaped => text.push_str("\\/"),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    text.push('/');
    text
}
