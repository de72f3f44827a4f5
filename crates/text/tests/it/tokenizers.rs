//! Tokenizers against transformers, and streams of tokens against decoding them at once.

use serde_json::{Value, json};
use text::{ConfigError, Detokenizer, SpecialTokenText, Tokenizer, TokenizerError, TokenizerFiles};

use crate::golden;
use crate::random::Random;

const NAMES: [&str; 6] = [
    "byte_level",
    "prepend",
    "metaspace",
    "no_prefix",
    "metaspace_decoder",
    "pebble",
];

/// Byte-level tokenizers, whose streams always add up to decoding at once.
const BYTE_LEVEL: [&str; 2] = ["byte_level", "pebble"];

pub(crate) fn load(name: &str) -> Tokenizer {
    let folder = match name {
        "pebble" => "../../../../models/embedded/pebble-20m".to_owned(),
        _ => format!("tokenizers/{name}"),
    };
    let file = |file: &str| golden::bytes(&format!("{folder}/{file}"));
    let (tokenizer, config) = (file("tokenizer.json"), file("tokenizer_config.json"));
    let generation = BYTE_LEVEL
        .contains(&name)
        .then(|| file("generation_config.json"));
    let files = TokenizerFiles {
        tokenizer_config: Some(&config),
        generation_config: generation.as_deref(),
        ..TokenizerFiles::new(&tokenizer)
    };
    Tokenizer::from_files(&files).unwrap()
}

fn golden_of(name: &str) -> Value {
    golden::json(&format!("tokenizers/{name}/golden.json"))
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn stream(tokenizer: &Tokenizer, ids: &[u32], special: SpecialTokenText) -> Vec<String> {
    let mut detokenizer = Detokenizer::new(tokenizer, special);
    let mut deltas: Vec<String> = ids.iter().map(|&id| detokenizer.push(id)).collect();
    deltas.push(detokenizer.finish());
    deltas
}

/// Whether every run of byte tokens is UTF-8; where one is not, a stream cannot do what
/// decoding at once does (see [`Detokenizer`]).
fn byte_runs_are_text(tokenizer: &Tokenizer, ids: &[u32], keep_special: bool) -> bool {
    let mut run = Vec::new();
    for &id in ids {
        if tokenizer.is_special(id) && !keep_special {
            continue;
        }
        // Ids 3 to 258 are the bytes in the SentencePiece fixtures.
        if (3..=258).contains(&id) {
            run.push(u8::try_from(id - 3).unwrap());
        } else if std::str::from_utf8(&run).is_err() {
            return false;
        } else {
            run.clear();
        }
    }
    std::str::from_utf8(&run).is_ok()
}

#[test]
fn text_becomes_the_tokens_that_transformers_makes_of_it() {
    for name in NAMES {
        let (tokenizer, golden) = (load(name), golden_of(name));
        for case in golden["texts"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                tokenizer.encode(text, false).unwrap(),
                ids(&case["ids"]),
                "{name} {text:?}"
            );
            let with_special = tokenizer.encode(text, true).unwrap();
            assert_eq!(with_special, ids(&case["with_special"]), "{name} {text:?}");
        }
    }
}

#[test]
fn tokens_become_the_text_that_transformers_makes_of_them() {
    for name in NAMES {
        let (tokenizer, golden) = (load(name), golden_of(name));
        let cases = ["texts", "sequences"].map(|key| golden[key].as_array().unwrap().clone());
        for case in cases.concat() {
            let ids = ids(&case["ids"]);
            for (expected, skip) in [(&case["decoded"][0], true), (&case["decoded"][1], false)] {
                let expected = expected.as_str().unwrap();
                assert_eq!(
                    tokenizer.decode(&ids, skip).unwrap(),
                    expected,
                    "{name} {ids:?}"
                );
                let special = if skip {
                    SpecialTokenText::Skip
                } else {
                    SpecialTokenText::Keep
                };
                if BYTE_LEVEL.contains(&name) || byte_runs_are_text(&tokenizer, &ids, !skip) {
                    let streamed = stream(&tokenizer, &ids, special).concat();
                    assert_eq!(streamed, expected, "{name} {ids:?} skip {skip}");
                }
            }
        }
    }
}

#[test]
fn special_tokens_and_sizes_are_those_of_transformers() {
    for name in NAMES {
        let (tokenizer, golden) = (load(name), golden_of(name));
        assert_eq!(
            json!(tokenizer.vocab_size()),
            golden["vocab_size"],
            "{name}"
        );
        assert_eq!(
            json!(tokenizer.special_ids()),
            golden["special_ids"],
            "{name}"
        );
        assert_eq!(json!(tokenizer.bos_id()), golden["bos_id"], "{name}");
        assert_eq!(json!(tokenizer.eos_ids()[0]), golden["eos_id"], "{name}");
    }
    assert_eq!(load("byte_level").eos_ids(), [2, 0]);
    assert_eq!(load("pebble").eos_ids(), [2, 0]);
    assert_eq!(load("prepend").eos_ids(), [2]);
}

#[test]
fn any_stream_of_tokens_adds_up_to_decoding_them_at_once() {
    for (name, seeds) in [
        ("byte_level", 3000),
        ("pebble", 500),
        ("prepend", 3000),
        ("metaspace_decoder", 1000),
    ] {
        let tokenizer = load(name);
        let mut compared = 0;
        for seed in 0..seeds {
            let mut random = Random::new(seed);
            let len = random.below(24);
            let ids: Vec<u32> = (0..len)
                .map(|_| u32::try_from(random.below(tokenizer.vocab_size())).unwrap())
                .collect();
            let keep = random.below(2) == 0;
            if !BYTE_LEVEL.contains(&name) && !byte_runs_are_text(&tokenizer, &ids, keep) {
                continue;
            }
            compared += 1;
            let special = if keep {
                SpecialTokenText::Keep
            } else {
                SpecialTokenText::Skip
            };
            let at_once = tokenizer.decode(&ids, !keep).unwrap();
            let streamed = stream(&tokenizer, &ids, special).concat();
            assert_eq!(streamed, at_once, "{name} seed {seed}: {ids:?}");
        }
        assert!(compared > 100, "{name}: only {compared} streams compared");
    }
}

#[test]
fn real_text_streams_without_replacement_characters() {
    let text = "naïve 😀😀 漢字 👩‍👩‍👧‍👦 the end\n  done";
    // T5's decoder knows no bytes, so it is not here.
    for name in ["byte_level", "pebble", "prepend", "metaspace", "no_prefix"] {
        let tokenizer = load(name);
        let ids = tokenizer.encode(text, false).unwrap();
        let deltas = stream(&tokenizer, &ids, SpecialTokenText::Skip);
        assert!(
            deltas.iter().all(|delta| !delta.contains('\u{fffd}')),
            "{name} {deltas:?}"
        );
        // T5's decoder does not know whether the text began with a space.
        let expected = if name == "no_prefix" {
            text
        } else {
            text.trim_start()
        };
        assert_eq!(deltas.concat(), expected, "{name}");
        assert_eq!(
            deltas.last().map(String::as_str),
            Some(""),
            "{name} held something back"
        );
    }
}

#[test]
fn broken_characters_are_replaced_as_soon_as_they_are_known_to_be_broken() {
    let tokenizer = load("prepend");
    let byte = |byte: u8| u32::from(byte) + 3;
    let mut detokenizer = Detokenizer::new(&tokenizer, SpecialTokenText::Skip);
    let euro = [0xE2, 0x82, 0xAC];
    assert_eq!(detokenizer.push(byte(euro[0])), "");
    assert_eq!(detokenizer.push(byte(euro[1])), "");
    assert_eq!(detokenizer.push(byte(euro[2])), "€");
    assert_eq!(detokenizer.push(byte(euro[0])), "");
    assert_eq!(detokenizer.push(byte(euro[1])), "");
    assert_eq!(detokenizer.push(byte(b'A')), "\u{fffd}\u{fffd}A");
    assert_eq!(detokenizer.push(byte(0xFF)), "\u{fffd}");
    assert_eq!(detokenizer.push(byte(euro[0])), "");
    assert_eq!(detokenizer.finish(), "\u{fffd}");
}

#[test]
fn tokens_know_their_bytes() {
    let byte_level = load("byte_level");
    let emoji = byte_level.encode("😀", false).unwrap();
    let bytes: Vec<u8> = emoji
        .iter()
        .flat_map(|&id| byte_level.token_bytes(id))
        .collect();
    assert_eq!(bytes, "😀".as_bytes());
    assert_eq!(byte_level.token_text(emoji[0]), "\u{fffd}");
    assert_eq!(byte_level.token_text(1), "<|im_start|>");

    let sentence = load("prepend");
    assert_eq!(sentence.token_bytes(3 + 0x0A), b"\n");
    let the = sentence.token_to_id("▁the").unwrap();
    assert_eq!(sentence.token_text(the), " the");
    assert_eq!(sentence.token_bytes(1_000_000), b"");
    assert!(!sentence.contains(1_000_000) && sentence.contains(the));
}

#[test]
fn every_byte_of_the_byte_level_alphabet_is_known() {
    let tokenizer = load("byte_level");
    let mut single: Vec<u8> = (0..u32::try_from(tokenizer.vocab_size()).unwrap())
        .map(|id| tokenizer.token_bytes(id))
        .filter_map(|bytes| <[u8; 1]>::try_from(bytes).ok())
        .map(|[byte]| byte)
        .collect();
    single.sort_unstable();
    assert_eq!(single, (0..=255).collect::<Vec<u8>>());
}

#[test]
fn word_pieces_are_streamed_as_they_are_decoded_at_once() {
    let folder = "../../../../models/tests/goldens/embedders/bert";
    let file = golden::bytes(&format!("{folder}/tokenizer.json"));
    let tokenizer = Tokenizer::from_files(&TokenizerFiles::new(&file)).unwrap();
    let cases = golden::json(&format!("{folder}/texts.json"));
    for case in cases.as_array().unwrap() {
        // The file asks for four tokens at most and twelve at least.
        let tokens = tokenizer
            .encode(case["text"].as_str().unwrap(), true)
            .unwrap();
        assert_eq!(tokens, ids(&case["tokens"]), "{case}");
        for (special, skip) in [
            (SpecialTokenText::Skip, true),
            (SpecialTokenText::Keep, false),
        ] {
            let streamed = stream(&tokenizer, &tokens, special).concat();
            assert_eq!(streamed, tokenizer.decode(&tokens, skip).unwrap(), "{case}");
        }
    }
    let words = tokenizer.encode("The proxy, isn't it?", false).unwrap();
    let streamed = stream(&tokenizer, &words, SpecialTokenText::Skip).concat();
    assert_eq!(streamed, tokenizer.decode(&words, true).unwrap());
    assert!(streamed.starts_with("the proxy,"), "{streamed}");
}

#[test]
fn broken_files_are_named() {
    let tokenizer = golden::bytes("tokenizers/byte_level/tokenizer.json");
    let load = |tokenizer: &[u8], config: Value| {
        let config = serde_json::to_vec(&config).unwrap();
        let files = TokenizerFiles {
            tokenizer_config: Some(&config),
            ..TokenizerFiles::new(tokenizer)
        };
        Tokenizer::from_files(&files).map(|_| ()).unwrap_err()
    };
    assert!(matches!(
        load(b"{", json!({})),
        TokenizerError::Tokenizer(_)
    ));

    let bad_token = load(&tokenizer, json!({"bos_token": 5}));
    assert_eq!(
        bad_token.to_string(),
        "tokenizer_config.json: bos_token has an unexpected shape"
    );
    assert!(matches!(
        bad_token,
        TokenizerError::Config(ConfigError::Shape { .. })
    ));

    let disagreeing = json!({"added_tokens_decoder": {"7": {"content": "<|im_end|>"}}});
    assert!(matches!(
        load(&tokenizer, disagreeing),
        TokenizerError::AddedToken { id: 7, .. }
    ));

    let mut other: Value = serde_json::from_slice(&tokenizer).unwrap();
    other["decoder"] = json!({"type": "BPEDecoder", "suffix": "</w>"});
    let other = serde_json::to_vec(&other).unwrap();
    let error = load(&other, json!({}));
    assert!(matches!(error, TokenizerError::Decoder(_)), "{error}");
}

#[test]
fn offsets_are_bytes_of_the_text_and_the_ids_are_those_of_encode() {
    const WORDS: [&str; 12] = [
        "word",
        " ",
        "\n",
        "漢字",
        "é",
        "e\u{301}",
        "😀",
        "<|im_start|>",
        "  ",
        "x1",
        "</s>",
        "\t",
    ];
    for name in NAMES {
        let tokenizer = load(name);
        for seed in 0..200 {
            let mut random = Random::new(seed);
            let count = random.below(30);
            let text: String = (0..count)
                .map(|_| WORDS[random.below(WORDS.len())])
                .collect();
            for special in [false, true] {
                let encoding = tokenizer.encode_with_offsets(&text, special).unwrap();
                assert_eq!(
                    encoding.ids,
                    tokenizer.encode(&text, special).unwrap(),
                    "{name} seed {seed}: {text:?}"
                );
                assert_eq!(encoding.ids.len(), encoding.ranges.len());
                let mut last = 0;
                for range in encoding.ranges.iter().filter(|range| !range.is_empty()) {
                    assert!(
                        text.get(range.clone()).is_some(),
                        "{name} seed {seed}: {range:?}"
                    );
                    assert!(
                        range.start >= last,
                        "{name} seed {seed}: {text:?} {range:?}"
                    );
                    last = range.start;
                }
            }
        }
    }
}

#[test]
fn offsets_of_a_byte_level_tokenizer_cover_the_text() {
    for name in BYTE_LEVEL {
        let tokenizer = load(name);
        let text = "Grüße, 漢字 and 😀!\n  indented\t<b>";
        let encoding = tokenizer.encode_with_offsets(text, false).unwrap();
        let mut end = 0;
        for range in &encoding.ranges {
            assert!(range.start <= end, "{name}: a gap before {range:?}");
            end = end.max(range.end);
        }
        assert_eq!(end, text.len(), "{name}");
    }
}
