//! Quantising at load and reading quantised files are the same thing.

use std::path::{Path, PathBuf};

use kernels::{WeightDtype, WeightView};
use models::{Dtype, LoadOptions, ModelSource, Quantization, SumOrder, open};

use super::blocks::Kind;
use super::convert::convert;
use super::writer::Gguf;
use super::{logits, plain_logits, worst, written};
use crate::golden::answers;

fn pebble() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("embedded/pebble-20m")
}

/// The embedded model's matrices in the formats that `dtype_of` says.
fn quantized(dtype_of: impl Fn(&str) -> WeightDtype) -> Gguf {
    let mut gguf = convert(&pebble(), Kind::Bf16);
    for tensor in &mut gguf.tensors {
        let [rows, cols] = tensor.shape[..] else {
            continue;
        };
        let view = WeightView {
            name: &tensor.name,
            data: &tensor.bytes,
            dtype: WeightDtype::Bf16,
            rows,
            cols,
        };
        let dtype = dtype_of(&tensor.name);
        let bytes = view.quantized(dtype);
        tensor.type_id = match dtype {
            WeightDtype::Q8_0 => 8,
            WeightDtype::Q4K => 12,
            WeightDtype::Q6K => 14,
            other => panic!("{other:?}"),
        };
        tensor.bytes = bytes;
    }
    gguf
}

/// Q4_K_M of eight layers with a tied embedding, by hand.
fn q4_k_m(name: &str) -> WeightDtype {
    let more_bits = [0, 3, 6, 7].iter().any(|layer| {
        let stems = ["attn_v", "ffn_down"];
        stems
            .iter()
            .any(|stem| name == format!("blk.{layer}.{stem}.weight"))
    });
    match more_bits || name == "token_embd.weight" {
        true => WeightDtype::Q6K,
        false => WeightDtype::Q4K,
    }
}

/// Kullback-Leibler divergence of the next-token distributions, averaged over the rows, in nats.
fn divergence(got: &[Vec<f32>], want: &[Vec<f32>]) -> f64 {
    let log_softmax = |row: &[f32]| {
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        row.iter()
            .map(|&x| f64::from(x) - sum.ln())
            .collect::<Vec<f64>>()
    };
    let rows = got.iter().zip(want).map(|(got, want)| {
        let (got, want) = (log_softmax(got), log_softmax(want));
        let terms = got
            .iter()
            .zip(&want)
            .map(|(got, want)| want.exp() * (want - got));
        terms.sum::<f64>()
    });
    rows.sum::<f64>() / got.len() as f64
}

#[test]
fn quantising_at_load_makes_the_blocks_that_a_file_would_have() {
    let tokens = &answers()[0].prompt;
    let embedded = || open(&ModelSource::Embedded).unwrap();
    let exact = logits(embedded(), Dtype::Float32, Quantization::None, tokens);
    for (quantization, file, most) in [
        (Quantization::Q8_0, quantized(|_| WeightDtype::Q8_0), 0.0002),
        (Quantization::Q4KM, quantized(q4_k_m), 0.005),
    ] {
        let at_load = logits(embedded(), Dtype::Auto, quantization, tokens);
        let (_folder, model) = written(&file);
        assert!(at_load == plain_logits(model, tokens), "{quantization:?}");
        let kl = divergence(&at_load, &exact);
        let distance = worst(&at_load, &exact);
        println!("{quantization:?}: KL divergence {kl:.5} nats, logits {distance:e}");
        assert!(kl < most, "{quantization:?}: {kl}");
    }
}

#[test]
fn sizes_of_quantised_weights_are_known_before_loading() {
    let model = open(&ModelSource::Embedded).unwrap();
    // 17 norms of 512 and 16 of 64 as f32, the rest in blocks of 32 with 34 bytes.
    let vectors = 17 * 512 + 16 * 64;
    let matrices = model.config().num_parameters() - vectors;
    let q8_0 = model.loaded_weight_bytes(Dtype::Auto, Quantization::Q8_0);
    assert_eq!(q8_0, matrices / 32 * 34 + vectors * 4);
    let bf16 = model.loaded_weight_bytes(Dtype::Auto, Quantization::None);
    assert_eq!(bf16, matrices * 2 + vectors * 4);
    // What the file of the same mixture has.
    let (_folder, file) = written(&quantized(q4_k_m));
    let q4_k_m = model.loaded_weight_bytes(Dtype::Auto, Quantization::Q4KM);
    assert_eq!(q4_k_m, file.weight_bytes());
    assert_eq!(
        q4_k_m,
        file.loaded_weight_bytes(Dtype::Auto, Quantization::None)
    );
}

#[test]
fn what_is_quantised_already_is_not_quantised_again() {
    let load = |quantization| {
        let (_folder, model) = written(&quantized(q4_k_m));
        let limits = models::Limits {
            num_blocks: 4,
            window_blocks: None,
            block_size: 16,
            max_num_batched_tokens: 8,
            max_num_seqs: 2,
            max_model_len: 32,
        };
        let options = LoadOptions {
            device: models::Device::Cpu,
            dtype: Dtype::Auto,
            quantization,
            limits,
            threads: None,
            pin_threads: false,
            sum_order: SumOrder::Free,
            kv_cache_dtype: models::KvCacheDtype::Auto,
            lora: None,
        };
        let loaded = model.load(&options, &mut |_| ());
        loaded.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(load(Quantization::Q4KM), Ok(()));
    let want = "quantization q8_0 needs a checkpoint of floats, but tensor \
                model.embed_tokens.weight is Q6K already; use none";
    assert_eq!(load(Quantization::Q8_0).unwrap_err(), want);
}
