//! What transformers' jinja2 accepts and minijinja does not, rewritten before compilation.
//!
//! * `{% generation %}` blocks, which only mark the answer's tokens, become `{% with %}` blocks:
//!   both open a scope.
//! * Slices `x[a:b:c]` become calls `x.__slice__(a, b, c)`, because minijinja's own differ from
//!   Python's.
//! * `'format' % x` becomes `'format'.__format__(x)`, because minijinja's `%` is for numbers.
//!
//! Lines stay where they are, so errors name the right one.

/// Method that stands for slicing; takes start, stop and step.
pub(super) const SLICE: &str = "__slice__";

/// Method that stands for `%` after a string literal; takes the right operand.
pub(super) const FORMAT: &str = "__format__";

/// Rewrites a template.
pub(super) fn to_minijinja(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((at, tag)) = next_tag(rest) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let len = match tag {
            Tag::Comment => rest.find("#}").map(|end| end + 2),
            Tag::Block => expression_end(rest, "%}"),
            Tag::Variable => expression_end(rest, "}}"),
        };
        // An unclosed tag is a syntax error, which the compiler reports best.
        let Some(len) = len else { break };
        let text = &rest[..len];
        rest = &rest[len..];
        match tag {
            Tag::Comment => out.push_str(text),
            Tag::Variable => push_expression(&mut out, text),
            Tag::Block => {
                push_block(&mut out, text);
                if block_name(text) == "raw" {
                    let raw_len = end_of_raw(rest);
                    out.push_str(&rest[..raw_len]);
                    rest = &rest[raw_len..];
                }
            }
        }
    }
    out + rest
}

#[derive(Clone, Copy)]
enum Tag {
    Comment,
    Block,
    Variable,
}

fn next_tag(text: &str) -> Option<(usize, Tag)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('{')?;
        match text.as_bytes().get(at + 1) {
            Some(b'#') => return Some((at, Tag::Comment)),
            Some(b'%') => return Some((at, Tag::Block)),
            Some(b'{') => return Some((at, Tag::Variable)),
            _ => from = at + 1,
        }
    }
}

/// Length of a tag that begins `text`, its end included: the first `end` outside strings and
/// brackets.
fn expression_end(text: &str, end: &str) -> Option<usize> {
    let mut at = 2;
    let mut depth = 0_usize;
    while at < text.len() {
        if depth == 0 && text.as_bytes()[at..].starts_with(end.as_bytes()) {
            return Some(at + end.len());
        }
        match text.as_bytes()[at] {
            b'\'' | b'"' => {
                at += string_len(&text[at..]);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The first word of a block tag.
fn block_name(tag: &str) -> &str {
    let inner = tag[2..].trim_start_matches(['-', '+']).trim_start();
    let end = inner
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(inner.len());
    &inner[..end]
}

/// Length of raw text up to its `{% endraw %}`.
fn end_of_raw(text: &str) -> usize {
    let ends = text
        .match_indices("{%")
        .find(|(at, _)| block_name(&text[*at..]) == "endraw");
    ends.map_or(text.len(), |(at, _)| at)
}

fn push_block(out: &mut String, tag: &str) {
    let replacement = match block_name(tag) {
        "generation" => "with",
        "endgeneration" => "endwith",
        _ => return push_expression(out, tag),
    };
    out.push_str(&tag.replacen(block_name(tag), replacement, 1));
}

/// Rewrites the expressions in `text`, which has balanced brackets.
fn push_expression(out: &mut String, text: &str) {
    let mut at = 0;
    let mut after_string = false;
    while at < text.len() {
        let rest = &text[at..];
        let c = rest.chars().next().unwrap_or_default();
        match c {
            '\'' | '"' => {
                let len = string_len(rest);
                out.push_str(&rest[..len]);
                at += len;
                after_string = true;
                continue;
            }
            '[' => {
                let len = group_len(rest);
                push_brackets(out, &rest[..len]);
                at += len;
                after_string = false;
                continue;
            }
            '%' if after_string && !rest.starts_with("%}") => {
                let len = 1 + operand_len(&rest[1..]);
                out.push_str(&format!(".{FORMAT}("));
                push_expression(out, &rest[1..len]);
                out.push(')');
                at += len;
                after_string = false;
                continue;
            }
            _ if c.is_whitespace() => {}
            _ => after_string = false,
        }
        out.push(c);
        at += c.len_utf8();
    }
}

/// A bracketed group: a slice has a colon outside inner brackets, a list or an index has none.
fn push_brackets(out: &mut String, group: &str) {
    let inner = group[1..].strip_suffix(']').unwrap_or(&group[1..]);
    let bounds = split_at_colons(inner);
    if bounds.len() == 1 {
        out.push('[');
        push_expression(out, inner);
        out.push_str(&group[1 + inner.len()..]);
        return;
    }
    out.push_str(&format!(".{SLICE}("));
    for index in 0..bounds.len().max(3) {
        if index > 0 {
            out.push_str(", ");
        }
        match bounds.get(index) {
            Some(bound) if !bound.trim().is_empty() => push_expression(out, bound),
            Some(blank) => {
                out.push_str("none");
                out.push_str(blank);
            }
            None => out.push_str("none"),
        }
    }
    out.push(')');
}

fn split_at_colons(inner: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut at, mut from) = (0, 0);
    while at < inner.len() {
        match inner.as_bytes()[at] {
            b'\'' | b'"' => at += string_len(&inner[at..]),
            b'(' | b'[' | b'{' => at += group_len(&inner[at..]),
            b':' => {
                parts.push(&inner[from..at]);
                at += 1;
                from = at;
            }
            _ => at += 1,
        }
    }
    parts.push(&inner[from..]);
    parts
}

/// Length of the operand of `%` that begins `text`: a unary expression with its postfixes and
/// filters, as jinja2's grammar has it.
fn operand_len(text: &str) -> usize {
    let mut at = text.len() - text.trim_start().len();
    at += text[at..].len() - text[at..].trim_start_matches(['-', '+']).len();
    at += primary_len(&text[at..]);
    loop {
        let rest = &text[at..];
        let spaces = rest.len() - rest.trim_start().len();
        let next = &rest[spaces..];
        at += match next.chars().next() {
            Some('[' | '(') => spaces + group_len(next),
            Some(c @ ('.' | '|')) => {
                let gap = next[c.len_utf8()..].len() - next[c.len_utf8()..].trim_start().len();
                spaces + c.len_utf8() + gap + word_len(&next[c.len_utf8() + gap..])
            }
            _ => return at,
        };
    }
}

fn primary_len(text: &str) -> usize {
    match text.chars().next() {
        Some('\'' | '"') => string_len(text),
        Some('(' | '[' | '{') => group_len(text),
        _ => word_len(text),
    }
}

fn word_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len())
}

/// Length of the string literal that begins `text`.
fn string_len(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            _ if byte == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the bracketed group that begins `text`.
fn group_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text.as_bytes()[at] {
            b'\'' | b'"' => {
                at += string_len(&text[at..]);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}
