//! `purser doctor`: what it measures and works out for the embedded model.

use std::process::{Command, Output};

use serde_json::Value;

fn doctor(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_purser"))
        .arg("doctor")
        .args(flags)
        .output()
        .unwrap()
}

fn number(report: &Value, pointer: &str) -> f64 {
    let value = report.pointer(pointer).and_then(Value::as_f64);
    value.unwrap_or_else(|| panic!("no {pointer} in {report:#}"))
}

#[test]
fn the_embedded_model_is_examined() {
    let output = doctor(&["--json", "--threads", "1"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let at = |pointer: &str| number(&report, pointer);

    assert_eq!(report["forecast"]["model"], "pebble-20m");
    let parameters = at("/forecast/parameters");
    assert!((19.5e6..20.5e6).contains(&parameters), "{parameters}");
    // 2 bytes each, and the embedding is the output projection.
    assert_eq!(
        at("/forecast/weight_bytes"),
        at("/forecast/step_weight_bytes")
    );
    let per_weight = at("/forecast/weight_bytes") / parameters;
    assert!((2.0..2.1).contains(&per_weight), "{per_weight}");
    // Keys and values of 8 layers, 2 heads of 64 and 2 bytes.
    assert_eq!(at("/forecast/kv_bytes_per_token"), 4_096.0);
    assert_eq!(at("/forecast/max_model_len"), 8_192.0);
    assert_eq!(at("/forecast/kv_cache_bytes"), 4.0 * 8_192.0 * 4_096.0);
    assert_eq!(at("/forecast/kv_cache_tokens"), 4.0 * 8_192.0 - 16.0);

    assert_eq!(at("/machine/threads"), 1.0);
    assert!(at("/machine/available_bytes") <= at("/machine/memory_bytes"));
    let read = at("/machine/read_gb_per_second");
    let decode = at("/forecast/decode_tokens_per_second");
    let expected = 1e9 * read / at("/forecast/step_weight_bytes");
    assert!(
        read > 0.0 && (decode / expected - 1.0).abs() < 1e-9,
        "{report:#}"
    );
    let paths = report["machine"]["paths"].as_array().unwrap();
    assert_eq!(paths[0]["operands"], "f32");
    assert!(
        paths
            .iter()
            .all(|path| number(path, "/gop_per_second") > 0.0)
    );
    // Two operations for each weight of 8 layers: queries and outputs of 512 by 512, keys and values
    // of 512 by 128, three matrices of 512 by 1,024.
    let layers = 8.0 * (2.0 * 512.0 * 512.0 + 2.0 * 512.0 * 128.0 + 3.0 * 512.0 * 1_024.0);
    let peak = at("/forecast/prefill_tokens_per_second") * 2.0 * layers / 1e9;
    let fits = |path: &Value| (number(path, "/gop_per_second") / peak - 1.0).abs() < 1e-9;
    assert!(paths.iter().any(fits), "{peak} is none of {paths:?}");

    assert!((16.0..=512.0).contains(&at("/trial/prompt_tokens")));
    assert!((16.0..=64.0).contains(&at("/trial/output_tokens")));
    assert!(at("/trial/prefill_tokens_per_second") > 0.0);
    assert!(at("/trial/decode_tokens_per_second") > 0.0);

    let advice = report["advice"].as_array().unwrap();
    let advised = advice
        .iter()
        .any(|one| one["setting"] == "--quantization q8_0");
    assert!(advised, "{advice:?}");
}

#[test]
fn people_get_text_for_the_settings_that_they_try() {
    let flags = [
        "--max-model-len",
        "1024",
        "--quantization",
        "q8_0",
        "--kv-cache-dtype",
        "int8",
    ];
    let output = doctor(&flags);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "pebble-20m, 19.9 million weights",
        "(int8)",
        "at most 1024 tokens, the model allows 8192",
        "measured over",
        "--max-model-len 8192",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(!text.contains("--quantization q8_0"), "{text}");
}

#[test]
fn what_cannot_be_served_is_refused_as_serve_does() {
    for (flags, part) in [
        (["--threads", "0"], "--threads"),
        (["--max-model-len", "9000"], "--max-model-len 9000"),
        (["--model", "x"], "--model"),
        (["--kv-cache-dtype", "fp8"], "int8"),
    ] {
        let output = doctor(&flags);
        assert!(!output.status.success(), "{flags:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains(part), "{message}");
    }
}
