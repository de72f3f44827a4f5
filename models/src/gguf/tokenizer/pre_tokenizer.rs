//! How a byte-level tokenizer cuts a text before it merges.

use serde_json::{Value, json};

use super::{GgufError, Metadata};

const PRE: &str = "tokenizer.ggml.pre";

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const QWEN2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const LLAMA3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);
const TEKKEN: &str = concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// A way of cutting, with what models that cut so do besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PreTokenizer {
    /// One after the other cuts what the one before it left.
    patterns: &'static [&'static str],
    /// Unicode's composed form first. (llama.cpp leaves it out; the model's own tokenizer does not.)
    composes: bool,
    /// A piece that is a token is not merged.
    ignores_merges: bool,
    /// A text begins with the BOS token unless the file says otherwise.
    adds_bos: bool,
}

const PLAIN: PreTokenizer = PreTokenizer {
    patterns: &[GPT2],
    composes: false,
    ignores_merges: false,
    adds_bos: false,
};

/// The names that llama.cpp writes (`llama-vocab.cpp`), for what the supported architectures use.
const KNOWN: [(&[&str], PreTokenizer); 8] = [
    (
        // What llama.cpp does where a file has no name for it.
        &["default"],
        PreTokenizer {
            patterns: &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
            ..PLAIN
        },
    ),
    (
        &["gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion"],
        PLAIN,
    ),
    (
        &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
        ],
        PreTokenizer {
            patterns: &[r"\p{N}", GPT2],
            ..PLAIN
        },
    ),
    (
        &["qwen2"],
        PreTokenizer {
            patterns: &[QWEN2],
            composes: true,
            ..PLAIN
        },
    ),
    (
        &["stablelm2", "deepseek-r1-qwen", "megrez"],
        PreTokenizer {
            patterns: &[QWEN2],
            ..PLAIN
        },
    ),
    (
        &["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral"],
        PreTokenizer {
            patterns: &[LLAMA3],
            ignores_merges: true,
            adds_bos: true,
            ..PLAIN
        },
    ),
    (
        &["smaug-bpe", "dbrx"],
        PreTokenizer {
            patterns: &[LLAMA3],
            ..PLAIN
        },
    ),
    (
        &["tekken"],
        PreTokenizer {
            patterns: &[TEKKEN],
            ignores_merges: true,
            adds_bos: true,
            ..PLAIN
        },
    ),
];

impl PreTokenizer {
    /// The file's.
    ///
    /// # Errors
    /// `Unsupported`, with the names that are.
    pub(super) fn of(metadata: &Metadata<'_>) -> Result<Self, GgufError> {
        let name = metadata.text(PRE)?.unwrap_or("default");
        let known = KNOWN.iter().find(|(names, _)| names.contains(&name));
        known.map(|&(_, known)| known).ok_or_else(|| {
            let names: Vec<&str> = KNOWN
                .iter()
                .flat_map(|(names, _)| *names)
                .copied()
                .collect();
            let supported = format!(
                "{}; with a tokenizer.json beside it, the file needs none",
                names.join(", ")
            );
            metadata.unsupported(PRE, supported)
        })
    }

    /// `normalizer`
    pub(super) fn normalizer(self) -> Value {
        match self.composes {
            true => json!({"type": "NFC"}),
            false => Value::Null,
        }
    }

    /// `pre_tokenizer`
    pub(super) fn json(self) -> Value {
        let split = |pattern: &&str| {
            json!({
                "type": "Split",
                "pattern": {"Regex": pattern},
                "behavior": "Isolated",
                "invert": false,
            })
        };
        let mut steps: Vec<Value> = self.patterns.iter().map(split).collect();
        steps.push(json!({
            "type": "ByteLevel",
            "add_prefix_space": false,
            "trim_offsets": true,
            "use_regex": false,
        }));
        json!({"type": "Sequence", "pretokenizers": steps})
    }

    /// See [`PreTokenizer::ignores_merges`].
    pub(super) fn ignores_merges(self) -> bool {
        self.ignores_merges
    }

    /// See [`PreTokenizer::adds_bos`].
    pub(super) fn adds_bos(self) -> bool {
        self.adds_bos
    }
}
