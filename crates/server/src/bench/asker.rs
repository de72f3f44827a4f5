//! One server under measurement: how it is asked.

use serde::Serialize;
use serde_json::Value;

use super::endpoint::Endpoint;
use super::error::BenchError;
use super::prompt::{PromptForm, PromptSource, WordRate};
use crate::measure::client::{Client, StreamAnswer};
use crate::measure::identity::Identity;
use crate::measure::{ServerArgs, ServerError};

/// A server that has answered, the endpoint that it has, and the form of prompts that it takes.
#[derive(Debug)]
pub(super) struct Asker {
    scout: Scout,
    endpoint: Endpoint,
    form: PromptForm,
    /// What the user should know about how the server is asked.
    pub(super) notes: Vec<String>,
}

/// The longest request of a run, in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Longest {
    pub(super) prompt_tokens: u32,
    pub(super) max_tokens: u32,
    /// The option that makes prompts shorter.
    pub(super) option: &'static str,
}

/// The server and how it is asked, as results name it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Target {
    #[serde(flatten)]
    pub(super) identity: Identity,
    /// The path that answered.
    pub(super) endpoint: &'static str,
    /// `token_ids` or `text`.
    pub(super) prompt_form: &'static str,
}

/// Who is asked for what, before it is known in which form.
#[derive(Debug)]
struct Scout {
    client: Client,
    identity: Identity,
    longest: Longest,
}

impl Asker {
    /// Finds the model, the endpoint and the form of prompts by small requests.
    ///
    /// # Errors
    /// Any [`BenchError`] but those of the command line.
    pub(super) async fn open(
        args: &ServerArgs,
        longest: Longest,
        seed: u64,
    ) -> Result<Self, BenchError> {
        let (scout, ids) = Scout::open(args, longest).await?;
        let mut notes = Vec::new();
        let (endpoint, form) = scout.choose(ids, seed, &mut notes).await?;
        Ok(Self {
            scout,
            endpoint,
            form,
            notes,
        })
    }

    /// As [`Self::open`] for those who need messages: chat is asked, in text.
    ///
    /// # Errors
    /// Any [`BenchError`] but those of the command line.
    pub(super) async fn open_chat(
        args: &ServerArgs,
        longest: Longest,
        seed: u64,
    ) -> Result<Self, BenchError> {
        let (scout, _) = Scout::open(args, longest).await?;
        let mut notes = Vec::new();
        match scout.text_form(Endpoint::Chat, seed, &mut notes).await {
            Ok(form) => Ok(Self {
                scout,
                endpoint: Endpoint::Chat,
                form,
                notes,
            }),
            Err(BenchError::Server(ServerError::Refused(refusal)))
                if refusal.is_route_missing() =>
            {
                Err(BenchError::NoChat {
                    base: scout.client.base().to_owned(),
                })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn target(&self) -> Target {
        Target {
            identity: self.scout.identity.clone(),
            endpoint: self.endpoint.path(),
            prompt_form: self.form.name(),
        }
    }

    /// Where prompts go.
    pub(super) fn endpoint(&self) -> Endpoint {
        self.endpoint
    }

    pub(super) fn form(&self) -> &PromptForm {
        &self.form
    }

    /// The longest prompt and answer of the server in tokens, where it is known.
    pub(super) fn limit(&self) -> Option<u64> {
        self.scout.identity.max_model_len
    }

    /// Streams the answer to `body`, a request of `endpoint` that is sent as it is but for the model
    /// and the fields of streaming.
    ///
    /// # Errors
    /// Those of a streamed request, a refusal as the server words it.
    pub(super) async fn send(
        &self,
        endpoint: Endpoint,
        mut body: Value,
    ) -> Result<StreamAnswer, BenchError> {
        Ok(self.scout.stream(endpoint, &mut body).await?)
    }

    /// Streams the answer to `prompt`, which are units of the form; `settings` are further fields of
    /// the request.
    ///
    /// # Errors
    /// Those of a streamed request.
    pub(super) async fn ask(
        &self,
        prompt: &[u32],
        max_tokens: u32,
        settings: &[(&str, Value)],
    ) -> Result<StreamAnswer, BenchError> {
        let prompt = self.form.render(prompt);
        self.scout
            .ask(self.endpoint, prompt, max_tokens, settings)
            .await
    }
}

impl Scout {
    /// With the ids of ordinary tokens, where the server has `/tokenize`.
    async fn open(
        args: &ServerArgs,
        longest: Longest,
    ) -> Result<(Self, Option<Vec<u32>>), BenchError> {
        let client = args.client()?;
        let mut identity = Identity::discover(&client, args.model.as_deref()).await?;
        let ids = identity.ask_tokens(&client).await;
        longest.check(&identity)?;
        let scout = Self {
            client,
            identity,
            longest,
        };
        Ok((scout, ids))
    }

    /// Token ids if the server takes them, else text; completions if it has them, else chat.
    async fn choose(
        &self,
        ids: Option<Vec<u32>>,
        seed: u64,
        notes: &mut Vec<String>,
    ) -> Result<(Endpoint, PromptForm), BenchError> {
        match ids {
            Some(ids) => {
                let form = PromptForm::TokenIds(ids);
                let prompt = PromptSource::new(form.clone(), !seed).fresh(8);
                match self
                    .ask(Endpoint::Completions, form.render(&prompt), 1, &[])
                    .await
                {
                    Ok(_) => return Ok((Endpoint::Completions, form)),
                    Err(BenchError::Server(ServerError::Refused(refusal)))
                        if matches!(refusal.status, 400 | 422 | 500) =>
                    {
                        notes.push(format!(
                            "prompts are text: token ids get {:?}",
                            refusal.message
                        ));
                    }
                    Err(BenchError::Server(ServerError::Refused(refusal)))
                        if refusal.is_route_missing() => {}
                    Err(error) => return Err(error),
                }
            }
            None => notes.push("prompts are text: the server has no /tokenize".to_owned()),
        }
        let form = match self.text_form(Endpoint::Completions, seed, notes).await {
            Ok(form) => return Ok((Endpoint::Completions, form)),
            Err(BenchError::Server(ServerError::Refused(refusal)))
                if refusal.is_route_missing() =>
            {
                notes.push("the server has no /v1/completions: chat is measured".to_owned());
                self.text_form(Endpoint::Chat, seed, notes).await
            }
            Err(error) => Err(error),
        };
        match form {
            Ok(form) => Ok((Endpoint::Chat, form)),
            Err(BenchError::Server(ServerError::Refused(refusal)))
                if refusal.is_route_missing() =>
            {
                Err(BenchError::NoCompletions {
                    base: self.client.base().to_owned(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Learns from two small texts how many tokens words make.
    async fn text_form(
        &self,
        endpoint: Endpoint,
        seed: u64,
        notes: &mut Vec<String>,
    ) -> Result<PromptForm, BenchError> {
        // Half a prompt fits every server that a prompt fits.
        let most = (self.longest.prompt_tokens as usize / 2).max(8);
        let unknown = PromptForm::Words(WordRate::UNKNOWN);
        let source = PromptSource::new(unknown.clone(), !seed);
        let mut counts = Vec::new();
        for words in [source.each_once(1), source.each_once(most)] {
            let answer = self.ask(endpoint, unknown.render(&words), 1, &[]).await?;
            counts.extend(
                answer
                    .usage
                    .prompt_tokens
                    .map(|tokens| (words.len(), tokens)),
            );
        }
        if let [short, long] = counts[..] {
            return Ok(PromptForm::Words(WordRate::through(short, long)));
        }
        notes.push("the server counts no prompt tokens: one word is taken for one".to_owned());
        Ok(unknown)
    }

    /// Streams an answer; a refusal that has a better name gets it.
    async fn ask(
        &self,
        endpoint: Endpoint,
        prompt: Value,
        max_tokens: u32,
        settings: &[(&str, Value)],
    ) -> Result<StreamAnswer, BenchError> {
        let mut body = endpoint.request(prompt, max_tokens);
        for (name, value) in settings {
            body[*name] = value.clone();
        }
        match self.stream(endpoint, &mut body).await {
            Err(ServerError::Refused(refusal)) if refusal.is_model_unknown() => {
                Err(BenchError::ModelUnknown {
                    model: self.identity.model.clone(),
                    served: match self.identity.served_models.join(", ") {
                        names if names.is_empty() => "none that it lists".to_owned(),
                        names => names,
                    },
                    message: refusal.message,
                })
            }
            Err(ServerError::Refused(refusal)) if refusal.is_too_long() => Err(self
                .longest
                .too_long(format!("it says {:?}", refusal.message))),
            other => Ok(other?),
        }
    }

    async fn stream(
        &self,
        endpoint: Endpoint,
        body: &mut Value,
    ) -> Result<StreamAnswer, ServerError> {
        body["model"] = Value::from(self.identity.model.as_str());
        body["stream"] = Value::Bool(true);
        body["stream_options"]["include_usage"] = Value::Bool(true);
        self.client.stream(endpoint.path(), body).await
    }
}

impl Longest {
    /// # Errors
    /// `PromptTooLong`, where the limit is known and too small.
    fn check(self, identity: &Identity) -> Result<(), BenchError> {
        let tokens = u64::from(self.prompt_tokens) + u64::from(self.max_tokens);
        match identity.max_model_len {
            Some(limit) if tokens > limit => {
                Err(self.too_long(format!("its limit is {limit} tokens (max_model_len)")))
            }
            _ => Ok(()),
        }
    }

    fn too_long(self, limit: String) -> BenchError {
        BenchError::PromptTooLong {
            prompt_tokens: self.prompt_tokens,
            max_tokens: self.max_tokens,
            limit,
            option: self.option,
        }
    }
}
