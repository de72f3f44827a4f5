//! As much of a text as there is room for.

use text::Tokenizer;

/// A page of fewer tokens is not worth a round.
const MIN_TOKENS: usize = 32;

/// How often a page is cut again because its tokens were not as counted.
const ATTEMPTS: usize = 4;

/// A text, or a piece of one behind a line that says which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// What the model reads.
    pub(super) text: String,
    /// Whether it is the text itself, byte for byte and all of it.
    pub(super) is_whole: bool,
}

/// The text from the character `offset` on, which it has, in at most `room` tokens.
///
/// # Errors
/// When there is no room for a page: the tokens that there are from there on.
pub(super) fn page(
    text: &str,
    offset: usize,
    room: usize,
    tokenizer: &Tokenizer,
) -> Result<Page, usize> {
    let start = text.char_indices().nth(offset).map_or(0, |(at, _)| at);
    let rest = &text[start..];
    let encoding = tokenizer.encode_with_offsets(rest, false);
    let encoding = encoding.map_err(|_| rest.len())?;
    let tokens = encoding.ids.len();
    if offset == 0 && tokens <= room {
        return Ok(Page {
            text: text.to_owned(),
            is_whole: true,
        });
    }
    let chars = offset + rest.chars().count();
    let mut shown = tokens.min(room);
    for _ in 0..ATTEMPTS {
        // The end of a text may be shorter than a page.
        if shown < MIN_TOKENS.min(tokens) {
            break;
        }
        let end = match shown == tokens {
            true => rest.len(),
            false => line_end(rest, encoding.ranges[shown - 1].end),
        };
        let piece = &rest[..end];
        let to = offset + piece.chars().count();
        let more = match to == chars {
            true => String::new(),
            false => format!(", go on with offset {to}"),
        };
        let text = format!(
            "[{tokens} tokens from here, {room} are left; characters {offset} to {to} of \
             {chars}{more}]\n{piece}"
        );
        let counted = tokenizer.encode(&text, false);
        let counted = counted.map_or(text.len(), |tokens| tokens.len());
        if counted <= room {
            let is_whole = false;
            return Ok(Page { text, is_whole });
        }
        shown = shown.saturating_sub(counted - room);
    }
    Err(tokens)
}

/// Where to cut near `end`: behind the last line that is complete, unless that is far away.
fn line_end(text: &str, end: usize) -> usize {
    match text[..end].rfind('\n') {
        Some(at) if at >= end / 2 => at + 1,
        _ => end,
    }
}

#[cfg(test)]
mod tests;
