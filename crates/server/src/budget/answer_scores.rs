//! How likely the model's answers were when it gave them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use context::ChainKey;

/// Bytes that an answer counts beside its tokens: its rows in both tables.
const OVERHEAD: usize = 256;

/// Answers to one conversation that are told apart.
const MAX_ALTERNATIVES: usize = 8;

/// Answers by the conversation that they answer. Bounded in bytes; what was not used for longest
/// goes first, and is then not compared with.
#[derive(Debug)]
pub struct AnswerScores {
    answers: HashMap<ChainKey, Alternatives>,
    /// By the number of the last use.
    order: BTreeMap<u64, ChainKey>,
    last: u64,
    bytes: usize,
    max_bytes: usize,
}

/// An answer as it was generated, without the token that ended it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScoredAnswer {
    /// Its tokens.
    pub(super) tokens: Vec<u32>,
    /// The natural log probability of each, by the model.
    pub(super) logprobs: Vec<f32>,
    /// The summary that stood in its prompt, by the name of the last segment that it replaces.
    pub(super) behind: Option<ChainKey>,
}

/// Answers to the same conversation, and when they were used last.
#[derive(Debug, Default)]
struct Alternatives {
    answers: Vec<Arc<ScoredAnswer>>,
    used: u64,
}

impl AnswerScores {
    /// No answers, and room for that many bytes.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            answers: HashMap::new(),
            order: BTreeMap::new(),
            last: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// Keeps an answer to the conversation of that name. Of one that was given before, the first
    /// time counts; one that is longer than all there is room for is not kept.
    pub(super) fn keep(&mut self, conversation: ChainKey, answer: ScoredAnswer) {
        let mut known = self.take(&conversation).unwrap_or_default();
        let is_new = (known.answers.iter()).all(|one| one.tokens != answer.tokens);
        if is_new && bytes(&answer) <= self.max_bytes {
            if known.answers.len() == MAX_ALTERNATIVES {
                known.answers.remove(0);
            }
            known.answers.push(Arc::new(answer));
        }
        self.put(conversation, known);
        while self.bytes > self.max_bytes
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            self.take(&oldest);
        }
    }

    /// The answers to that conversation, which count as used.
    pub(super) fn find(&mut self, conversation: &ChainKey) -> Vec<Arc<ScoredAnswer>> {
        let Some(known) = self.take(conversation) else {
            return Vec::new();
        };
        let answers = known.answers.clone();
        self.put(*conversation, known);
        answers
    }

    fn take(&mut self, conversation: &ChainKey) -> Option<Alternatives> {
        let known = self.answers.remove(conversation)?;
        self.order.remove(&known.used);
        self.bytes -= total(&known.answers);
        Some(known)
    }

    fn put(&mut self, conversation: ChainKey, mut known: Alternatives) {
        if known.answers.is_empty() {
            return;
        }
        self.last += 1;
        known.used = self.last;
        self.bytes += total(&known.answers);
        self.order.insert(self.last, conversation);
        self.answers.insert(conversation, known);
    }
}

fn total(answers: &[Arc<ScoredAnswer>]) -> usize {
    answers.iter().map(|answer| bytes(answer)).sum()
}

fn bytes(answer: &ScoredAnswer) -> usize {
    OVERHEAD + size_of_val(&*answer.tokens) + size_of_val(&*answer.logprobs)
}

#[cfg(test)]
mod tests {
    use context::{LedgerScope, SegmentChain, segment_digest};

    use super::*;

    fn key(name: &str) -> ChainKey {
        let scope = LedgerScope {
            tenant_salt: b"",
            policy_major: 1,
            fingerprint: b"",
        };
        SegmentChain::new(&scope).push(&segment_digest(&[name.as_bytes()]))
    }

    fn answer(tokens: &[u32], logprob: f32) -> ScoredAnswer {
        ScoredAnswer {
            tokens: tokens.to_vec(),
            logprobs: vec![logprob; tokens.len()],
            behind: None,
        }
    }

    #[test]
    fn answers_to_a_conversation_are_told_apart_and_the_least_used_make_room() {
        // Three answers of two tokens.
        let mut scores = AnswerScores::new(3 * (OVERHEAD + 16));
        scores.keep(key("a"), answer(&[1, 2], -1.0));
        scores.keep(key("a"), answer(&[1, 3], -2.0));
        scores.keep(key("a"), answer(&[1, 2], -9.0));
        let found = scores.find(&key("a"));
        let logprobs: Vec<f32> = found.iter().map(|one| one.logprobs[0]).collect();
        assert_eq!(logprobs, [-1.0, -2.0], "the first time counts");
        scores.keep(key("b"), answer(&[4, 5], -1.0));
        assert_eq!(scores.bytes, scores.max_bytes);
        assert_eq!(scores.find(&key("a")).len(), 2);
        // `b` was not used since.
        scores.keep(key("c"), answer(&[6, 7], -1.0));
        let counts = ["a", "b", "c"].map(|name| scores.find(&key(name)).len());
        assert_eq!(counts, [2, 0, 1]);
        scores.keep(key("d"), answer(&[8; 1 << 16], -1.0));
        assert_eq!(scores.find(&key("d")).len(), 0);
        assert_eq!(scores.bytes, scores.max_bytes);
        for token in 0..20 {
            scores.keep(key("e"), answer(&[token], -1.0));
        }
        assert!(scores.bytes <= scores.max_bytes);
        assert_eq!(scores.order.len(), scores.answers.len());
    }
}
