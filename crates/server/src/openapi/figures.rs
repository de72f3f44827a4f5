//! What of the document differs from server to server.

use serde_json::{Map, Value, json};

use crate::app::App;
use crate::encoder::ServedEncoder;
use crate::model::ServedModel;

/// Values by the text that stands for them.
pub(super) struct Figures {
    values: Map<String, Value>,
}

impl Figures {
    /// Those of `app`, whose pages load `assets`.
    pub(super) fn of(app: &App, assets: &[&str]) -> Self {
        let (model, limits) = (app.model(), app.limits());
        let values = [
            ("$version", json!(env!("CARGO_PKG_VERSION"))),
            ("$security", security(app)),
            ("$model", json!(model.name())),
            ("$models", json!(model.names)),
            ("$tagged_models", json!(tagged(&model.names))),
            ("$embedding_models", json!(embedding_models(model))),
            ("$window", json!(model.window.tokens)),
            ("$last_token", json!(model.vocab_size.saturating_sub(1))),
            ("$last_embedded_token", json!(last_embedded_token(model))),
            ("$max_n", json!(limits.max_n)),
            ("$max_messages", json!(limits.max_messages)),
            ("$max_logprobs", json!(limits.max_logprobs)),
            ("$assets", json!(assets)),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        Self {
            values: values.into_iter().collect(),
        }
    }

    /// Puts them into `value`, wherever their texts stand.
    pub(super) fn fill(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Some(figure) = self.values.get(text) {
                    *value = figure.clone();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.fill(value)),
            _ => {}
        }
    }
}

/// The names of what embeds.
fn embedding_models(model: &ServedModel) -> Vec<&str> {
    let encoder = model.encoder.iter().map(ServedEncoder::name);
    model
        .names
        .iter()
        .map(String::as_str)
        .chain(encoder)
        .collect()
}

/// The largest id of a token that something embeds.
fn last_embedded_token(model: &ServedModel) -> usize {
    let encoder = model.encoder.as_ref().map_or(0, ServedEncoder::vocab_size);
    encoder.max(model.vocab_size).saturating_sub(1)
}

/// The names as Ollama's clients may say them.
fn tagged(names: &[String]) -> Vec<String> {
    let tagged = names.iter().map(|name| format!("{name}:latest"));
    names.iter().cloned().chain(tagged).collect()
}

/// A key, in one place or the other; nothing is enough where no key is asked for.
fn security(app: &App) -> Value {
    let mut ways = vec![json!({"bearer": []}), json!({"x-api-key": []})];
    if app.access().api_keys.is_empty() {
        ways.insert(0, json!({}));
    }
    Value::Array(ways)
}
