//! What can go wrong between a measurement and the server that it measures.

use serde_json::Value;
use thiserror::Error;

/// A failure that ends a measurement, said so that the user knows what to change.
#[derive(Debug, Error)]
pub enum ServerError {
    /// `--base-url` is not an address.
    #[error("--base-url {url}: {reason}; it looks like http://127.0.0.1:8000")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// Why it is none.
        reason: String,
    },
    /// No connection, or it broke.
    #[error("cannot reach {url}: {reason}; does the server run, and is --base-url right?")]
    Unreachable {
        /// The request's address.
        url: String,
        /// The system's words.
        reason: String,
    },
    /// Nothing came within `--timeout`.
    #[error("{url} sent nothing for {seconds} s (--timeout)")]
    Silent {
        /// The request's address.
        url: String,
        /// The limit.
        seconds: u64,
    },
    /// The answer is not the one of an OpenAI server.
    #[error("{url} does not answer like an OpenAI server: {reason}; is --base-url right?")]
    NotOpenAi {
        /// The request's address.
        url: String,
        /// What is odd about the answer.
        reason: String,
    },
    /// The server wants another key.
    #[error("{} refuses the key ({}: {}); pass --api-key or set OPENAI_API_KEY",
        .0.url, .0.status, .0.message)]
    Unauthorized(Refusal),
    /// No model is named and none is listed.
    #[error("{url} lists no model; pass --model")]
    NoModel {
        /// The address of the list.
        url: String,
    },
    /// Any other refusal.
    #[error("{} answers {}: {}", .0.url, .0.status, .0.message)]
    Refused(Refusal),
    /// The stream broke, or said that something went wrong.
    #[error("the stream of {url} failed: {reason}")]
    BrokenStream {
        /// The request's address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The stream ended well, but without a token.
    #[error(
        "the stream of {url} ended without a single token, so it has no TTFT; \
        some servers end so when a prompt is too long for them"
    )]
    NoTokens {
        /// The request's address.
        url: String,
    },
}

/// An answer with an error status, taken apart.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The request's address.
    pub url: String,
    /// The HTTP status.
    pub status: u16,
    /// `error.code` or `error.type`, empty if there is none.
    pub code: String,
    /// The server's words, or the beginning of the body.
    pub message: String,
}

impl Refusal {
    /// Reads OpenAI's error shape and its relatives (FastAPI's `detail`, a bare `message`).
    pub(crate) fn new(url: String, status: u16, body: &str) -> Self {
        let json: Value = serde_json::from_str(body).unwrap_or_default();
        let error = json.get("error").unwrap_or(&json);
        let field = |name: &str| match error.get(name).or_else(|| json.get(name)) {
            Some(Value::String(text)) => Some(text.clone()),
            None | Some(Value::Null) => None,
            Some(other) => Some(other.to_string()),
        };
        // Some servers repeat the status as the code: that says nothing.
        let code = field("code").filter(|code| code.parse::<u16>().is_err());
        let code = code.or_else(|| field("type")).unwrap_or_default();
        let message = field("message")
            .or_else(|| field("detail"))
            .or_else(|| error.as_str().map(str::to_owned))
            .unwrap_or_else(|| excerpt(body));
        Self {
            url,
            status,
            code,
            message,
        }
    }

    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self.status, 401 | 403)
    }

    pub(crate) fn is_model_unknown(&self) -> bool {
        self.code == "model_not_found"
            || (self.status == 404 && self.message.to_lowercase().contains("model"))
    }

    /// The path does not exist, whatever the body says about it.
    pub(crate) fn is_route_missing(&self) -> bool {
        matches!(self.status, 404 | 405 | 501) && !self.is_model_unknown()
    }

    pub(crate) fn is_too_long(&self) -> bool {
        let message = self.message.to_lowercase();
        let says = |words: &str| message.contains(words);
        matches!(
            self.code.as_str(),
            "context_length_exceeded" | "exceed_context_size_error"
        ) || (matches!(self.status, 400 | 413 | 422)
            && (says("context length") || says("context size") || says("context window")))
    }
}

/// The beginning of a body that has no error message, on one line.
pub(crate) fn excerpt(body: &str) -> String {
    let line: String = body.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None if line.is_empty() => "(empty body)".to_owned(),
        None => line,
    }
}

#[cfg(test)]
mod tests;
