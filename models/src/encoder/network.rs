//! The networks of candle-transformers.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{bert, xlm_roberta};

use super::config::{EncoderConfig, Family};

/// A network with its weights, in f32 on the CPU.
pub(super) enum Network {
    Bert(bert::BertModel),
    Roberta(xlm_roberta::XLMRobertaModel),
}

impl Network {
    /// The network of `config` with these weights.
    ///
    /// # Errors
    /// Those of candle: a tensor that is missing or has another shape.
    pub(super) fn new(config: &EncoderConfig, tensors: HashMap<String, Tensor>) -> Result<Self> {
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Ok(match config.family {
            Family::Bert => Self::Bert(bert::BertModel::load(weights, &of_bert(config))?),
            Family::Roberta => {
                let config = of_roberta(config);
                Self::Roberta(xlm_roberta::XLMRobertaModel::new(&config, weights)?)
            }
        })
    }

    /// The last states of a text's tokens, one row each.
    ///
    /// # Errors
    /// Those of candle.
    pub(super) fn states(&self, tokens: &[u32]) -> Result<Vec<Vec<f32>>> {
        let ids = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let types = ids.zeros_like()?;
        let seen = ids.ones_like()?;
        let states = match self {
            Self::Bert(network) => network.forward(&ids, &types, Some(&seen))?,
            Self::Roberta(network) => network.forward(&ids, &seen, &types, None, None, None)?,
        };
        states.squeeze(0)?.to_vec2()
    }
}

fn of_bert(config: &EncoderConfig) -> bert::Config {
    bert::Config {
        vocab_size: config.vocab_size,
        hidden_size: config.hidden_size,
        num_hidden_layers: config.num_layers,
        num_attention_heads: config.num_heads,
        intermediate_size: config.intermediate_size,
        hidden_act: bert::HiddenAct::Gelu,
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size,
        layer_norm_eps: config.layer_norm_eps,
        pad_token_id: config.pad_token_id as usize,
        // Names do not begin with it here.
        model_type: None,
        // The rest is about training.
        ..bert::Config::default()
    }
}

fn of_roberta(config: &EncoderConfig) -> xlm_roberta::Config {
    xlm_roberta::Config {
        hidden_size: config.hidden_size,
        layer_norm_eps: config.layer_norm_eps,
        attention_probs_dropout_prob: 0.0,
        hidden_dropout_prob: 0.0,
        num_attention_heads: config.num_heads,
        position_embedding_type: "absolute".to_owned(),
        intermediate_size: config.intermediate_size,
        hidden_act: Activation::Gelu,
        num_hidden_layers: config.num_layers,
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings,
        type_vocab_size: config.type_vocab_size,
        pad_token_id: config.pad_token_id,
    }
}
