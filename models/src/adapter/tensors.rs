//! The tensors of an adapter's file.

use std::collections::BTreeMap;

use kernels::WeightView;
use safetensors::tensor::TensorInfo;

use super::{AdapterError, Factor, WEIGHTS_FILE};
use crate::weights::header;

/// What PEFT puts before the name of every module of the base model.
const PREFIX: &str = "base_model.model.";

/// Tensors that nobody has taken yet.
pub(super) struct Tensors<'a> {
    bytes: &'a [u8],
    /// Where the elements begin.
    start: usize,
    left: BTreeMap<String, TensorInfo>,
}

impl<'a> Tensors<'a> {
    /// Reads the header of `bytes`, a whole file.
    ///
    /// # Errors
    /// A malformed header, a file of another length.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, AdapterError> {
        let (start, metadata) = header::read(WEIGHTS_FILE, bytes)?;
        let tensors = metadata.tensors().into_iter();
        Ok(Self {
            bytes,
            start,
            left: tensors.map(|(name, info)| (name, info.clone())).collect(),
        })
    }

    /// Takes the matrix `which` (`lora_A` or `lora_B`) of a module.
    ///
    /// # Errors
    /// It is missing, of another shape, of a type that is not read, or not finite.
    pub(super) fn take(
        &mut self,
        module: &str,
        which: &str,
        shape: [usize; 2],
    ) -> Result<Factor, AdapterError> {
        let name = format!("{PREFIX}{module}.{which}.weight");
        let Some(info) = self.left.remove(&name) else {
            let reason = "is missing, and target_modules names its module";
            return Err(AdapterError::tensor(&name, reason));
        };
        if info.shape != shape {
            let reason = format!("has shape {:?}, but {shape:?} is needed", info.shape);
            return Err(AdapterError::tensor(&name, reason));
        }
        let Some(dtype) = header::weight_dtype(info.dtype) else {
            let reason = format!("is {:?}; supported are F32, F16 and BF16", info.dtype);
            return Err(AdapterError::tensor(&name, reason));
        };
        let (from, to) = info.data_offsets;
        let factor = Factor {
            name,
            dtype,
            rows: shape[0],
            cols: shape[1],
            range: self.start + from..self.start + to,
        };
        self.check_finite(&factor)?;
        Ok(factor)
    }

    /// # Errors
    /// The first tensor that nobody has taken.
    pub(super) fn none_is_left(&self) -> Result<(), AdapterError> {
        let Some(name) = self.left.keys().next() else {
            return Ok(());
        };
        let reason = "is neither lora_A.weight nor lora_B.weight of a module that target_modules \
                      names; nothing else is supported";
        Err(AdapterError::tensor(name, reason))
    }

    fn check_finite(&self, factor: &Factor) -> Result<(), AdapterError> {
        let view = WeightView {
            name: &factor.name,
            data: &self.bytes[factor.range.clone()],
            dtype: factor.dtype,
            rows: factor.rows,
            cols: factor.cols,
        };
        let mut row = vec![0.0; factor.cols];
        for index in 0..factor.rows {
            view.read(index, 0, &mut row);
            if let Some(column) = row.iter().position(|value| !value.is_finite()) {
                let reason = format!("element [{index}, {column}] is {}", row[column]);
                return Err(AdapterError::tensor(&factor.name, reason));
            }
        }
        Ok(())
    }
}
