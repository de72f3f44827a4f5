//! What a batch can do wrong.

use thiserror::Error;

/// A batch that a real model would have computed into somebody's wrong answer.
///
/// `seq` is the index of the sequence in the batch, `row` an index into its token axis.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ShadowFault {
    /// Two vectors of the batch contradict each other.
    #[error("malformed batch: {0}")]
    Malformed(String),
    /// More than the runner was sized for.
    #[error("{what}: {count} exceeds the limit {limit}")]
    OverLimit {
        /// Which limit.
        what: &'static str,
        /// What the batch asks for.
        count: usize,
        /// What the runner holds.
        limit: usize,
    },
    /// A block id outside the pool, or the null block.
    #[error("{place}: block {block} is not a usable block of {num_blocks}")]
    BadBlock {
        /// Where it was named.
        place: String,
        /// The id.
        block: u32,
        /// Blocks of the pool, the null block included.
        num_blocks: usize,
    },
    /// A token that the vocabulary lacks.
    #[error("row {row}: token {token} is outside the vocabulary of {vocab_size}")]
    BadToken {
        /// Row of the token axis.
        row: usize,
        /// The token.
        token: u32,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A slot that holds no adapter.
    #[error("sequence {seq}: there is no adapter in slot {slot}")]
    NoAdapter {
        /// Sequence of the batch.
        seq: usize,
        /// The slot.
        slot: u32,
    },
    /// The slot of a row is not the one that its position has in the block table.
    #[error("row {row}, position {position}: slot {found}, but the block table says {expected}")]
    WrongSlot {
        /// Row of the token axis.
        row: usize,
        /// Position in the sequence.
        position: usize,
        /// Slot in `slot_mapping`.
        found: usize,
        /// Slot from the block table.
        expected: usize,
    },
    /// Two rows of one step write the same slot.
    #[error("slot {slot} is written twice in one step")]
    WrittenTwice {
        /// The slot.
        slot: usize,
    },
    /// A slot that holds no KV was read.
    #[error("sequence {seq}, position {position}: slot {slot} was never written")]
    Poison {
        /// Sequence of the batch.
        seq: usize,
        /// Position in the sequence.
        position: usize,
        /// The slot.
        slot: usize,
    },
    /// A slot that another sequence writes in this very step was read: its KV is not computed yet.
    #[error("sequence {seq}, position {position}: slot {slot} is being written by {writer}")]
    NotYetComputed {
        /// Sequence of the batch.
        seq: usize,
        /// Position in the sequence.
        position: usize,
        /// The slot.
        slot: usize,
        /// Sequence that writes it.
        writer: usize,
    },
    /// A slot that holds another position, or another history, was read.
    #[error(
        "sequence {seq}, position {position}: slot {slot} belongs to another history \
         (it holds position {held_position}, token {held_token})"
    )]
    ForeignHistory {
        /// Sequence of the batch.
        seq: usize,
        /// Position in the sequence.
        position: usize,
        /// The slot.
        slot: usize,
        /// Position that the slot was written for.
        held_position: usize,
        /// Token that the slot was written for.
        held_token: u32,
    },
    /// A copy reads a slot that holds no KV.
    #[error("copy of block {src} to {dst}: its token {offset} was never written")]
    CopyOfPoison {
        /// Block read.
        src: u32,
        /// Block written.
        dst: u32,
        /// First offset without KV.
        offset: usize,
    },
}
