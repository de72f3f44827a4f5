//! Answers that call tools: the calls as a family of models writes them, their arguments by the
//! tools' schemas.

mod harmony;
mod keywords;
mod parameters;
mod python;
mod tagged;

pub(super) use harmony::final_header;

use serde_json::{Value, json};

use super::compiler::body;
use super::lark::{Lark, literal};
use super::{Grammar, GrammarError};
use crate::ToolCallFormat;

/// Calls that an answer may or must have.
#[derive(Clone, Debug, PartialEq)]
pub struct CallGrammar {
    /// How they are written.
    pub format: ToolCallFormat,
    /// Tools that may be called, in OpenAI's shape; not empty.
    pub tools: Vec<Value>,
    /// What the answer may be instead.
    pub instead: Instead,
    /// Whether there may be several.
    pub parallel: bool,
}

/// What an answer may be that need not call.
#[derive(Clone, Debug, PartialEq)]
pub enum Instead {
    /// Nothing: it has to call.
    Nothing,
    /// Text, which may also stand before calls.
    Text,
    /// Something with a form of its own.
    Form(Box<Grammar>),
}

/// What stands around calls and inside each of them, beside name and arguments.
struct Layout {
    /// The token or text that begins calls; none where the first of them begins the answer.
    opener: &'static str,
    /// Whether it begins each of them.
    opens_each: bool,
    /// Text behind the first opener.
    begin: &'static str,
    before_name: &'static str,
    before_arguments: &'static str,
    after_arguments: &'static str,
    between: &'static str,
    /// Text behind the last call.
    end: &'static str,
    /// The token or text that ends all calls.
    closer: &'static str,
    arguments: Arguments,
}

/// How a call's arguments are written.
#[derive(Clone, Copy)]
enum Arguments {
    /// As a JSON object.
    Json,
    /// Each between tags, as Qwen3-Coder does.
    Tagged,
    /// As the keyword arguments of a function in Python.
    Keywords,
}

impl CallGrammar {
    /// The answer as part of a rule.
    ///
    /// # Errors
    ///
    /// `Invalid` for a tool whose parameters the format cannot be held to.
    pub(super) fn write(&self, lark: &mut Lark<'_>) -> Result<String, GrammarError> {
        let Some(layout) = layout(self.format) else {
            return harmony::write(self, lark);
        };
        let calls = self.calls(&layout, lark)?;
        lark.rule("call", &calls.join(" | "));
        let opener = lark.marker(layout.opener);
        let more = match (self.parallel, layout.opens_each) {
            (false, _) => String::new(),
            (true, true) => format!("({} {opener} call)*", literal(layout.between)),
            (true, false) => format!("({} call)*", literal(layout.between)),
        };
        let opened = [
            literal(layout.begin),
            "call".to_owned(),
            more,
            literal(layout.end),
            lark.marker(layout.closer),
        ];
        lark.rule("opened", &opened.join(" "));
        lark.rule("calls", &format!("{opener} opened"));
        match &self.instead {
            Instead::Nothing => Ok("calls".to_owned()),
            Instead::Form(form) => Ok(format!("(calls | {})", body(form, lark)?)),
            Instead::Text => Ok(with_text(&layout, lark)),
        }
    }

    /// Whether an answer consists of messages, of which calls are some.
    pub(super) fn has_messages(&self) -> bool {
        layout(self.format).is_none()
    }

    /// A rule for the calls of each tool; their names.
    fn calls(&self, layout: &Layout, lark: &mut Lark<'_>) -> Result<Vec<String>, GrammarError> {
        let mut rules = Vec::with_capacity(self.tools.len());
        for (index, function) in self.functions().enumerate() {
            // The name is JSON text without its quotes, which the layout has.
            let name = function["name"].to_string();
            let name = name.trim_matches('"');
            let begin = [layout.before_name, name, layout.before_arguments];
            let arguments = match layout.arguments {
                Arguments::Json => lark.json(&arguments_schema(&function["parameters"])),
                Arguments::Tagged => tagged::write(function, index, lark)?,
                Arguments::Keywords => keywords::write(function, lark)?,
            };
            let rule = format!("call_{index}");
            let body = [
                literal(&begin.concat()),
                arguments,
                literal(layout.after_arguments),
            ];
            lark.rule(&rule, &body.join(" "));
            rules.push(rule);
        }
        Ok(rules)
    }

    fn functions(&self) -> impl Iterator<Item = &Value> {
        let tools = self.tools.iter();
        tools.map(|tool| tool.get("function").unwrap_or(tool))
    }
}

/// Text without calls, or calls that text may stand before. Text holds nothing that begins a call,
/// or every call would be text, too.
fn with_text(layout: &Layout, lark: &mut Lark<'_>) -> String {
    if lark.is_special(layout.opener) {
        // No text goes beyond a special token.
        lark.rule("SAID", r"/(?s:.+)/");
        return "(SAID? calls | SAID?)".to_owned();
    }
    if layout.opener.is_empty() {
        let begins = regex_escape(&[layout.begin, layout.before_name].concat());
        lark.rule("SAID", &format!(r"/(?s:.+)/ & ~/(?s:{begins}.*)/"));
        return "(calls | SAID?)".to_owned();
    }
    let opener = regex_escape(layout.opener);
    lark.rule("SAID", &format!(r"/(?s:.+)/ & ~/(?s:.*{opener}.*)/"));
    // Ends with the first opener.
    let suffix = literal(layout.opener);
    lark.rule(&format!("led[suffix={suffix}]"), "/(?s:.*)/");
    "(led opened | SAID?)".to_owned()
}

/// Arguments are an object, whatever the schema leaves open.
fn arguments_schema(parameters: &Value) -> Value {
    match parameters.as_object() {
        None => json!({"type": "object"}),
        Some(fields) => {
            let mut fields = fields.clone();
            fields.entry("type").or_insert_with(|| "object".into());
            Value::Object(fields)
        }
    }
}

/// `None` for the format whose calls are messages.
fn layout(format: ToolCallFormat) -> Option<Layout> {
    let list = |opener, closer| Layout {
        opener,
        opens_each: false,
        begin: "[",
        before_name: r#"{"name": ""#,
        before_arguments: r#"", "arguments": "#,
        after_arguments: "}",
        between: ", ",
        end: "]",
        closer,
        arguments: Arguments::Json,
    };
    Some(match format {
        ToolCallFormat::Hermes => Layout {
            opens_each: true,
            begin: "",
            before_name: "\n{\"name\": \"",
            after_arguments: "}\n</tool_call>",
            between: "\n",
            end: "",
            ..list("<tool_call>", "")
        },
        ToolCallFormat::Llama3Json => Layout {
            begin: "",
            before_arguments: r#"", "parameters": "#,
            between: "; ",
            end: "",
            ..list("", "")
        },
        ToolCallFormat::Mistral => list("[TOOL_CALLS]", ""),
        ToolCallFormat::Granite => list("<|tool_call|>", ""),
        ToolCallFormat::Phi4MiniJson => list("<|tool_call|>", "<|/tool_call|>"),
        ToolCallFormat::Qwen3Coder => Layout {
            opens_each: true,
            begin: "",
            before_name: "\n<function=",
            before_arguments: ">\n",
            after_arguments: "</function>\n</tool_call>",
            between: "\n",
            end: "",
            arguments: Arguments::Tagged,
            ..list("<tool_call>", "")
        },
        ToolCallFormat::Pythonic => Layout {
            before_name: "",
            before_arguments: "(",
            after_arguments: ")",
            arguments: Arguments::Keywords,
            ..list("", "")
        },
        ToolCallFormat::OpenAi => return None,
    })
}

/// Makes every character of a text stand for itself in a regular expression between slashes.
pub(super) fn regex_escape(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_<> \"':,".contains(c);
    let escape = |c: char| match c {
        '\n' => "\\n".to_owned(),
        c if is_plain(c) => c.to_string(),
        c => format!("\\{c}"),
    };
    text.chars().map(escape).collect()
}
