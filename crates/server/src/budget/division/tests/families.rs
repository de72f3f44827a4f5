//! Models that differ in their templates.

use std::path::PathBuf;

use context::Window;
use serde_json::Value;
use text::{ChatTemplates, Tokenizer, TokenizerFiles};

use crate::model::{GenerationDefaults, ServedModel};
use crate::validate::chat::{self, Conversation};
use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// A family of models, with the embedded one's tokenizer.
pub(super) struct Family {
    pub(super) name: String,
    pub(super) model: ServedModel,
}

fn read(path: &str) -> Vec<u8> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn golden(name: &str) -> Value {
    let bytes = read(&format!("crates/text/tests/goldens/chat/{name}"));
    serde_json::from_slice(&bytes).unwrap()
}

/// The time at which everything is rendered.
pub(super) fn now() -> chrono::NaiveDateTime {
    "2025-03-07T09:05:02".parse().unwrap()
}

/// The family of a name such as `qwen3`.
pub(super) fn family(name: &str) -> Family {
    let golden = golden(&format!("family_{name}.json"));
    let mut config = golden["special_tokens"].clone();
    config["chat_template"] = golden["template"].clone();
    let config = serde_json::to_vec(&config).unwrap();
    let tokenizer = read("models/embedded/pebble-20m/tokenizer.json");
    let files = TokenizerFiles {
        tokenizer_config: Some(&config),
        ..TokenizerFiles::new(&tokenizer)
    };
    let model = ServedModel {
        names: vec![name.to_owned()],
        tokenizer: Tokenizer::from_files(&files).unwrap(),
        templates: ChatTemplates::from_files(&files).unwrap(),
        tool_calls: None,
        reasoning: None,
        defaults: GenerationDefaults::default(),
        window: Window { tokens: 1 << 20 },
        eos_token_ids: Vec::new(),
        vocab_size: 4_096,
        max_text_bytes: 1 << 30,
        adapters: Default::default(),
        encoder: None,
    };
    Family {
        name: name.to_owned(),
        model,
    }
}

/// All families.
pub(super) fn families() -> Vec<Family> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files = std::fs::read_dir(root.join("crates/text/tests/goldens/chat")).unwrap();
    let mut names: Vec<String> = files
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            let name = name.strip_prefix("family_")?.strip_suffix(".json")?;
            Some(name.to_owned())
        })
        .collect();
    names.sort();
    names.iter().map(|name| family(name)).collect()
}

/// The conversation of a request's body.
pub(super) fn read_body(body: &Value) -> Result<Conversation, ApiError> {
    let mut fields = Fields::from_value(String::new(), body.clone()).unwrap();
    let limits = crate::config::serve::RequestLimits {
        max_body_bytes: 1 << 20,
        max_messages: 2_000,
        max_n: 1,
        max_logprobs: 0,
        keep_alive: std::time::Duration::from_secs(1),
    };
    chat::conversation(&mut fields, &limits)
}
