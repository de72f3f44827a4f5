//! Methods of Python's `str`, `list` and `dict` on template values: those that pycompat lacks or
//! does differently, the rest by pycompat. Methods that change a value do not exist in the
//! sandbox that transformers uses.

use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;

use super::{dialect, python_slice};

/// Calls `value.method(args)`.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    args: &[Value],
) -> Result<Value, Error> {
    if method == dialect::SLICE {
        return python_slice::slice(value, args);
    }
    if method == dialect::FORMAT {
        return percent_format(state, value, args);
    }
    let own = match value.kind() {
        ValueKind::String => string_method(value.as_str().unwrap_or_default(), method, args)?,
        ValueKind::Seq | ValueKind::Iterable => list_method(value, method, args)?,
        ValueKind::Map if method == "copy" => Some(value.clone()),
        _ => None,
    };
    match own {
        Some(result) => Ok(result),
        None => pycompat::unknown_method_callback(state, value, method, args),
    }
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let result = match method {
        "strip" | "lstrip" | "rstrip" => strip(text, method, args)?,
        "split" | "rsplit" => split(text, method == "rsplit", args)?,
        "splitlines" => split_lines(text, args)?,
        "title" => Value::from(title(text)),
        "casefold" => Value::from(text.to_lowercase()),
        "isspace" => Value::from(!text.is_empty() && text.chars().all(is_space)),
        "join" => join(text, args)?,
        "swapcase" => Value::from(text.chars().map(swap_case).collect::<String>()),
        "removeprefix" => Value::from(remove(text, args, |t, p| t.strip_prefix(p))?),
        "removesuffix" => Value::from(remove(text, args, |t, p| t.strip_suffix(p))?),
        "partition" | "rpartition" => partition(text, method == "rpartition", args)?,
        "index" | "rindex" => {
            let (needle,): (&str,) = from_args(args)?;
            let at = if method == "index" {
                text.find(needle)
            } else {
                text.rfind(needle)
            };
            let at = at.ok_or_else(|| invalid("substring not found"))?;
            Value::from(text[..at].chars().count())
        }
        "zfill" => Value::from(zfill(text, args)?),
        "ljust" | "rjust" | "center" => Value::from(justify(text, method, args)?),
        _ => return Ok(None),
    };
    Ok(Some(result))
}

fn list_method(list: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "index" => {
            let (needle,): (&Value,) = from_args(args)?;
            let at = list.try_iter()?.position(|item| item == *needle);
            at.map(|at| Some(Value::from(at)))
                .ok_or_else(|| invalid("value is not in list"))
        }
        "copy" => Ok(Some(list.clone())),
        _ => Ok(None),
    }
}

/// `'%s of %d' % (a, b)`.
fn percent_format(state: &mut State, value: &Value, args: &[Value]) -> Result<Value, Error> {
    let (operand,): (&Value,) = from_args(args)?;
    let mut filter_args = vec![value.clone()];
    if operand.is_tuple() {
        filter_args.extend(operand.try_iter()?);
    } else {
        filter_args.push(operand.clone());
    }
    state.apply_filter("format", &filter_args)
}

/// `str.isspace` of one character: Unicode's white space and the four ASCII separators.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn strip(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (chars,): (Option<&str>,) = from_args(args)?;
    let cut = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if method == "rstrip" {
        text
    } else {
        text.trim_start_matches(cut)
    };
    Ok(Value::from(if method == "lstrip" {
        text
    } else {
        text.trim_end_matches(cut)
    }))
}

fn split(text: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator, limit, kwargs): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = separator
        .or(kwargs.get("sep")?)
        .filter(|sep| !sep.is_none());
    let limit = limit
        .or(kwargs.get("maxsplit")?)
        .and_then(|limit| usize::try_from(limit).ok());
    kwargs.assert_all_used()?;
    let Some(separator) = separator else {
        return Ok(Value::from(split_spaces(text, from_end, limit)));
    };
    let separator = separator
        .as_str()
        .ok_or_else(|| invalid("separator must be a string"))?;
    if separator.is_empty() {
        return Err(invalid("empty separator"));
    }
    let pieces = limit.map_or(usize::MAX, |limit| limit.saturating_add(1));
    if from_end {
        let mut parts: Vec<&str> = text.rsplitn(pieces, separator).collect();
        parts.reverse();
        return Ok(strings(&parts));
    }
    Ok(strings(&text.splitn(pieces, separator).collect::<Vec<_>>()))
}

/// Words, with everything after the last permitted cut in one piece.
fn split_spaces(text: &str, from_end: bool, limit: Option<usize>) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = if from_end {
            rest.trim_end_matches(is_space)
        } else {
            rest.trim_start_matches(is_space)
        };
        if rest.is_empty() {
            break;
        }
        let cut = if from_end {
            rest.rfind(is_space)
        } else {
            rest.find(is_space)
        };
        let Some(cut) = cut.filter(|_| limit.is_none_or(|limit| words.len() < limit)) else {
            words.push(rest.to_owned());
            break;
        };
        let after = cut + rest[cut..].chars().next().map_or(0, char::len_utf8);
        let (word, left) = if from_end {
            (&rest[after..], &rest[..cut])
        } else {
            (&rest[..cut], &rest[after..])
        };
        words.push(word.to_owned());
        rest = left;
    }
    if from_end {
        words.reverse();
    }
    words
}

fn split_lines(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (keep, kwargs): (Option<bool>, Kwargs) = from_args(args)?;
    let keep = keep.or(kwargs.get("keepends")?).unwrap_or(false);
    kwargs.assert_all_used()?;
    let is_break = |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines: Vec<&str> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(is_break) else {
            lines.push(rest);
            break;
        };
        let width = if rest[at..].starts_with("\r\n") {
            2
        } else {
            rest[at..].chars().next().map_or(0, char::len_utf8)
        };
        lines.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    Ok(strings(&lines))
}

fn join(separator: &str, args: &[Value]) -> Result<Value, Error> {
    let (items,): (&Value,) = from_args(args)?;
    let mut texts = Vec::new();
    for item in items.try_iter()? {
        match item.as_str() {
            Some(text) => texts.push(text.to_owned()),
            None => return Err(invalid("sequence items must be strings")),
        }
    }
    Ok(Value::from(texts.join(separator)))
}

/// Every letter after something that is not a letter is a capital.
fn title(text: &str) -> String {
    let mut out = String::new();
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_lowercase() || c.is_uppercase();
    }
    out
}

fn swap_case(c: char) -> char {
    let swapped = if c.is_uppercase() {
        c.to_lowercase().next()
    } else {
        c.to_uppercase().next()
    };
    swapped.unwrap_or(c)
}

fn remove(
    text: &str,
    args: &[Value],
    strip: impl for<'t> Fn(&'t str, &str) -> Option<&'t str>,
) -> Result<String, Error> {
    let (affix,): (&str,) = from_args(args)?;
    Ok(strip(text, affix).unwrap_or(text).to_owned())
}

fn partition(text: &str, from_end: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    if separator.is_empty() {
        return Err(invalid("empty separator"));
    }
    let parts = if from_end {
        text.rsplit_once(separator)
    } else {
        text.split_once(separator)
    };
    let parts = match parts {
        Some((before, after)) => [before, separator, after],
        None if from_end => ["", "", text],
        None => [text, "", ""],
    };
    Ok(Tuple::from(parts.map(Value::from).to_vec()).into())
}

fn zfill(text: &str, args: &[Value]) -> Result<String, Error> {
    let (width,): (usize,) = from_args(args)?;
    let missing = missing(text, width)?;
    let sign_len = usize::from(text.starts_with(['+', '-']));
    Ok(format!(
        "{}{}{}",
        &text[..sign_len],
        "0".repeat(missing),
        &text[sign_len..]
    ))
}

fn justify(text: &str, method: &str, args: &[Value]) -> Result<String, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    let fill = fill.unwrap_or(" ");
    if fill.chars().count() != 1 {
        return Err(invalid("the fill character must be exactly one character"));
    }
    let missing = missing(text, width)?;
    let left = match method {
        "ljust" => 0,
        "rjust" => missing,
        // CPython puts the odd one on the left only when the width is odd too.
        _ => missing / 2 + (missing & width & 1),
    };
    Ok(format!(
        "{}{text}{}",
        fill.repeat(left),
        fill.repeat(missing - left)
    ))
}

/// Characters needed to fill `text` up to `width`.
fn missing(text: &str, width: usize) -> Result<usize, Error> {
    const MAX_WIDTH: usize = 1 << 20;
    if width > MAX_WIDTH {
        return Err(invalid("the width is too large"));
    }
    Ok(width.saturating_sub(text.chars().count()))
}

fn strings(texts: &[&str]) -> Value {
    texts.iter().copied().map(Value::from).collect()
}

fn invalid(detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail)
}
