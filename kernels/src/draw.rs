//! How a token is chosen where its logits are.

/// No token of a row: its largest logit is not finite.
pub const NO_TOKEN: u32 = u32::MAX;

/// Added to the index of a row of logits, it stands in [`StepBatch::token_ids`] for the token that the
/// step before has drawn of that row, and that the host does not know yet. Only for backends that
/// [run ahead](crate::Backend::runs_ahead).
///
/// [`StepBatch::token_ids`]: crate::StepBatch::token_ids
pub const DRAWN_BEFORE: u32 = 1 << 31;

/// How the token of a row of logits is chosen, by a backend that does so ([`Sample`]): temperature,
/// `top_k`, `top_p` (over what `top_k` left), `min_p`, then the token at `place`.
///
/// With `top_k` or `top_p` tokens take their shares of `[0, 1)` from the likeliest to the least likely
/// one, of equal ones in ascending order; otherwise all take them in ascending order.
///
/// [`Sample`]: crate::Sample
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// 0 takes the likeliest token, of equal ones the first; otherwise logits are divided by it.
    pub temperature: f32,
    /// Only the k most likely tokens, at least one; `None` is all.
    pub top_k: Option<u32>,
    /// The smallest set of most likely tokens whose probability reaches it; in `(0, 1]`.
    pub top_p: f32,
    /// Only tokens at least this fraction as likely as the likeliest; in `[0, 1]`.
    pub min_p: f32,
    /// Where the draw falls; in `[0, 1)`.
    pub place: f64,
    /// Log probabilities to report, by the plain softmax of the row: the token's, and of this many of
    /// the likeliest; at most [`Draw::MAX_TOP`].
    pub logprobs: Option<u32>,
}

impl Draw {
    /// Most log probabilities beside the token's own.
    pub const MAX_TOP: u32 = 64;

    /// The likeliest token.
    pub const LIKELIEST: Self = Self {
        temperature: 0.0,
        top_k: None,
        top_p: 1.0,
        min_p: 0.0,
        place: 0.0,
        logprobs: None,
    };
}

/// What was chosen of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnToken {
    /// Its index in the row, or [`NO_TOKEN`]. What is no number is passed over.
    pub token: u32,
    /// If they were wanted and there is a token.
    pub logprobs: Option<DrawnLogprobs>,
}

/// Natural logarithms of probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct DrawnLogprobs {
    /// Of the token.
    pub token: f32,
    /// Of the likeliest tokens, descending, of equal ones in ascending order.
    pub top: Vec<(u32, f32)>,
}
