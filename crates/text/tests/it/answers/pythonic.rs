//! Tool calls written as Python.

use serde_json::Value;
use text::{AnswerParser, AnswerPart, ToolCallFormat};

use super::answer::{
    Case, answer, calls_in, check, check_complete, check_content, check_damaged, tools,
};

fn known() -> Vec<Value> {
    tools(&["get_weather", "f", "g", "a.b-c"])
}

fn well_formed() -> Vec<Case> {
    let oslo = ("get_weather", r#"{"city": "Oslo"}"#);
    let one = |arguments| answer("", &[("f", arguments)]);
    vec![
        ("Just text.", answer("Just text.", &[])),
        (r#"[get_weather(city="Oslo")]"#, answer("", &[oslo])),
        (
            r#"<|python_start|>[get_weather(city="Oslo")]<|python_end|>"#,
            answer("", &[oslo]),
        ),
        (
            "[f(), get_weather( city = 'Oslo' , ) ,\n a.b-c(x=1)\n]\n",
            answer("", &[("f", "{}"), oslo, ("a.b-c", r#"{"x": 1}"#)]),
        ),
        // Every kind of value.
        (
            "[f(a=1, b=-2.5, c=True, d=None, e=[1, 'x', []], f={'k': {\"l\": (1, 2)}}, g={}, h=1_000)]",
            one(
                r#"{"a": 1, "b": -2.5, "c": true, "d": null, "e": [1, "x", []], "f": {"k": {"l": [1, 2]}}, "g": {}, "h": 1000}"#,
            ),
        ),
        (
            "[f(a=.5, b=2., c=1e3, d=+7, e=0x1F, f=true, g=null, h={1: 2, True: 3})]",
            one(
                r#"{"a": 0.5, "b": 2.0, "c": 1e3, "d": 7, "e": 31, "f": true, "g": null, "h": {"1": 2, "true": 3}}"#,
            ),
        ),
        // Strings with the other quote, escapes, brackets, line breaks, in three quotes, in parts.
        (
            r#"[f(a="it's", b='"q"', c="\"\\\n\t\x41\u00e9\U0001F600\d\'\0")]"#,
            one(r#"{"a": "it's", "b": "\"q\"", "c": "\"\\\n\tAé😀\\d'\u0000"}"#),
        ),
        (
            "[f(a=\")], g(b=1) <|python_end|>\", b=\"漢😀\nx\", c='')]",
            one("{\"a\": \")], g(b=1) <|python_end|>\", \"b\": \"漢😀\\nx\", \"c\": \"\"}"),
        ),
        (
            "[f(a=\"\"\"one\n\"two\" \"\" \\\nthree\"\"\", b='''''', c='x' \"y\"\n'z')]",
            one(r#"{"a": "one\n\"two\" \"\" three", "b": "", "c": "xyz"}"#),
        ),
        // Halves of a character, together and alone.
        (
            r#"[f(a="\ud83d\ude00", b="\ud83dx\ude00", c="\ud83d")]"#,
            one("{\"a\": \"😀\", \"b\": \"\u{fffd}x\u{fffd}\", \"c\": \"\u{fffd}\"}"),
        ),
        // Words without quotes are strings.
        (
            "[f(city=New York, when=datetime.now(1, 2), n=007, m=1+2, x=1e999)]",
            one(
                r#"{"city": "New York", "when": "datetime.now(1, 2)", "n": "007", "m": "1+2", "x": "1e999"}"#,
            ),
        ),
        // Text before, with the marker, and behind.
        (
            "Let me look.\n<|python_start|>[f(a=1)]<|python_end|> Done.",
            answer("Let me look.\n Done.", &[("f", r#"{"a": 1}"#)]),
        ),
        (
            "\n[f(a=1)] Done.",
            answer(" Done.", &[("f", r#"{"a": 1}"#)]),
        ),
        // Behind the marker the name need not be known; nor in a list whose first name is.
        (
            "<|python_start|>[other(), f()]",
            answer("", &[("other", "{}"), ("f", "{}")]),
        ),
        (
            "[f(), other()]",
            answer("", &[("f", "{}"), ("other", "{}")]),
        ),
    ]
}

fn broken_off() -> Vec<Case> {
    vec![
        ("[f(a=1)", answer("", &[("f", r#"{"a": 1}"#)])),
        ("[f(a=1), ", answer("", &[("f", r#"{"a": 1}"#)])),
        ("[f(a=1", answer("", &[("f", r#"{"a": 1"#)])),
        ("[f(a='Os", answer("", &[("f", r#"{"a": "Os"#)])),
        ("[f(a='x\\u00", answer("", &[("f", r#"{"a": "x\\u00"#)])),
        ("[f(a='Oslo'", answer("", &[("f", r#"{"a": "Oslo""#)])),
        ("[f(a=[1, ", answer("", &[("f", r#"{"a": [1"#)])),
        ("[f(a=1, ", answer("", &[("f", r#"{"a": 1"#)])),
        ("[f(a=1, b", answer(", b", &[("f", r#"{"a": 1"#)])),
        ("[f(a=1), g(b", answer(", g(b", &[("f", r#"{"a": 1}"#)])),
        ("[f(a=1), 5]", answer(", 5]", &[("f", r#"{"a": 1}"#)])),
        // What is no keyword argument ends the call; its arguments stay unfinished.
        ("[f(a=1, 'x')]", answer(", 'x')]", &[("f", r#"{"a": 1"#)])),
        ("[f(a='x' + y)]", answer("+ y)]", &[("f", r#"{"a": "x""#)])),
        ("[f(a={1, 2})]", answer(", 2})]", &[("f", r#"{"a": {"1""#)])),
    ]
}

const NOT_CALLS: [&str; 20] = [
    "[",
    "[]",
    "[1, 2]",
    "[f",
    "[f(",
    "[f(a",
    "[f(a)]",
    "[f(a==1)]",
    "[f(1)]",
    "[f('x')](https://example.com)",
    "[f](https://example.com)",
    "[f ()]",
    "[1f(a=1)]",
    "[h(a=1)]",
    "[h()]",
    "I call [f(a=1)]",
    "f(a=1)",
    "<|python_start|>print(1)<|python_end|>",
    "<|python_start|>",
    " \n",
];

#[test]
fn answers_mean_what_they_say() {
    let known = known();
    let format = calls_in(ToolCallFormat::Pythonic, &known);
    check_complete(&format, &well_formed());
    check(&format, &broken_off());
    check_content(&format, &NOT_CALLS);
}

#[test]
fn strings_stream_as_they_come() {
    let mut parser = AnswerParser::new(&calls_in(ToolCallFormat::Pythonic, &[]));
    let delta = |text: &str| AnswerPart::ArgumentsDelta {
        index: 0,
        text: text.to_owned(),
    };
    assert_eq!(parser.push("[f(text"), []);
    let start = AnswerPart::CallStart {
        index: 0,
        name: "f".into(),
    };
    assert_eq!(parser.push("='"), [start, delta("{\"text\": \"")]);
    assert_eq!(parser.push("It\\"), [delta("It")]);
    assert_eq!(parser.push("'s \"so\""), [delta("'s \\\"so\\\"")]);
    assert_eq!(parser.push("', n=1"), [delta("\", \"n\": ")]);
    assert_eq!(parser.push("2)"), [delta("12}")]);
}

#[test]
fn damaged_answers_lose_nothing() {
    let known = known();
    let format = calls_in(ToolCallFormat::Pythonic, &known);
    let cases = [well_formed(), broken_off()].concat();
    let texts: Vec<&str> = cases.iter().map(|(text, _)| *text).collect();
    let words = [
        "<|python_start|>",
        "<|python_end|>",
        "[f(",
        "a=",
        "b=",
        "'",
        "\"",
        "\"\"\"",
        "\\",
        "\\ud83d",
        ", ",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ": ",
        "1",
        "None",
        " ",
    ];
    check_damaged(&format, &texts, &words, true);
}
