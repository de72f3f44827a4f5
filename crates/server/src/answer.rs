//! From a request's tokens to the pieces of its answers.
//!
//! [`Answers`] submits one engine request per choice and turns their events into [`AnswerEvent`]s:
//! text free of stop strings, tool calls, log probabilities, ends.

mod answers;
mod choice;
mod sink;

pub use answers::{Answers, Order};
pub use choice::{AnswerEvent, Finish, FinishedAs, Part, TokenPiece};
