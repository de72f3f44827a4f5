//! What a step's forward pass gave.

use kv_cache::TokenId;
use scheduler::RequestId;

use crate::RequestError;
use crate::sampler::Sample;

/// What a forward pass gave; its memory is kept from step to step.
#[derive(Default)]
pub(super) struct Sampled {
    /// The request of each row of logits, in the plan's order.
    pub(super) rows: Vec<RequestId>,
    /// Their tokens, without those whose logits were unusable.
    pub(super) tokens: Vec<(RequestId, TokenId)>,
    /// The same tokens, with what else was asked for.
    pub(super) samples: Vec<Sample>,
    /// Requests for which no token can be chosen.
    pub(super) unusable: Vec<(RequestId, RequestError)>,
    /// Log probabilities of the tokens that the batch wanted scored, in its order.
    pub(super) scores: Vec<f32>,
    /// States that requests wanted.
    pub(super) states: Vec<(RequestId, Vec<f32>)>,
}

impl Sampled {
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.tokens.clear();
        self.samples.clear();
        self.unusable.clear();
        self.scores.clear();
        self.states.clear();
    }
}
