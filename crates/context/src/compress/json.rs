//! JSON as it was written: numbers and strings keep their bytes, so that nothing is rounded.

use std::borrow::Cow;

/// Nesting beyond which a text is not read as JSON.
const DEEPEST: usize = 64;

/// A JSON value (RFC 8259).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json<'a> {
    /// A string with its quotes and escapes, a number, `true`, `false` or `null`.
    Scalar(Cow<'a, str>),
    /// Items in order.
    Array(Vec<Json<'a>>),
    /// Members in order; keys with their quotes and escapes.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// What a text is: one JSON value, or one object or array in each line.
pub(super) enum Document<'a> {
    /// The whole text is one object or array.
    Value(Json<'a>),
    /// Every line is one.
    Lines(Vec<Json<'a>>),
}

/// Reads `text` as JSON or JSON lines; `None` for a scalar or anything else.
pub(super) fn read(text: &str) -> Option<Document<'_>> {
    let text = text.trim_matches(WHITE);
    if !text.starts_with(['{', '[']) || !text.ends_with(['}', ']']) {
        return None;
    }
    if let Some(value) = parse(text) {
        return Some(Document::Value(value));
    }
    let lines: Option<Vec<Json<'_>>> = text
        .split('\n')
        .filter(|line| !line.trim_matches(WHITE).is_empty())
        .map(|line| parse(line).filter(|value| !matches!(value, Json::Scalar(_))))
        .collect();
    lines.map(Document::Lines)
}

/// The value that `text` is, white space around it aside.
pub(super) fn parse(text: &str) -> Option<Json<'_>> {
    let mut reader = Reader { text, at: 0 };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    (reader.at == text.len()).then_some(value)
}

/// JSON lines without white space.
pub(super) fn minified_lines(lines: &[Json<'_>]) -> String {
    let mut out = String::new();
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        line.write(&mut out);
    }
    out
}

impl<'a> Json<'a> {
    /// A string of `text`, which needs no escapes.
    pub(super) fn plain(text: &str) -> Self {
        Self::Scalar(format!("\"{text}\"").into())
    }

    /// The text without white space.
    pub(super) fn minified(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Length of [`Json::minified`] in bytes.
    pub(super) fn length(&self) -> usize {
        let commas = |n: usize| n.saturating_sub(1) + 2;
        match self {
            Self::Scalar(raw) => raw.len(),
            Self::Array(items) => {
                commas(items.len()) + items.iter().map(Json::length).sum::<usize>()
            }
            Self::Object(members) => {
                let inner = members
                    .iter()
                    .map(|(key, value)| key.len() + 1 + value.length());
                commas(members.len()) + inner.sum::<usize>()
            }
        }
    }

    /// Appends the text without white space.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Scalar(raw) => out.push_str(raw),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    out.push_str(key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Scalars in it.
    pub(super) fn scalars(&self) -> usize {
        match self {
            Self::Scalar(_) => 1,
            Self::Array(items) => items.iter().map(Json::scalars).sum(),
            Self::Object(members) => members.iter().map(|(_, value)| value.scalars()).sum(),
        }
    }
}

/// The white space of JSON.
const WHITE: [char; 4] = [' ', '\t', '\n', '\r'];

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Option<Json<'a>> {
        if depth > DEEPEST {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Some(Json::Scalar(self.string()?.into())),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Some(Json::Scalar(self.number()?.into())),
        }
    }

    fn word(&mut self, word: &'static str) -> Option<Json<'a>> {
        self.text[self.at..].starts_with(word).then(|| {
            self.at += word.len();
            Json::Scalar(word.into())
        })
    }

    fn array(&mut self, depth: usize) -> Option<Json<'a>> {
        self.take(b'[')?;
        let mut items = Vec::new();
        self.space();
        if self.take(b']').is_some() {
            return Some(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Json::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json<'a>> {
        self.take(b'{')?;
        let mut members = Vec::new();
        self.space();
        if self.take(b'}').is_some() {
            return Some(Json::Object(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            self.take(b':')?;
            self.space();
            members.push((key.into(), self.value(depth + 1)?));
            self.space();
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Json::Object(members));
            }
        }
    }

    fn string(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.take(b'"')?;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(&self.text[start..self.at]);
                }
                b'\\' => self.escape()?,
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        let bytes = &self.text.as_bytes()[self.at + 1..];
        match bytes.first()? {
            b'u' => {
                let digits = bytes.get(1..5)?;
                digits
                    .iter()
                    .all(u8::is_ascii_hexdigit)
                    .then(|| self.at += 6)
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 2;
                Some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}
