//! `/v1/context/..`: the context budgeter beside chat completions.

pub(super) mod memory;
