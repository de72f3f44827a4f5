//! The one way an operation can fail.

/// Not enough free blocks. The failed call changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{needed} blocks are needed and {free} are free")]
pub struct OutOfBlocks {
    /// Free blocks that the call would have taken, revived cached blocks included.
    pub needed: usize,
    /// Free blocks.
    pub free: usize,
}
