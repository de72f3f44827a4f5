//! Grammars of answers that call tools.

use serde_json::{Value, json};
use text::{
    AnswerFormat, AnswerParser, AnswerPart, CallGrammar, Grammar, GrammarCompiler, Instead,
    Preamble, ReasoningFormat, ToolCallFormat,
};

use super::walks;
use crate::tokenizers;

fn tools() -> Vec<Value> {
    let tool = |name: &str, parameters: Value| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    vec![
        tool(
            "get_weather",
            json!({
                "type": "object",
                "properties": {"city": {"enum": ["Oslo", "Lima"]}},
                "required": ["city"],
                "additionalProperties": false,
            }),
        ),
        tool(
            "now",
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
    ]
}

/// What the parser of the format finds in an answer: text, then names and arguments.
fn found(format: ToolCallFormat, answer: &str) -> (String, Vec<(String, Value)>) {
    found_with(&tools(), format, answer)
}

fn found_with(
    tools: &[Value],
    format: ToolCallFormat,
    answer: &str,
) -> (String, Vec<(String, Value)>) {
    let mut parser = AnswerParser::new(&AnswerFormat {
        tool_calls: Some(format),
        tools,
        ..AnswerFormat::default()
    });
    let (mut text, mut calls) = (String::new(), Vec::new());
    for part in parser.push(answer).into_iter().chain(parser.finish()) {
        match part {
            AnswerPart::Content(more) | AnswerPart::Reasoning(more) => text.push_str(&more),
            AnswerPart::CallStart { name, .. } => calls.push((name, String::new())),
            AnswerPart::ArgumentsDelta { index, text } => calls[index].1.push_str(&text),
        }
    }
    let parsed = calls
        .into_iter()
        .map(|(name, arguments)| (name, serde_json::from_str(&arguments).unwrap()));
    (text, parsed.collect())
}

#[test]
fn forced_calls_are_calls_of_the_tools() {
    let formats = [
        "hermes",
        "llama3_json",
        "mistral",
        "granite",
        "phi4_mini_json",
        "qwen3_coder",
        "pythonic",
        "openai",
    ];
    for (format, parallel) in formats
        .into_iter()
        .flat_map(|name| [(name, true), (name, false)])
    {
        let format: ToolCallFormat = format.parse().unwrap();
        let grammar = Grammar::Calls(CallGrammar {
            format,
            tools: tools(),
            instead: Instead::Nothing,
            parallel,
        });
        let mut most = 0;
        for answer in walks("pebble", &grammar) {
            let (text, calls) = found(format, &answer);
            assert_eq!(text, "", "{answer}");
            assert!(!calls.is_empty(), "{answer}");
            most = most.max(calls.len());
            for (name, arguments) in calls {
                match name.as_str() {
                    "now" => assert_eq!(arguments, json!({}), "{answer}"),
                    "get_weather" => {
                        let city = arguments["city"].as_str().unwrap();
                        assert!(["Oslo", "Lima"].contains(&city), "{answer}");
                    }
                    other => panic!("{other} is no tool"),
                }
            }
        }
        // What ends a call in the harmony format ends the answer.
        let may_have_several = parallel && format != ToolCallFormat::OpenAi;
        assert_eq!(most > 1, may_have_several, "{}", format.name());
    }
}

#[test]
fn where_calls_are_optional_text_stays_text() {
    let format = ToolCallFormat::Hermes;
    let grammar = Grammar::Calls(CallGrammar {
        format,
        tools: tools(),
        instead: Instead::Text,
        parallel: true,
    });
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let follows = |answer: &str| {
        let mut matcher = compiler.compile(&grammar, None).unwrap();
        let ids = tokenizer.encode(answer, false).unwrap();
        ids.iter().all(|&id| matcher.accept(id).is_ok()) && matcher.may_end().unwrap()
    };
    let call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";
    assert!(follows(""));
    assert!(follows("It is noon."));
    assert!(follows(call));
    assert!(follows(&format!("{call}\n{call}")));
    assert!(follows(&format!("Let me see.\n{call}")));
    assert!(follows("a < b, and <tool is no tag"));
    assert!(!follows(&call.replace("now", "later")));
    assert!(!follows(&format!(
        "Let me see.\n{}",
        call.replace("{}", "{\"a\": 1}")
    )));
}

#[test]
fn in_the_harmony_format_thoughts_are_a_message_before_the_others() {
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let follows = |grammar: &Grammar, open: bool, answer: &str| {
        let preamble = Preamble {
            format: ReasoningFormat::OpenAiGptOss,
            open,
        };
        let mut matcher = compiler.compile(grammar, Some(preamble)).unwrap();
        let ids = tokenizer.encode(answer, false).unwrap();
        ids.iter().all(|&id| matcher.accept(id).is_ok()) && matcher.may_end().unwrap()
    };
    let choice = Grammar::Choice(vec!["yes".to_owned(), "no".to_owned()]);
    let thoughts = "<|channel|>analysis<|message|>Yes or no?<|end|><|start|>assistant";
    let said = "<|channel|>final<|message|>yes";
    assert!(follows(&choice, false, said));
    assert!(follows(&choice, false, &format!("{thoughts}{said}")));
    assert!(follows(
        &choice,
        true,
        &format!("Hm.<|end|><|start|>assistant{said}")
    ));
    assert!(!follows(&choice, false, "yes"));
    assert!(!follows(&choice, true, said));
    let calls = |instead| {
        Grammar::Calls(CallGrammar {
            format: ToolCallFormat::OpenAi,
            tools: tools(),
            instead,
            parallel: true,
        })
    };
    let call = "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}";
    let forced = calls(Instead::Nothing);
    assert!(follows(&forced, false, call));
    assert!(follows(&forced, false, &format!("{thoughts}{call}")));
    assert!(!follows(&forced, false, said));
    assert!(!follows(&forced, false, &call.replace("now", "later")));
    let optional = calls(Instead::Text);
    assert!(follows(&optional, false, call));
    assert!(follows(
        &optional,
        false,
        &format!("{thoughts}{said}, I think")
    ));
    let beside = calls(Instead::Form(Box::new(choice)));
    assert!(follows(&beside, false, call));
    assert!(follows(&beside, false, &format!("{thoughts}{said}")));
    assert!(!follows(
        &beside,
        false,
        &format!("{thoughts}{said}, I think")
    ));
}

/// A tool whose parameters are of all types.
fn plan_trip() -> Value {
    json!({"type": "function", "function": {"name": "plan_trip", "parameters": {
        "type": "object",
        "properties": {
            "note": {"type": "string"},
            "city": {"type": "string", "minLength": 2, "maxLength": 6},
            "days": {"type": "integer", "minimum": 1, "maximum": 30},
            "fast": {"type": "boolean"},
            "window": {"type": ["boolean", "null"]},
            "class": {"enum": ["first", "second"]},
            "stops": {"type": "array", "items": {"$ref": "#/$defs/stop"}, "minItems": 1, "maxItems": 2},
        },
        "required": ["city", "days", "fast", "window", "stops"],
        "additionalProperties": false,
        "$defs": {"stop": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 4}, "hotel": {"type": "boolean"}},
            "required": ["name"],
            "additionalProperties": false,
        }},
    }}})
}

fn check_trip(arguments: &Value, answer: &str) {
    let city = arguments["city"].as_str().unwrap().chars().count();
    assert!((2..=6).contains(&city), "{answer}");
    let days = arguments["days"].as_i64().unwrap();
    assert!((1..=30).contains(&days), "{answer}");
    assert!(arguments["fast"].is_boolean(), "{answer}");
    let window = arguments.get("window").unwrap();
    assert!(window.is_boolean() || window.is_null(), "{answer}");
    let note = arguments.get("note");
    assert!(note.is_none_or(Value::is_string), "{answer}");
    let class = arguments.get("class");
    assert!(
        class.is_none_or(|class| class == "first" || class == "second"),
        "{answer}"
    );
    let stops = arguments["stops"].as_array().unwrap();
    assert!((1..=2).contains(&stops.len()), "{answer}");
    for stop in stops {
        assert!(
            stop["name"].as_str().unwrap().chars().count() <= 4,
            "{answer}"
        );
        assert!(stop.get("hotel").is_none_or(Value::is_boolean), "{answer}");
    }
}

#[test]
fn arguments_that_are_written_one_by_one_keep_to_their_schemas() {
    for name in ["qwen3_coder", "pythonic", "hermes"] {
        let format: ToolCallFormat = name.parse().unwrap();
        let tools = vec![plan_trip()];
        let grammar = Grammar::Calls(CallGrammar {
            format,
            tools: tools.clone(),
            instead: Instead::Nothing,
            parallel: false,
        });
        let mut has_optional = [false; 2];
        for answer in walks("pebble", &grammar) {
            let (text, calls) = found_with(&tools, format, &answer);
            assert_eq!((text.as_str(), calls.len()), ("", 1), "{answer}");
            check_trip(&calls[0].1, &answer);
            has_optional[usize::from(calls[0].1.get("class").is_some())] = true;
        }
        assert_eq!(has_optional, [true; 2], "{name}");
    }
}

#[test]
fn tools_without_schemas_take_any_arguments() {
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let tools = vec![json!({"type": "function", "function": {"name": "run"}})];
    let answers = [
        (
            "qwen3_coder",
            "<tool_call>\n<function=run>\n<parameter=a>\n1 < 2\n</parameter>\n\
             <parameter=b>\n\n</parameter>\n</function>\n</tool_call>",
            json!({"a": "1 < 2", "b": ""}),
        ),
        (
            "pythonic",
            r#"[run(a="1 < \"2\"", b=[True, None, {"c": -3.5}])]"#,
            json!({"a": "1 < \"2\"", "b": [true, null, {"c": -3.5}]}),
        ),
        ("pythonic", "[run()]", json!({})),
    ];
    for (name, answer, arguments) in answers {
        let format: ToolCallFormat = name.parse().unwrap();
        let grammar = Grammar::Calls(CallGrammar {
            format,
            tools: tools.clone(),
            instead: Instead::Nothing,
            parallel: false,
        });
        let mut matcher = compiler.compile(&grammar, None).unwrap();
        let ids = tokenizer.encode(answer, false).unwrap();
        for &id in &ids {
            matcher.accept(id).unwrap();
        }
        assert!(matcher.may_end().unwrap(), "{answer}");
        let (text, calls) = found_with(&tools, format, answer);
        assert_eq!(
            (text.as_str(), calls),
            ("", vec![("run".to_owned(), arguments)])
        );
    }
}

#[test]
fn what_a_format_cannot_be_held_to_is_an_error_that_names_it() {
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let error = |format: &str, parameters: Value| {
        let tool = json!({"type": "function", "function": {"name": "f", "parameters": parameters}});
        let grammar = Grammar::Calls(CallGrammar {
            format: format.parse().unwrap(),
            tools: vec![tool],
            instead: Instead::Nothing,
            parallel: false,
        });
        compiler.compile(&grammar, None).unwrap_err().to_string()
    };
    let one = |schema: Value| json!({"type": "object", "properties": {"when": schema}});
    let date = one(json!({"type": "string", "format": "date"}));
    assert!(error("qwen3_coder", date.clone()).contains("`format` of the parameter `when`"));
    assert!(error("pythonic", date).contains("`format`"));
    let lost = one(json!({"$ref": "#/$defs/nowhere"}));
    assert!(error("pythonic", lost).contains("#/$defs/nowhere"));
    let either = json!({"anyOf": [{"type": "object"}]});
    assert!(error("qwen3_coder", either.clone()).contains("`anyOf` of the parameters of `f`"));
    assert!(error("pythonic", either).contains("`anyOf`"));
    let unique = one(json!({"type": "array", "uniqueItems": true}));
    assert!(error("pythonic", unique).contains("`uniqueItems`"));
}

#[test]
fn calls_may_stand_beside_a_form() {
    let tokenizer = tokenizers::load("pebble");
    let compiler = GrammarCompiler::new(&tokenizer).unwrap();
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]});
    let grammar = Grammar::Calls(CallGrammar {
        format: ToolCallFormat::Hermes,
        tools: tools(),
        instead: Instead::Form(Box::new(Grammar::JsonSchema(schema))),
        parallel: false,
    });
    let follows = |answer: &str| {
        let mut matcher = compiler.compile(&grammar, None).unwrap();
        let ids = tokenizer.encode(answer, false).unwrap();
        ids.iter().all(|&id| matcher.accept(id).is_ok()) && matcher.may_end().unwrap()
    };
    assert!(follows(
        "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"
    ));
    assert!(follows("{\"a\": true}"));
    assert!(!follows("It is noon."));
}
