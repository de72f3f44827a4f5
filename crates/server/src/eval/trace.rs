//! One episode of an agent: what was said, and what was planted in it.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::facts::Fact;
use super::message::{Message, Role, to_json};

/// What an episode is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum TraceKind {
    /// Files are read one after the other: nearly everything is tool results
    Tools,
    /// Mostly user and assistant, about 60 % of the tokens
    Dialogue,
    /// Documents are retrieved for every question
    Retrieval,
    /// Three large files are read, and nothing else
    ThreeReads,
}

/// An episode.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trace {
    pub(super) kind: TraceKind,
    pub(super) seed: u64,
    pub(super) messages: Vec<Message>,
    pub(super) facts: Vec<Planted>,
}

/// A fact in an episode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Planted {
    pub(super) fact: Fact,
    /// The messages with its statement, from 0: one, or two if the assistant repeated it, or none.
    pub(super) messages: Vec<usize>,
}

impl TraceKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [
        Self::Tools,
        Self::Dialogue,
        Self::Retrieval,
        Self::ThreeReads,
    ];

    /// As on the command line and in the results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Dialogue => "dialogue",
            Self::Retrieval => "retrieval",
            Self::ThreeReads => "three_reads",
        }
    }
}

impl fmt::Display for TraceKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl Trace {
    /// Numbers of the messages that the model was asked for: what precedes each is its prompt.
    pub(super) fn turns(&self) -> Vec<usize> {
        let said = self.messages.iter().enumerate();
        said.filter(|(_, message)| message.role == Role::Assistant)
            .map(|(index, _)| index)
            .collect()
    }

    /// The tools that the model could call.
    pub(super) fn tools() -> Value {
        let tool = |name: &str, description: &str, parameter: &str| {
            json!({"type": "function", "function": {
                "name": name,
                "description": description,
                "parameters": {
                    "type": "object",
                    "properties": {parameter: {"type": "string"}},
                    "required": [parameter],
                },
            }})
        };
        json!([
            tool("read_file", "Read a file and return its content", "path"),
            tool("search", "Search the documents", "query"),
        ])
    }

    /// Identity of the messages: FNV-1a of their JSON, 16 hexadecimal digits.
    ///
    /// Source: Fowler, Noll, Vo, and draft-eastlake-fnv, 64 bits.
    pub(super) fn fingerprint(&self) -> String {
        let json = to_json(&self.messages).to_string();
        let hash = json.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }
}
