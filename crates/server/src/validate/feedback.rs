//! `POST /v1/context/feedback`.

use super::budget::exact;
use super::fields::Fields;
use crate::budget::told_plans::Feedback;
use crate::wire::error::ApiError;

/// Bytes of a missing fact at most.
const MAX_FACT_BYTES: usize = 4 << 10;

/// Reads a body: the id of a plan, and at least one thing to say of it, at `now` in seconds since
/// 1970.
///
/// # Errors
/// The first wrong field.
pub fn feedback(body: &[u8], now: u64) -> Result<(String, Feedback), ApiError> {
    let mut fields = Fields::from_body(body)?;
    let id = fields
        .string("plan_id")?
        .ok_or_else(|| fields.missing("plan_id"))?;
    let feedback = Feedback {
        score: fields.number("score", 0.0..=1.0)?.map(exact),
        success: fields.boolean("success")?,
        missing_fact: fields.string("missing_fact")?.map(Box::from),
        route_correct: fields.boolean("route_correct")?,
        given_at: now,
    };
    fields.finish(&[], &[])?;
    let fact_bytes = feedback.missing_fact.as_ref().map_or(0, |fact| fact.len());
    if fact_bytes > MAX_FACT_BYTES {
        let message = format!("`missing_fact` has {fact_bytes} bytes, at most {MAX_FACT_BYTES}.");
        return Err(ApiError::field("missing_fact", message));
    }
    let nothing = Feedback {
        given_at: now,
        ..Feedback::default()
    };
    if feedback == nothing {
        let message = "Say at least one of `score`, `success`, `missing_fact` and `route_correct`.";
        return Err(ApiError::field("score", message));
    }
    Ok((id, feedback))
}
