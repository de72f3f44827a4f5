//! `/v1/context/..`: the context budgeter beside chat completions.

pub(super) mod compact;
pub(super) mod count;
pub(super) mod feedback;
pub(super) mod memory;
pub(super) mod plan;
pub(super) mod policy;
pub(super) mod probe;
