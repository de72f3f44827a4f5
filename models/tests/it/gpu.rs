//! Every family computes on a GPU, or on its emulator, what transformers computes.

use std::io::Write;

use models::{
    Device, Dtype, KvCacheDtype, Limits, LoadOptions, ModelSource, Quantization, SumOrder, open,
};

use crate::bits::{Case, Place};
use crate::driver::{Driver, Rng, Seq, Setup};
use crate::golden::{self, Golden, VARIANTS};
use crate::variants::check_tokens;

/// Relative error of a row of logits that is computed in bfloat16: of a variant's rows on average, and
/// of the worst one. The variants' weights are drawn so that much of a row cancels.
const BF16_MEAN: f32 = 0.02;
const BF16_WORST: f32 = 0.2;

/// The emulator, where it was built, or else the first GPU; `None`, and a word of it, without either.
///
/// With `PURSER_TEST_GPU` set, a machine without a GPU is a failure.
fn device() -> Option<Device> {
    let emulator = Device::CudaEmulator.find();
    match emulator.or_else(|_| Device::Cuda(0).find()) {
        Ok(found) => Some(found.device()),
        Err(error) => {
            let required = std::env::var_os("PURSER_TEST_GPU").is_some();
            assert!(!required, "{error}");
            let line = format!("untested: {error}\n");
            std::io::stderr().write_all(line.as_bytes()).unwrap();
            None
        }
    }
}

/// In f32, the first decoded tokens of each.
#[test]
fn families_equal_transformers_in_f32() {
    let Some(device) = device() else { return };
    for variant in VARIANTS {
        let worst = check_tokens(variant, device, Dtype::Float32, 16, 4);
        println!("{variant}: {worst:e}");
    }
}

/// With weights, keys and values in bfloat16, against the reference backend with the same.
#[test]
fn families_are_near_the_reference_in_bf16() {
    let Some(device) = device() else { return };
    for variant in VARIANTS {
        let golden = Golden::read(variant);
        let (got, want) = (
            bf16(variant, device, &golden),
            bf16(variant, Device::Reference, &golden),
        );
        let errors: Vec<f32> = got.iter().zip(&want).map(|(a, b)| error(a, b)).collect();
        let worst = errors.iter().copied().fold(0.0, f32::max);
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        println!("{variant}: mean {mean}, worst {worst}");
        assert!(mean <= BF16_MEAN, "{variant}: {mean}");
        assert!(worst <= BF16_WORST, "{variant}: {worst}");
    }
}

/// With fixed sums: weights in bfloat16 and keys and values as well, and weights as they are with keys and
/// values that tensor cores do not take.
#[test]
fn fixed_sums_give_the_same_bits_in_every_family() {
    let Some(device) = device() else { return };
    for (index, variant) in VARIANTS.iter().enumerate() {
        let check = |dtype, kv_cache_dtype| {
            let place = Place {
                device,
                sum_order: SumOrder::Fixed,
                dtype,
            };
            Case::of_variant(variant, place).check_one(kv_cache_dtype, 16, 7, &mut None);
        };
        check(Dtype::Bfloat16, KvCacheDtype::Bfloat16);
        match index % 8 {
            0 => check(Dtype::Auto, KvCacheDtype::Float32),
            4 => check(Dtype::Auto, KvCacheDtype::Int8),
            _ => {}
        }
    }
}

/// A device that promises no bits says so, and does not begin.
#[test]
fn a_device_without_fixed_sums_is_refused() {
    let folder = golden::folder().join(VARIANTS[0]);
    let options = LoadOptions {
        device: Device::Reference,
        dtype: Dtype::Auto,
        quantization: Quantization::None,
        limits: Limits {
            num_blocks: 4,
            window_blocks: None,
            block_size: 16,
            max_num_batched_tokens: 8,
            max_num_seqs: 2,
            max_model_len: 32,
        },
        threads: None,
        pin_threads: false,
        sum_order: SumOrder::Fixed,
        kv_cache_dtype: KvCacheDtype::Auto,
        lora: None,
    };
    let model = open(&ModelSource::Folder(folder)).unwrap();
    let error = model.load(&options, &mut |_| ()).err().unwrap().to_string();
    let expected = "a fixed order of sums was asked for, which this device does not have: ";
    assert!(error.starts_with(expected), "{error}");
}

/// Norm of the difference over the norm of what is wanted; infinite if that is no number.
fn error(got: &[f32], want: &[f32]) -> f32 {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
    let difference = norm(&mut got.iter().zip(want).map(|(a, b)| a - b));
    match difference / norm(&mut want.iter().copied()) {
        error if error.is_nan() => f32::INFINITY,
        error => error,
    }
}

/// Logits of a variant's prompt and of some of its decoded tokens.
fn bf16(variant: &str, device: Device, golden: &Golden) -> Vec<Vec<f32>> {
    let setup = Setup {
        device,
        sum_order: SumOrder::Free,
        dtype: Dtype::Bfloat16,
        kv_cache_dtype: KvCacheDtype::Bfloat16,
        block_size: 16,
        pool_tokens: golden.prompt.len() + 32,
        max_tokens: golden.prompt.len(),
        max_rows: golden.prompt.len(),
        max_len: golden.prompt.len() + 16,
        window_pool: false,
    };
    let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
    let mut rng = Rng(11);
    let mut driver = Driver::new(model, setup, &mut rng);
    let mut seq = Seq::new(&golden.prompt);
    let mut rows = driver.prefill_in_chunks(&mut seq, &mut rng);
    rows.extend(
        golden
            .tokens
            .iter()
            .take(4)
            .map(|&token| driver.decode(&mut seq, token)),
    );
    rows
}
