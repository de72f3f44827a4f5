//! Which formats a chat template speaks of, and their names.

use text::{ReasoningFormat, ToolCallFormat};

use crate::golden;

/// Templates in the families' shape, shortened to what concerns calls and reasoning.
const TEMPLATES: [(&str, &str, Option<ToolCallFormat>, Option<ReasoningFormat>); 20] = [
    (
        "Hermes",
        r#"{{- "For each function call return a JSON object within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-dict>}\n</tool_call>" }}"#,
        Some(ToolCallFormat::Hermes),
        None,
    ),
    (
        "QwQ",
        r#"{{- '\n<tool_call>\n{"name": "' }}{%- set content = message.content.split('</think>')[-1] %}{{- '<|im_start|>assistant\n<think>\n' }}"#,
        Some(ToolCallFormat::Hermes),
        Some(ReasoningFormat::Qwen3),
    ),
    (
        "Granite 4",
        r#"{{- '<|start_of_role|>assistant<|end_of_role|>' }}{{- '\n<tool_call>\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}"#,
        Some(ToolCallFormat::Hermes),
        None,
    ),
    (
        "Llama 3.1",
        r#"{{- 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.' }}{{- "<|python_tag|>" + tool_call.name + ".call(" }}{{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}"#,
        Some(ToolCallFormat::Llama3Json),
        None,
    ),
    (
        "Llama 3.2 with Python",
        r#"{{- "To call functions, please respond with a python list of the calls. " }}{{- 'Respond in the format [func_name1(params_name1=params_value1, params_name2=params_value2...), func_name2(params)] ' }}{{- "<|start_header_id|>ipython<|end_header_id|>\n\n" }}"#,
        Some(ToolCallFormat::Pythonic),
        None,
    ),
    (
        "Llama 4 with Python",
        r#"{%- set system_message = "- Use exact format: [func_name1(param1=value1, param2=value2), func_name2(...)]" %}{{- '<|header_start|>ipython<|header_end|>' }}"#,
        Some(ToolCallFormat::Pythonic),
        None,
    ),
    (
        "Mistral Nemo",
        r#"{{- "[AVAILABLE_TOOLS][" }}{{- "[TOOL_CALLS][" }}{%- set out = tool_call.function|tojson %}"#,
        Some(ToolCallFormat::Mistral),
        None,
    ),
    (
        "Magistral",
        r#"{{- '[THINK]' + block['thinking'] + '[/THINK]' -}}{{- '[TOOL_CALLS]' }}{{- name + '[ARGS]' + arguments }}"#,
        Some(ToolCallFormat::Mistral),
        Some(ReasoningFormat::Mistral),
    ),
    (
        "Granite 3.2",
        r#"{%- set system_message = system_message + " respond only with <|tool_call|> followed by a JSON list of tools used." %}{%- set thinking = "Write your thoughts after 'Here is my thought process:' and write your response after 'Here is my response:' for each user query." %}{{- '<|start_of_role|>system<|end_of_role|>' }}"#,
        Some(ToolCallFormat::Granite),
        Some(ReasoningFormat::Granite),
    ),
    (
        "Granite 3.3",
        r#"{%- set system_message = " respond only with <|tool_call|> followed by a JSON list of tools used." %}{%- set thinking = "Write your thoughts between <think></think> and write your response between <response></response>" %}{{- '<|start_of_role|>system<|end_of_role|>' }}"#,
        Some(ToolCallFormat::Granite),
        Some(ReasoningFormat::Granite),
    ),
    (
        "Phi-4-mini in vLLM",
        r#"  * all function calls should be generated in a single JSON list formatted as functools[{"name": [function name], "arguments": [function arguments as JSON]}, ...]"#,
        Some(ToolCallFormat::Phi4MiniJson),
        None,
    ),
    (
        "Phi-4-mini in llama.cpp",
        r#"{{- '<|tool|>' + (tool['function'] | tojson) + '<|/tool|>' -}}{{- '<|tool_call|>' + (tool_call['function'] | tojson) + '<|/tool_call|>' -}}"#,
        Some(ToolCallFormat::Phi4MiniJson),
        None,
    ),
    (
        "Qwen3-Coder",
        r#"{{- '\n<tool_call>\n<function=' + tool_call.name + '>\n' }}{{- '<parameter=' + args_name + '>\n' }}"#,
        Some(ToolCallFormat::Qwen3Coder),
        None,
    ),
    (
        "gpt-oss",
        r#"{{- "\nCalls to these tools must go to the commentary channel: 'functions'." }}{{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}{{- "functions." + tool_call.name + "<|channel|>commentary " }}"#,
        Some(ToolCallFormat::OpenAi),
        Some(ReasoningFormat::OpenAiGptOss),
    ),
    // Formats without a parser.
    (
        "GLM-4.5",
        r#"{{ '\n<think></think>' }}{{ '\n<tool_call>' + tc.name }}<arg_key>{{ k }}</arg_key>"#,
        None,
        Some(ReasoningFormat::Qwen3),
    ),
    (
        "Functionary",
        r#"{{ '<function=' + tool_call.name + '>' + tool_call.arguments + '</function>' }}{{ '<|start_header_id|>ipython<|end_header_id|>\n\n' }}"#,
        None,
        None,
    ),
    (
        "Seed-OSS",
        r#"{{ '<seed:tool_call>\n<function=' + tool_call.name + '>\n' }}{{ '<parameter=' + name + '>' }}{{ '<seed:think>' }}"#,
        None,
        None,
    ),
    (
        "DeepSeek-V3.1",
        r#"{{'<｜Assistant｜></think>'}}{{'<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>'+ tool['function']['name'] + '<｜tool▁sep｜>'}}"#,
        None,
        Some(ReasoningFormat::DeepSeekR1),
    ),
    // Formats that resemble others.
    (
        "Llama 3 with tools in XML",
        r#"{{- "<tools>" + tools | tojson + "</tools>" }}{{- '<|start_header_id|>ipython<|end_header_id|>\n\n' }}{{- tool.parameters | tojson }}"#,
        None,
        None,
    ),
    (
        "Command",
        r#"{{ '<|START_ACTION|>[{"tool_name": "' + name + '", "parameters": ' + arguments }}{{ '<|START_THINKING|>' }}"#,
        None,
        None,
    ),
];

#[test]
fn the_template_tells_the_formats() {
    for (family, template, tool_calls, reasoning) in TEMPLATES {
        assert_eq!(ToolCallFormat::detect(template), tool_calls, "{family}");
        assert_eq!(ReasoningFormat::detect(template), reasoning, "{family}");
    }
}

#[test]
fn the_templates_of_the_golden_files_tell_the_formats() {
    use ReasoningFormat::{DeepSeekR1, Qwen3};
    use ToolCallFormat::{Hermes, Llama3Json, Mistral, Phi4MiniJson};
    let families = [
        ("chatml", None, None),
        ("deepseek", None, Some(DeepSeekR1)),
        ("gemma", None, None),
        ("llama2", None, None),
        ("llama3_tools", Some(Llama3Json), None),
        ("mistral", None, None),
        ("mistral_tools", Some(Mistral), None),
        ("pebble", Some(Hermes), None),
        ("phi", Some(Phi4MiniJson), None),
        ("qwen25", Some(Hermes), None),
        ("qwen3", Some(Hermes), Some(Qwen3)),
        ("smollm3", None, Some(Qwen3)),
    ];
    for (family, tool_calls, reasoning) in families {
        let golden = golden::json(&format!("chat/family_{family}.json"));
        let template = golden["template"].as_str().unwrap();
        assert_eq!(ToolCallFormat::detect(template), tool_calls, "{family}");
        assert_eq!(ReasoningFormat::detect(template), reasoning, "{family}");
    }
}

#[test]
fn formats_have_names() {
    for name in ToolCallFormat::names() {
        let format: ToolCallFormat = name.parse().unwrap();
        assert_eq!(format.name().parse(), Ok(format), "{name}");
    }
    let alias = |name: &str| name.parse::<ToolCallFormat>().map(ToolCallFormat::name);
    assert_eq!(alias("qwen3_xml"), Ok("qwen3_coder"));
    assert_eq!(alias("llama4_pythonic"), Ok("pythonic"));
    assert_eq!(alias("granite4"), Ok("hermes"));

    for name in ReasoningFormat::names() {
        let format: ReasoningFormat = name.parse().unwrap();
        assert_eq!(format.name(), name);
    }
    let unknown = "Hermes".parse::<ToolCallFormat>().unwrap_err();
    assert!(
        unknown
            .to_string()
            .starts_with("\"Hermes\" is no tool-call parser; there are hermes,")
    );
    let unknown = "".parse::<ReasoningFormat>().unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "\"\" is no reasoning parser; there are qwen3, deepseek_r1, granite, mistral, openai_gptoss"
    );
}
