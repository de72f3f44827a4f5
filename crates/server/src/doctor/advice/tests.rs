use super::*;
use crate::config::resolve;
use crate::config::settings::ServeSettings;
use crate::doctor::machine::Path;

/// A machine of 4 cores that multiplies f32, and bf16 twice as fast.
fn machine() -> Machine {
    let path = |operands, gop_per_second| Path {
        name: operands,
        operands,
        gop_per_second,
    };
    Machine {
        processor: "test".to_owned(),
        cores: 4,
        threads: 4,
        memory_bytes: 16 << 30,
        available_bytes: 8 << 30,
        read_gb_per_second: 20.0,
        paths: vec![path("f32", 200.0), path("bf16", 400.0)],
    }
}

/// A model of 1 GB that is quantised already, with room for four sequences.
fn forecast() -> Forecast {
    Forecast {
        model: "test".to_owned(),
        parameters: 1_000_000_000,
        weight_bytes: 1_000_000_000,
        step_weight_bytes: 1_000_000_000,
        step_weight_bytes_q8_0: 1_000_000_000,
        kv_cache_dtype: "bfloat16",
        kv_bytes_per_token: 1 << 10,
        kv_cache_bytes: 32 << 20,
        kv_cache_tokens: 32 << 10,
        most_kv_cache_tokens: 1 << 20,
        max_position_embeddings: 8 << 10,
        max_model_len: 8 << 10,
        max_num_batched_tokens: 256,
        prefill_tokens_per_second: 100.0,
        decode_tokens_per_second: 20.0,
    }
}

fn trial(decode_tokens_per_second: f64) -> Trial {
    Trial {
        prompt_tokens: 100,
        output_tokens: 16,
        prefill_tokens_per_second: 80.0,
        decode_tokens_per_second,
    }
}

fn engine() -> EngineConfig {
    resolve(ServeSettings::default(), &|_| None).unwrap().engine
}

/// The settings that are advised, in their order.
fn settings(forecast: &Forecast, trial: &Trial, engine: &EngineConfig) -> Vec<String> {
    let advised = advise(&machine(), forecast, trial, engine);
    assert!(advised.iter().all(|advice| !advice.reason.is_empty()));
    advised.into_iter().map(|advice| advice.setting).collect()
}

#[test]
fn what_is_well_is_left_alone() {
    let advised = settings(&forecast(), &trial(18.0), &engine());
    assert!(advised.is_empty(), "{advised:?}");
}

#[test]
fn each_setting_is_advised_for_its_reason() {
    let half = Forecast {
        step_weight_bytes_q8_0: 500_000_000,
        ..forecast()
    };
    assert_eq!(
        settings(&half, &trial(18.0), &engine()),
        ["--quantization q8_0"]
    );

    let threads = |asked| EngineConfig {
        threads: Some(asked),
        ..engine()
    };
    for asked in [3, 5] {
        assert_eq!(
            settings(&forecast(), &trial(18.0), &threads(asked)),
            ["--threads 4"]
        );
    }
    assert!(settings(&forecast(), &trial(18.0), &threads(4)).is_empty());

    let float32 = EngineConfig {
        dtype: Dtype::Float32,
        ..engine()
    };
    assert_eq!(
        settings(&forecast(), &trial(18.0), &float32),
        ["--dtype bfloat16"]
    );

    let reference = EngineConfig {
        device: Device::Reference,
        ..engine()
    };
    assert_eq!(settings(&half, &trial(1.0), &reference), ["--device cpu"]);

    let tight = Forecast {
        kv_cache_tokens: 12 << 10,
        ..forecast()
    };
    assert_eq!(
        settings(&tight, &trial(18.0), &engine()),
        ["--kv-cache-dtype int8"]
    );

    for kv_cache_dtype in ["int8", "fp8_e4m3"] {
        let narrow = Forecast {
            kv_cache_dtype,
            ..tight.clone()
        };
        assert!(settings(&narrow, &trial(18.0), &engine()).is_empty());
    }

    assert_eq!(
        settings(&forecast(), &trial(9.0), &engine()),
        ["--pin-threads"]
    );
}

#[test]
fn a_sequence_that_memory_shortens_needs_so_much() {
    let short = Forecast {
        max_model_len: 4 << 10,
        kv_cache_tokens: 16 << 10,
        ..forecast()
    };
    // 8192 tokens of 1 KiB, and the null block.
    let advised = settings(&short, &trial(18.0), &engine());
    assert_eq!(advised, ["--max-model-len 8192 --kv-cache-memory-bytes 9m"]);
}
