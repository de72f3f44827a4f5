//! A Python string literal, translated to the inside of a JSON string character by character.
//!
//! Escapes are those of Python's language reference, section "String and Bytes literals", without
//! `\N{..}`, which stays as it is written, like every escape that Python does not know.

use super::json_text::push_char;

/// Reads one literal from behind its first quote on.
#[derive(Debug)]
pub(super) struct PythonString {
    quote: char,
    state: State,
    /// First half of a character that two `\u` escapes spell.
    surrogate: Option<u32>,
}

/// What a character was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StringStep {
    /// Part of the literal.
    Inside,
    /// The last character of the literal.
    Ended,
    /// The first character behind the literal.
    Behind,
}

#[derive(Debug)]
enum State {
    /// Behind the first quote, or the first two.
    Opening(usize),
    /// Inside; behind so many quotes, of which three end the literal.
    Body { triple: bool, quotes: usize },
    /// Behind a backslash and what followed it.
    Escape { triple: bool, text: String },
}

/// What is known of an escape.
#[derive(Clone, Copy, Debug)]
enum Escape {
    Partial,
    Char(char),
    /// One code of UTF-16.
    Unit(u32),
    Nothing,
    /// It ended before its last character.
    EndedBefore(char),
    Unknown,
}

impl PythonString {
    pub(super) fn new(quote: char) -> Self {
        Self {
            quote,
            state: State::Opening(1),
            surrogate: None,
        }
    }

    /// Reads a character and adds what it means.
    pub(super) fn step(&mut self, c: char, out: &mut String) -> StringStep {
        match &mut self.state {
            State::Opening(quotes) if c == self.quote => {
                *quotes += 1;
                if *quotes == 3 {
                    self.enter_body(true);
                }
                StringStep::Inside
            }
            State::Opening(2) => StringStep::Behind,
            State::Opening(_) => {
                self.enter_body(false);
                self.step(c, out)
            }
            State::Body { triple, quotes } if c == self.quote => {
                *quotes += 1;
                let last = if *triple { 3 } else { 1 };
                if *quotes < last {
                    return StringStep::Inside;
                }
                self.end_surrogate(out);
                StringStep::Ended
            }
            State::Body { triple, .. } => {
                let triple = *triple;
                self.flush_quotes(out);
                if c == '\\' {
                    let text = String::new();
                    self.state = State::Escape { triple, text };
                } else {
                    self.push(c, out);
                }
                StringStep::Inside
            }
            State::Escape { triple, text } => {
                text.push(c);
                let (triple, escape) = (*triple, read_escape(text));
                self.step_escape(triple, escape, out)
            }
        }
    }

    /// Adds what has been held back of a literal that does not end.
    pub(super) fn finish(mut self, out: &mut String) {
        self.flush_quotes(out);
        self.end_surrogate(out);
        if let State::Escape { text, .. } = self.state {
            push_char(out, '\\');
            text.chars().for_each(|c| push_char(out, c));
        }
    }

    fn enter_body(&mut self, triple: bool) {
        self.state = State::Body { triple, quotes: 0 };
    }

    fn step_escape(&mut self, triple: bool, escape: Escape, out: &mut String) -> StringStep {
        let State::Escape { text, .. } = &mut self.state else {
            return StringStep::Inside;
        };
        let text = match escape {
            Escape::Partial => return StringStep::Inside,
            _ => std::mem::take(text),
        };
        self.enter_body(triple);
        match escape {
            Escape::Partial | Escape::Nothing => {}
            Escape::Char(c) => self.push(c, out),
            Escape::Unit(unit) => self.push_unit(unit, out),
            Escape::EndedBefore(c) => {
                self.push(c, out);
                return text
                    .chars()
                    .next_back()
                    .map_or(StringStep::Inside, |c| self.step(c, out));
            }
            Escape::Unknown => {
                self.push('\\', out);
                // Only the last character can be a quote or begin another escape.
                let last = text.chars().next_back();
                for c in text[..text.len() - last.map_or(0, char::len_utf8)].chars() {
                    self.push(c, out);
                }
                return last.map_or(StringStep::Inside, |c| self.step(c, out));
            }
        }
        StringStep::Inside
    }

    /// Quotes that turned out not to end the literal.
    fn flush_quotes(&mut self, out: &mut String) {
        if let State::Body { quotes, .. } = &mut self.state {
            for _ in 0..std::mem::take(quotes) {
                self.push(self.quote, out);
            }
        }
    }

    fn push(&mut self, c: char, out: &mut String) {
        self.end_surrogate(out);
        push_char(out, c);
    }

    fn push_unit(&mut self, unit: u32, out: &mut String) {
        match (self.surrogate.take(), unit) {
            (Some(high), 0xDC00..=0xDFFF) => {
                let code = 0x10000 + ((high - 0xD800) << 10) + (unit - 0xDC00);
                push_char(
                    out,
                    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
                );
            }
            (high, _) => {
                self.surrogate = high;
                self.end_surrogate(out);
                match char::from_u32(unit) {
                    Some(c) => push_char(out, c),
                    None if unit < 0xDC00 => self.surrogate = Some(unit),
                    None => push_char(out, char::REPLACEMENT_CHARACTER),
                }
            }
        }
    }

    /// Half a character that nothing completes.
    fn end_surrogate(&mut self, out: &mut String) {
        if self.surrogate.take().is_some() {
            push_char(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Reads what follows a backslash.
fn read_escape(text: &str) -> Escape {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return Escape::Partial;
    };
    let digits = chars.as_str();
    match first {
        '\n' => Escape::Nothing,
        '\\' | '\'' | '"' => Escape::Char(first),
        'n' => Escape::Char('\n'),
        't' => Escape::Char('\t'),
        'r' => Escape::Char('\r'),
        'a' => Escape::Char('\u{7}'),
        'b' => Escape::Char('\u{8}'),
        'v' => Escape::Char('\u{b}'),
        'f' => Escape::Char('\u{c}'),
        'x' => read_hex(digits, 2),
        'u' => read_hex(digits, 4),
        'U' => read_hex(digits, 8),
        '0'..='7' => read_octal(text),
        _ => Escape::Unknown,
    }
}

fn read_hex(digits: &str, count: usize) -> Escape {
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Escape::Unknown;
    }
    if digits.len() < count {
        return Escape::Partial;
    }
    match u32::from_str_radix(digits, 16) {
        Ok(code) if code <= 0x0010_FFFF => Escape::Unit(code),
        _ => Escape::Char(char::REPLACEMENT_CHARACTER),
    }
}

/// Up to three digits, so that a shorter number ends with the character behind it.
fn read_octal(text: &str) -> Escape {
    let digits = text.trim_end_matches(|c: char| !('0'..='7').contains(&c));
    let value = || u32::from_str_radix(digits, 8).ok().and_then(char::from_u32);
    let value = || value().unwrap_or(char::REPLACEMENT_CHARACTER);
    if digits.len() < text.len() {
        Escape::EndedBefore(value())
    } else if digits.len() == 3 {
        Escape::Char(value())
    } else {
        Escape::Partial
    }
}
