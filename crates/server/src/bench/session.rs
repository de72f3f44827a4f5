//! One server under measurement: how it is asked, and its requests one after the other.

use serde_json::Value;

use super::args::TtftArgs;
use super::endpoint::Endpoint;
use super::error::BenchError;
use super::measurement::{Measurement, Place};
use super::prompt::{PromptForm, PromptSource, WordRate};
use super::report::Target;
use crate::measure::ServerError;
use crate::measure::client::{Client, StreamAnswer};
use crate::measure::identity::Identity;

/// A server that has answered.
#[derive(Debug)]
pub(super) struct Session<'a> {
    asker: Asker<'a>,
    endpoint: Endpoint,
    source: PromptSource,
    /// What the user should know about how the server is asked.
    pub(super) notes: Vec<String>,
}

/// Who is asked for what, before it is known in which form.
#[derive(Debug)]
struct Asker<'a> {
    args: &'a TtftArgs,
    client: &'a Client,
    identity: Identity,
}

impl<'a> Session<'a> {
    /// Finds the model, the endpoint and the form of prompts by small requests.
    ///
    /// # Errors
    /// Any [`BenchError`] but those of the command line.
    pub(super) async fn open(
        args: &'a TtftArgs,
        client: &'a Client,
        seed: u64,
    ) -> Result<Self, BenchError> {
        let mut identity = Identity::discover(client, args.model.as_deref()).await?;
        let ids = identity.ask_tokens(client).await;
        check_length(&identity, args)?;
        let asker = Asker {
            args,
            client,
            identity,
        };
        let mut notes = Vec::new();
        let (endpoint, form) = asker.choose(ids, seed, &mut notes).await?;
        Ok(Self {
            asker,
            endpoint,
            source: PromptSource::new(form, seed),
            notes,
        })
    }

    pub(super) fn target(&self) -> Target {
        Target {
            identity: self.asker.identity.clone(),
            endpoint: self.endpoint.path(),
            prompt_form: self.source.form().name(),
        }
    }

    /// The order in which one repetition takes the hit rates.
    pub(super) fn order(&mut self) -> Vec<super::args::HitRate> {
        self.source.order(&self.asker.args.hit_rates)
    }

    /// One request of full length whose time does not count: buffers, graphs and the connection
    /// are there afterwards.
    ///
    /// # Errors
    /// Those of a streamed request.
    pub(super) async fn warm_up(&mut self) -> Result<(), BenchError> {
        let prompt = self.source.fresh(self.len());
        self.ask(&prompt).await.map(|_| ())
    }

    /// Warms the cache as `place` asks, then measures.
    ///
    /// # Errors
    /// Those of a streamed request.
    pub(super) async fn measure(&mut self, place: Place) -> Result<Measurement, BenchError> {
        let pair = self.source.pair(place.hit_rate, self.len());
        let warming = match &pair.warming {
            Some(prompt) => Some(self.ask(prompt).await?),
            None => None,
        };
        let answer = self.ask(&pair.measured).await?;
        Ok(Measurement::new(place, warming.as_ref(), &answer))
    }

    fn len(&self) -> usize {
        self.source.form().units_for(self.asker.args.prompt_tokens)
    }

    async fn ask(&self, prompt: &[u32]) -> Result<StreamAnswer, BenchError> {
        let prompt = self.source.form().render(prompt);
        self.asker
            .ask(self.endpoint, prompt, self.asker.args.max_tokens)
            .await
    }
}

impl Asker<'_> {
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
                    .ask(Endpoint::Completions, form.render(&prompt), 1)
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
        let most = (self.args.prompt_tokens as usize / 2).max(8);
        let unknown = PromptForm::Words(WordRate::UNKNOWN);
        let source = PromptSource::new(unknown.clone(), !seed);
        let mut counts = Vec::new();
        for words in [source.each_once(1), source.each_once(most)] {
            let answer = self.ask(endpoint, unknown.render(&words), 1).await?;
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
    ) -> Result<StreamAnswer, BenchError> {
        let body = endpoint.request(&self.identity.model, prompt, max_tokens);
        match self.client.stream(endpoint.path(), &body).await {
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
            Err(ServerError::Refused(refusal)) if refusal.is_too_long() => {
                Err(BenchError::PromptTooLong {
                    prompt_tokens: self.args.prompt_tokens,
                    max_tokens: self.args.max_tokens,
                    limit: format!("it says {:?}", refusal.message),
                })
            }
            other => Ok(other?),
        }
    }
}

/// # Errors
/// `PromptTooLong`, where the limit is known and too small.
fn check_length(identity: &Identity, args: &TtftArgs) -> Result<(), BenchError> {
    let tokens = u64::from(args.prompt_tokens) + u64::from(args.max_tokens);
    match identity.max_model_len {
        Some(limit) if tokens > limit => Err(BenchError::PromptTooLong {
            prompt_tokens: args.prompt_tokens,
            max_tokens: args.max_tokens,
            limit: format!("its limit is {limit} tokens (max_model_len)"),
        }),
        _ => Ok(()),
    }
}
