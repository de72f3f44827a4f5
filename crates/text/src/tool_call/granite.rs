//! Calls as Granite 3.0 to 3.3 write them, `<|tool_call|>` a token and `<tool_call>` text:
//!
//! ```text
//! <|tool_call|>[{"name": "get_weather", "arguments": {"city": "Oslo"}}]
//! <tool_call>[{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]
//! ```
//!
//! Granite 4 writes calls as Hermes does.

use super::json_calls::{Arrangement, Layout, Opener};

pub(super) const ARRANGEMENT: Arrangement = Arrangement {
    openers: &[
        Opener {
            marker: "<|tool_call|>",
            layouts: &[Layout::List, Layout::Object],
        },
        Opener {
            marker: "<tool_call>",
            layouts: &[Layout::List, Layout::Object],
        },
    ],
    unmarked: &[],
    closer: None,
    argument_keys: &["arguments", "parameters"],
};

pub(super) const SPECIAL_MARKERS: &[&str] = &["<|tool_call|>"];
