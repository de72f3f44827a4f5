//! Random calls, written as each family's template writes them, and found again.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use text::ToolCallFormat;

use super::answer::{Answer, answer, calls_in, check_pieces, parse};
use crate::random::Random;

const ALPHABET: &str = "aZ0 _-'\"\\/\n\t\u{0}{}[]()<>|=:,;é漢😀";

type Calls = Vec<(String, Map<String, Value>)>;

fn random_value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 5 } else { 7 }) {
        0 => json!(i64::try_from(random.below(1_000_000)).unwrap() - 500_000),
        1 => json!(f64::from(u32::try_from(random.below(1_000_000)).unwrap()) / 64.0),
        2 => [json!(true), json!(false), json!(null)][random.below(3)].clone(),
        3 | 4 => json!(random.text(ALPHABET, 0, 12)),
        5 => (0..random.below(4))
            .map(|_| random_value(random, depth - 1))
            .collect(),
        _ => (0..random.below(4))
            .map(|_| (random.text(ALPHABET, 1, 6), random_value(random, depth - 1)))
            .collect(),
    }
}

fn random_calls(random: &mut Random) -> Calls {
    let mut calls = Calls::new();
    for _ in 0..=random.below(3) {
        let name = random.text("abc_", 1, 3);
        let num = random.below(4);
        let arguments = (0..num).map(|at| (format!("key_{at}"), random_value(random, 3)));
        calls.push((name, arguments.collect()));
    }
    calls
}

/// JSON objects of the calls, each with its arguments as the model wrote them.
fn objects(calls: &Calls, key: &str) -> Vec<String> {
    let object = |(name, arguments): &(String, Map<String, Value>)| {
        let arguments = serde_json::to_string(arguments).unwrap();
        format!("{{\"name\": \"{name}\", \"{key}\": {arguments}}}")
    };
    calls.iter().map(object).collect()
}

fn python(value: &Value, random: &mut Random) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if random.below(2) == 0 => {
            let escaped = text.replace('\\', "\\\\").replace('\'', "\\'");
            format!("'{}'", escaped.replace('\n', "\\n"))
        }
        Value::String(text) => {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("\"\"\"{escaped}\"\"\"")
        }
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(|value| python(value, random)).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", python(&json!(key), random), python(value, random))
            };
            let entries: Vec<String> = map.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn pythonic(calls: &Calls, random: &mut Random) -> String {
    let call = |(name, arguments): &(String, Map<String, Value>)| {
        let argument = |(key, value)| format!("{key}={}", python(value, random));
        let arguments: Vec<String> = arguments.iter().map(argument).collect();
        format!("{name}({})", arguments.join(", "))
    };
    let calls: Vec<String> = calls.iter().map(call).collect();
    format!("[{}]", calls.join(", "))
}

fn xml(calls: &Calls) -> String {
    let mut text = String::new();
    for (name, arguments) in calls {
        text += &format!("\n<tool_call>\n<function={name}>\n");
        for (key, value) in arguments {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            text += &format!("<parameter={key}>\n{value}\n</parameter>\n");
        }
        text += "</function>\n</tool_call>";
    }
    text
}

fn harmony(calls: &Calls) -> String {
    let call = |(name, arguments): &(String, Map<String, Value>)| {
        let arguments = serde_json::to_string(arguments).unwrap();
        format!(
            "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"
        )
    };
    let calls: Vec<String> = calls.iter().map(call).collect();
    calls.join("<|start|>assistant")
}

/// Tools in whose schemas each parameter of a call has its value's type.
fn tools(calls: &Calls) -> Vec<Value> {
    let mut tools = Map::new();
    for (name, arguments) in calls {
        let tool = tools
            .entry(name.clone())
            .or_insert_with(|| json!({"name": name, "parameters": {"properties": {}}}));
        for (key, value) in arguments {
            let kind = match value {
                Value::Null => "null",
                Value::Bool(_) => "boolean",
                Value::Number(_) => "number",
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Object(_) => "object",
            };
            tool["parameters"]["properties"][key] = json!({"type": kind});
        }
    }
    tools.into_values().collect()
}

/// The calls with their arguments read.
fn values(answer: &Answer) -> Calls {
    let call = |(name, arguments): &(String, String)| {
        (name.clone(), serde_json::from_str(arguments).unwrap())
    };
    answer.calls.iter().map(call).collect()
}

#[test]
fn calls_in_json_are_found_byte_for_byte() {
    use ToolCallFormat::{Granite, Hermes, Llama3Json, Mistral, OpenAi, Phi4MiniJson};
    for seed in 0..150 {
        let calls = random_calls(&mut Random::new(seed));
        let (arguments, parameters) = (objects(&calls, "arguments"), objects(&calls, "parameters"));
        let list = arguments.join(", ");
        let named = calls.iter().zip(&arguments).map(|((name, _), object)| {
            let at = object.find(", \"arguments\": ").unwrap() + ", \"arguments\": ".len();
            format!("[TOOL_CALLS]{name}[ARGS]{}", &object[at..object.len() - 1])
        });
        let tags = arguments
            .iter()
            .map(|object| format!("<tool_call>\n{object}\n</tool_call>"));
        let texts = [
            (Hermes, tags.collect::<Vec<String>>().join("\n")),
            (Llama3Json, parameters.join("; ")),
            (Mistral, format!("[TOOL_CALLS][{list}]")),
            (Mistral, named.collect()),
            (Granite, format!("<|tool_call|>[{list}]")),
            (Phi4MiniJson, format!("<|tool_call|>[{list}]<|/tool_call|>")),
            (Phi4MiniJson, format!("functools[{list}]")),
            (OpenAi, harmony(&calls)),
        ];
        let written: Vec<(String, String)> = calls
            .iter()
            .map(|(name, arguments)| (name.clone(), serde_json::to_string(arguments).unwrap()))
            .collect();
        let written: Vec<(&str, &str)> = written
            .iter()
            .map(|(name, arguments)| (name.as_str(), arguments.as_str()))
            .collect();
        for (format, text) in texts {
            let format = calls_in(format, &[]);
            let found = parse(&format, [text.as_str()]);
            assert_eq!(found, answer("", &written), "seed {seed}: {text:?}");
            check_pieces(&format, &text);
        }
    }
}

#[test]
fn calls_in_other_languages_are_translated() {
    for seed in 0..150 {
        let random = &mut Random::new(seed);
        let calls = random_calls(random);
        // A tool has one schema, and in XML only that tells values from strings.
        let names: BTreeSet<&String> = calls.iter().map(|(name, _)| name).collect();
        let distinct = names.len() == calls.len();
        let tools = tools(&calls);
        let mut texts = vec![(ToolCallFormat::Pythonic, pythonic(&calls, random))];
        if distinct {
            texts.push((ToolCallFormat::Qwen3Coder, xml(&calls)));
        }
        for (format, text) in texts {
            let format = calls_in(format, &tools);
            let found = parse(&format, [text.as_str()]);
            assert_eq!(
                (values(&found), found.content.as_str()),
                (calls.clone(), ""),
                "seed {seed}: {text:?}"
            );
            check_pieces(&format, &text);
        }
    }
}
