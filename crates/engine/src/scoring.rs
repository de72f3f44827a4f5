//! Log probabilities of tokens of a prompt, taken while the prompt is computed.

use std::ops::Range;

use crate::PromptLogprob;

/// What a request wants scored, and what has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Scoring {
    /// Positions of the tokens, ascending.
    wanted: Vec<usize>,
    /// How many of them have been passed. It never falls, so that a token is scored once although
    /// a preemption makes its position be computed again.
    passed: usize,
    found: Vec<PromptLogprob>,
}

impl Scoring {
    /// Nothing found so far; `wanted` ascends.
    pub(crate) fn new(wanted: Vec<usize>) -> Self {
        Self {
            wanted,
            passed: 0,
            found: Vec::new(),
        }
    }

    /// Whether anything is wanted.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Positions of tokens that a step which computes `chunk` can score: those that follow one of
    /// its rows. What the prefix cache has spared is behind the chunk's start, and has no logits.
    pub(crate) fn wanted_in(&self, chunk: &Range<usize>) -> &[usize] {
        let left = &self.wanted[self.passed..];
        let spared = left.partition_point(|&position| position <= chunk.start);
        let reached = left.partition_point(|&position| position <= chunk.end);
        &left[spared..reached]
    }

    /// Takes the log probabilities of what [`Scoring::wanted_in`] named.
    pub(crate) fn take(&mut self, chunk: &Range<usize>, scores: &[f32]) {
        let left = &self.wanted[self.passed..];
        let reached = left.partition_point(|&position| position <= chunk.end);
        let positions = self.wanted_in(chunk).iter();
        let found = positions.zip(scores).filter(|(_, score)| !score.is_nan());
        let found: Vec<PromptLogprob> = found
            .map(|(&position, &logprob)| PromptLogprob { position, logprob })
            .collect();
        self.found.extend(found);
        self.passed += reached;
    }

    /// What was found.
    pub(crate) fn into_found(self) -> Vec<PromptLogprob> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(scoring: Scoring) -> Vec<usize> {
        let found = scoring.into_found();
        found.iter().map(|score| score.position).collect()
    }

    #[test]
    fn a_token_follows_a_row_of_the_chunk_and_is_scored_once() {
        let mut scoring = Scoring::new(vec![1, 4, 5, 8, 9, 12]);
        // Rows 4 to 7: what they predict stands at 5 to 8, and 4 was predicted by a cached row.
        assert_eq!(scoring.wanted_in(&(4..8)), [5, 8]);
        scoring.take(&(4..8), &[-1.0, f32::NAN]);
        // A preemption: the whole prompt again, without the cache.
        assert_eq!(scoring.wanted_in(&(0..6)), [0; 0]);
        scoring.take(&(0..6), &[]);
        assert_eq!(scoring.wanted_in(&(6..12)), [9, 12]);
        scoring.take(&(6..12), &[-2.0, -3.0]);
        assert_eq!(scoring.wanted_in(&(12..14)), [0; 0]);
        assert_eq!(found(scoring), [5, 9, 12], "without unusable ones");
    }
}
