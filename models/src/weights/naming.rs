//! How the checkpoints of some families write tensors that the others write alike.

use std::collections::BTreeMap;

use super::{Expected, Tensor, WeightsError};

/// What a family's checkpoints write otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    /// Parts of names, in the file and here. Of a name the first match of each is replaced.
    pub(crate) renamed: &'static [(&'static str, &'static str)],
    /// Beginnings of names in the file that are `model.` here.
    pub(crate) prefixes: &'static [&'static str],
    /// Projections of a layer that are one tensor in the file.
    pub(crate) fused: &'static [Fused],
    /// The projections of all experts of a layer are one tensor, as gpt-oss has them.
    pub(crate) expert_stacks: bool,
    /// Beginnings of the names of what the decoder is not: the eyes of a model that sees, say.
    pub(crate) surplus: &'static [&'static str],
}

/// Projections whose rows follow each other in one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fused {
    /// Its name in a layer.
    pub(crate) name: &'static str,
    /// The projections.
    pub(crate) parts: &'static [&'static str],
}

impl Naming {
    /// As most families write them.
    pub(crate) const PLAIN: Self = Self {
        renamed: &[],
        prefixes: &[],
        fused: &[],
        expert_stacks: false,
        surplus: &[],
    };

    /// The name here of the file's tensor `name`.
    pub(super) fn name_here(&self, name: &str) -> String {
        let mut prefixes = self.prefixes.iter();
        let name = match prefixes.find_map(|prefix| name.strip_prefix(prefix)) {
            Some(rest) => format!("model.{rest}"),
            None => name.to_owned(),
        };
        let renamed = self.renamed.iter();
        renamed.fold(name, |name, (file, here)| name.replacen(file, here, 1))
    }

    /// Makes projections of the tensors that are fused in the file. One that is not there stays
    /// away, for the check that names it.
    ///
    /// # Errors
    /// `Shape` of a fused tensor.
    pub(super) fn split(
        &self,
        tensors: &mut BTreeMap<String, Tensor>,
        expected: &[Expected],
        file_of: impl Fn(&Tensor) -> String,
    ) -> Result<(), WeightsError> {
        for (name, parts) in self.fused_tensors(expected) {
            let Some(tensor) = tensors.remove(&name) else {
                continue;
            };
            let mut shape = parts[0].shape.clone();
            shape[0] = parts.iter().map(|part| part.shape[0]).sum();
            if tensor.shape != shape {
                return Err(WeightsError::Shape {
                    file: file_of(&tensor),
                    tensor: name,
                    expected: shape,
                    actual: tensor.shape,
                });
            }
            let row_bytes = tensor.range.len() / shape[0];
            let mut start = tensor.range.start;
            for part in parts {
                let end = start + part.shape[0] * row_bytes;
                let projection = Tensor {
                    shard: tensor.shard,
                    element: tensor.element.clone(),
                    shape: part.shape.clone(),
                    range: start..end,
                    row_order: tensor.row_order,
                    scales: None,
                };
                tensors.insert(part.name.clone(), projection);
                start = end;
            }
        }
        Ok(())
    }

    /// The names of fused tensors, weights and biases, each with what of `expected` lies in it.
    fn fused_tensors<'e>(&self, expected: &'e [Expected]) -> BTreeMap<String, Vec<&'e Expected>> {
        let mut found: BTreeMap<String, Vec<&Expected>> = BTreeMap::new();
        for tensor in expected {
            if let Some(name) = self.fused_name(&tensor.name) {
                found.entry(name).or_default().push(tensor);
            }
        }
        found
    }

    /// The name of the tensor in which `name` lies, if it is fused.
    fn fused_name(&self, name: &str) -> Option<String> {
        self.fused.iter().find_map(|fused| {
            let mut parts = fused.parts.iter();
            parts.find_map(|part| {
                let (layer, end) = name.split_once(&format!(".{part}."))?;
                Some(format!("{layer}.{}.{end}", fused.name))
            })
        })
    }

    /// The name in the file of the tensor `name`.
    pub(crate) fn name_in_file(&self, name: &str) -> String {
        let name = self.fused_name(name).unwrap_or_else(|| name.to_owned());
        let renamed = self.renamed.iter().rev();
        renamed.fold(name, |name, (file, here)| name.replacen(here, file, 1))
    }
}
