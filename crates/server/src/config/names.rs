//! Settings that are one of a few names, on the command line and in the file.

use clap::ValueEnum;
use serde::Deserialize;

/// Type of the weights in memory.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DtypeName {
    /// As in the checkpoint.
    Auto,
    /// 32-bit floats.
    #[value(alias = "float")]
    #[serde(alias = "float")]
    Float32,
    /// bfloat16; a processor with AVX-512 BF16 or AMX rounds what it multiplies with them, too.
    Bfloat16,
    /// 16-bit floats.
    #[value(alias = "half")]
    #[serde(alias = "half")]
    Float16,
}

/// Type of the KV cache's elements.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KvCacheDtypeName {
    /// bfloat16, and float32 on the reference device.
    Auto,
    /// 32-bit floats.
    Float32,
    /// bfloat16.
    Bfloat16,
    /// 8-bit integers with a scale per token and head.
    Int8,
    /// 8-bit floats e4m3 without a scale, on a GPU.
    #[value(alias = "fp8_e4m3")]
    #[serde(alias = "fp8_e4m3")]
    Fp8,
}

/// What becomes of the weights at load.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum QuantizationName {
    /// Nothing: as in the checkpoint, or as --dtype says.
    None,
    /// bfloat16.
    Bf16,
    /// 8 bits, blocks of 32.
    #[value(name = "q8_0")]
    #[serde(rename = "q8_0")]
    Q8_0,
    /// llama.cpp's mixture of 4 and 6 bits.
    #[value(name = "q4_k_m")]
    #[serde(rename = "q4_k_m")]
    Q4KM,
}

/// What becomes of the weights of a folder; names are vLLM's.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LoadFormatName {
    /// They are loaded.
    Auto,
    /// They are not looked at: random ones take their place, to measure with.
    Dummy,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormatName {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What the context budgeter does with requests that do not say.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ContextModeName {
    /// Nothing.
    Off,
    /// Plan and report; the prompt stays as it is.
    Observe,
    /// Keep the prompt inside the budget.
    Enforce,
}
