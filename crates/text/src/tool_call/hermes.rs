//! Calls as Hermes 2 Pro, Qwen2.5, Qwen3 and Granite 4 write them:
//!
//! ```text
//! <tool_call>
//! {"name": "get_weather", "arguments": {"city": "Oslo"}}
//! </tool_call>
//! ```
//!
//! The line break before a call and white space after it belong to the format, not to the text:
//! the families' chat templates write them again, so that the next turn's prompt is the same.

use super::json_calls::{Arrangement, Layout, Opener};

pub(super) const ARRANGEMENT: Arrangement = Arrangement {
    openers: &[
        Opener {
            marker: "<tool_call>",
            layouts: &[Layout::Object],
        },
        Opener {
            marker: "\n<tool_call>",
            layouts: &[Layout::Object],
        },
    ],
    unmarked: &[],
    closer: Some("</tool_call>"),
    argument_keys: &["arguments"],
};

/// Tokens that some of the families' vocabularies call special.
pub(super) const SPECIAL_MARKERS: &[&str] = &["<tool_call>", "</tool_call>"];
