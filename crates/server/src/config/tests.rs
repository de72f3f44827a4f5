//! Sources, their order, and what is refused.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use models::{Device, KvCacheDtype, ModelSource, SumOrder, WeightsCache};

use super::serve::ServeConfig;
use super::settings::ServeSettings;
use super::values::{ByteSize, DeviceName, TokenCount};
use super::{ConfigError, resolve};
use crate::cli::Cli;

fn settings(arguments: &[&str]) -> ServeSettings {
    Cli::try_parse_from([&["purser"], arguments].concat())
        .unwrap()
        .serve
}

fn config(arguments: &[&str]) -> Result<ServeConfig, ConfigError> {
    resolve(settings(arguments), &|_| None)
}

fn refused(arguments: &[&str]) -> String {
    config(arguments).unwrap_err().to_string()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn with_file(path: &Path, arguments: &[&str]) -> Result<ServeConfig, ConfigError> {
    config(&[&["--config", path.to_str().unwrap()], arguments].concat())
}

#[test]
fn defaults_serve_the_embedded_model_to_this_machine() {
    let config = config(&[]).unwrap();
    assert!(matches!(config.model, ModelSource::Embedded));
    assert_eq!(config.served_model_names, ["pebble-20m"]);
    assert_eq!(
        (config.listen.host.to_string(), config.listen.port),
        ("127.0.0.1".into(), 8_000)
    );
    assert!(config.access.api_keys.is_empty() && !config.access.shared_prefix_cache);
    assert!(config.engine.enable_prefix_caching && config.engine.async_scheduling);
    assert_eq!(config.context.max_background_share, 0.15);
    assert_eq!(config.engine.target_itl, Some(Duration::from_millis(100)));
    assert_eq!(config.limits.max_body_bytes, 32 << 20);
}

#[test]
fn serve_may_be_said_or_left_out() {
    let said = Cli::try_parse_from(["purser", "serve", "some/model", "--port", "9"]).unwrap();
    let Some(crate::cli::Command::Serve(said)) = said.command else {
        panic!("it was said")
    };
    let left_out = settings(&["some/model", "--port", "9"]);
    assert_eq!((said.model, said.port), (left_out.model, left_out.port));
}

#[test]
fn flags_are_stronger_than_the_file() {
    let file =
        file("port = 9000\nmax_model_len = \"8k\"\nblock-size = 32\nshared-prefix-cache = true\n");
    let config = with_file(file.path(), &["--port", "9001"]).unwrap();
    assert_eq!(config.listen.port, 9_001);
    assert_eq!(config.engine.max_model_len, Some(8_000));
    assert_eq!(config.engine.block_size, 32);
    assert!(config.access.shared_prefix_cache);
}

#[test]
fn a_file_with_something_else_is_refused() {
    for (text, part) in [
        ("prot = 9000\n", "unknown field `prot`"),
        ("port = \"many\"\n", "port"),
        ("port = 70000\n", "port"),
        ("kv-cache-memory-bytes = \"2 pounds\"\n", "2 pounds"),
        ("port = \n", "TOML parse error"),
    ] {
        let file = file(text);
        let message = with_file(file.path(), &[]).unwrap_err().to_string();
        assert!(message.contains(part), "{text}: {message}");
        assert!(message.contains(file.path().to_str().unwrap()), "{message}");
    }
    let message = with_file(Path::new("/nowhere/purser.toml"), &[])
        .unwrap_err()
        .to_string();
    assert!(message.contains("/nowhere/purser.toml"), "{message}");
}

#[test]
fn values_that_cannot_work_name_their_flag() {
    for (arguments, part) in [
        (
            &["--host", "example.com"][..],
            "--host: `example.com` is no IP address",
        ),
        (
            &["--host", "0.0.0.0"],
            "set one, or allow everybody in with --insecure",
        ),
        (
            &["--api-key", ""],
            "--api-key: a key has at least one character",
        ),
        (
            &["--max-num-seqs", "0"],
            "--max-num-seqs: it must be at least 1",
        ),
        (
            &["--max-num-batched-tokens", "8", "--max-num-seqs", "9"],
            "--max-num-batched-tokens: 8",
        ),
        (
            &["--watermark", "1"],
            "--watermark: 1 must be at least 0 and below 1",
        ),
        (
            &["--context-max-background-share", "1.1"],
            "--context-max-background-share: 1.1 must be at least 0 and at most 1",
        ),
        (
            &["--context-max-background-share", "nan"],
            "--context-max-background-share: NaN",
        ),
        (&["--target-itl-ms", "-1"], "--target-itl-ms"),
        (&["--keep-alive-secs", "0"], "--keep-alive-secs"),
        (&["--shutdown-timeout", "1e9"], "--shutdown-timeout"),
        (&["--block-size", "0"], "--block-size"),
        (
            &["--quantization", "q8_0", "--dtype", "bfloat16"],
            "--quantization: q8_0",
        ),
        (
            &["--enable-prefix-caching", "--no-enable-prefix-caching"],
            "both turned on",
        ),
        (
            &["--async-scheduling", "--no-async-scheduling"],
            "--async-scheduling: it is both turned on",
        ),
        (&["--served-model-name", ""], "--served-model-name"),
    ] {
        let arguments: Vec<String> = arguments
            .chunks(2)
            .flat_map(|pair| match pair {
                // A value that begins with a dash needs the equals sign.
                [flag, value] if value.starts_with('-') && !value.starts_with("--") => {
                    vec![format!("{flag}={value}")]
                }
                pair => pair.iter().map(|&word| word.to_owned()).collect(),
            })
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let message = refused(&arguments);
        assert!(message.contains(part), "{arguments:?}: {message}");
    }
}

#[test]
fn a_public_address_takes_a_key_or_a_promise() {
    assert!(config(&["--host", "0.0.0.0", "--api-key", "k"]).is_ok());
    assert!(config(&["--host", "::", "--insecure"]).is_ok());
    let from_vllm = |name: &str| (name == "VLLM_API_KEY").then(|| "k".to_owned());
    let config = resolve(settings(&["--host", "0.0.0.0"]), &from_vllm).unwrap();
    assert_eq!(config.access.api_keys, ["k"]);
}

#[test]
fn sizes_have_units() {
    for (text, bytes) in [
        ("1", 1),
        ("64k", 65_536),
        ("2g", 2 << 30),
        ("1.5GiB", 3 << 29),
        ("512MB", 512 << 20),
    ] {
        assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
    }
    for (text, tokens) in [
        ("8192", Some(8_192)),
        ("8k", Some(8_000)),
        ("8K", Some(8_192)),
        ("auto", None),
    ] {
        assert_eq!(text.parse(), Ok(TokenCount(tokens)), "{text}");
    }
    for text in ["", "g", "-1", "0", "1e3", "2gg", "nan", "999999999999t"] {
        assert!(text.parse::<ByteSize>().is_err(), "{text}");
        assert!(text.parse::<TokenCount>().is_err(), "{text}");
    }
}

#[test]
fn every_flag_is_a_variable_and_a_key_and_is_explained() {
    let command = Cli::command();
    let mut checked = 0;
    for argument in command.get_arguments() {
        let name = argument.get_id().as_str();
        if ["help", "version"].contains(&name) {
            continue;
        }
        checked += 1;
        let variable = argument
            .get_env()
            .map(|name| name.to_string_lossy().into_owned());
        assert_eq!(
            variable,
            Some(format!("PURSER_{}", name.to_uppercase())),
            "{name}"
        );
        assert!(argument.get_help().is_some(), "{name} is not explained");
        if name == "config" {
            continue;
        }
        // An unknown key is an error that names the field; a known one complains of its type.
        let file = file(&format!("{name} = {{}}\n"));
        let message = with_file(file.path(), &[]).unwrap_err().to_string();
        assert!(!message.contains("unknown field"), "{name}: {message}");
    }
    assert!(checked > 25, "{checked} flags");
}

#[test]
fn profiles_that_the_window_cannot_hold_are_refused_by_name() {
    let text = "context-profile = \"small\"\n[profiles.small]\nmax_context_tokens = 4096\n\
        [profiles.small.zones.stable_prefix]\nuntil = { message_index = 2 }\n";
    let file = file(text);
    let context = with_file(file.path(), &[]).unwrap().context;
    assert_eq!(context.profile, "small");
    assert!(context.check_window(4_096).is_ok());
    let refused = context.check_window(4_095).unwrap_err().to_string();
    assert_eq!(
        refused,
        "--config: `profiles.small.max_context_tokens`: 4096 tokens are more than the 4095 of the \
         window"
    );
    let preset = config(&["--context-profile", "course_128k"])
        .unwrap()
        .context;
    let refused = preset.check_window(8_192).unwrap_err().to_string();
    assert!(refused.starts_with("--context-profile: `course_128k`: max_context_tokens"));
    assert!(config(&[]).unwrap().context.check_window(1).is_ok());
}

#[test]
fn a_wrong_field_of_a_profile_is_named() {
    let file = file("[profiles.small.zones.history]\nkeep = 3\n");
    let refused = with_file(file.path(), &[]).unwrap_err().to_string();
    assert!(
        refused.contains("profiles.small.zones.history.keep"),
        "{refused}"
    );
}

#[test]
fn an_encoder_has_a_name_of_its_own() {
    assert!(config(&[]).unwrap().embedding_model.is_none());
    let name = |arguments: &[&str]| config(arguments).unwrap().embedding_model.unwrap().name;
    assert_eq!(name(&["--embedding-model", "BAAI/bge-m3"]), "BAAI/bge-m3");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bge-small");
    std::fs::create_dir(&path).unwrap();
    let encoder = ["--embedding-model", path.to_str().unwrap()];
    assert_eq!(name(&encoder), "bge-small");
    let hub = |name: &str| (name == "HF_ENDPOINT").then(|| "http://hub".to_owned());
    let arguments = ["--embedding-model", "a/b", "--revision", "v1"];
    let config = resolve(settings(&arguments), &hub).unwrap();
    let source = config.embedding_model.unwrap().source;
    let ModelSource::Hub(request) = source else {
        panic!("{source:?}")
    };
    assert_eq!(request.options.endpoint.as_deref(), Some("http://hub"));
    assert_eq!(request.options.revision, None);

    let same = ["--served-model-name", "bge-small"];
    let message = refused(&[&encoder[..], &same].concat());
    let want = "--embedding-model: two models would be called bge-small; see --served-model-name";
    assert_eq!(message, want);
    let adapter = ["--lora-modules", "bge-small=b"];
    let message = refused(&[&encoder[..], &adapter].concat());
    assert_eq!(
        message,
        "--lora-modules: two models would be called bge-small"
    );
}

#[test]
fn a_cache_of_8_bit_floats_has_two_names() {
    for name in ["fp8", "fp8_e4m3"] {
        let by_flag = config(&["--kv-cache-dtype", name]).unwrap();
        let file = file(&format!("kv-cache-dtype = \"{name}\"\n"));
        let by_file = with_file(file.path(), &[]).unwrap();
        for config in [by_flag, by_file] {
            assert_eq!(config.engine.kv_cache_dtype, KvCacheDtype::Fp8);
        }
    }
}

#[test]
fn quantised_weights_are_kept_beside_the_hub_or_where_one_says() {
    let cache = |arguments: &[&str]| {
        let home = |name: &str| (name == "HF_HOME").then(|| "/data/hf".to_owned());
        resolve(settings(arguments), &home).unwrap().weights_cache
    };
    let folder = |cache: Option<WeightsCache>| cache.map(|cache| cache.folder);
    let auto = cache(&[]).unwrap();
    assert_eq!(auto.folder, Path::new("/data/hf/purser-weights"));
    assert!(auto.only_slow);
    assert_eq!(auto.max_bytes, 20 << 30);
    assert_eq!(cache(&["--weights-cache", "off"]), None);
    let own = cache(&["--weights-cache", "here", "--weights-cache-bytes", "1g"]).unwrap();
    assert_eq!(own.folder, Path::new("here"));
    assert!(!own.only_slow);
    assert_eq!(own.max_bytes, 1 << 30);
    // Without a user's folder there is no place.
    assert_eq!(folder(config(&[]).unwrap().weights_cache), None);
}

#[test]
fn devices_are_named_with_their_number() {
    let device = |arguments: &[&str]| config(arguments).unwrap().engine.device;
    assert_eq!(device(&[]), Device::Auto);
    assert_eq!(device(&["--device", "cpu"]), Device::Cpu);
    assert_eq!(device(&["--device", "cuda"]), Device::Cuda(0));
    assert_eq!(device(&["--device", "cuda:3"]), Device::Cuda(3));
    for wrong in ["gpu", "cuda:", "cuda:-1", "CUDA", ""] {
        let parsed = wrong.parse::<DeviceName>();
        let expected =
            format!("`{wrong}` is no device; write auto, cpu, cuda, cuda:1 or reference");
        assert_eq!(parsed.unwrap_err(), expected);
    }
}

#[test]
fn sums_are_fixed_where_that_is_asked_for() {
    let sum_order = |arguments: &[&str]| config(arguments).unwrap().engine.sum_order;
    assert_eq!(sum_order(&[]), SumOrder::Free);
    assert_eq!(sum_order(&["--deterministic"]), SumOrder::Fixed);
    assert_eq!(sum_order(&["--deterministic", "false"]), SumOrder::Free);
}

#[test]
fn a_part_of_a_gpus_memory_is_a_fraction() {
    let part = |text: &'static str| config(&["--gpu-memory-utilization", text]);
    assert_eq!(config(&[]).unwrap().engine.gpu_memory_utilization, 0.9);
    assert_eq!(part("1").unwrap().engine.gpu_memory_utilization, 1.0);
    for wrong in ["0", "1.01", "nan", "90"] {
        let message = refused(&["--gpu-memory-utilization", wrong]);
        assert!(
            message.starts_with("--gpu-memory-utilization: "),
            "{message}"
        );
    }
}

#[test]
fn random_weights_take_the_place_of_a_folders() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let named = config(&[folder, "--load-format", "dummy"]).unwrap().model;
    assert!(matches!(named, ModelSource::Dummy(path) if path == Path::new(folder)));
    for model in [&[][..], &["org/model"]] {
        let message = refused(&[model, &["--load-format", "dummy"]].concat());
        assert!(message.starts_with("--load-format: "), "{message}");
    }
}
