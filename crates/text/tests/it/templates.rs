//! Chat templates against what transformers renders.

use chrono::NaiveDateTime;
use serde_json::{Value, json};
use text::{ChatInput, ChatTemplate, ChatTemplates, SpecialTokens, TemplateError, TokenizerFiles};

use crate::golden;
use crate::random::Random;

/// Arguments of `apply_chat_template` that are not variables of the template.
const ARGUMENTS: [&str; 5] = [
    "messages",
    "tools",
    "documents",
    "add_generation_prompt",
    "continue_final_message",
];

fn now() -> NaiveDateTime {
    golden::json("chat/conversations.json")["now"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn special_tokens(config: &Value) -> SpecialTokens {
    let config = serde_json::to_vec(config).unwrap();
    TokenizerFiles {
        tokenizer_config: Some(&config),
        ..TokenizerFiles::new(b"")
    }
    .special_tokens()
    .unwrap()
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, &SpecialTokens::default()).unwrap()
}

fn render_case(
    template: &ChatTemplate,
    case: &Value,
    now: NaiveDateTime,
) -> Result<String, TemplateError> {
    let list = |key: &str| case[key].as_array().map(Vec::as_slice);
    let flag = |key: &str| case[key].as_bool().unwrap_or(false);
    let mut kwargs = case.as_object().unwrap().clone();
    kwargs.retain(|key, _| !ARGUMENTS.contains(&key.as_str()));
    template.render(&ChatInput {
        messages: list("messages").unwrap(),
        tools: list("tools"),
        documents: list("documents"),
        add_generation_prompt: flag("add_generation_prompt"),
        continue_final_message: flag("continue_final_message"),
        kwargs: Some(&kwargs),
        now,
    })
}

/// What differs between a rendering and transformers' own, in words.
fn difference(seen: &Result<String, TemplateError>, expected: &Value) -> Option<String> {
    let same = match (seen, expected.as_object().unwrap().iter().next().unwrap()) {
        (Ok(text), (kind, golden)) => kind == "text" && golden == text,
        (Err(TemplateError::Raised { message }), (kind, golden)) => {
            kind == "raised" && golden == message
        }
        (Err(TemplateError::Syntax { line, .. }), (kind, golden)) => {
            kind == "syntax_error" && golden["line"].as_u64() == u64::try_from(*line).ok()
        }
        // jinja2 looks for filters and tests when it compiles, minijinja when it renders.
        (Err(_), (kind, _)) => kind == "error" || kind == "syntax_error",
    };
    (!same).then(|| format!("\n  here:         {seen:?}\n  transformers: {expected}"))
}

fn check_family(name: &str) -> usize {
    let golden = golden::json(&format!("chat/{name}"));
    let source = golden["template"].as_str().unwrap();
    let template = ChatTemplate::new(source, &special_tokens(&golden["special_tokens"])).unwrap();
    let conversations = golden::json("chat/conversations.json");
    let now = now();
    let mut differences = String::new();
    let mut texts = 0;
    for (case, expected) in golden["results"].as_object().unwrap() {
        let seen = render_case(&template, &conversations["cases"][case], now);
        texts += usize::from(seen.is_ok());
        if let Some(difference) = difference(&seen, expected) {
            differences += &format!("\n{name} {case}:{difference}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
    texts
}

#[test]
fn every_family_renders_every_conversation_as_transformers_does() {
    let mut families = 0;
    for entry in std::fs::read_dir(golden::folder().join("chat")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.starts_with("family_") {
            families += 1;
            let texts = check_family(&name);
            assert!(texts >= 3, "{name} renders only {texts} conversations");
        }
    }
    assert!(families >= 16, "only {families} families");
}

#[test]
fn expressions_give_what_jinja2_gives() {
    let golden = golden::json("chat/expressions.json");
    let context = golden["context"].as_object().unwrap();
    let messages = [json!({"role": "user", "content": ""})];
    let now = now();
    let mut differences = String::new();
    for pair in golden["expressions"].as_array().unwrap() {
        let source = pair[0].as_str().unwrap();
        let seen = ChatTemplate::new(source, &SpecialTokens::default()).and_then(|template| {
            let input = ChatInput::new(&messages, now);
            template.render(&ChatInput {
                kwargs: Some(context),
                ..input
            })
        });
        if let Some(difference) = difference(&seen, &pair[1]) {
            differences += &format!("\n{source:?}:{difference}");
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn content_takes_the_shape_that_the_template_understands() {
    let parts = json!({"role": "user", "content": [
        {"type": "text", "text": "one"}, {"type": "text", "text": "two"},
    ]});
    let string = json!({"role": "user", "content": "one"});
    let family = |name: &str| {
        let golden = golden::json(&format!("chat/family_{name}.json"));
        template(golden["template"].as_str().unwrap())
    };
    let joined = json!({"role": "user", "content": "one\ntwo"});
    for takes_text in ["chatml", "qwen25", "qwen3", "llama2", "gemma"] {
        let template = family(takes_text);
        let prepared = template.prepare_messages(&[parts.clone(), string.clone()]);
        assert_eq!(prepared, [joined.clone(), string.clone()]);
    }
    for takes_both in ["parts", "pebble"] {
        let messages = [parts.clone(), string.clone()];
        assert_eq!(family(takes_both).prepare_messages(&messages), messages);
    }
    let wrapped = json!({"role": "user", "content": [{"type": "text", "text": "one"}]});
    let prepared = family("parts_only").prepare_messages(&[parts.clone(), string]);
    assert_eq!(prepared, [parts, wrapped]);

    let image = json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]});
    assert_eq!(
        family("chatml").prepare_messages(std::slice::from_ref(&image)),
        [image]
    );
}

#[test]
fn arguments_in_a_string_become_the_object_that_they_spell() {
    let call = |arguments: Value| {
        let function = json!({"name": "f", "arguments": arguments});
        json!({"role": "assistant", "tool_calls": [{"id": "1", "function": function}]})
    };
    let cases = [
        (
            json!(r#"{"b": 1, "a": [2.50]}"#),
            json!({"b": 1, "a": [2.5]}),
        ),
        (json!(" "), json!({})),
        (json!("[1]"), json!("[1]")),
        (json!("{broken"), json!("{broken")),
        (json!({"a": 1}), json!({"a": 1})),
    ];
    for (given, expected) in cases {
        let prepared = template("{{ messages }}").prepare_messages(&[call(given)]);
        assert_eq!(prepared, [call(expected)]);
    }
}

#[test]
fn errors_name_the_line_and_keep_the_templates_own_words() {
    let message = [json!({"role": "user", "content": "x"})];
    let render = |source: &str| template(source).render(&ChatInput::new(&message, now()));
    let raised = render("\n{% for m in messages %}\n{{ raise_exception('Be nice') }}{% endfor %}");
    assert_eq!(raised.unwrap_err().to_string(), "Be nice");

    let Err(TemplateError::Render {
        line,
        message: words,
    }) = render("a\n\n{{ messages[7].role }}")
    else {
        panic!("an undefined message has no role");
    };
    assert_eq!(line, 3, "{words}");

    // Rewritten slices and generation blocks keep the lines of what follows.
    let source = "{% generation %}\n{{ messages[\n1\n:\n] }}\n{% endgeneration %}\n{{ nofn() }}";
    assert!(matches!(
        render(source),
        Err(TemplateError::Render { line: 7, .. })
    ));

    let syntax = ChatTemplate::new("a\n{% if %}", &SpecialTokens::default());
    assert!(
        matches!(syntax, Err(TemplateError::Syntax { line: 2, .. })),
        "{syntax:?}"
    );
}

#[test]
fn impossible_requests_are_refused() {
    let message = [json!({"role": "user", "content": "x"})];
    let echo = template("{{ messages[0].content }}");
    let input = ChatInput::new(&message, now());
    let kwargs = json!({"messages": []});
    let reserved = ChatInput {
        kwargs: kwargs.as_object(),
        ..input.clone()
    };
    assert_eq!(
        echo.render(&reserved).unwrap_err(),
        TemplateError::ReservedVariable("messages".into())
    );
    let both = ChatInput {
        continue_final_message: true,
        ..input.clone()
    };
    assert!(matches!(
        echo.render(&both),
        Err(TemplateError::Continue(_))
    ));
    let not_objects = [json!("hi")];
    let input = ChatInput::new(&not_objects, now());
    assert_eq!(
        echo.render(&input).unwrap_err(),
        TemplateError::NotObjects("messages")
    );
    let input = ChatInput::new(&[], now());
    assert_eq!(echo.render(&input).unwrap_err(), TemplateError::NoMessages);
}

#[test]
fn templates_come_as_a_string_a_list_or_a_file_of_their_own() {
    let load = |config: Value, file: Option<&[u8]>| {
        let config = serde_json::to_vec(&config).unwrap();
        let files = TokenizerFiles {
            tokenizer_config: Some(&config),
            chat_template: file,
            ..TokenizerFiles::new(b"")
        };
        ChatTemplates::from_files(&files).unwrap()
    };
    let source = |templates: &ChatTemplates, tools: bool| {
        templates
            .select(tools)
            .map(|template| template.source().to_owned())
    };
    assert!(load(json!({}), None).is_none());

    let one = load(json!({"chat_template": "one"}), None).unwrap();
    assert_eq!(source(&one, false).unwrap(), "one");
    assert_eq!(source(&one, true).unwrap(), "one");

    let list = json!([
        {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"},
    ]);
    let named = load(json!({"chat_template": list}), None).unwrap();
    assert_eq!(source(&named, false).unwrap(), "plain");
    assert_eq!(source(&named, true).unwrap(), "tools");
    assert_eq!(
        named.get("tool_use").map(ChatTemplate::source),
        Some("tools")
    );

    let rag = load(
        json!({"chat_template": [{"name": "rag", "template": "r"}]}),
        None,
    )
    .unwrap();
    assert_eq!(
        source(&rag, true).unwrap_err(),
        TemplateError::NoDefault("rag".into())
    );

    let file = load(json!({"chat_template": "one"}), Some(b"file")).unwrap();
    assert_eq!(source(&file, false).unwrap(), "file");
}

#[test]
fn special_tokens_have_names_in_either_spelling() {
    let config = json!({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "pad_token": null});
    let special = special_tokens(&config);
    let message = [json!({"role": "user", "content": "x"})];
    let source = "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}";
    let template = ChatTemplate::new(source, &special).unwrap();
    assert_eq!(
        template.render(&ChatInput::new(&message, now())).unwrap(),
        "<s></s>False"
    );
}

/// Templates come from model folders: whatever is in them, the answer is text or an error.
#[test]
fn no_template_makes_the_renderer_panic() {
    const WORDS: [&str; 28] = [
        "{{",
        "}}",
        "{%",
        "%}",
        "{#",
        "#}",
        "[",
        "]",
        ":",
        "(",
        ")",
        "'",
        "\"",
        "\\",
        "%",
        "é｜",
        " raw ",
        " generation ",
        " endraw ",
        " messages ",
        "-",
        "1",
        " for x in ",
        " if ",
        "|",
        ".items()",
        "[::-1]",
        " % ",
    ];
    let messages = [json!({"role": "user", "content": "x"})];
    let input = ChatInput::new(&messages, now());
    let mut compiled = 0;
    for seed in 0..5_000 {
        let mut random = Random::new(seed);
        let source: String = (0..1 + random.below(12))
            .map(|_| WORDS[random.below(WORDS.len())])
            .collect();
        if let Ok(template) = ChatTemplate::new(&source, &SpecialTokens::default()) {
            compiled += 1;
            let _ = template.render(&input);
        }
    }
    assert!(compiled > 100, "only {compiled} compiled");
}

#[test]
fn odd_date_formats_print_what_they_can() {
    let message = [json!({"role": "user", "content": "x"})];
    let cases = [
        ("%", "%"),
        ("%Y%", "2025%"),
        ("%é", "%é"),
        ("%-", "%-"),
        ("%Q", "%Q"),
        ("", ""),
    ];
    for (format, expected) in cases {
        let template = template(&format!("{{{{ strftime_now('{format}') }}}}"));
        assert_eq!(
            template.render(&ChatInput::new(&message, now())).unwrap(),
            expected
        );
    }
}
