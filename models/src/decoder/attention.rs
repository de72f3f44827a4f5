//! The first half of a layer.

use kernels::{Attention, HeadNorm, KernelError, Linear, LoraBackend, Rope, StepBatch, WriteKv};

use super::Decoder;
use super::feed_forward::Rows;
use super::lora::{Place, Site};
use super::norms::AddAndNorm;

impl<B: LoraBackend> Decoder<B> {
    /// Adds what the layer before left, and normalises that; then computes and stores keys and
    /// values of layer `index`, and leaves the queries in `buffers.qkv`.
    pub(super) fn write_kv(&mut self, index: usize, batch: &StepBatch) -> Result<(), KernelError> {
        let Self {
            backend,
            weights,
            shape,
            buffers,
            adapters,
            kv,
            ..
        } = self;
        let layer = &weights.layers[index];
        let rows = batch.num_tokens();
        let add_and_norm = AddAndNorm {
            residual: &mut buffers.residual,
            delta: (index > 0).then_some((&buffers.delta, shape.residual_multiplier)),
            norm: layer.norms.before_attention.as_ref(),
            eps: shape.eps,
            rows,
            normed: &mut buffers.normed,
        };
        let input = add_and_norm.run(backend)?;
        backend.linear(Linear {
            input,
            weight: &layer.qkv,
            rows,
            out: &mut buffers.qkv,
        })?;
        let place = Place::new(index, Site::Qkv, Rows::All);
        adapters.add(backend, place, input, &mut buffers.qkv)?;
        let norms = layer.head_norms.as_ref();
        let norm = norms.map(|(q_weight, k_weight)| HeadNorm {
            q_weight,
            k_weight,
            eps: shape.eps,
        });
        let table = match (&weights.sliding_rope, layer.sliding_window) {
            (Some(sliding), Some(_)) => sliding,
            _ => &weights.rope,
        };
        let positions = &batch.positions;
        let (kv, place) = kv.of_mut(index);
        backend.write_kv(WriteKv {
            qkv: &mut buffers.qkv,
            shape: shape.qkv,
            norm,
            rope: layer.rope.then_some(Rope { positions, table }),
            kv,
            layer: place.layer,
            pool: place.pool,
            slot_mapping: batch.slots_in(place.pool),
        })
    }

    /// Attention of layer `index` into `buffers.attended`.
    pub(super) fn attend(&mut self, index: usize, batch: &StepBatch) -> Result<(), KernelError> {
        let Self {
            backend,
            weights,
            shape,
            buffers,
            kv,
            ..
        } = self;
        let layer = &weights.layers[index];
        let (kv, place) = kv.of(index);
        backend.attention(Attention {
            qkv: &buffers.qkv,
            shape: shape.qkv,
            kv,
            layer: place.layer,
            batch,
            pool: place.pool,
            scale: shape.attention_scale,
            soft_cap: shape.attention_soft_cap,
            sinks: layer.sinks.as_ref(),
            window: layer.sliding_window,
            out: &mut buffers.attended,
        })
    }
}
