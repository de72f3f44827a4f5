//! Calls as Phi-4-mini writes them, by its own template and by the one that vLLM ships for it:
//!
//! ```text
//! <|tool_call|>[{"name": "get_weather", "arguments": {"city": "Oslo"}}]<|/tool_call|>
//! functools[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]
//! ```

use super::json_calls::{Arrangement, Layout, Opener};

pub(super) const ARRANGEMENT: Arrangement = Arrangement {
    openers: &[
        Opener {
            marker: "<|tool_call|>",
            layouts: &[Layout::List, Layout::Object],
        },
        Opener {
            marker: "functools",
            layouts: &[Layout::List],
        },
    ],
    unmarked: &[],
    closer: Some("<|/tool_call|>"),
    argument_keys: &["arguments", "parameters"],
};

pub(super) const SPECIAL_MARKERS: &[&str] = &["<|tool_call|>", "<|/tool_call|>"];
