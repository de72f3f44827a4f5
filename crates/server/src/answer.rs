//! From a request's tokens to the pieces of its answers.
//!
//! [`Answers`] submits one engine request per choice and turns their events into [`AnswerEvent`]s:
//! text free of stop strings, tool calls, log probabilities, ends. [`Rounds`] goes on where the
//! model has called tools that the server itself runs. [`Blocks`] puts the pieces of an answer into
//! the order of blocks that newer APIs answer with.

mod answers;
mod blocks;
mod choice;
mod rounds;
mod sieve;
mod sink;

pub use answers::{Answers, Order};
pub use blocks::{Block, BlockEvent, BlockKind, Blocks};
pub use choice::{AnswerEvent, Begin, Finish, FinishedAs, Part, TokenPiece};
pub use rounds::Rounds;
