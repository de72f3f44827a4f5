//! Parts of a prompt, by purpose.

use std::fmt;

/// What a part of the prompt is there for. The stable prefix is no zone but an overlay: it reaches
/// from the first token to a position, across zones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// The leading system and developer messages.
    System,
    /// Tool definitions and response schemas.
    ToolSchemas,
    /// Few-shot examples.
    Examples,
    /// Retrieved documents.
    Retrieval,
    /// Text injected from a memory store.
    Memory,
    /// Past turns, tool calls included, tool results not.
    History,
    /// Results of tool calls.
    ToolOutputs,
    /// The last user message and what follows it.
    LiveTurn,
    /// A zone that the client has declared.
    Custom(Box<str>),
}

/// What may be done to a zone's text when room is needed, from nothing to everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Part of the stable prefix: no edit, whatever happens.
    Committed,
    /// No edit.
    Protected,
    /// Only what the client has explicitly allowed, such as leaving out tools.
    MostlyProtected,
    /// May be summarised or reduced to a ranked cap.
    Compactable,
    /// May be replaced by a record that it was there.
    Clearable,
    /// May be moved to the memory store, leaving a handle.
    Offloadable,
}

impl Zone {
    /// The zone of that name; any other name is the client's own.
    pub fn from_name(name: &str) -> Self {
        match name {
            "system" => Self::System,
            "tool_schemas" => Self::ToolSchemas,
            "examples" => Self::Examples,
            "retrieval" => Self::Retrieval,
            "memory" => Self::Memory,
            "history" => Self::History,
            "tool_outputs" => Self::ToolOutputs,
            "live_turn" => Self::LiveTurn,
            other => Self::Custom(other.into()),
        }
    }

    /// Its name in requests and reports.
    pub fn name(&self) -> &str {
        match self {
            Self::System => "system",
            Self::ToolSchemas => "tool_schemas",
            Self::Examples => "examples",
            Self::Retrieval => "retrieval",
            Self::Memory => "memory",
            Self::History => "history",
            Self::ToolOutputs => "tool_outputs",
            Self::LiveTurn => "live_turn",
            Self::Custom(name) => name,
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Tier {
    /// All tiers, from the strictest on.
    pub const ALL: [Self; 6] = [
        Self::Committed,
        Self::Protected,
        Self::MostlyProtected,
        Self::Compactable,
        Self::Clearable,
        Self::Offloadable,
    ];

    /// Its name in requests and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::Protected => "protected",
            Self::MostlyProtected => "mostly_protected",
            Self::Compactable => "compactable",
            Self::Clearable => "clearable",
            Self::Offloadable => "offloadable",
        }
    }

    /// The tier of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}
