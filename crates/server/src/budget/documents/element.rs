//! Texts in tags with attributes, so that a model can tell them apart and cite them.

/// Tags that no text may open or close.
const GUARDED: [&str; 4] = ["documents", "document", "memory", "memory_file"];

/// A text in a tag of its own, on lines of its own. Inside the text, the tags by which such texts
/// are wrapped lose their `<`; nothing else changes.
pub(in crate::budget) fn element(tag: &str, attributes: &[(&str, &str)], text: &str) -> String {
    let opening = opening(tag, attributes);
    format!("{opening}\n{}\n</{tag}>\n", guarded(text))
}

/// The first line of an element.
pub(in crate::budget) fn opening(tag: &str, attributes: &[(&str, &str)]) -> String {
    let mut opening = format!("<{tag}");
    for (name, value) in attributes {
        opening.push_str(&format!(" {name}=\"{}\"", quoted(value)));
    }
    opening.push('>');
    opening
}

/// Elements in a tag around all of them, and an empty line between them and what follows.
pub(in crate::budget) fn wrapped(tag: &str, elements: &[String]) -> String {
    format!("<{tag}>\n{}</{tag}>\n\n", elements.concat())
}

fn quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => quoted.push_str("&amp;"),
            '"' => quoted.push_str("&quot;"),
            '<' => quoted.push_str("&lt;"),
            '>' => quoted.push_str("&gt;"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted
}

fn guarded(text: &str) -> String {
    let mut guarded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        guarded.push_str(before);
        guarded.push_str(if is_guarded(&tag[1..]) { "&lt;" } else { "<" });
        rest = &tag[1..];
    }
    guarded.push_str(rest);
    guarded
}

/// Whether what follows a `<` is one of the tags, opening or closing, however it is written.
fn is_guarded(inside: &str) -> bool {
    let name = inside.trim_start();
    let name = name.strip_prefix('/').unwrap_or(name).trim_start();
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let end = name.find(|c: char| !is_of_name(c)).unwrap_or(name.len());
    GUARDED
        .iter()
        .any(|tag| name[..end].eq_ignore_ascii_case(tag))
}
