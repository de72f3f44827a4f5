//! Grammars, walked at random: whatever a model prefers, what comes out follows them.

mod calls;

use serde_json::{Value, json};
use text::{
    Grammar, GrammarCompiler, GrammarError, Preamble, ReasoningFormat, TokenSet, Tokenizer,
    TokenizerFiles,
};

use crate::golden;
use crate::random::Random;
use crate::tokenizers;

/// A byte-level vocabulary, and one of a SentencePiece model.
const NAMES: [&str; 2] = ["pebble", "prepend"];

/// Texts of answers that choose among the allowed tokens at random, and end as soon as they may
/// after `patience` tokens. `None` where one has not ended after 400 tokens.
fn walk(
    tokenizer: &Tokenizer,
    compiler: &GrammarCompiler,
    grammar: &Grammar,
    seed: u64,
) -> Option<String> {
    let mut random = Random::new(seed);
    let mut matcher = compiler.compile(grammar, None).unwrap();
    let mut bytes = Vec::new();
    for step in 0..400 {
        let allowed = matcher.allowed().unwrap();
        let ids: Vec<u32> = ids(&allowed).collect();
        assert!(
            !ids.is_empty(),
            "after {:?}",
            String::from_utf8_lossy(&bytes)
        );
        assert_eq!(ids.len(), allowed.num_tokens());
        let end = ids.iter().find(|id| tokenizer.eos_ids().contains(id));
        assert_eq!(end.is_some(), matcher.may_end().unwrap());
        let id = match end {
            Some(&end) if step > 40 => end,
            _ => ids[random.below(ids.len())],
        };
        if tokenizer.eos_ids().contains(&id) {
            return Some(String::from_utf8(bytes).unwrap());
        }
        assert!(!tokenizer.is_special(id), "{id} is no text");
        matcher.accept(id).unwrap();
        bytes.extend(tokenizer.token_bytes(id));
    }
    None
}

fn ids(set: &TokenSet) -> impl Iterator<Item = u32> {
    let words = set.words().iter().zip((0..).step_by(32));
    words.flat_map(|(&word, first)| {
        (0..32)
            .filter(move |bit| word >> bit & 1 == 1)
            .map(move |bit| first + bit)
    })
}

/// At least a quarter of 20 walks end; what they wrote.
fn walks(name: &str, grammar: &Grammar) -> Vec<String> {
    let tokenizer = tokenizers::load(name);
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let texts: Vec<String> = (0..20)
        .filter_map(|seed| walk(&tokenizer, &compiler, grammar, seed))
        .collect();
    assert!(texts.len() >= 5, "{} of 20 ended", texts.len());
    texts
}

#[test]
fn any_object_is_json() {
    for name in NAMES {
        for text in walks(name, &Grammar::JsonObject) {
            match serde_json::from_str::<Value>(&text) {
                Ok(value) => assert!(value.is_object(), "{text}"),
                // JSON knows no largest number.
                Err(error) => assert!(error.to_string().contains("out of range"), "{error}"),
            }
        }
    }
}

#[test]
fn a_schema_is_kept_to() {
    let schema = json!({
        "type": "object",
        "properties": {
            "city": {"enum": ["Oslo", "Ærøskøbing"]},
            "days": {"type": "integer", "minimum": 3, "maximum": 17},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 2},
        },
        "required": ["city", "days"],
        "additionalProperties": false,
        "$defs": {"tag": {"type": "string", "maxLength": 5}},
    });
    for name in NAMES {
        for text in walks(name, &Grammar::JsonSchema(schema.clone())) {
            let value: Value = serde_json::from_str(&text).unwrap();
            let fields = value.as_object().unwrap();
            assert!(
                fields
                    .keys()
                    .all(|key| schema["properties"].get(key).is_some()),
                "{text}"
            );
            assert!(["Oslo", "Ærøskøbing"].contains(&value["city"].as_str().unwrap()));
            assert!(
                (3..=17).contains(&value["days"].as_i64().unwrap()),
                "{text}"
            );
            for tag in value
                .get("tags")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                assert!(tag.as_str().unwrap().chars().count() <= 5, "{text}");
            }
        }
    }
}

#[test]
fn patterns_choices_and_rules_are_kept_to() {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    for name in NAMES {
        for text in walks(
            name,
            &Grammar::Regex(r"[0-9]{4}-(0[1-9]|1[0-2])".to_owned()),
        ) {
            let (year, month) = text.split_once('-').unwrap();
            assert!(year.len() == 4 && digits(year), "{text}");
            assert!((1..=12).contains(&month.parse::<u32>().unwrap()), "{text}");
        }
        let texts = ["yes", "no", "\"it\\depends\""].map(str::to_owned).to_vec();
        for text in walks(name, &Grammar::Choice(texts.clone())) {
            assert!(texts.contains(&text), "{text}");
        }
        let lark = "start: \"(\" start \")\" | DIGITS\nDIGITS: /[0-9]{1,3}/".to_owned();
        for text in walks(name, &Grammar::Lark(lark)) {
            let inner = text.trim_matches(['(', ')']);
            assert!((1..=3).contains(&inner.len()) && digits(inner), "{text}");
            assert_eq!(text.matches('(').count(), text.matches(')').count());
        }
    }
}

#[test]
fn what_cannot_be_compiled_says_where() {
    let compiler = GrammarCompiler::new(&tokenizers::load("pebble")).unwrap();
    let check = |grammar: Grammar, words: &[&str]| match compiler.compile(&grammar, None) {
        Err(GrammarError::Invalid(said)) => {
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
        other => panic!("{grammar:?}: {other:?}"),
    };
    check(
        Grammar::JsonSchema(json!({"properties": {"a": {"type": "strung"}}})),
        &["strung"],
    );
    check(
        Grammar::JsonSchema(json!({"$ref": "#/$defs/none"})),
        &["/$defs/none"],
    );
    check(
        Grammar::JsonSchema(json!({"type": "array", "uniqueItems": true})),
        &["uniqueItems"],
    );
    check(Grammar::JsonSchema(json!([1])), &[]);
    check(Grammar::Regex("a(b".to_owned()), &[]);
    check(Grammar::Choice(Vec::new()), &["nothing to choose"]);
    check(Grammar::Lark("start: rest".to_owned()), &["rest"]);
    check(Grammar::Lark("root ::= \"a\"".to_owned()), &["GBNF"]);
}

#[test]
fn a_token_that_is_not_allowed_ends_it() {
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let mut matcher = compiler.compile(&Grammar::JsonObject, None).unwrap();
    let wrong = tokenizer.encode("]", false).unwrap()[0];
    assert!(!matcher.allowed().unwrap().contains(wrong));
    assert!(matches!(matcher.accept(wrong), Err(GrammarError::Stuck(_))));
    assert!(matches!(matcher.allowed(), Err(GrammarError::Stuck(_))));
}

#[test]
fn without_an_end_there_is_no_grammar() {
    // Only the files beside it say which token ends an answer.
    let json = golden::bytes("tokenizers/byte_level/tokenizer.json");
    let nowhere = Tokenizer::from_files(&TokenizerFiles::new(&json)).unwrap();
    assert_eq!(nowhere.eos_ids(), [] as [u32; 0]);
    let error = GrammarCompiler::new(&nowhere).unwrap_err();
    assert_eq!(error, GrammarError::NoEnd);
}

#[test]
fn the_model_may_think_before_it_keeps_to_the_grammar() {
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let grammar = Grammar::Choice(vec!["yes".to_owned(), "no".to_owned()]);
    let follows = |open: bool, answer: &str| {
        let preamble = Preamble {
            format: ReasoningFormat::Qwen3,
            open,
        };
        let mut matcher = compiler.compile(&grammar, Some(preamble)).unwrap();
        let ids = tokenizer.encode(answer, false).unwrap();
        ids.iter().all(|&id| matcher.accept(id).is_ok()) && matcher.may_end().unwrap()
    };
    assert!(follows(true, "Hm, {\"a\": 1} or no?\n</think>\n\nyes"));
    assert!(follows(false, "<think>\nHm.\n</think>\n\nno"));
    assert!(follows(false, "no"));
    assert!(!follows(true, "yes"), "it has not thought to the end");
    assert!(!follows(true, "Hm.\n</think>\n\nperhaps"));
    assert!(!follows(false, "Hm.</think>yes"));
}
