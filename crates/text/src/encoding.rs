//! Tokens and the bytes that they stand for.

use std::ops::Range;

/// The tokens of a text, each with its place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// The tokens.
    pub ids: Vec<u32>,
    /// For each token, the bytes of the text that it stands for; in order.
    ///
    /// Empty for a token that was added around the text. A token that is only part of a character
    /// has the whole character, so neighbours may overlap.
    pub ranges: Vec<Range<usize>>,
}

impl Encoding {
    /// For each token, the number of the span that it belongs to: the one with which it shares
    /// most bytes, the first of several; `None` if it shares none. So every token is counted
    /// once, also one that stretches across a border.
    ///
    /// `spans` are ranges of bytes of the text, ascending and without overlap.
    pub fn owners(&self, spans: &[Range<usize>]) -> Vec<Option<usize>> {
        let mut first = 0;
        let owner = |range: &Range<usize>| {
            while spans.get(first).is_some_and(|span| span.end <= range.start) {
                first += 1;
            }
            let near = spans.iter().enumerate().skip(first);
            let mut best = (0, None);
            for (number, span) in near.take_while(|(_, span)| span.start < range.end) {
                let shared = span
                    .end
                    .min(range.end)
                    .saturating_sub(span.start.max(range.start));
                if shared > best.0 {
                    best = (shared, Some(number));
                }
            }
            best.1
        };
        self.ranges.iter().map(owner).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(ranges: &[Range<usize>], spans: &[Range<usize>]) -> Vec<Option<usize>> {
        let encoding = Encoding {
            ids: vec![0; ranges.len()],
            ranges: ranges.to_vec(),
        };
        encoding.owners(spans)
    }

    #[test]
    fn a_token_belongs_to_the_span_with_which_it_shares_most() {
        let spans = [2..5, 5..6, 6..10, 20..30];
        let tokens = [0..1, 0..3, 4..9, 5..7, 9..12, 12..20, 19..21, 30..31];
        let expected = [
            None,
            Some(0),
            Some(2),
            Some(1),
            Some(2),
            None,
            Some(3),
            None,
        ];
        assert_eq!(owners(&tokens, &spans), expected);
    }

    #[test]
    fn tokens_without_text_belong_to_nobody() {
        let one = std::slice::from_ref(&(0..2));
        assert_eq!(owners(&[0..0, 0..2, 2..2], one), [None, Some(0), None]);
        assert_eq!(owners(&[0..2, 2..4], &[]), [None, None]);
    }

    #[test]
    fn the_tokens_of_one_character_have_one_owner() {
        assert_eq!(
            owners(&[0..4, 0..4, 4..5], &[0..4, 4..5]),
            [Some(0), Some(0), Some(1)]
        );
    }
}
