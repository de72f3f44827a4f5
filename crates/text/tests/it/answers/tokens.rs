//! From tokens to answers: markers that are special tokens, characters in bytes.

use serde_json::{Value, json};
use text::{
    AnswerFormat, AnswerParser, Detokenizer, ReasoningFormat, SpecialTokenText, Tokenizer,
    TokenizerFiles, ToolCallFormat,
};

use super::answer::{Answer, answer, calls_in};
use crate::golden;

/// The byte-level fixture with more special tokens.
fn tokenizer_with(special: &[&str]) -> Tokenizer {
    let file = |name: &str| golden::bytes(&format!("tokenizers/byte_level/{name}"));
    let tokenizer = file("tokenizer.json");
    let plain = Tokenizer::from_files(&TokenizerFiles::new(&tokenizer)).unwrap();
    let mut config: Value = serde_json::from_slice(&file("tokenizer_config.json")).unwrap();
    let added = config["added_tokens_decoder"].as_object_mut().unwrap();
    for (at, content) in special.iter().enumerate() {
        let id = (plain.vocab_size() + at).to_string();
        added.insert(id, json!({"content": content, "special": true}));
    }
    let config = serde_json::to_vec(&config).unwrap();
    let files = TokenizerFiles {
        tokenizer_config: Some(&config),
        ..TokenizerFiles::new(&tokenizer)
    };
    Tokenizer::from_files(&files).unwrap()
}

/// The tokens of the text's bytes, one each, where it is no special token.
fn byte_ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let all = 0..u32::try_from(tokenizer.vocab_size()).unwrap();
    let mut of_byte = [None; 256];
    for id in all.filter(|id| !tokenizer.is_special(*id)) {
        if let [byte] = tokenizer.token_bytes(id)[..] {
            of_byte[usize::from(byte)] = Some(id);
        }
    }
    let ids = tokenizer.encode(text, false).unwrap();
    let bytes = ids.into_iter().flat_map(|id| {
        if tokenizer.is_special(id) {
            return vec![id];
        }
        let bytes = tokenizer.token_bytes(id);
        let ids = bytes
            .iter()
            .map(|byte| of_byte[usize::from(*byte)].unwrap());
        ids.collect()
    });
    bytes.collect()
}

fn parse_ids(tokenizer: &Tokenizer, format: &AnswerFormat<'_>, ids: &[u32]) -> Answer {
    let markers = format.special_markers();
    let mut detokenizer = Detokenizer::new(tokenizer, SpecialTokenText::Skip).keeping(&markers);
    let mut parser = AnswerParser::new(format);
    let mut answer = Answer::default();
    for &id in ids {
        answer.add(parser.push(&detokenizer.push(id)));
    }
    answer.add(parser.push(&detokenizer.finish()));
    answer.add(parser.finish());
    answer
}

#[test]
fn markers_that_are_special_tokens_reach_the_parser() {
    use ToolCallFormat::{Granite, Llama3Json, Mistral, OpenAi, Phi4MiniJson, Pythonic};
    let cases = [
        (
            Mistral,
            "<|im_start|>Now[TOOL_CALLS]f[CALL_ID]a[ARGS]{\"a\": \"漢😀\"}<|im_end|>",
        ),
        (
            Mistral,
            "Now[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": \"漢😀\"}}]",
        ),
        (
            Llama3Json,
            "Now<|python_tag|>{\"name\": \"f\", \"parameters\": {\"a\": \"漢😀\"}}",
        ),
        (
            Granite,
            "Now<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": \"漢😀\"}}]",
        ),
        (
            Phi4MiniJson,
            "Now<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": \"漢😀\"}}]<|/tool_call|>",
        ),
        (Pythonic, "Now<|python_start|>[f(a='漢😀')]<|python_end|>"),
        (
            OpenAi,
            "<|channel|>final<|message|>Now<|end|><|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": \"漢😀\"}<|call|>",
        ),
    ];
    for (format, text) in cases {
        let format = calls_in(format, &[]);
        let tokenizer = tokenizer_with(&format.special_markers());
        let expected = answer("Now", &[("f", "{\"a\": \"漢😀\"}")]);
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(parse_ids(&tokenizer, &format, &ids), expected, "{text}");
        // Characters in bytes, one at a time.
        let bytes = byte_ids(&tokenizer, text);
        assert!(bytes.len() > ids.len(), "{text}");
        assert_eq!(parse_ids(&tokenizer, &format, &bytes), expected, "{text}");
    }
}

#[test]
fn only_the_markers_are_kept() {
    let tokenizer = tokenizer_with(&["[THINK]", "[/THINK]", "[INST]"]);
    let ids = tokenizer
        .encode("<|im_start|>[THINK]a[/THINK][INST]b<|im_end|>", false)
        .unwrap();
    assert_eq!(
        ids.iter().filter(|id| tokenizer.is_special(**id)).count(),
        5
    );
    let text = |detokenizer: Detokenizer| {
        let mut detokenizer = detokenizer;
        let text: String = ids.iter().map(|&id| detokenizer.push(id)).collect();
        text + &detokenizer.finish()
    };
    let skipping = || Detokenizer::new(&tokenizer, SpecialTokenText::Skip);
    assert_eq!(text(skipping()), "ab");
    let markers = ReasoningFormat::Mistral.special_markers();
    assert_eq!(text(skipping().keeping(markers)), "[THINK]a[/THINK]b");
    assert_eq!(text(skipping().keeping(&["no token", "a"])), "ab");
}

#[test]
fn markers_of_both_parsers_are_kept_once() {
    let format = AnswerFormat {
        reasoning: Some(ReasoningFormat::Mistral),
        tool_calls: Some(ToolCallFormat::Mistral),
        ..AnswerFormat::default()
    };
    let expected = ["[THINK]", "[/THINK]", "[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"];
    assert_eq!(format.special_markers(), expected);
    let harmony = AnswerFormat {
        reasoning: Some(ReasoningFormat::OpenAiGptOss),
        tool_calls: Some(ToolCallFormat::OpenAi),
        ..AnswerFormat::default()
    };
    assert_eq!(
        harmony.special_markers(),
        ReasoningFormat::OpenAiGptOss.special_markers()
    );
    assert!(AnswerFormat::default().special_markers().is_empty());
}
