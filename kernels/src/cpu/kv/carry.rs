//! Blocks as bytes, to be kept outside of the cache: keys, values and scales of each layer, little
//! endian, in the order in which they lie there.

use std::ops::Range;

use crate::cpu::kv::{KvElement, Store, padded_head_dim};

/// Where a block of one layer lies in each of the store's arrays.
struct Spans {
    keys: Range<usize>,
    values: Range<usize>,
    scales: Range<usize>,
}

impl<T: KvElement> Store<T> {
    /// Bytes of one block in all layers.
    pub(super) fn block_bytes(&self) -> usize {
        let Spans {
            keys,
            values,
            scales,
        } = self.spans(0, 0);
        let elements = (keys.len() + values.len()) * size_of::<T>();
        self.shape().num_layers * (elements + 2 * scales.len() * size_of::<f32>())
    }

    /// See [`crate::CpuKvCache::read_block`].
    pub(super) fn read_block(&self, block: usize, mut out: &mut [u8]) {
        self.check(block, out.len());
        for layer in 0..self.shape().num_layers {
            let spans = self.spans(layer, block);
            let (keys, values, key_scales, value_scales) = self.arrays();
            put(&keys[spans.keys], &mut out);
            put(&values[spans.values], &mut out);
            put(&key_scales[spans.scales.clone()], &mut out);
            put(&value_scales[spans.scales], &mut out);
        }
    }

    /// See [`crate::CpuKvCache::write_block`].
    pub(super) fn write_block(&mut self, block: usize, mut bytes: &[u8]) {
        self.check(block, bytes.len());
        for layer in 0..self.shape().num_layers {
            let spans = self.spans(layer, block);
            let (keys, values, key_scales, value_scales) = self.arrays_mut();
            take(&mut keys[spans.keys], &mut bytes);
            take(&mut values[spans.values], &mut bytes);
            take(&mut key_scales[spans.scales.clone()], &mut bytes);
            take(&mut value_scales[spans.scales], &mut bytes);
        }
    }

    fn check(&self, block: usize, len: usize) {
        assert!(block < self.shape().num_blocks, "block {block} exists");
        assert_eq!(len, self.block_bytes(), "bytes of a block");
    }

    /// The heads of a block lie behind each other.
    fn spans(&self, layer: usize, block: usize) -> Spans {
        let shape = self.shape();
        let first = (layer * shape.num_blocks + block) * shape.num_kv_heads * shape.block_size;
        let len = shape.num_kv_heads * shape.block_size;
        let span = |width: usize| first * width..(first + len) * width;
        Spans {
            keys: span(shape.head_dim),
            values: span(padded_head_dim(shape.head_dim)),
            scales: if T::SCALED { span(1) } else { 0..0 },
        }
    }
}

/// An element as bytes.
pub(crate) trait Bytes: Copy {
    /// Writes the element, little endian.
    fn put(self, out: &mut [u8]);

    /// Reads what [`Bytes::put`] has written.
    fn take(bytes: &[u8]) -> Self;
}

macro_rules! little_endian {
    ($($type:ty),*) => {
        $(impl Bytes for $type {
            fn put(self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_le_bytes());
            }

            fn take(bytes: &[u8]) -> Self {
                Self::from_le_bytes(bytes.try_into().expect("as many bytes as an element has"))
            }
        })*
    };
}

little_endian!(f32, half::bf16, i8);

fn put<E: Bytes>(elements: &[E], out: &mut &mut [u8]) {
    let bytes = size_of_val(elements);
    let (own, rest) = std::mem::take(out).split_at_mut(bytes);
    for (element, out) in elements.iter().zip(own.chunks_exact_mut(size_of::<E>())) {
        element.put(out);
    }
    *out = rest;
}

fn take<E: Bytes>(elements: &mut [E], bytes: &mut &[u8]) {
    let (own, rest) = bytes.split_at(size_of_val(elements));
    for (element, bytes) in elements.iter_mut().zip(own.chunks_exact(size_of::<E>())) {
        *element = E::take(bytes);
    }
    *bytes = rest;
}
