//! The header of a GGUF file: metadata, and where tensors lie.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little
//! endian. Nothing is copied and no count of the file is believed before the bytes for it are
//! there: texts and arrays stay slices of the file.

use std::collections::BTreeMap;

use super::value::{Array, Value};

/// Alignment of the data where the file does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Dimensions of a tensor in ggml.
const MAX_DIMS: u32 = 4;
/// Arrays in arrays: deeper ones would only overflow the stack.
const MAX_DEPTH: usize = 4;

/// What stands in front of the data.
pub(super) struct Header<'a> {
    /// By key.
    pub(super) metadata: BTreeMap<&'a str, Value<'a>>,
    /// In the order of the file.
    pub(super) tensors: Vec<TensorInfo<'a>>,
    /// Where the data starts.
    pub(super) data_start: usize,
}

/// A tensor as the header describes it.
pub(super) struct TensorInfo<'a> {
    /// GGUF's name.
    pub(super) name: &'a str,
    /// Outermost dimension first, as everywhere but in GGUF.
    pub(super) shape: Vec<usize>,
    /// `ggml_type`.
    pub(super) type_id: u32,
    /// From the start of the data.
    pub(super) offset: u64,
}

impl<'a> Header<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// What is wrong, and at which byte.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        reader.magic()?;
        let num_tensors = reader.u64()?;
        let num_entries = reader.u64()?;
        let mut metadata = BTreeMap::new();
        for _ in 0..num_entries {
            let key = reader.text()?;
            let type_id = reader.u32()?;
            let value = reader.value(type_id, 0)?;
            if metadata.insert(key, value).is_some() {
                return Err(format!("metadata `{key}` is there twice"));
            }
        }
        let mut tensors = Vec::new();
        for _ in 0..num_tensors {
            tensors.push(reader.tensor()?);
        }
        let alignment = match metadata.get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(&Value::Unsigned(alignment)) if alignment.is_power_of_two() => alignment,
            Some(value) => {
                return Err(format!(
                    "metadata `general.alignment` = {value} is no power of two"
                ));
            }
        };
        let data_start = (reader.at as u64)
            .checked_next_multiple_of(alignment)
            .and_then(|start| usize::try_from(start).ok())
            .ok_or_else(|| format!("an alignment of {alignment} leaves the file"))?;
        Ok(Self {
            metadata,
            tensors,
            data_start,
        })
    }
}

/// Walks through the bytes.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn magic(&mut self) -> Result<(), String> {
        let magic = self.take(4)?;
        if magic != b"GGUF" {
            return Err(format!(
                "it starts with {:?}, not with \"GGUF\"",
                magic.escape_ascii().to_string()
            ));
        }
        match self.u32()? {
            2 | 3 => Ok(()),
            version if version.swap_bytes() <= 3 => Err("it is big endian".to_owned()),
            version => Err(format!(
                "version {version}; supported are 2 and 3 (files of other versions can be \
                 converted again)"
            )),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or_else(|| {
            format!(
                "truncated: {len} bytes are wanted at byte {}, and {} are left",
                self.at,
                rest.len()
            )
        })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("N bytes were taken"))
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn length(&mut self) -> Result<usize, String> {
        let length = self.u64()?;
        usize::try_from(length).map_err(|_| format!("a length of {length} at byte {}", self.at))
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let at = self.at;
        let len = self.length()?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map_err(|_| format!("the text at byte {at} is not UTF-8"))
    }

    fn value(&mut self, type_id: u32, depth: usize) -> Result<Value<'a>, String> {
        Ok(match type_id {
            0 => Value::Unsigned(self.array::<1>()?[0].into()),
            1 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            3 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Unsigned(self.u32()?.into()),
            5 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            6 => Value::Float(f32::from_le_bytes(self.array()?).into()),
            7 => match self.array::<1>()?[0] {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                other => return Err(format!("a truth value of {other} at byte {}", self.at)),
            },
            8 => Value::Text(self.text()?),
            9 => Value::Array(self.elements(depth)?),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.array()?)),
            12 => Value::Float(f64::from_le_bytes(self.array()?)),
            other => return Err(format!("a value of type {other} at byte {}", self.at)),
        })
    }

    fn elements(&mut self, depth: usize) -> Result<Array<'a>, String> {
        let type_id = self.u32()?;
        let len = self.length()?;
        if depth == MAX_DEPTH {
            return Err(format!("arrays in arrays at byte {}", self.at));
        }
        let start = self.at;
        let size = match type_id {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        let bytes = match size {
            Some(size) => {
                let bytes = len.checked_mul(size).ok_or("an array without end")?;
                self.take(bytes)?
            }
            // Each takes bytes of its own, so that the loop ends with the file.
            None => {
                for _ in 0..len {
                    self.value(type_id, depth + 1)?;
                }
                &self.bytes[start..self.at]
            }
        };
        Ok(Array::new(type_id, len, bytes))
    }

    fn tensor(&mut self) -> Result<TensorInfo<'a>, String> {
        let name = self.text()?;
        let num_dims = self.u32()?;
        if num_dims > MAX_DIMS {
            return Err(format!(
                "tensor {name} has {num_dims} dimensions; {MAX_DIMS} are the most"
            ));
        }
        let mut shape = Vec::new();
        for _ in 0..num_dims {
            shape.push(self.length()?);
        }
        shape.reverse();
        let (type_id, offset) = (self.u32()?, self.u64()?);
        Ok(TensorInfo {
            name,
            shape,
            type_id,
            offset,
        })
    }
}

/// Reads the value at the start of `bytes`, and says how long it is.
///
/// # Errors
/// As [`Header::read`].
pub(super) fn read_value(type_id: u32, bytes: &[u8]) -> Result<(Value<'_>, usize), String> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.value(type_id, 0)?;
    Ok((value, reader.at))
}
