//! An encoder's shape, as its `config.json` says it.

use serde_json::{Map, Value};

use crate::config::{ConfigError, Fields};

const FILE: &str = "config.json";

/// Classes of `transformers` whose body is an encoder that is known here. The classes with a head for
/// masked tokens have the same body; those with a head for classes are trained for other ends.
const ARCHITECTURES: [(&str, Family); 6] = [
    ("BertModel", Family::Bert),
    ("BertForMaskedLM", Family::Bert),
    ("RobertaModel", Family::Roberta),
    ("RobertaForMaskedLM", Family::Roberta),
    ("XLMRobertaModel", Family::Roberta),
    ("XLMRobertaForMaskedLM", Family::Roberta),
];

/// Which network it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// BERT.
    Bert,
    /// RoBERTa and XLM-RoBERTa, which count positions from behind the padding token's id.
    Roberta,
}

/// The shape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EncoderConfig {
    pub(super) family: Family,
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_layers: usize,
    pub(super) num_heads: usize,
    /// Rows of the position embedding.
    pub(super) max_position_embeddings: usize,
    /// Rows of the embedding that tells a text's parts apart; of one text only the first is used.
    pub(super) type_vocab_size: usize,
    pub(super) layer_norm_eps: f64,
    pub(super) pad_token_id: u32,
}

impl EncoderConfig {
    /// Reads `config.json`, with the defaults of `transformers`.
    ///
    /// # Errors
    /// As [`crate::ModelConfig::parse`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let object: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|source| ConfigError::Json { file: FILE, source })?;
        let fields = Fields::new(FILE, &object);
        let family = family(&fields)?;
        refuse_variants(&fields)?;
        let default_pad = match family {
            Family::Bert => 0,
            Family::Roberta => 1,
        };
        let pad = fields.count("pad_token_id")?.unwrap_or(default_pad);
        let config = Self {
            family,
            vocab_size: fields.needed_count("vocab_size")?,
            hidden_size: fields.needed_count("hidden_size")?,
            intermediate_size: fields.needed_count("intermediate_size")?,
            num_layers: fields.needed_count("num_hidden_layers")?,
            num_heads: fields.needed_count("num_attention_heads")?,
            max_position_embeddings: fields.needed_count("max_position_embeddings")?,
            type_vocab_size: fields.count("type_vocab_size")?.unwrap_or(2),
            layer_norm_eps: fields.number("layer_norm_eps")?.unwrap_or(1e-12),
            pad_token_id: u32::try_from(pad)
                .map_err(|_| fields.unsupported("pad_token_id", "a token's id"))?,
        };
        config.validate()?;
        Ok(config)
    }

    /// Tokens that there are positions for.
    pub(super) fn num_positions(&self) -> usize {
        match self.family {
            Family::Bert => self.max_position_embeddings,
            Family::Roberta => self.max_position_embeddings - self.first_position(),
        }
    }

    fn first_position(&self) -> usize {
        self.pad_token_id as usize + 1
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let contradiction = |fields: &'static str, reason: String| {
            Err(ConfigError::Contradiction { fields, reason })
        };
        let positive = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_layers),
            ("num_attention_heads", self.num_heads),
            ("max_position_embeddings", self.max_position_embeddings),
            ("type_vocab_size", self.type_vocab_size),
        ];
        if let Some((field, _)) = positive.into_iter().find(|&(_, value)| value == 0) {
            return contradiction(field, "must be positive".into());
        }
        if !self.hidden_size.is_multiple_of(self.num_heads) {
            let reason = format!(
                "{} is not a multiple of {}",
                self.hidden_size, self.num_heads
            );
            return contradiction("hidden_size, num_attention_heads", reason);
        }
        if !self.layer_norm_eps.is_finite() || self.layer_norm_eps < 0.0 {
            let reason = format!("{} is not usable", self.layer_norm_eps);
            return contradiction("layer_norm_eps", reason);
        }
        if self.pad_token_id as usize >= self.vocab_size {
            let reason = format!("token {} of {}", self.pad_token_id, self.vocab_size);
            return contradiction("pad_token_id, vocab_size", reason);
        }
        let positions = self.max_position_embeddings;
        if self.family == Family::Roberta && positions <= self.first_position() {
            let reason = format!("{positions} leave none behind that of padding");
            return contradiction("max_position_embeddings, pad_token_id", reason);
        }
        Ok(())
    }
}

/// The family that `architectures` names. `model_type` would not do: others call their models so.
fn family(fields: &Fields<'_>) -> Result<Family, ConfigError> {
    let architectures = fields.texts("architectures")?.unwrap_or_default();
    let Some(&named) = architectures.first() else {
        return Err(fields.missing("architectures"));
    };
    let found = ARCHITECTURES.iter().find(|(name, _)| *name == named);
    let (_, family) = found.ok_or_else(|| ConfigError::UnsupportedArchitecture {
        found: named.to_owned(),
        supported: ARCHITECTURES.iter().map(|&(name, _)| name).collect(),
    })?;
    Ok(*family)
}

/// What makes another network of the same class.
fn refuse_variants(fields: &Fields<'_>) -> Result<(), ConfigError> {
    for (field, only) in [
        ("hidden_act", "gelu"),
        ("position_embedding_type", "absolute"),
    ] {
        if fields.text(field)?.is_some_and(|found| found != only) {
            return Err(fields.unsupported(field, only));
        }
    }
    for field in ["is_decoder", "add_cross_attention"] {
        if fields.flag(field)? == Some(true) {
            return Err(fields.unsupported(field, "false"));
        }
    }
    if fields.object("quantization_config")?.is_some() {
        let supported = "an unquantised checkpoint of f32, f16 or bf16";
        return Err(fields.unsupported("quantization_config", supported));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
