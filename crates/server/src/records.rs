//! What became of recent requests: the figures of each, and why its cached prefix ended where it
//! did.
//!
//! Every request to the engine has a [`Record`], which follows it from its submission to its end.
//! The [`RecordStore`] keeps the last ones, and as many of their tokens as fit into its memory, so
//! that a prompt can be compared with those before it ([`Explanation`]).

mod explanation;
mod record;
mod store;
mod writer;

pub use explanation::{Divergence, Explanation, Passage, Reason, explain_pair};
pub use record::{Ending, Origin, Progress, Record, State, cause_name};
pub use store::{RecordLimits, RecordStore};
pub use writer::RecordWriter;
