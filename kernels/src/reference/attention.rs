//! Attention through the block table with an online softmax (Milakov and Gimelshein, "Online
//! normalizer calculation for softmax", 2018): one block of keys at a time.

use candle_core::{D, Device, Result, Tensor};

use super::{Reference, split_qkv};
use crate::Attention;

/// The heads' outputs, `[rows, num_q_heads * head_dim]`.
pub(super) fn attend(op: &Attention<'_, Reference>, device: &Device) -> Result<Tensor> {
    let num_rows = op.batch.num_tokens();
    let (q, _, _) = split_qkv(&op.qkv.rows(num_rows)?, &op.shape)?;
    let group = op.shape.num_q_heads / op.shape.num_kv_heads;
    let mut sequences = Vec::new();
    for seq in 0..op.batch.num_seqs() {
        let rows = op.batch.query_range(seq);
        if rows.is_empty() {
            continue;
        }
        let mut heads = Vec::new();
        for kv_head in 0..op.shape.num_kv_heads {
            let q = q
                .narrow(0, rows.start, rows.len())?
                .narrow(1, kv_head * group, group)?;
            let q = q
                .contiguous()?
                .reshape((rows.len() * group, op.shape.head_dim))?;
            let out = attend_head(op, seq, kv_head, &q, device)?;
            heads.push(out.reshape((rows.len(), group * op.shape.head_dim))?);
        }
        sequences.push(Tensor::cat(&heads, 1)?);
    }
    Tensor::cat(&sequences, 0)
}

/// Attention of one sequence's queries of one KV head's group; `q` and the result are
/// `[query_len * group, head_dim]`.
fn attend_head(
    op: &Attention<'_, Reference>,
    seq: usize,
    kv_head: usize,
    q: &Tensor,
    device: &Device,
) -> Result<Tensor> {
    let block_size = op.kv.shape.block_size;
    let context_len = op.batch.context_lens[seq] as usize;
    let rows = q.dim(0)?;
    // A finite start lets a row whose keys are all masked so far carry zeros instead of NaN.
    let mut max = Tensor::full(f32::MIN, (rows, 1), device)?;
    let mut sum = Tensor::zeros((rows, 1), q.dtype(), device)?;
    let mut acc = q.zeros_like()?;
    for (index, &block) in op.batch.block_table_in(op.pool, seq).iter().enumerate() {
        let start = index * block_size;
        if start >= context_len {
            break;
        }
        let len = block_size.min(context_len - start);
        let slots = |tensor: &Tensor| {
            let tokens = tensor.narrow(0, block as usize * block_size, len)?;
            tokens.narrow(1, kv_head, 1)?.squeeze(1)?.contiguous()
        };
        let (k, v) = (
            slots(&op.kv.keys[op.layer])?,
            slots(&op.kv.values[op.layer])?,
        );
        let scores = q.matmul(&k.t()?)?.affine(f64::from(op.scale), 0.0)?;
        let scores = match op.soft_cap.map(f64::from) {
            Some(cap) => scores.affine(1.0 / cap, 0.0)?.tanh()?.affine(cap, 0.0)?,
            None => scores,
        };
        let scores = (scores + mask(op, seq, rows, start..start + len, device)?)?;
        let new_max = max.maximum(&scores.max_keepdim(D::Minus1)?)?;
        let weights = scores.broadcast_sub(&new_max)?.exp()?;
        let decay = (&max - &new_max)?.exp()?;
        sum = ((sum * &decay)? + weights.sum_keepdim(D::Minus1)?)?;
        acc = (acc.broadcast_mul(&decay)? + weights.matmul(&v)?)?;
        max = new_max;
    }
    let Some(sinks) = op.sinks else {
        return acc.broadcast_div(&sum);
    };
    let group = op.shape.num_q_heads / op.shape.num_kv_heads;
    let sinks = sinks
        .narrow(0, kv_head * group, group)?
        .repeat(rows / group)?;
    let sinks = sinks.unsqueeze(1)?;
    let new_max = max.maximum(&sinks)?;
    let decay = (&max - &new_max)?.exp()?;
    let sum = ((sum * &decay)? + (sinks - &new_max)?.exp()?)?;
    acc.broadcast_mul(&decay)?.broadcast_div(&sum)
}

/// 0 where a row sees a key, minus infinity where it does not: `[rows, keys.len()]`.
fn mask(
    op: &Attention<'_, Reference>,
    seq: usize,
    rows: usize,
    keys: std::ops::Range<usize>,
    device: &Device,
) -> Result<Tensor> {
    let query_len = op.batch.query_range(seq).len();
    let group = rows / query_len;
    let first = op.batch.context_lens[seq] as usize - query_len;
    let mut mask = Vec::with_capacity(rows * keys.len());
    for row in 0..rows {
        let position = first + row / group;
        let oldest = op
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        mask.extend(keys.clone().map(|key| {
            if (oldest..=position).contains(&key) {
                0.0
            } else {
                f32::NEG_INFINITY
            }
        }));
    }
    Tensor::from_vec(mask, (rows, keys.len()), device)
}
