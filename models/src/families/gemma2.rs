//! Gemma 2 (Gemma Team, 2024): every second layer has a window, and scores and logits are capped.

use super::{Defaults, Family, apply_windows, gemma};
use crate::config::{ConfigError, Fields, ModelConfig};

pub(super) const FAMILY: Family = Family {
    model_type: "gemma2",
    architecture: "Gemma2ForCausalLM",
    config,
};

fn config(fields: &Fields<'_>) -> Result<ModelConfig, ConfigError> {
    let caps = gemma::SoftCaps {
        attention: Some(50.0),
        logits: Some(30.0),
    };
    let defaults = Defaults {
        model_type: "gemma2",
        ..gemma::GEMMA
    };
    let mut config = gemma::config(fields, &defaults, &caps)?;
    apply_windows(fields, &mut config.layers, |layer| layer % 2 == 0)?;
    Ok(config)
}
