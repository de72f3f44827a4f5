//! The header of a message: role, recipient, channel and type of content.

pub(super) const START: &str = "<|start|>assistant";
pub(super) const CHANNEL: &str = "<|channel|>";
const CONSTRAIN: &str = "<|constrain|>";
const MESSAGE: &str = "<|message|>";
const RECIPIENT: &str = "to=";

/// Headers are shorter, in bytes; a longer one is text.
const MAX_LEN: usize = 256;

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) channel: Option<String>,
    pub(super) recipient: Option<String>,
}

/// What is known of text that may be a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// More of it must come.
    Partial,
    /// The text is a header, up to `<|message|>`.
    Complete(Header),
    /// The last character, or more, is not part of a header.
    Invalid,
}

/// Reads the beginning of a message. The role may be missing, since prompts end with it; the
/// recipient may stand before or behind the channel, the content's type behind the channel, with
/// `<|constrain|>` or without.
pub(super) fn read(text: &str) -> Reading {
    if text.len() > MAX_LEN {
        return Reading::Invalid;
    }
    let mut rest = text.trim_start();
    if START.starts_with(rest) {
        return Reading::Partial;
    }
    rest = rest.strip_prefix(START).unwrap_or(rest);
    let (mut header, mut has_type) = (Header::default(), false);
    loop {
        rest = rest.trim_start();
        let known = [MESSAGE, CHANNEL, CONSTRAIN, RECIPIENT];
        let Some(start) = known.into_iter().find(|start| rest.starts_with(start)) else {
            let (word, behind) = split_word(rest);
            let is_type = header.channel.is_some() && !has_type && !word.is_empty();
            if known.iter().any(|start| start.starts_with(rest)) || is_type && behind.is_empty() {
                return Reading::Partial;
            }
            if !is_type {
                return Reading::Invalid;
            }
            (has_type, rest) = (true, behind);
            continue;
        };
        if start == MESSAGE {
            let complete = rest == MESSAGE;
            return if complete {
                Reading::Complete(header)
            } else {
                Reading::Invalid
            };
        }
        let (word, behind) = split_word(&rest[start.len()..]);
        if behind.is_empty() {
            return Reading::Partial;
        }
        let given = match start {
            CHANNEL => header.channel.replace(word.to_owned()).is_some(),
            RECIPIENT => header.recipient.replace(word.to_owned()).is_some(),
            _ => std::mem::replace(&mut has_type, true),
        };
        if given || word.is_empty() {
            return Reading::Invalid;
        }
        rest = behind;
    }
}

/// A word, and what is behind it: white space, or a marker.
fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c == '<' || c.is_whitespace());
    text.split_at(end.unwrap_or(text.len()))
}
