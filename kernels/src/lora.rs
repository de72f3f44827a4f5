//! Low-rank updates of matrix products: several adapters beside one base model.
//!
//! An adapter (Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", 2021, section 4.1)
//! adds `scale * B * A` to a matrix. Here the product with the base matrix stays what it is, for
//! every row, and an operation of its own adds what each row's adapter changes: rows of several
//! adapters and of the base model share a step, and rows without an adapter are not touched.

use std::ops::Range;

use crate::{Activation, Backend, KernelError, WeightView};

/// A low-rank update of some output features of a product.
#[derive(Clone, Copy)]
pub struct LoraView<'a> {
    /// `[rank, in_features]`, floats
    pub a: WeightView<'a>,
    /// `[out_features, rank]`, floats
    pub b: WeightView<'a>,
    /// Factor of the update.
    pub scale: f32,
    /// Output feature of the product that the first row of `b` belongs to.
    pub first: usize,
}

/// Consecutive rows whose sequences use one adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraRows {
    /// The rows.
    pub rows: Range<usize>,
    /// Index of the adapter's weights.
    pub slot: usize,
}

/// `out[row][first..] += scale * B * (A * input[row])`, for each update of the row's adapter.
pub struct AddLora<'a, B: LoraBackend> {
    /// Input of the product whose output is changed. `[_, in_features]`
    pub input: &'a B::Buffer,
    /// Updates by slot; `None` changes nothing.
    pub weights: &'a [Option<B::Lora>],
    /// Which rows use which slot: ascending, apart from each other.
    pub groups: &'a [LoraRows],
    /// Room for `A * input`, at least [`shrunk_size`] of the updates' ranks per row; its values are
    /// undefined afterwards.
    pub shrunk: &'a mut B::Buffer,
    /// Output of the product. `[_, out_features]`
    pub out: &'a mut B::Buffer,
}

/// `out = activation(gate) * up` of some rows: the end of [`GatedLinear`](crate::GatedLinear), for rows
/// whose products were changed since.
pub struct ActivateGated<'a, B: LoraBackend> {
    /// `[_, 2 * intermediate_size]`: the gate, then the other.
    pub gate_up: &'a B::Buffer,
    /// The rows; ascending, apart from each other.
    pub groups: &'a [LoraRows],
    /// Of the gate.
    pub activation: Activation,
    /// Other rows stay what they are. `[_, intermediate_size]`
    pub out: &'a mut B::Buffer,
}

/// A backend that runs adapters beside the base model.
///
/// What [`Backend::batch_invariant`] promises holds for rows with an adapter, too.
pub trait LoraBackend: Backend {
    /// An adapter's updates of one product.
    type Lora: Send;

    /// Takes over an adapter's updates of one product.
    ///
    /// # Errors
    /// `Shape` when an update's matrices do not fit each other, the updates take different numbers
    /// of inputs, or weights are no floats; `OutOfMemory`.
    fn pack_lora(&self, updates: &[LoraView<'_>]) -> Result<Self::Lora, KernelError>;

    /// See [`AddLora`].
    ///
    /// # Errors
    /// `Device`.
    fn add_lora(&mut self, op: AddLora<'_, Self>) -> Result<(), KernelError>;

    /// See [`ActivateGated`].
    ///
    /// # Errors
    /// `Device`.
    fn activate_gated(&mut self, op: ActivateGated<'_, Self>) -> Result<(), KernelError>;
}

/// Elements per row that updates of these ranks need in [`AddLora::shrunk`]: backends may round each
/// rank up to whole vectors.
pub fn shrunk_size(ranks: impl IntoIterator<Item = usize>) -> usize {
    ranks
        .into_iter()
        .map(|rank| rank.next_multiple_of(SHRUNK_ALIGNMENT))
        .sum()
}

/// Elements to which a rank is rounded up.
const SHRUNK_ALIGNMENT: usize = 16;

/// Checks that `updates` can be packed together; returns their input features.
///
/// # Errors
/// `Shape` otherwise.
pub(crate) fn check_updates(updates: &[LoraView<'_>]) -> Result<usize, KernelError> {
    let error = |tensor: &str, reason: String| KernelError::Shape {
        op: "pack_lora",
        tensor: tensor.to_owned(),
        reason,
    };
    let Some(first) = updates.first() else {
        return Err(error("(none)", "at least one update is needed".to_owned()));
    };
    let in_features = first.a.cols;
    for LoraView { a, b, .. } in updates {
        if a.cols != in_features {
            let reason = format!("{} input features, expected {in_features}", a.cols);
            return Err(error(a.name, reason));
        }
        if b.cols != a.rows {
            let reason = format!("{} columns, but {} has {} rows", b.cols, a.name, a.rows);
            return Err(error(b.name, reason));
        }
        for matrix in [a, b] {
            if matrix.dtype.block_len() > 1 {
                let reason = format!("{:?} is no float", matrix.dtype);
                return Err(error(matrix.name, reason));
            }
        }
    }
    Ok(in_features)
}

/// Checks the order of an operation's groups; returns the end of the last one.
///
/// # Panics
/// If they do not ascend apart from each other.
pub(crate) fn end_of(groups: &[LoraRows]) -> usize {
    let mut end = 0;
    for group in groups {
        let rows = &group.rows;
        assert!(end <= rows.start && rows.start <= rows.end, "{groups:?}");
        end = rows.end;
    }
    end
}
