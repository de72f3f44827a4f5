//! Calls as Mistral's models write them, with tokenizers up to v7, v11 and from v13 on:
//!
//! ```text
//! [TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Oslo"}, "id": "9Ae3bDc2F"}]
//! [TOOL_CALLS]get_weather[CALL_ID]9Ae3bDc2F[ARGS]{"city": "Oslo"}
//! [TOOL_CALLS]get_weather[ARGS]{"city": "Oslo"}[TOOL_CALLS]..
//! ```
//!
//! Ids that the model writes have no meaning outside of the prompt. The formats are those of
//! mistral-common's chat templates; the text before a call is not trimmed.

use super::json_calls::{Arrangement, Layout, Opener};

pub(super) const ARRANGEMENT: Arrangement = Arrangement {
    openers: &[Opener {
        marker: "[TOOL_CALLS]",
        layouts: &[Layout::List, Layout::Object, Layout::Named],
    }],
    unmarked: &[],
    closer: None,
    argument_keys: &["arguments", "parameters"],
};

pub(super) const SPECIAL_MARKERS: &[&str] = &["[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"];
