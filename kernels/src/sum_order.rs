//! In which order a device with many ways to a sum adds it up.

/// The order in which sums run, of a device that is free to choose one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SumOrder {
    /// Whichever is fastest for the step at hand: bits depend on how many rows it has.
    #[default]
    Free,
    /// One order for each element, whatever the step: the backend is batch invariant
    /// ([`Backend::batch_invariant`](crate::Backend::batch_invariant)), as long as values are finite. Of a
    /// sequence with values that are not, rows before or beyond these may become NaN or not, as they are
    /// divided into steps; other sequences do not see them.
    Fixed,
}
