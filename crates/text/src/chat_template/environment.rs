//! minijinja set up as transformers sets up jinja2: an immutable sandbox with `trim_blocks`,
//! `lstrip_blocks`, loop controls, `{% generation %}`, and filters that print as Python does.
//!
//! Three differences are known to remain. `~` prints floats from 1e16 and below 1e-4 without an
//! exponent. `mapping.items` without a call is the key `items`, where Python finds the method.
//! Filters and tests are looked up when they run, so an unknown one is no error in a branch that
//! is never taken.

use chrono::NaiveDateTime;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value};
use serde_json::{Map, Value as Json};

use super::{
    TemplateError, dialect, python_json, python_method, python_number, python_repr, strftime,
};

/// What `raise_exception` was called with, carried inside minijinja's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Raised(String);

/// An environment with one compiled template.
pub(super) fn compile(
    name: &'static str,
    source: &str,
) -> Result<Environment<'static>, TemplateError> {
    let mut env = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    env.set_syntax(syntax.map_err(|source| error(&source))?);
    env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    env.set_formatter(|out: &mut Output, _: &mut State, value: &Value| {
        out.write_str(&python_repr::to_str(value))
            .map_err(Error::from)
    });
    env.set_unknown_method_callback(python_method::call);
    env.add_filter("tojson", python_json::tojson);
    env.add_filter("string", |value: &Value| python_repr::to_str(value));
    env.add_filter("join", python_repr::join);
    env.add_filter("int", python_number::int);
    env.add_filter("float", python_number::float);
    env.add_filter("dictsort", dictsort);
    env.add_filter("length", length);
    env.add_filter("count", length);
    env.add_test("sequence", is_sequence);
    env.add_test("callable", |value: &Value| {
        value.kind() == ValueKind::Plain && !value.is_undefined()
    });
    env.add_function("raise_exception", raise_exception);
    env.add_template_owned(name, dialect::to_minijinja(source))
        .map_err(|source| TemplateError::Syntax {
            line: source.line().unwrap_or(1),
            message: message(&source),
        })?;
    Ok(env)
}

/// What a failed rendering means.
pub(super) fn error(error: &Error) -> TemplateError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    let mut innermost = error;
    while let Some(current) = cause {
        if let Some(Raised(message)) = current.downcast_ref::<Raised>() {
            return TemplateError::Raised {
                message: message.clone(),
            };
        }
        if let Some(deeper) = current.downcast_ref::<Error>() {
            innermost = deeper;
        }
        cause = current.source();
    }
    TemplateError::Render {
        line: innermost.line().unwrap_or(0),
        message: message(innermost),
    }
}

/// A JSON value as Python would have it: numbers keep their kind, keys their order.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(value).collect(),
        Json::Object(fields) => object(fields),
    }
}

/// A JSON object as Python would have it.
pub(super) fn object(fields: &Map<String, Json>) -> Value {
    Value::from_pairs(
        fields
            .iter()
            .map(|(key, field)| (key.as_str(), value(field))),
    )
}

/// The function `strftime_now(format)`, at a fixed time.
pub(super) fn strftime_now(now: NaiveDateTime) -> Value {
    Value::from_function(move |format: &str| strftime::format(now, format))
}

fn message(error: &Error) -> String {
    match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    }
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = python_repr::to_str(message);
    let error = Error::new(
        ErrorKind::InvalidOperation,
        "the template raised an exception",
    );
    Err(error.with_source(Raised(message)))
}

/// `dictsort(case_sensitive=False, by='key', reverse=False)`, by position too.
#[expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands arguments over by value"
)]
fn dictsort(value: &Value, args: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    const NAMES: [&str; 3] = ["case_sensitive", "by", "reverse"];
    if args.len() > NAMES.len() {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let mut named: Vec<(&str, Value)> = NAMES.into_iter().zip(args.iter().cloned()).collect();
    for name in kwargs.args() {
        named.push((name, kwargs.get(name)?));
    }
    minijinja::filters::dictsort(value, named.into_iter().collect())
}

/// Python's `len`, which is 0 for jinja2's undefined.
fn length(value: &Value) -> Result<usize, Error> {
    match value.len() {
        Some(len) => Ok(len),
        None if value.is_undefined() => Ok(0),
        None => {
            let detail = format!("a {} has no length", value.kind());
            Err(Error::new(ErrorKind::InvalidOperation, detail))
        }
    }
}

/// jinja2's `sequence`: whatever has a length and can be indexed, mappings and strings included.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Seq | ValueKind::Map | ValueKind::String
    ) || (value.kind() == ValueKind::Iterable && value.len().is_some())
}
