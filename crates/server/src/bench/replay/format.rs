//! What traces are written in.

use std::fmt;

use clap::ValueEnum;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// A format of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSONL of Mooncake (Qin et al., 2024): times, lengths and ids of blocks of the prompt
    Mooncake,
    /// JSON array of conversations as ShareGPT has them
    Sharegpt,
    /// JSONL of whole requests with their times
    Purser,
}

impl Format {
    /// By the beginning of the trace; `None` if it is like none.
    pub(super) fn detect(text: &str) -> Option<Self> {
        let text = text.trim_start();
        if text.starts_with('[') {
            return Some(Self::Sharegpt);
        }
        let first: Value = serde_json::from_str(text.lines().next()?).ok()?;
        let has = |field: &str| first.get(field).is_some();
        if has("hash_ids") || has("input_length") {
            Some(Self::Mooncake)
        } else {
            has("body").then_some(Self::Purser)
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Mooncake => "mooncake",
            Self::Sharegpt => "sharegpt",
            Self::Purser => "purser",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
