//! The server's side of the context budgeter: from a conversation and its settings to the tokens
//! that are computed, and the report of what was done.
//!
//! `context` decides; this module counts, looks into the cache, changes messages, and remembers.
//!
//! - [`answer_scores`]: how likely answers were when they were given.
//! - [`compaction`]: summaries of old turns, by the served model on the warm prefix.
//! - [`count`]: a prompt's tokens by zone, message and tool, without an edit.
//! - [`drift`]: how far a summary moves the model from what it has said itself.
//! - [`infeasible`]: requests that nothing makes fit.
//! - [`originals`]: texts that edits have taken away and that no prompt names.
//! - [`pipeline`]: the stages of one request, in order.
//! - [`place`]: where in a conversation a piece stands.
//! - [`questions`]: what the model still knows after the edits.
//! - [`restored`]: texts that have left a prompt, by their handles.
//! - [`server_tools`]: tools that the server itself runs while it answers.
//! - [`state`]: what outlives a request: the ledger of edits, profiles.
//! - [`told_plans`]: plans that clients were told of, and what they say of them.
//! - [`uses`]: texts that were needed again after edits.

pub mod answer_scores;
pub mod compaction;
pub mod count;
pub mod drift;
pub mod infeasible;
pub mod originals;
pub mod pipeline;
pub mod place;
pub mod questions;
pub mod restored;
pub mod server_tools;
pub mod state;
pub mod told_plans;
pub mod uses;

mod asked;
mod changes;
mod chunks;
mod division;
mod documents;
mod draft;
#[cfg(test)]
pub(crate) mod example;
mod figures;
mod insertion;
mod prefix_ends;
mod probe;
pub mod progress;
mod pruned_tools;
mod pruning;
mod recall;
mod report;
mod shared_prefixes;
mod standing;
mod summaries;
mod supply;
mod tail_note;
mod texts;
mod writing;
