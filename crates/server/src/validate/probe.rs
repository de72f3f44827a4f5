//! `POST /v1/context/probe`.

use std::sync::Arc;

use super::budget;
use super::chat::{self, Conversation};
use super::context::enforce;
use super::fields::Fields;
use super::sampling::{HARMLESS, adapter, cache_salt, priority};
use crate::adapters::ServedAdapter;
use crate::budget::pipeline::Wish;
use crate::budget::questions::Question;
use crate::config::serve::RequestLimits;
use crate::model::ServedModel;
use crate::wire::error::ApiError;

/// Probes of a request at most.
const MAX_PROBES: usize = 64;

/// Bytes of a question at most.
const MAX_QUESTION_BYTES: usize = 4 << 10;

/// Bytes of an expected answer, and of a kind, at most.
const MAX_ANSWER_BYTES: usize = 1 << 10;

/// Tokens of an answer at most, and those of a request that does not say.
const ANSWER_TOKENS: (usize, usize) = (256, 32);

/// Questions to ask about a conversation, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeRequest {
    /// The conversation.
    pub conversation: Conversation,
    /// Its budget.
    pub wish: Wish,
    /// The questions; 1 to 64.
    pub questions: Vec<Question>,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// Class of the requests to the engine.
    pub priority: i32,
    /// The request's own salt.
    pub cache_salt: String,
    /// The adapter that the request names, if it is not the model itself.
    pub adapter: Option<Arc<ServedAdapter>>,
}

/// Reads a body.
///
/// # Errors
/// The first wrong field.
pub fn probe(
    body: &[u8],
    model: &ServedModel,
    limits: &RequestLimits,
) -> Result<ProbeRequest, ApiError> {
    let mut fields = Fields::from_body(body)?;
    let adapter = adapter(&mut fields, model)?;
    let conversation = chat::conversation(&mut fields, limits)?;
    if !conversation.add_generation_prompt {
        let message = "`add_generation_prompt`: a question follows, and an answer to it.";
        return Err(ApiError::unsupported("add_generation_prompt", message));
    }
    let mut wish = Wish {
        budget: budget::request(&mut fields)?,
        management: budget::management(&mut fields)?,
    };
    enforce(&mut wish)?;
    let max_tokens = fields.count("max_tokens", 1..=ANSWER_TOKENS.0)?;
    let max_tokens = max_tokens.unwrap_or(ANSWER_TOKENS.1);
    let request = ProbeRequest {
        adapter,
        conversation,
        wish,
        questions: questions(&mut fields, model, max_tokens)?,
        max_tokens,
        priority: priority(&mut fields)?,
        cache_salt: cache_salt(&mut fields)?,
    };
    fields.finish(&HARMLESS, &[])?;
    Ok(request)
}

fn questions(
    fields: &mut Fields,
    model: &ServedModel,
    max_tokens: usize,
) -> Result<Vec<Question>, ApiError> {
    let probes = fields
        .array("probes")?
        .ok_or_else(|| fields.missing("probes"))?;
    if probes.is_empty() || probes.len() > MAX_PROBES {
        let message = format!("`probes` has {} probes; 1 to {MAX_PROBES}.", probes.len());
        return Err(ApiError::field("probes", message));
    }
    let probes = probes.into_iter().enumerate().map(|(index, probe)| {
        let mut probe = Fields::from_value(format!("probes[{index}]"), probe)?;
        let question = Question {
            text: text(&mut probe, "q", 1..=MAX_QUESTION_BYTES)?,
            tokens: Vec::new(),
            answer: text(&mut probe, "answer", 0..=MAX_ANSWER_BYTES)?,
            kind: probe.string("kind")?,
        };
        let question = tokenised(question, &probe, model, max_tokens)?;
        probe.finish(&[], &[])?;
        Ok(question)
    });
    probes.collect()
}

/// A text whose number of bytes is in `bytes`.
fn text(
    probe: &mut Fields,
    name: &'static str,
    bytes: std::ops::RangeInclusive<usize>,
) -> Result<String, ApiError> {
    let text = probe.string(name)?.ok_or_else(|| probe.missing(name))?;
    if bytes.contains(&text.len()) {
        return Ok(text);
    }
    let path = probe.path(name);
    let (length, least, most) = (text.len(), bytes.start(), bytes.end());
    let message = format!("`{path}` has {length} bytes; it must have {least} to {most}.");
    Err(ApiError::field(path, message))
}

/// An answer that is expected must be one that the model can give.
fn tokenised(
    question: Question,
    probe: &Fields,
    model: &ServedModel,
    max_tokens: usize,
) -> Result<Question, ApiError> {
    let path = probe.path("answer");
    let tokens = model.tokenizer.encode(&question.answer, false);
    let tokens = tokens.map_err(|error| {
        ApiError::field(&path, format!("`{path}` cannot be tokenised: {error}."))
    })?;
    if tokens.len() > max_tokens {
        let message = format!(
            "`{path}` has {} tokens, and answers have {max_tokens} at most (`max_tokens`).",
            tokens.len()
        );
        return Err(ApiError::field(path, message));
    }
    Ok(Question { tokens, ..question })
}
