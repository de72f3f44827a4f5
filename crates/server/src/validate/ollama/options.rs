//! `options` of Ollama's API.

use serde_json::{Map, Value};

use crate::validate::fields::Fields;
use crate::wire::error::ApiError;

/// What a chat calls the options that there are, by the path that errors name.
const NAMES: [(&str, &str); 10] = [
    ("temperature", "options.temperature"),
    ("top_k", "options.top_k"),
    ("top_p", "options.top_p"),
    ("min_p", "options.min_p"),
    ("seed", "options.seed"),
    ("stop", "options.stop"),
    ("max_completion_tokens", "options.num_predict"),
    ("repetition_penalty", "options.repeat_penalty"),
    ("presence_penalty", "options.presence_penalty"),
    ("frequency_penalty", "options.frequency_penalty"),
];

/// Options about how a model is loaded and run, which the server decides at its start.
const HARMLESS: [&str; 13] = [
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "num_keep",
    "numa",
    "low_vram",
    "f16_kv",
    "use_mmap",
    "use_mlock",
    "vocab_only",
    "penalize_newline",
];

const UNSUPPORTED: [(&str, &str); 5] = [
    ("mirostat", "mirostat is not supported."),
    ("tfs_z", "tail-free sampling is not supported."),
    ("typical_p", "typical sampling is not supported."),
    (
        "repeat_last_n",
        "`repeat_penalty` is for all tokens of prompt and answer.",
    ),
    ("draft_num_predict", "there is no draft model."),
];

/// The fields of a chat, with the options among them.
///
/// # Errors
/// An option that is not supported or not known.
pub(super) fn to_chat(
    options: Map<String, Value>,
    mut chat: Map<String, Value>,
) -> Result<Fields, ApiError> {
    let mut options = Fields::from_value("options".to_owned(), Value::Object(options))?;
    for (_, path) in NAMES {
        let name = path.trim_start_matches("options.");
        if let Some(value) = options.value(name) {
            // -1 and -2 are "as many as there is room for".
            let is_unlimited = value.as_i64().is_some_and(|number| number < 0);
            if name != "num_predict" || !is_unlimited {
                chat.insert(path.to_owned(), value);
            }
        }
    }
    for name in ["mirostat_tau", "mirostat_eta"] {
        // Without `mirostat` they say nothing.
        options.value(name);
    }
    options.finish(&HARMLESS, &UNSUPPORTED)?;
    let mut fields = Fields::from_value(String::new(), Value::Object(chat))?;
    for (name, path) in NAMES {
        fields.spell(name, path);
    }
    Ok(fields)
}
