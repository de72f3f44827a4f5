//! Planted facts, trust, supersession, and noise.

use super::*;
use crate::critical::recall;

mod extraction;
mod noise;
mod written;

fn user(text: &str) -> SpanPart<'_> {
    SpanPart {
        speaker: Speaker::User,
        text,
    }
}

fn assistant(text: &str) -> SpanPart<'_> {
    SpanPart {
        speaker: Speaker::Assistant,
        text,
    }
}

fn tool(text: &str) -> SpanPart<'_> {
    SpanPart {
        speaker: Speaker::Tool,
        text,
    }
}

/// Four bytes of a word are a token, and so is every mark.
fn count(text: &str) -> usize {
    let word = |word: &str| word.len().div_ceil(4);
    text.split_whitespace().map(word).sum::<usize>() + text.matches('\n').count()
}

fn gone(parts: &[SpanPart<'_>]) -> Vec<bool> {
    superseded(&sentences(parts))
}
