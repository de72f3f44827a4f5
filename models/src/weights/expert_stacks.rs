//! Projections of all experts of a layer in one tensor, as gpt-oss has them: floats whose rows are
//! inputs, or blocks of MXFP4 whose rows are outputs. Of gate and up each has every other output.

use std::collections::BTreeMap;

use kernels::WeightDtype;

use super::tensor::Scales;
use super::{Names, RowOrder, Tensor, WeightsError, mxfp4};
use crate::config::ModelConfig;

/// Projections that lie in one tensor.
struct Stack {
    /// Its name in a layer.
    name: &'static str,
    /// Theirs in an expert.
    parts: &'static [&'static str],
    inputs: usize,
    /// Of all of them.
    outputs: usize,
}

/// Makes tensors of each expert's projections.
///
/// # Errors
/// `Shape` of a tensor that has other experts.
pub(super) fn split(
    tensors: &mut BTreeMap<String, Tensor>,
    config: &ModelConfig,
    file_of: impl Fn(&Tensor) -> String,
) -> Result<(), WeightsError> {
    for layer in 0..config.num_layers() {
        let Some(experts) = config.experts_of(layer) else {
            continue;
        };
        let (hidden, intermediate) = (config.hidden_size, experts.intermediate_size);
        let stacks = [
            Stack {
                name: "mlp.experts.gate_up_proj",
                parts: &["gate_proj", "up_proj"],
                inputs: hidden,
                outputs: 2 * intermediate,
            },
            Stack {
                name: "mlp.experts.down_proj",
                parts: &["down_proj"],
                inputs: intermediate,
                outputs: hidden,
            },
        ];
        for stack in stacks {
            let mut taken = Taken {
                tensors: &mut *tensors,
                layer,
                num_experts: experts.num_experts,
                file_of: &file_of,
            };
            taken.floats(&stack)?;
            taken.blocks(&stack)?;
            taken.biases(&stack)?;
        }
    }
    Ok(())
}

/// A layer's tensors, some of which are taken apart.
struct Taken<'a> {
    tensors: &'a mut BTreeMap<String, Tensor>,
    layer: usize,
    num_experts: usize,
    file_of: &'a dyn Fn(&Tensor) -> String,
}

impl Taken<'_> {
    /// `[num_experts, inputs, outputs]`
    fn floats(&mut self, stack: &Stack) -> Result<(), WeightsError> {
        let Some(tensor) = self.take(stack.name, &[stack.inputs, stack.outputs])? else {
            return Ok(());
        };
        let step = stack.parts.len();
        for (expert, range) in self.ranges(&tensor) {
            for (first, part) in stack.parts.iter().enumerate() {
                let projection = Tensor {
                    shard: tensor.shard,
                    element: tensor.element.clone(),
                    shape: vec![stack.outputs / step, stack.inputs],
                    range: range.clone(),
                    row_order: RowOrder::Columns {
                        first,
                        step,
                        stride: stack.outputs,
                    },
                    scales: None,
                };
                self.put(expert, part, "weight", projection);
            }
        }
        Ok(())
    }

    /// `[num_experts, outputs, inputs / 32, 16]` quants, `[num_experts, outputs, inputs / 32]` scales.
    fn blocks(&mut self, stack: &Stack) -> Result<(), WeightsError> {
        if !mxfp4::fits(stack.inputs) {
            return Ok(());
        }
        let blocks = stack.inputs / 32;
        let (quants, scales) = (
            format!("{}_blocks", stack.name),
            format!("{}_scales", stack.name),
        );
        let quants = self.take(&quants, &[stack.outputs, blocks, 16])?;
        let scales = self.take(&scales, &[stack.outputs, blocks])?;
        let (Some(quants), Some(scales)) = (quants, scales) else {
            return Ok(());
        };
        let ranges = self.ranges(&quants).into_iter().zip(self.ranges(&scales));
        for ((expert, range), (_, scale_range)) in ranges {
            for (first, part) in stack.parts.iter().enumerate() {
                let projection = Tensor {
                    shard: quants.shard,
                    element: Ok(WeightDtype::Bf16),
                    shape: vec![stack.outputs / stack.parts.len(), stack.inputs],
                    range: range.clone(),
                    row_order: row_order(stack, first),
                    scales: Some(Scales {
                        shard: scales.shard,
                        range: scale_range.clone(),
                    }),
                };
                self.put(expert, part, "weight", projection);
            }
        }
        Ok(())
    }

    /// `[num_experts, outputs]`
    fn biases(&mut self, stack: &Stack) -> Result<(), WeightsError> {
        let name = format!("{}_bias", stack.name);
        let Some(tensor) = self.take(&name, &[stack.outputs])? else {
            return Ok(());
        };
        for (expert, range) in self.ranges(&tensor) {
            for (first, part) in stack.parts.iter().enumerate() {
                let bias = Tensor {
                    shard: tensor.shard,
                    element: tensor.element.clone(),
                    shape: vec![stack.outputs / stack.parts.len()],
                    range: range.clone(),
                    row_order: row_order(stack, first),
                    scales: None,
                };
                self.put(expert, part, "bias", bias);
            }
        }
        Ok(())
    }

    /// The layer's tensor `name`, of which each expert has a part of `shape`.
    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Option<Tensor>, WeightsError> {
        let name = Names::layer(self.layer, name);
        let Some(tensor) = self.tensors.remove(&name) else {
            return Ok(None);
        };
        let expected = [&[self.num_experts], shape].concat();
        if tensor.shape != expected {
            return Err(WeightsError::Shape {
                file: (self.file_of)(&tensor),
                tensor: name,
                expected,
                actual: tensor.shape,
            });
        }
        Ok(Some(tensor))
    }

    /// Each expert's bytes.
    fn ranges(&self, tensor: &Tensor) -> Vec<(usize, std::ops::Range<usize>)> {
        let bytes = tensor.range.len() / self.num_experts;
        let range = |expert: usize| {
            let start = tensor.range.start + expert * bytes;
            (expert, start..start + bytes)
        };
        (0..self.num_experts).map(range).collect()
    }

    fn put(&mut self, expert: usize, part: &str, end: &str, tensor: Tensor) {
        let name = Names::expert(expert, part);
        let name = Names::layer(self.layer, &format!("{name}.{end}"));
        self.tensors.insert(name, tensor);
    }
}

/// Where outputs of part `first` of a stack lie.
fn row_order(stack: &Stack, first: usize) -> RowOrder {
    match stack.parts.len() {
        1 => RowOrder::Natural,
        _ => RowOrder::EveryOther { first },
    }
}
