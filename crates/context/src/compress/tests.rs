//! Every level on a corpus of generated tool results, and on noise.

use super::*;
use crate::CompressionLevel as Level;

mod corpus;
mod decode;
mod levels;
mod lossless;
mod noise;
mod speed;

use corpus::{Rng, corpus};

/// Tokens as a tokenizer might count them: one per word piece of four bytes, one per punctuation
/// mark, one per line end.
fn count(text: &str) -> usize {
    let mut tokens = 0;
    let mut run = 0;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte >= 0x80 {
            run += 1;
            if run % 4 == 1 {
                tokens += 1;
            }
        } else {
            run = 0;
            tokens += usize::from(byte != b' ');
        }
    }
    tokens
}

fn none() -> Focus {
    Focus::default()
}
