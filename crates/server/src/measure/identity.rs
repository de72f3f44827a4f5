//! Who the server is: its model, its version, its limit, its tokenizer.

use serde::Serialize;
use serde_json::{Value, json};

use super::client::Client;
use super::error::ServerError;
use super::words::WORDS;

/// What the server says about itself before anything is measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Identity {
    pub(crate) base_url: String,
    /// The answer of `/version`, whatever it is; null where there is none.
    pub(crate) version: Value,
    /// The `Server` header of `/v1/models`.
    pub(crate) server_header: Option<String>,
    /// Whom `/v1/models` names as the model's owner; vLLM, SGLang and llama.cpp name themselves.
    pub(crate) owned_by: Option<String>,
    pub(crate) model: String,
    /// Every name that `/v1/models` lists.
    pub(crate) served_models: Vec<String>,
    /// The longest prompt plus answer, in tokens, where the server says it.
    pub(crate) max_model_len: Option<u64>,
}

impl Identity {
    /// Asks `/v1/models` and `/version`; `model` is the user's choice.
    ///
    /// # Errors
    /// Those of [`Client::get`], and `NoModel`.
    pub(crate) async fn discover(
        client: &Client,
        model: Option<&str>,
    ) -> Result<Self, ServerError> {
        let (entries, server_header) = match client.get("/v1/models").await {
            Ok(answer) => (answer.body["data"].as_array().cloned(), answer.server),
            Err(ServerError::Refused(refusal)) if refusal.is_route_missing() && model.is_some() => {
                (None, None)
            }
            Err(ServerError::Refused(refusal)) if refusal.is_route_missing() => {
                let reason = format!("it answers {} ({})", refusal.status, refusal.message);
                return Err(ServerError::NotOpenAi {
                    url: refusal.url,
                    reason,
                });
            }
            Err(error) => return Err(error),
        };
        let entries = entries.unwrap_or_default();
        let served_models: Vec<String> = entries
            .iter()
            .filter_map(|entry| text(&entry["id"]))
            .collect();
        let model = match model
            .map(str::to_owned)
            .or_else(|| served_models.first().cloned())
        {
            Some(model) => model,
            None => {
                return Err(ServerError::NoModel {
                    url: client.url("/v1/models"),
                });
            }
        };
        let entry = entries.iter().find(|entry| entry["id"] == model.as_str());
        let entry = entry.unwrap_or(&Value::Null);
        let version = client
            .get("/version")
            .await
            .map_or(Value::Null, |answer| answer.body);
        Ok(Self {
            base_url: client.base().to_owned(),
            version,
            server_header,
            owned_by: text(&entry["owned_by"]),
            max_model_len: entry["max_model_len"].as_u64(),
            model,
            served_models,
        })
    }

    /// Ids of ordinary tokens, each once, from the server's own tokenizer; also learns the limit.
    ///
    /// `None` where there is no `/tokenize` that this tool understands.
    pub(crate) async fn ask_tokens(&mut self, client: &Client) -> Option<Vec<u32>> {
        let text = format!(" {}", WORDS.join(" "));
        // vLLM's and SGLang's shape first: llama.cpp answers it with an empty list, not an error.
        let shapes = [
            json!({"model": self.model, "prompt": text, "add_special_tokens": false}),
            json!({"content": text, "add_special": false}),
        ];
        for shape in &shapes {
            let Ok(answer) = client.post("/tokenize", shape).await else {
                continue;
            };
            self.max_model_len = self.max_model_len.or(answer["max_model_len"].as_u64());
            if let Some(ids) = distinct_ids(&answer["tokens"]) {
                return Some(ids);
            }
        }
        None
    }
}

/// The ids in order of appearance; `None` if there are too few to draw prompts from.
fn distinct_ids(tokens: &Value) -> Option<Vec<u32>> {
    let mut ids: Vec<u32> = Vec::new();
    for token in tokens.as_array()? {
        let id = u32::try_from(token.as_u64()?).ok()?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    // 16 draws out of 8 tokens, one small cache block, agree by chance once in 2^48.
    (ids.len() >= 8).then_some(ids)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
