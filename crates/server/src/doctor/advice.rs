//! Settings that would change something.

use models::{Device, Dtype};
use serde::Serialize;

use super::forecast::Forecast;
use super::machine::Machine;
use super::trial::Trial;
use crate::config::serve::EngineConfig;

/// A share of the forecast below which an answer is slower than it should be.
const SLOW: f64 = 0.5;
/// A gain that is worth a word.
const GAIN: f64 = 1.2;

/// A setting, and what it would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Advice {
    /// The flag with its value.
    pub(super) setting: String,
    /// Why, with figures.
    pub(super) reason: String,
}

/// What the figures say, the greatest change first.
pub(super) fn advise(
    machine: &Machine,
    forecast: &Forecast,
    trial: &Trial,
    engine: &EngineConfig,
) -> Vec<Advice> {
    let found = [
        device(engine),
        threads(machine, engine),
        quantization(forecast, engine),
        dtype(machine, engine),
        length(forecast),
        kv_cache(forecast),
        neighbours(forecast, trial, engine),
    ];
    found.into_iter().flatten().collect()
}

fn advice(setting: impl Into<String>, reason: String) -> Option<Advice> {
    let setting = setting.into();
    Some(Advice { setting, reason })
}

fn device(engine: &EngineConfig) -> Option<Advice> {
    if engine.device != Device::Reference {
        return None;
    }
    let reason = "the reference device is there to be compared with, not to be fast";
    advice("--device cpu", reason.to_owned())
}

fn threads(machine: &Machine, engine: &EngineConfig) -> Option<Advice> {
    let asked = engine.threads?;
    let cores = machine.cores;
    let reason = match asked {
        _ if asked < cores => format!("{} of {cores} cores do not compute", cores - asked),
        _ if asked > cores => format!("{asked} threads wait for each other on {cores} cores"),
        _ => return None,
    };
    advice(format!("--threads {cores}"), reason)
}

/// Answers wait for the weights to be read: fewer bytes are faster.
fn quantization(forecast: &Forecast, engine: &EngineConfig) -> Option<Advice> {
    let gain = forecast.step_weight_bytes as f64 / forecast.step_weight_bytes_q8_0 as f64;
    if gain < GAIN || engine.device == Device::Reference {
        return None;
    }
    let reason = format!(
        "a step reads {} MB of weights instead of {}, so answers can be {gain:.1} times as fast; \
         they change a little",
        forecast.step_weight_bytes_q8_0 / 1_000_000,
        forecast.step_weight_bytes / 1_000_000
    );
    advice("--quantization q8_0", reason)
}

fn dtype(machine: &Machine, engine: &EngineConfig) -> Option<Advice> {
    let (bf16, f32) = (machine.peak(&["bf16"]), machine.peak(&["f32"]));
    if engine.dtype != Dtype::Float32 || bf16 < GAIN * f32 {
        return None;
    }
    let reason = format!(
        "this processor multiplies bf16 {:.1} times as fast as f32",
        bf16 / f32
    );
    advice("--dtype bfloat16", reason)
}

/// Memory, or a setting, keeps sequences shorter than the model allows.
fn length(forecast: &Forecast) -> Option<Advice> {
    let &Forecast {
        max_model_len: served,
        max_position_embeddings: allowed,
        kv_bytes_per_token,
        ..
    } = forecast;
    if served >= allowed {
        return None;
    }
    // With the null block, whatever its size.
    let needed = ((allowed + 1_024) * kv_bytes_per_token).div_ceil(1 << 20);
    let reason = format!(
        "sequences have at most {served} tokens, the model allows {allowed}; \
         --kv-cache-dtype int8 needs about half of that memory"
    );
    advice(
        format!("--max-model-len {allowed} --kv-cache-memory-bytes {needed}m"),
        reason,
    )
}

fn kv_cache(forecast: &Forecast) -> Option<Advice> {
    let sequences = forecast.kv_cache_tokens as f64 / forecast.max_model_len as f64;
    let has_8_bits = matches!(forecast.kv_cache_dtype, "int8" | "fp8_e4m3");
    if sequences >= 2.0 || has_8_bits {
        return None;
    }
    let reason = format!(
        "the KV cache holds {sequences:.1} of the longest sequences; with 8 bits it holds about \
         twice as many tokens"
    );
    advice("--kv-cache-dtype int8", reason)
}

fn neighbours(forecast: &Forecast, trial: &Trial, engine: &EngineConfig) -> Option<Advice> {
    let share = trial.decode_tokens_per_second / forecast.decode_tokens_per_second;
    // Of a small model, the weights are not what takes the time.
    let is_large = forecast.step_weight_bytes > 256 << 20;
    if share >= SLOW || !is_large || engine.pin_threads || engine.device == Device::Reference {
        return None;
    }
    let reason = format!(
        "the answer came at {:.0} % of what reading the weights takes: others use this machine, or \
         threads move between cores",
        100.0 * share
    );
    advice("--pin-threads", reason)
}

#[cfg(test)]
mod tests;
