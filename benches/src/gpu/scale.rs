//! Smaller workloads, to try the program where there is no GPU.

use std::num::NonZero;

/// Tokens of a block of the KV cache: what is shared ends with one.
pub(super) const BLOCK_SIZE: usize = 16;

/// Divides counts and lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale(pub NonZero<usize>);

impl Scale {
    /// Everything as it is.
    pub const FULL: Self = Self(NonZero::<usize>::MIN);

    /// So many requests or tokens; at least one.
    pub(crate) fn of(self, count: usize) -> usize {
        (count / self.0).max(1)
    }

    /// So many tokens of a prompt of `prompt` tokens that others have, too: whole blocks, and not all
    /// of it.
    pub(crate) fn of_shared(self, shared: usize, prompt: usize) -> usize {
        let most = self.of(prompt).saturating_sub(1).min(shared / self.0);
        most / BLOCK_SIZE * BLOCK_SIZE
    }
}
