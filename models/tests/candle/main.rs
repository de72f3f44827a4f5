//! A second oracle for whole models: those of candle-transformers.

#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

#[path = "../it/driver.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod driver;
#[path = "../it/golden.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod golden;

use candle_core::{DType, Device as CandleDevice, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{llama, qwen3};
use kernels::SumOrder;
use models::{Device, Dtype, KvCacheDtype, ModelSource, open};

use driver::{Driver, Rng, Seq, Setup};
use golden::{Golden, TOLERANCE, distance};

/// Logits after the prompt, on both of our backends.
fn ours(variant: &str, prompt: &[u32]) -> [Vec<f32>; 2] {
    [Device::Cpu, Device::Reference].map(|device| {
        let model = open(&ModelSource::Folder(golden::folder().join(variant))).unwrap();
        let setup = Setup {
            device,
            dtype: Dtype::Auto,
            // As candle keeps them.
            kv_cache_dtype: KvCacheDtype::Float32,
            block_size: 16,
            pool_tokens: prompt.len() + 16,
            max_tokens: prompt.len(),
            max_rows: prompt.len(),
            max_len: prompt.len(),
            window_pool: None,
            sum_order: SumOrder::Free,
        };
        let mut driver = Driver::new(model, setup, &mut Rng(1));
        driver
            .prefill_in_chunks(&mut Seq::new(prompt), &mut Rng(2))
            .pop()
            .unwrap()
    })
}

fn check(variant: &str, candle: impl Fn(&[u8], VarBuilder<'_>, &Tensor) -> Tensor) {
    let folder = golden::folder().join(variant);
    let config = std::fs::read(folder.join("config.v4.json")).unwrap();
    let weights = std::fs::read(folder.join("model.safetensors")).unwrap();
    let prompt = Golden::read(variant).prompt;
    let device = CandleDevice::Cpu;
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &device).unwrap();
    let input = Tensor::new(&prompt[..], &device)
        .unwrap()
        .unsqueeze(0)
        .unwrap();
    let logits = candle(&config, weights, &input).flatten_all().unwrap();
    let want: Vec<f32> = logits.to_vec1().unwrap();
    for got in ours(variant, &prompt) {
        let found = distance(&got, &want);
        println!("{variant}: {found:e}");
        assert!(found <= TOLERANCE, "{variant}: {found}");
    }
}

#[test]
fn llama_equals_the_llama_of_candle() {
    for variant in ["llama2-mha", "llama-float16"] {
        check(variant, |config, weights, input| {
            let config: llama::LlamaConfig = serde_json::from_slice(config).unwrap();
            let config = config.into_config(false);
            let device = CandleDevice::Cpu;
            let mut cache = llama::Cache::new(true, DType::F32, &config, &device).unwrap();
            let model = llama::Llama::load(weights, &config).unwrap();
            model.forward(input, 0, &mut cache).unwrap()
        });
    }
}

#[test]
fn qwen3_equals_the_qwen3_of_candle() {
    check("qwen3", |config, weights, input| {
        let config: qwen3::Config = serde_json::from_slice(config).unwrap();
        let mut model = qwen3::ModelForCausalLM::new(&config, weights).unwrap();
        model.forward(input, 0).unwrap()
    });
}
