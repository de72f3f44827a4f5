//! The best sentences of a text that is wrapped as retrieved, in its place.

use context::{Document, KeptDocument, Placement, RetrievalInput, RetrievalRule, Reuse};

/// What is left of `text` in `cap` tokens: of each document in it all, the sentences that have most
/// of the query's words, or nothing. The tags by which documents are cited stay. `None` if not one
/// sentence fits.
pub(in crate::budget) fn extract(
    text: &str,
    query: &str,
    cap: usize,
    count: &dyn Fn(&str) -> usize,
) -> Option<String> {
    let wrapped = Wrapped::read(text);
    let cap = cap.checked_sub(count(&[wrapped.head, wrapped.tail].concat()))?;
    let ids: Vec<String> = (0..wrapped.elements.len()).map(|n| n.to_string()).collect();
    // Where nothing has a word of the query, everything is as good.
    for score in [None, Some(1.0)] {
        let documents: Vec<Document<'_>> = wrapped
            .elements
            .iter()
            .zip(&ids)
            .map(|(element, id)| Document {
                id,
                text: element.body,
                score,
                source: None,
                group: None,
                tokens: count(&[element.opening, element.body, element.closing].concat()),
                cached: 0,
            })
            .collect();
        let selection = context::select_documents(&RetrievalInput {
            documents: &documents,
            query,
            floor: 0,
            cap,
            rule: RetrievalRule {
                min_score: 0.0,
                placement: Placement::AsIs,
                diversity: 0.0,
            },
            kappa: 0.0,
            count,
            reuse: Reuse {
                cached: &|_| 0,
                ms_per_token: 0.0,
                edge_value_ms: 0.0,
            },
        })
        .ok()?;
        if !selection.kept.is_empty() {
            return Some(wrapped.with(&selection.kept));
        }
    }
    None
}

/// A text taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Wrapped<'a> {
    /// The tag around everything, if there is one.
    head: &'a str,
    /// The documents; the whole text, if there are no tags around single ones.
    elements: Vec<Element<'a>>,
    /// The tag that closes everything.
    tail: &'a str,
}

#[derive(Debug, PartialEq, Eq)]
struct Element<'a> {
    /// Its tag, and its source if that stands in a tag of its own.
    opening: &'a str,
    body: &'a str,
    closing: &'a str,
}

impl<'a> Wrapped<'a> {
    fn read(text: &'a str) -> Self {
        let trimmed = text.trim_end();
        let (head, inside, tail) = match outer_tag(trimmed) {
            Some((head, tail)) => (
                &text[..head],
                &text[head..trimmed.len() - tail],
                &text[trimmed.len() - tail..],
            ),
            None => ("", text, ""),
        };
        let mut elements = Vec::new();
        let mut rest = inside;
        while let Some((element, after)) = Element::read(rest) {
            elements.push(element);
            rest = after;
        }
        if elements.is_empty() {
            elements.push(Element {
                opening: "",
                body: inside,
                closing: "",
            });
        }
        Self {
            head,
            elements,
            tail,
        }
    }

    fn with(&self, kept: &[KeptDocument]) -> String {
        let mut text = self.head.to_owned();
        for kept in kept {
            let element = &self.elements[kept.document];
            let extract = kept.extract.as_deref().map(|extract| {
                let line = |is_there: bool| if is_there { "\n" } else { "" };
                let (before, after) = (
                    line(element.body.starts_with('\n')),
                    line(element.body.ends_with('\n')),
                );
                format!("{before}{extract}{after}")
            });
            let body = extract.as_deref().unwrap_or(element.body);
            text.extend([element.opening, body, element.closing]);
            if !element.closing.is_empty() {
                text.push('\n');
            }
        }
        text + self.tail
    }
}

impl<'a> Element<'a> {
    /// The next element, and what follows it.
    fn read(text: &'a str) -> Option<(Self, &'a str)> {
        const NAME: &str = "<document";
        const CLOSING: &str = "</document>";
        const CONTENT: [&str; 2] = ["<document_content>", "</document_content>"];
        let mut search = 0;
        let start = loop {
            let at = search + text[search..].find(NAME)?;
            let after = text[at + NAME.len()..].chars().next()?;
            if after == '>' || after.is_whitespace() {
                break at;
            }
            search = at + NAME.len();
        };
        let mut opened = start + text[start..].find('>')? + 1;
        let end = opened + text[opened..].find(CLOSING)?;
        // Anthropic's way: <source>..</source><document_content>..</document_content>.
        if let Some(source) = text[opened..end].find("</source>") {
            opened += source + "</source>".len();
        }
        let blank = text[opened..end].len() - text[opened..end].trim_start().len();
        let mut closed = end;
        if text[opened + blank..end].starts_with(CONTENT[0]) {
            opened += blank + CONTENT[0].len();
            closed = text[opened..end]
                .rfind(CONTENT[1])
                .map_or(end, |at| opened + at);
        }
        let element = Self {
            opening: &text[start..opened],
            body: &text[opened..closed],
            closing: &text[closed..end + CLOSING.len()],
        };
        Some((element, &text[end + CLOSING.len()..]))
    }
}

/// Bytes of the tag that opens a text and of the one that closes it, if they are of one name that
/// is no document's own.
fn outer_tag(text: &str) -> Option<(usize, usize)> {
    let start = text.len() - text.trim_start().len();
    let name = text[start..].strip_prefix('<')?;
    let name = &name[..name.find('>')?];
    let closing = format!("</{name}>");
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    let end = start + name.len() + 2;
    let line = usize::from(text[end..].starts_with('\n'));
    (is_name && name != "document" && text.ends_with(&closing))
        .then_some((end + line, closing.len()))
}
