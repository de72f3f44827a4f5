//! The server under evaluation: how many tokens it counts, and what it answers.

use serde_json::{Value, json};

use super::error::EvalError;
use super::message::{Message, to_json};
use super::trace::Trace;
use crate::measure::ServerError;
use crate::measure::client::{Client, StreamAnswer};
use crate::measure::error::Refusal;

/// One server and one model.
#[derive(Debug)]
pub(super) struct Asker {
    pub(super) client: Client,
    pub(super) model: String,
    /// No other run's: what is computed for one run is not found by another.
    pub(super) run: String,
}

/// What a request's prompt is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Prompt {
    /// Messages in OpenAI's shape.
    Chat(Value),
    /// Rendered already.
    Tokens(Vec<u32>),
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) prompt: Prompt,
    pub(super) max_tokens: u32,
    /// Requests of other salts share no cache with this one.
    pub(super) salt: String,
    /// `context_budget`.
    pub(super) context_budget: Option<Value>,
}

/// What came of a request.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    Answer(Box<StreamAnswer>),
    /// The server could not do it: the prompt is too long, the budget too small, ..
    Refused(Refusal),
}

impl Asker {
    /// Token ids of `messages` as the model's chat template renders them.
    ///
    /// # Errors
    /// `NoTokenizer` where the server does not count conversations.
    pub(super) async fn tokens(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<Vec<u32>, EvalError> {
        let body = json!({
            "model": self.model,
            "messages": to_json(messages),
            "tools": Trace::tools(),
            "add_generation_prompt": add_generation_prompt,
        });
        let answer = match self.client.post("/tokenize", &body).await {
            Err(ServerError::Refused(refusal)) => {
                return Err(EvalError::NoTokenizer {
                    reason: refusal.message,
                });
            }
            other => other?,
        };
        let ids = answer["tokens"].as_array().map(|ids| {
            ids.iter()
                .map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()))
                .collect()
        });
        ids.flatten().ok_or_else(|| EvalError::NoTokenizer {
            reason: "its answer has no list of token ids".to_owned(),
        })
    }

    /// The text of tokens, where the server says it.
    pub(super) async fn text(&self, tokens: &[u32]) -> Option<String> {
        let body = json!({"model": self.model, "tokens": tokens});
        let answer = self.client.post("/detokenize", &body).await.ok()?;
        answer["prompt"].as_str().map(str::to_owned)
    }

    /// Greedily answers.
    ///
    /// # Errors
    /// When the server cannot be reached, breaks off, or refuses the key.
    pub(super) async fn ask(&self, request: &Request) -> Result<Outcome, EvalError> {
        let (path, mut body) = match &request.prompt {
            Prompt::Chat(messages) => (
                "/v1/chat/completions",
                json!({"messages": messages, "tools": Trace::tools()}),
            ),
            Prompt::Tokens(tokens) => ("/v1/completions", json!({"prompt": tokens})),
        };
        body["model"] = json!(self.model);
        body["max_tokens"] = json!(request.max_tokens);
        body["temperature"] = json!(0);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        body["cache_salt"] = json!(format!("{}-{}", self.run, request.salt));
        if let Some(budget) = &request.context_budget {
            body["context_budget"] = budget.clone();
        }
        match self.client.stream(path, &body).await {
            Ok(answer) => Ok(Outcome::Answer(Box::new(answer))),
            Err(ServerError::Refused(refusal))
                if matches!(refusal.status, 400 | 413 | 422 | 429) =>
            {
                Ok(Outcome::Refused(refusal))
            }
            Err(error) => Err(error.into()),
        }
    }
}
