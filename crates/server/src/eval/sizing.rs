//! Episodes of a length in tokens, as the server counts them.

use super::asker::Asker;
use super::error::EvalError;
use super::generator::{Size, generate};
use super::rendered::Rendered;
use super::trace::{Trace, TraceKind};

/// Episodes are at most so much shorter than asked.
const TOLERANCE: f64 = 0.02;
/// Counts after which the best one stands.
const TRIES: usize = 12;

/// The episode of `kind` and `seed` with at most `length` tokens and not much fewer; the model is
/// asked `turns` times in it, if given.
///
/// # Errors
/// `TooShort`, and those of counting.
pub(super) async fn sized(
    kind: TraceKind,
    seed: u64,
    length: u64,
    turns: Option<u64>,
    asker: &Asker,
) -> Result<(Trace, Rendered), EvalError> {
    let with = |sentences: usize| {
        let size = Size {
            tokens: length,
            turns,
            sentences,
        };
        generate(kind, seed, size)
    };
    let bare = with(0);
    let least = asker.tokens(&bare.messages, false).await?.len() as u64;
    if least > length {
        return Err(EvalError::TooShort {
            length,
            kind: kind.to_string(),
            least,
        });
    }
    // (sentences, tokens) that fit, and the fewest sentences that do not.
    let mut fits = (0, least);
    let mut too_many: Option<usize> = None;
    let mut per_sentence = 14.0;
    for _ in 0..TRIES {
        let missing = length - fits.1;
        if missing as f64 <= TOLERANCE * length as f64 {
            break;
        }
        let more = (missing as f64 * 0.99 / per_sentence).floor().max(1.0) as usize;
        let mut next = fits.0 + more;
        if let Some(too_many) = too_many {
            next = next.min(fits.0 + (too_many - fits.0) / 2);
        }
        if next == fits.0 {
            break;
        }
        let tokens = asker.tokens(&with(next).messages, false).await?.len() as u64;
        per_sentence = (tokens.saturating_sub(least) as f64 / next as f64).max(1.0);
        if tokens <= length {
            fits = (next, tokens);
        } else {
            too_many = Some(next);
        }
    }
    let trace = with(fits.0);
    let rendered = Rendered::of(&trace, asker).await?;
    Ok((trace, rendered))
}
