//! The fields that chat and completions have in common.

use std::sync::Arc;

use engine::{SamplingParams, TokenId};
use serde_json::{Map, Value};

use super::fields::{Fields, integer, number, wrong_type};
use super::grammar::{self, AskedGrammar};
use super::retention::{self, CacheWish};
use crate::adapters::ServedAdapter;
use crate::encoder::ServedEncoder;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// Stop strings of a request at most.
const MAX_STOPS: usize = 16;
/// Bytes of a stop string at most: so much text may be held back.
const MAX_STOP_BYTES: usize = 1_000;
/// Stop tokens of a request at most.
const MAX_STOP_TOKENS: usize = 128;
/// Bytes of a cache salt at most.
const MAX_SALT_BYTES: usize = 1_024;

/// Fields that clients send and that change no answer here: who asks, what for, where to keep it.
pub const HARMLESS: [&str; 11] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "parallel_tool_calls",
    "safety_identifier",
    "request_id",
    "verbosity",
    "return_token_ids",
    "api_key",
    "api_base",
];

/// How to generate, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Generation {
    /// The adapter that the request names, if it is not the model itself.
    pub adapter: Option<Arc<ServedAdapter>>,
    /// Parameters of the first answer; its seed is the request's, if it has one.
    pub sampling: SamplingParams,
    /// The request's seed.
    pub seed: Option<u64>,
    /// Answers to the prompt.
    pub n: usize,
    /// Output tokens asked for.
    pub max_tokens: Option<usize>,
    /// Output tokens before which nothing stops.
    pub min_tokens: usize,
    /// Strings that end the answer.
    pub stop: Vec<String>,
    /// Whether the stop string is part of the answer.
    pub include_stop: bool,
    /// Tokens that end the answer, the model's own included unless it is to ignore them.
    pub stop_token_ids: Vec<TokenId>,
    /// Tokens that the model may think before it must answer.
    pub thinking_budget: Option<usize>,
    /// What form the answer has to have.
    pub grammar: Option<AskedGrammar>,
    /// Class of the request; lower is earlier.
    pub priority: i32,
    /// Keeps the request's cached prefixes to requests with the same salt.
    pub cache_salt: String,
    /// What it asks of the cache.
    pub cache: CacheWish,
    /// Whether special tokens are left out of the text.
    pub skip_special_tokens: bool,
    /// Whether to send the answer as it is made.
    pub stream: bool,
    /// Whether a stream ends with the usage.
    pub include_usage: bool,
    /// Whether a stream tells how its context is decided.
    pub include_context_budget: bool,
}

/// Takes the common fields; `logprobs` is the caller's, since the APIs differ.
///
/// # Errors
/// The first wrong field.
pub fn generation(
    fields: &mut Fields,
    model: &ServedModel,
    logprobs: Option<u32>,
    max_n: usize,
) -> Result<Generation, ApiError> {
    let adapter = adapter(fields, model)?;
    let seed = seed(fields)?;
    let sampling = sampling(fields, model, logprobs, seed)?;
    let stream = fields.boolean("stream")?.unwrap_or(false);
    let options = stream_options(fields, stream)?;
    let ignore_eos = fields.boolean("ignore_eos")?.unwrap_or(false);
    let max_tokens = max_tokens(fields)?;
    let generation = Generation {
        adapter,
        sampling,
        seed,
        n: fields.count("n", 1..=max_n)?.unwrap_or(1),
        max_tokens,
        min_tokens: fields
            .count("min_tokens", 0..=model.window.tokens)?
            .unwrap_or(0),
        stop: stop_strings(fields)?,
        include_stop: fields
            .boolean("include_stop_str_in_output")?
            .unwrap_or(false),
        stop_token_ids: stop_tokens(fields, model, ignore_eos)?,
        thinking_budget: fields.count("thinking_token_budget", 0..=usize::MAX)?,
        grammar: grammar::asked(fields)?,
        priority: priority(fields)?,
        cache_salt: cache_salt(fields)?,
        cache: retention::cache_wish(fields)?,
        skip_special_tokens: fields.boolean("skip_special_tokens")?.unwrap_or(true),
        stream,
        include_usage: options.include_usage,
        include_context_budget: options.include_context_budget,
    };
    check_detokenizing(fields)?;
    if let (true, Some(grammar)) = (ignore_eos, &generation.grammar) {
        let message = format!(
            "`ignore_eos`: an answer that is complete by `{}` has nothing to go on with.",
            grammar.field
        );
        return Err(ApiError::field("ignore_eos", message));
    }
    if let Some(max_tokens) = max_tokens.filter(|&max| max < generation.min_tokens) {
        let message = format!(
            "Invalid value for `min_tokens`: {} is more than the {max_tokens} output tokens.",
            generation.min_tokens
        );
        return Err(ApiError::field("min_tokens", message));
    }
    Ok(generation)
}

/// The model that is asked for must be one of this server's names or adapters; absent is fine.
///
/// # Errors
/// 404 when it is another.
pub fn adapter(
    fields: &mut Fields,
    model: &ServedModel,
) -> Result<Option<Arc<ServedAdapter>>, ApiError> {
    let name = fields.string("model")?;
    adapter_named(name.as_deref(), model)
}

/// The adapter that a request names; `None` for the model itself, which is meant without a name.
///
/// # Errors
/// 404 when it is another.
pub fn adapter_named(
    name: Option<&str>,
    model: &ServedModel,
) -> Result<Option<Arc<ServedAdapter>>, ApiError> {
    let own = |name: &str| model.names.iter().any(|own| own == name);
    let Some(name) = name.filter(|name| !name.is_empty() && !own(name)) else {
        return Ok(None);
    };
    let embeds = |encoder: &ServedEncoder| encoder.name() == name;
    if model.encoder.as_ref().is_some_and(embeds) {
        let message =
            format!("The model `{name}` embeds texts, at /v1/embeddings; it does not generate.");
        return Err(ApiError::not_found("model", "model_not_found", message));
    }
    let adapter = model.adapters.get(name).map(Some);
    adapter.ok_or_else(|| ApiError::model_not_found(name, &model.known_names()))
}

fn sampling(
    fields: &mut Fields,
    model: &ServedModel,
    logprobs: Option<u32>,
    seed: Option<u64>,
) -> Result<SamplingParams, ApiError> {
    let defaults = &model.defaults;
    let top_k = match fields.integer("top_k", -1..=i64::from(u32::MAX))? {
        // vLLM and Hugging Face both use 0, vLLM also -1, for "all".
        Some(0 | -1) => None,
        Some(k) => Some(k as u32),
        None => defaults.top_k,
    };
    let top_p = fields.number("top_p", 0.0..=1.0)?;
    if top_p == Some(0.0) {
        let message = "Invalid value for `top_p`: it must be above 0 and at most 1.";
        return Err(ApiError::field("top_p", message));
    }
    let penalty = fields.number("repetition_penalty", 0.0..=100.0)?;
    if penalty == Some(0.0) {
        let message = "Invalid value for `repetition_penalty`: it must be above 0.";
        return Err(ApiError::field("repetition_penalty", message));
    }
    Ok(SamplingParams {
        temperature: fields
            .number("temperature", 0.0..=2.0)?
            .unwrap_or(defaults.temperature),
        top_k,
        top_p: top_p.unwrap_or(defaults.top_p),
        min_p: fields.number("min_p", 0.0..=1.0)?.unwrap_or(defaults.min_p),
        repetition_penalty: penalty.unwrap_or(defaults.repetition_penalty),
        presence_penalty: fields
            .number("presence_penalty", -2.0..=2.0)?
            .unwrap_or(0.0),
        frequency_penalty: fields
            .number("frequency_penalty", -2.0..=2.0)?
            .unwrap_or(0.0),
        logit_bias: logit_bias(fields, model)?,
        seed: seed.unwrap_or(0),
        logprobs,
    })
}

fn seed(fields: &mut Fields) -> Result<Option<u64>, ApiError> {
    // Clients send signed numbers; the bits are what matters.
    Ok(fields
        .integer("seed", i64::MIN..=i64::MAX)?
        .map(|seed| seed as u64))
}

fn max_tokens(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let current = fields.count("max_completion_tokens", 1..=usize::MAX)?;
    let deprecated = fields.count("max_tokens", 1..=usize::MAX)?;
    match (current, deprecated) {
        (Some(a), Some(b)) if a != b => {
            let current = fields.path("max_completion_tokens");
            let message = format!("`max_tokens` and `{current}` contradict each other.");
            Err(ApiError::field("max_tokens", message))
        }
        (current, deprecated) => Ok(current.or(deprecated)),
    }
}

/// Takes `priority`.
pub(super) fn priority(fields: &mut Fields) -> Result<i32, ApiError> {
    let range = i64::from(i32::MIN)..=i64::from(i32::MAX);
    Ok(fields.integer("priority", range)?.unwrap_or(0) as i32)
}

/// Takes `cache_salt`.
pub(super) fn cache_salt(fields: &mut Fields) -> Result<String, ApiError> {
    let salt = fields.string("cache_salt")?.unwrap_or_default();
    if salt.len() > MAX_SALT_BYTES {
        let message = format!(
            "Invalid value for `cache_salt`: {} bytes, at most {MAX_SALT_BYTES}.",
            salt.len()
        );
        return Err(ApiError::field("cache_salt", message));
    }
    Ok(salt)
}

fn logit_bias(fields: &mut Fields, model: &ServedModel) -> Result<Vec<(TokenId, f32)>, ApiError> {
    let map: Map<String, Value> = fields.object("logit_bias")?.unwrap_or_default();
    map.iter()
        .map(|(key, value)| {
            let path = format!("logit_bias.{key}");
            let token = key
                .parse()
                .ok()
                .filter(|&token: &u32| model.has_token(token));
            let Some(token) = token else {
                let message = format!("Invalid key in `logit_bias`: `{key}` is not a token id.");
                return Err(ApiError::field("logit_bias", message));
            };
            Ok((TokenId(token), number(&path, value, -100.0..=100.0)?))
        })
        .collect()
}

fn stop_strings(fields: &mut Fields) -> Result<Vec<String>, ApiError> {
    let path = fields.path("stop");
    let stops = match fields.value("stop") {
        None => return Ok(Vec::new()),
        Some(Value::String(stop)) => vec![stop],
        Some(Value::Array(items)) => {
            let strings = items.iter().enumerate().map(|(index, item)| {
                item.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong_type(&format!("{path}[{index}]"), "a string", item))
            });
            strings.collect::<Result<_, _>>()?
        }
        Some(other) => return Err(wrong_type(&path, "a string or an array of them", &other)),
    };
    if stops.len() > MAX_STOPS {
        let message = format!("`{path}` has {} strings, at most {MAX_STOPS}.", stops.len());
        return Err(ApiError::field(path, message));
    }
    match stops
        .iter()
        .find(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES)
    {
        Some(stop) => {
            let message = format!(
                "A string in `{path}` has {} bytes; it must have 1 to {MAX_STOP_BYTES}.",
                stop.len()
            );
            Err(ApiError::field(path, message))
        }
        None => Ok(stops),
    }
}

fn stop_tokens(
    fields: &mut Fields,
    model: &ServedModel,
    ignore_eos: bool,
) -> Result<Vec<TokenId>, ApiError> {
    let asked = fields.array("stop_token_ids")?.unwrap_or_default();
    if asked.len() > MAX_STOP_TOKENS {
        let message = format!("{} tokens, at most {MAX_STOP_TOKENS}.", asked.len());
        return Err(ApiError::field(
            "stop_token_ids",
            format!("`stop_token_ids`: {message}"),
        ));
    }
    let mut tokens = Vec::new();
    for (index, value) in asked.iter().enumerate() {
        let path = format!("stop_token_ids[{index}]");
        let id = integer(&path, value, 0..=i64::from(u32::MAX))? as u32;
        if !model.has_token(id) {
            return Err(ApiError::field(
                &path,
                format!("`{path}`: {id} is not a token id."),
            ));
        }
        tokens.push(TokenId(id));
    }
    if !ignore_eos {
        tokens.extend(model.eos_token_ids.iter().copied());
    }
    tokens.sort_unstable();
    tokens.dedup();
    Ok(tokens)
}

/// What a stream says beside the answer.
#[derive(Default)]
struct StreamOptions {
    include_usage: bool,
    include_context_budget: bool,
}

fn stream_options(fields: &mut Fields, stream: bool) -> Result<StreamOptions, ApiError> {
    let Some(options) = fields.object("stream_options")? else {
        return Ok(StreamOptions::default());
    };
    if !stream {
        let message = "`stream_options` is only allowed when `stream` is true.";
        return Err(ApiError::field("stream_options", message));
    }
    let mut options = Fields::from_value("stream_options".into(), Value::Object(options))?;
    let mut include =
        |name| -> Result<bool, ApiError> { Ok(options.boolean(name)?.unwrap_or(false)) };
    let included = StreamOptions {
        include_usage: include("include_usage")?,
        include_context_budget: include("include_context_budget")?,
    };
    let unsupported = [(
        "continuous_usage_stats",
        "the usage is sent once, at the end.",
    )];
    options.finish(&["include_obfuscation"], &unsupported)?;
    Ok(included)
}

fn check_detokenizing(fields: &mut Fields) -> Result<(), ApiError> {
    if fields.boolean("detokenize")? == Some(false) {
        let message = "`detokenize`: answers are always text.";
        return Err(ApiError::unsupported("detokenize", message));
    }
    // Spaces between special tokens are what the tokenizer's decoder makes them.
    if fields.boolean("spaces_between_special_tokens")? == Some(false) {
        let message = "`spaces_between_special_tokens` cannot be turned off.";
        return Err(ApiError::unsupported(
            "spaces_between_special_tokens",
            message,
        ));
    }
    Ok(())
}

/// Fields of vLLM and OpenAI that would change the answer and that the server does not have.
pub const UNSUPPORTED: [(&str, &str); 18] = [
    (
        "guided_json",
        "use `structured_outputs.json` or `response_format`.",
    ),
    ("guided_regex", "use `structured_outputs.regex`."),
    ("guided_choice", "use `structured_outputs.choice`."),
    (
        "guided_grammar",
        "use `structured_outputs.grammar`, in Lark.",
    ),
    ("grammar", "use `structured_outputs.grammar`, in Lark."),
    ("json_schema", "use `response_format`."),
    ("use_beam_search", "beam search is not supported."),
    ("length_penalty", "beam search is not supported."),
    ("early_stopping", "beam search is not supported."),
    (
        "bad_words",
        "forbidding words is not supported; `logit_bias` forbids tokens.",
    ),
    (
        "allowed_token_ids",
        "restricting the vocabulary is not supported.",
    ),
    ("truncate_prompt_tokens", "prompts are never cut silently."),
    (
        "prompt_logprobs",
        "log probabilities of the prompt are not supported.",
    ),
    (
        "logits_processors",
        "custom logits processors are not supported.",
    ),
    ("typical_p", "typical sampling is not supported."),
    ("top_a", "top-a sampling is not supported."),
    ("mirostat", "mirostat is not supported."),
    (
        "kv_transfer_params",
        "moving KV between servers is not supported.",
    ),
];
