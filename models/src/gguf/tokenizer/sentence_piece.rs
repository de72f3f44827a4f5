//! SentencePiece's scores as merges.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{GgufError, Metadata, Token, TokenKind};

/// How SentencePiece writes a space.
pub(super) const SPACE: &str = "\u{2581}";

const SCORES: &str = "tokenizer.ggml.scores";

/// The merges whose order is that of the scores: every way to cut a token into two others, best
/// score first; among those of one token, long left halves first (`generate_merges` of
/// `transformers`).
///
/// # Errors
/// Scores are missing, or fewer than tokens.
pub(super) fn merges<'a>(
    metadata: &Metadata<'a>,
    tokens: &[Token<'a>],
) -> Result<Vec<(&'a str, &'a str)>, GgufError> {
    let scores = metadata
        .numbers(SCORES)?
        .ok_or_else(|| metadata.missing(SCORES))?;
    if scores.len() != tokens.len() {
        let reason = format!("{} scores of {} tokens", scores.len(), tokens.len());
        return Err(metadata.contradiction(SCORES, reason));
    }
    let pieces = || {
        let tokens = tokens.iter().zip(&scores).enumerate();
        tokens.filter(|(_, (token, _))| token.kind == TokenKind::Normal)
    };
    let ids: HashMap<&str, usize> = pieces().map(|(id, (token, _))| (token.text, id)).collect();
    let mut merges = Vec::new();
    for (_, (token, &score)) in pieces() {
        for (cut, _) in token.text.char_indices().skip(1) {
            let (left, right) = token.text.split_at(cut);
            if let (Some(&left_id), Some(&right_id)) = (ids.get(left), ids.get(right)) {
                merges.push((score, left, right, (left_id, right_id)));
            }
        }
    }
    merges.sort_by(|a, b| {
        let order = |&(_, left, right, ids): &(f64, &str, &str, (usize, usize))| {
            let lengths = (left.chars().count(), right.chars().count());
            (Reverse(lengths), ids)
        };
        b.0.total_cmp(&a.0).then_with(|| order(a).cmp(&order(b)))
    });
    let pairs = merges.into_iter().map(|(_, left, right, _)| (left, right));
    Ok(pairs.collect())
}
