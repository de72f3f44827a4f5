//! Calls as Llama 3.1 to 3.3 write them, and Llama 4 with the same template:
//!
//! ```text
//! {"name": "get_weather", "parameters": {"city": "Oslo"}}
//! <|python_tag|>{"name": "a", "parameters": {}}; {"name": "b", "parameters": {}}
//! ```
//!
//! The templates ask for one call, the models write several with `;` between them. An object
//! without marker is a call only at the beginning of the answer, with no keys but those of calls,
//! and if a tool has that name: answers in JSON are answers. What else follows `<|python_tag|>`,
//! code or a call of a built-in tool, is text.

use super::json_calls::{Arrangement, Layout, Opener};

pub(super) const ARRANGEMENT: Arrangement = Arrangement {
    openers: &[Opener {
        marker: "<|python_tag|>",
        layouts: &[Layout::Sequence],
    }],
    unmarked: &[Layout::Sequence],
    closer: None,
    argument_keys: &["parameters", "arguments"],
};

pub(super) const SPECIAL_MARKERS: &[&str] = &["<|python_tag|>"];
