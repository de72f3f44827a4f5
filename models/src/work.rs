//! What computing a token takes: the weights that are read and multiplied for it.

use crate::load::Dtype;
use crate::model::Model;
use crate::quantization::Quantization;
use crate::weights::{Expected, Names, expected};

impl Model {
    /// Bytes of weights that a step of one token reads, loaded as `dtype` and `quantization` say: all
    /// of them, but for an embedding of which only some rows are looked up, and for the experts that
    /// the token does not pass through.
    pub fn step_weight_bytes(&self, dtype: Dtype, quantization: Quantization) -> usize {
        let of_experts = self.loaded_bytes_where(dtype, quantization, Names::is_of_expert);
        let rest = self.loaded_bytes_where(dtype, quantization, |name| {
            let read = name != Names::EMBEDDING || self.config().tie_word_embeddings;
            read && !Names::is_of_expert(name)
        });
        rest + self.passed_through(of_experts)
    }

    /// Weights that each token of a prompt is multiplied with, but for the last one: the matrices of
    /// the layers, and of experts those that a token passes through. A multiplication and an addition
    /// each.
    pub fn prompt_weights(&self) -> usize {
        let tensors = expected(self.config()).into_iter();
        let matrices = tensors.filter(|tensor| {
            tensor.shape.len() == 2 && ![Names::EMBEDDING, Names::LM_HEAD].contains(&&*tensor.name)
        });
        let (of_experts, rest): (Vec<Expected>, Vec<Expected>) =
            matrices.partition(|tensor| Names::is_of_expert(&tensor.name));
        let weights = |tensors: &[Expected]| -> usize {
            let sizes = tensors
                .iter()
                .map(|tensor| tensor.shape.iter().product::<usize>());
            sizes.sum()
        };
        weights(&rest) + self.passed_through(weights(&of_experts))
    }

    /// A token's share of what all experts have: all are of one size.
    fn passed_through(&self, of_experts: usize) -> usize {
        let experts = self.config().experts;
        experts.map_or(of_experts, |experts| {
            of_experts / experts.num_experts * experts.num_experts_per_tok
        })
    }

    /// All weights.
    pub fn num_parameters(&self) -> usize {
        let tensors = expected(self.config());
        let sizes = tensors
            .iter()
            .map(|tensor| tensor.shape.iter().product::<usize>());
        sizes.sum()
    }
}
