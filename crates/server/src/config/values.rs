//! Values with units, as flags and configuration files write them.

use std::str::FromStr;

use models::Device;
use serde::{Deserialize, Deserializer};

/// Bytes: `2147483648`, `2g`, `512m`, `64k`; units of 1,024, with or without a `b` or `ib` behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub usize);

/// Tokens: `8192`, `8k` (1,000) or `8K` (1,024), as vLLM reads them; `auto` is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount(pub Option<usize>);

/// A device: `auto`, `cpu`, `cuda`, `cuda:1`, `reference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceName(pub Device);

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let device = match text {
            "auto" => Some(Device::Auto),
            "cpu" => Some(Device::Cpu),
            "cuda" => Some(Device::Cuda(0)),
            "reference" => Some(Device::Reference),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|ordinal| ordinal.parse().ok())
                .map(Device::Cuda),
        };
        device.map(Self).ok_or_else(|| {
            format!("`{text}` is no device; write auto, cpu, cuda, cuda:1 or reference")
        })
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let plain = lower
            .strip_suffix("ib")
            .or(lower.strip_suffix('b'))
            .unwrap_or(&lower);
        let (digits, factor) = match plain.as_bytes().last() {
            Some(b'k') => (&plain[..plain.len() - 1], 1 << 10),
            Some(b'm') => (&plain[..plain.len() - 1], 1 << 20),
            Some(b'g') => (&plain[..plain.len() - 1], 1 << 30),
            Some(b't') => (&plain[..plain.len() - 1], 1_usize << 40),
            _ => (plain, 1),
        };
        scale(digits, factor)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is no number of bytes; write 512m, 2g or 2147483648"))
    }
}

impl FromStr for TokenCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self(None));
        }
        let (digits, factor) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 1_000),
            Some(b'K') => (&text[..text.len() - 1], 1_024),
            Some(b'm') => (&text[..text.len() - 1], 1_000_000),
            Some(b'M') => (&text[..text.len() - 1], 1 << 20),
            _ => (text, 1),
        };
        scale(digits, factor)
            .map(|tokens| Self(Some(tokens)))
            .ok_or_else(|| format!("`{text}` is no number of tokens; write 8192, 8k or auto"))
    }
}

/// `digits`, which may have a fraction, times `factor`; `None` if that is no positive whole number.
fn scale(digits: &str, factor: usize) -> Option<usize> {
    if let Ok(whole) = digits.trim().parse::<usize>() {
        return whole.checked_mul(factor).filter(|&product| product > 0);
    }
    let valid = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let product = digits.parse::<f64>().ok().filter(|_| valid)? * factor as f64;
    (1.0..1e18).contains(&product).then_some(product as usize)
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text_or_number(deserializer)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text_or_number(deserializer)
    }
}

impl<'de> Deserialize<'de> for TokenCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_text_or_number(deserializer)
    }
}

fn parse_text_or_number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TextOrNumber {
        Text(String),
        Number(u64),
    }
    let text = match TextOrNumber::deserialize(deserializer)? {
        TextOrNumber::Text(text) => text,
        TextOrNumber::Number(number) => number.to_string(),
    };
    text.parse().map_err(serde::de::Error::custom)
}
