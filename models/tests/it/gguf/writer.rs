//! Writes GGUF files: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, version 3.

use std::path::Path;

/// Alignment of tensors.
const ALIGNMENT: usize = 32;

/// A value of the metadata.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

/// A tensor, outermost dimension first.
#[derive(Clone, Debug)]
pub(crate) struct TensorData {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) type_id: u32,
    pub(crate) bytes: Vec<u8>,
}

/// A file that is written at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gguf {
    pub(crate) entries: Vec<(String, Entry)>,
    pub(crate) tensors: Vec<TensorData>,
}

impl Gguf {
    /// Adds metadata, or replaces those of the same key.
    pub(crate) fn set(&mut self, key: &str, entry: Entry) {
        self.remove(key);
        self.entries.push((key.to_owned(), entry));
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|(known, _)| known != key);
    }

    pub(crate) fn tensor_mut(&mut self, name: &str) -> &mut TensorData {
        let found = self.tensors.iter_mut().find(|tensor| tensor.name == name);
        found.unwrap()
    }

    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.entries.len() as u64).to_le_bytes());
        for (key, entry) in &self.entries {
            text(&mut out, key);
            value(&mut out, entry);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            for &dim in tensor.shape.iter().rev() {
                out.extend((dim as u64).to_le_bytes());
            }
            out.extend(tensor.type_id.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset += tensor.bytes.len().next_multiple_of(ALIGNMENT);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(&tensor.bytes);
        }
        out
    }

    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.bytes()).unwrap();
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, entry: &Entry) {
    let type_id: u32 = match entry {
        Entry::U32(_) => 4,
        Entry::F32(_) => 6,
        Entry::Bool(_) => 7,
        Entry::Text(_) => 8,
        Entry::Texts(_) | Entry::I32s(_) | Entry::F32s(_) => 9,
    };
    out.extend(type_id.to_le_bytes());
    let array = |out: &mut Vec<u8>, type_id: u32, len: usize| {
        out.extend(type_id.to_le_bytes());
        out.extend((len as u64).to_le_bytes());
    };
    match entry {
        Entry::U32(number) => out.extend(number.to_le_bytes()),
        Entry::F32(number) => out.extend(number.to_le_bytes()),
        Entry::Bool(flag) => out.push((*flag).into()),
        Entry::Text(value) => text(out, value),
        Entry::Texts(values) => {
            array(out, 8, values.len());
            values.iter().for_each(|value| text(out, value));
        }
        Entry::I32s(values) => {
            array(out, 5, values.len());
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Entry::F32s(values) => {
            array(out, 6, values.len());
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
}
