//! What a caller asks of the engine.

use kv_cache::TokenId;
use scheduler::{RetentionRequest, StopConditions};

use crate::{AdapterHandle, EventSink, TokenConstraint};

/// A prompt to continue.
///
/// One request makes one sequence. `n` answers are `n` requests with the same prompt: the prefix
/// cache computes it once, and each of the others recomputes only the prompt's last token.
pub struct GenerateRequest {
    /// The prompt; not empty.
    pub prompt: Vec<TokenId>,
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// When to stop.
    pub stop: StopConditions,
    /// Class of the request, lower is served earlier (as in vLLM); 0 by default.
    pub priority: i32,
    /// Requests share cached prefixes only with requests of the same salt.
    pub cache_salt: Vec<u8>,
    /// The adapter that the request is computed with; `None` is the base model. Prefixes are not
    /// shared across adapters, whatever their salts are.
    pub adapter: Option<AdapterHandle>,
    /// Output tokens that the request is sure to have room for once it is admitted; 0 promises
    /// nothing. It waits until so much memory is free, nobody else gets that, and it is not
    /// preempted before it has generated so many tokens. What exceeds `stop.max_tokens` is not
    /// kept, but counts when it is decided whether the request can ever fit.
    pub min_output_tokens: usize,
    /// Whether the request computes only with what others leave: at most
    /// [`SchedulerConfig::max_background_share`](crate::SchedulerConfig::max_background_share) of
    /// a step while others run. It is admitted only when nobody else waits, and ends with
    /// [`RequestError::Abandoned`](crate::RequestError::Abandoned) when others need its memory or
    /// its place. Excludes `min_output_tokens`.
    pub background: bool,
    /// What the answer may go on with; stop tokens that it allows end the answer.
    pub constraint: Option<Box<dyn TokenConstraint>>,
    /// What of the prompt is kept beyond its turn.
    pub retention: Option<RetentionRequest>,
    /// Positions of prompt tokens whose log probability is wanted
    /// ([`Event::Scored`](crate::Event::Scored)): ascending, above 0 and below the prompt's length.
    /// Each that is computed costs the end of the last layer and the output projection; empty costs
    /// nothing.
    pub scored: Vec<usize>,
    /// Whether the state behind the prompt's last token is wanted
    /// ([`Event::Embedded`](crate::Event::Embedded)).
    pub embed: bool,
    /// Where the answer goes. Once it is closed, the request is cancelled within one step.
    pub sink: Box<dyn EventSink>,
}

impl GenerateRequest {
    /// The likeliest `max_tokens` tokens behind a prompt; no token ends them, and nothing else is asked.
    pub fn greedy(prompt: Vec<TokenId>, max_tokens: usize, sink: Box<dyn EventSink>) -> Self {
        Self {
            prompt,
            sampling: SamplingParams::greedy(),
            stop: StopConditions {
                max_tokens,
                min_tokens: 0,
                stop_token_ids: Vec::new(),
            },
            priority: 0,
            cache_salt: Vec::new(),
            adapter: None,
            min_output_tokens: 0,
            background: false,
            constraint: None,
            retention: None,
            scored: Vec::new(),
            embed: false,
            sink,
        }
    }
}

/// How the next token is chosen, in this order: penalties and bias on the logits, temperature,
/// `top_k`, `top_p`, `min_p`, then a draw keyed by (seed, position).
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// 0 is greedy; otherwise logits are divided by it. Finite, not negative.
    pub temperature: f32,
    /// Only the k most likely tokens; `None` is all.
    pub top_k: Option<u32>,
    /// The smallest set of most likely tokens whose probability reaches it; in `(0, 1]`.
    pub top_p: f32,
    /// Only tokens at least this fraction as likely as the likeliest; in `[0, 1]`.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens in prompt or output; above 0.
    pub repetition_penalty: f32,
    /// Subtracted once from the logits of tokens in the output; in `[-2, 2]`.
    pub presence_penalty: f32,
    /// Subtracted per occurrence from the logits of tokens in the output; in `[-2, 2]`.
    pub frequency_penalty: f32,
    /// Added to the logits of these tokens.
    pub logit_bias: Vec<(TokenId, f32)>,
    /// Key of the random draws.
    pub seed: u64,
    /// Log probabilities to report per token: the chosen one and this many of the likeliest.
    /// They are those of the model, before penalties, bias, temperature and truncation.
    pub logprobs: Option<u32>,
}

impl SamplingParams {
    /// Whether penalties or biases change logits.
    pub(crate) fn changes_logits(&self) -> bool {
        self.has_penalties() || !self.logit_bias.is_empty()
    }

    /// Whether tokens that have been seen are less likely.
    pub(crate) fn has_penalties(&self) -> bool {
        self.repetition_penalty != 1.0
            || self.presence_penalty != 0.0
            || self.frequency_penalty != 0.0
    }

    /// Always the likeliest token.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            logit_bias: Vec::new(),
            seed: 0,
            logprobs: None,
        }
    }
}
