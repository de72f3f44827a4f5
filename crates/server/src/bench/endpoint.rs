//! The two ways to ask a server for tokens.

use serde_json::{Value, json};

/// Where a prompt goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Completions,
    Chat,
}

impl Endpoint {
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Completions => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
        }
    }

    /// A request whose prompt is `prompt`: a text, or for completions also a list of ids.
    pub(super) fn request(self, prompt: Value, max_tokens: u32) -> Value {
        let (field, prompt) = match self {
            Self::Completions => ("prompt", prompt),
            Self::Chat => ("messages", json!([{"role": "user", "content": prompt}])),
        };
        json!({field: prompt, "max_tokens": max_tokens, "temperature": 0})
    }
}
