//! What computing a token takes: the weights that are read and multiplied for it.

use crate::load::Dtype;
use crate::model::Model;
use crate::quantization::Quantization;
use crate::weights::{Names, expected};

impl Model {
    /// Bytes of weights that a step reads, loaded as `dtype` and `quantization` say: all of them, but
    /// for an embedding of which only some rows are looked up.
    pub fn step_weight_bytes(&self, dtype: Dtype, quantization: Quantization) -> usize {
        self.loaded_bytes_where(dtype, quantization, |name| {
            name != Names::EMBEDDING || self.config().tie_word_embeddings
        })
    }

    /// Weights that each token of a prompt is multiplied with, but for the last one: the matrices of
    /// the layers. A multiplication and an addition each.
    pub fn prompt_weights(&self) -> usize {
        let tensors = expected(self.config()).into_iter();
        let matrices = tensors.filter(|tensor| {
            tensor.shape.len() == 2 && ![Names::EMBEDDING, Names::LM_HEAD].contains(&&*tensor.name)
        });
        matrices
            .map(|tensor| tensor.shape.iter().product::<usize>())
            .sum()
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
