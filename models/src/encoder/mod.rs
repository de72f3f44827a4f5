//! Encoders: models that see a whole text at once and make a vector of it.
//!
//! BERT, RoBERTa and XLM-RoBERTa as candle-transformers has them, on the CPU and in f32; how their
//! states become a vector is what the files of sentence-transformers say.

mod config;
mod network;
mod sentence;
mod weights;

use std::path::Path;

use crate::config::ConfigError;
use crate::embed_error::EmbedError;
use crate::model::{ModelFiles, OpenError};
use crate::pooling::{Pooling, Poolings};
use crate::source::ModelSource;
use crate::weights::safetensors;
use crate::{gguf, hub};

use config::{EncoderConfig, Family};
use network::Network;
use sentence::SentenceConfig;

const POOLINGS: Poolings = Poolings {
    known: &[Pooling::Cls, Pooling::Mean, Pooling::LastToken],
    in_words: "one of cls, mean, lasttoken",
};

/// A loaded encoder.
///
/// Texts are computed one by one, so that a text's vector depends on nothing else.
pub struct Encoder {
    config: EncoderConfig,
    files: ModelFiles,
    network: Network,
    pooling: Pooling,
    lower_case: bool,
    window: usize,
    unread_tensors: Vec<String>,
}

impl Encoder {
    /// Opens and loads an encoder; one of a hub is downloaded first, unless it is in the cache.
    ///
    /// A model without the files of sentence-transformers has the pooling that sentence-transformers
    /// gives it: the mean.
    ///
    /// # Errors
    /// Anything wrong with the source, the configuration, the files of sentence-transformers or the
    /// weights; each error names the file, field or tensor.
    pub fn open(source: &ModelSource) -> Result<Self, OpenError> {
        match source {
            ModelSource::Folder(folder) => open_folder(folder),
            ModelSource::Hub(request) => {
                let check = |config: &[u8]| EncoderConfig::parse(config).map(|_| ());
                let path = hub::fetch_encoder(request, check)?;
                // From a cache that was filled for another use.
                match gguf::has_extension(&path) {
                    true => Err(OpenError::NotAnEncoder(request.repo.clone())),
                    false => open_folder(&path),
                }
            }
            ModelSource::Gguf(path) | ModelSource::Dummy(path) => {
                Err(OpenError::NotAnEncoder(path.display().to_string()))
            }
            ModelSource::Embedded => Err(OpenError::NotAnEncoder("the embedded model".to_owned())),
        }
    }

    /// The same for shorter texts, if [`Self::workspace_bytes`] would be more than `bytes`.
    pub fn within_workspace(mut self, bytes: usize) -> Self {
        while self.window > 1 && self.workspace_bytes() > bytes {
            self.window -= 1;
        }
        self
    }

    /// The vector of a text, in the order and with the special tokens that its tokenizer gives.
    /// Its length is not 1 in general. Takes all threads of rayon; not for async threads.
    ///
    /// # Errors
    /// No tokens, tokens that the model does not have, a text longer than the window, and weights
    /// that make no number of it.
    pub fn embed(&self, tokens: &[u32]) -> Result<Vec<f32>, EmbedError> {
        self.check(tokens)?;
        let states = self.network.states(tokens);
        let states = states.map_err(|error| EmbedError::Compute(error.to_string()))?;
        let vector = pooled(states, self.pooling);
        match vector.iter().all(|value| value.is_finite()) {
            true => Ok(vector),
            false => Err(EmbedError::NotFinite),
        }
    }

    /// Bytes that a text of [`Self::window`] tokens takes while it is computed, about: of the scores
    /// of all heads, candle holds several copies.
    pub fn workspace_bytes(&self) -> usize {
        let config = &self.config;
        // Of BERT: the product, scaled, masked, and the softmax with its parts. Of the others: the
        // product, what becomes of it, the softmax; the mask, twice; what counts positions.
        let (copies, others) = match config.family {
            Family::Bert => (6, 0),
            Family::Roberta => (3, 3),
        };
        let squares = (copies * config.num_heads + others) * self.window * self.window;
        let rows = self.window * (8 * config.hidden_size + 3 * config.intermediate_size);
        (squares + rows) * size_of::<f32>()
    }

    /// Tokens of a text at most, special ones included.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Ids of the vocabulary: rows of the embedding.
    pub fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// How states become a vector.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Whether texts are to be written in lower case before they are tokenised.
    pub fn lower_case(&self) -> bool {
        self.lower_case
    }

    /// Tokenizer and configuration, as they are in the source.
    pub fn files(&self) -> &ModelFiles {
        &self.files
    }

    /// As [`crate::Model::unread_tensors`].
    pub fn unread_tensors(&self) -> &[String] {
        &self.unread_tensors
    }

    fn check(&self, tokens: &[u32]) -> Result<(), EmbedError> {
        let (window, vocab_size) = (self.window, self.vocab_size());
        match tokens.len() {
            0 => return Err(EmbedError::Empty),
            tokens if tokens > window => return Err(EmbedError::TooLong { tokens, window }),
            _ => {}
        }
        let unknown = tokens.iter().position(|&id| id as usize >= vocab_size);
        match unknown {
            None => Ok(()),
            Some(index) => Err(EmbedError::Token {
                index,
                id: tokens[index],
                vocab_size,
            }),
        }
    }
}

fn open_folder(folder: &Path) -> Result<Encoder, OpenError> {
    let files = ModelFiles::in_folder(folder)?;
    let config = EncoderConfig::parse(&files.config)?;
    let pooling = Pooling::in_folder(folder, POOLINGS)?;
    let sentence = SentenceConfig::read(folder)?;
    let positions = config.num_positions();
    let window = sentence.max_tokens.unwrap_or(positions).min(positions);
    if window == 0 {
        let (fields, reason) = ("max_seq_length", "it leaves room for no token".to_owned());
        return Err(ConfigError::Contradiction { fields, reason }.into());
    }
    let (checkpoint, unread_tensors) = weights::checked(safetensors::open(folder)?, &config)?;
    let network = weights::read(&checkpoint, &config)
        .and_then(|tensors| Network::new(&config, tensors))
        .map_err(|error| OpenError::Network(error.to_string()))?;
    Ok(Encoder {
        config,
        files,
        network,
        pooling: pooling.unwrap_or(Pooling::Mean),
        lower_case: sentence.lower_case,
        window,
        unread_tensors,
    })
}

/// One vector of at least one state.
fn pooled(mut states: Vec<Vec<f32>>, pooling: Pooling) -> Vec<f32> {
    match pooling {
        Pooling::Cls => states.swap_remove(0),
        Pooling::LastToken => states.pop().unwrap_or_default(),
        Pooling::Mean => {
            let mut sums = vec![0.0f64; states[0].len()];
            for state in &states {
                for (sum, value) in sums.iter_mut().zip(state) {
                    *sum += f64::from(*value);
                }
            }
            let count = states.len() as f64;
            sums.into_iter().map(|sum| (sum / count) as f32).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_pooled() {
        let states = || vec![vec![1.0, 2.0], vec![3.0, 4.0], vec![8.0, 0.0]];
        assert_eq!(pooled(states(), Pooling::Cls), [1.0, 2.0]);
        assert_eq!(pooled(states(), Pooling::Mean), [4.0, 2.0]);
        assert_eq!(pooled(states(), Pooling::LastToken), [8.0, 0.0]);
    }
}
