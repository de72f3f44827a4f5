//! How far a summary moves the model from what it has said itself.
//!
//! While an answer is generated, the log probability of each of its tokens is kept. When a later
//! request puts a summary in front of that answer, what stands behind the summary is computed again
//! anyway, and with it how likely the same tokens are now: the mean difference, in nats per token,
//! says how much the model's words depended on what the summary has left out. No judge is asked. It
//! sees what was said, not what is going to be asked.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use context::{
    ChainKey, DriftVerdict, EditLedger, EditOp, KnownEdit, Resolved, Rung, SegmentChain,
    SegmentKind, SummaryLevel,
};
use engine::PromptLogprob;

use super::answer_scores::{AnswerScores, ScoredAnswer};
use super::draft::{Draft, DraftInput, Revision};
use super::standing::StandingEdit;
use super::state::Budgeter;
use super::summaries::overlap;
use crate::wire::context_report::{DriftReport, Warning};
use crate::wire::error::ApiError;

/// Most tokens that are compared: of more, these many at equal distances.
const MAX_COMPARED: usize = 512;

/// Fewest tokens from which a summary is found wanting: the mean of a handful is noise.
const MIN_JUDGED: usize = 16;

/// How far a text is looked for around the place where it is expected: what the template writes
/// between two texts, and tokens that merge at borders.
const SLACK: usize = 64;

/// A summary that has moved the model too far: its original segments and its level.
pub(super) type Drifted = (RangeInclusive<usize>, SummaryLevel);

/// Where the answers to a request are kept with their log probabilities.
#[derive(Clone, Debug)]
pub struct Recording {
    scores: Arc<Mutex<AnswerScores>>,
    conversation: ChainKey,
    behind: Option<ChainKey>,
}

/// One answer in the making.
#[derive(Debug)]
pub struct Recorder {
    recording: Recording,
    tokens: Vec<u32>,
    logprobs: Vec<f32>,
}

/// What is compared while a prompt is computed.
#[derive(Clone, Debug)]
pub struct DriftWatch {
    /// The summary, by its number among the report's edits.
    pub edit: usize,
    chain: SegmentChain,
    segments: RangeInclusive<usize>,
    level: SummaryLevel,
    max_nll_delta: f64,
    /// Positions in the prompt, ascending, and how likely their tokens were.
    recorded: Vec<(usize, f32)>,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// How much less likely the tokens have become, in nats per token.
    pub nll_delta: f64,
    /// Tokens that were compared.
    pub tokens: usize,
    /// Whether that is more than may be.
    pub is_excessive: bool,
    /// Whether the next request gets a more detailed summary for it.
    pub is_redone: bool,
}

impl Recording {
    /// An answer without tokens.
    pub fn recorder(&self) -> Recorder {
        Recorder {
            recording: self.clone(),
            tokens: Vec::new(),
            logprobs: Vec::new(),
        }
    }
}

impl Recorder {
    /// The next token, and its natural log probability.
    pub fn push(&mut self, token: u32, logprob: f32) {
        self.tokens.push(token);
        self.logprobs.push(logprob);
    }

    /// Keeps the answer: it is whole, as the client gets it.
    pub fn keep(self) {
        let Recording {
            scores,
            conversation,
            behind,
        } = self.recording;
        if self.tokens.is_empty() {
            return;
        }
        let answer = ScoredAnswer {
            tokens: self.tokens,
            logprobs: self.logprobs,
            behind,
        };
        // A panic in between leaves answers that are whole.
        let mut scores = scores.lock().unwrap_or_else(PoisonError::into_inner);
        scores.keep(conversation, answer);
    }
}

impl DriftWatch {
    /// Positions of the prompt whose tokens are to be scored, ascending.
    pub fn positions(&self) -> Vec<usize> {
        self.recorded.iter().map(|&(at, _)| at).collect()
    }

    /// Compares, and flags the summary if it moves the model too far; `None` if nothing of it was
    /// computed, because the cache had it.
    pub fn judge(&self, budgeter: &Budgeter, scored: &[PromptLogprob]) -> Option<Drift> {
        let mut deltas = scored.iter().filter_map(|score| {
            let at = self
                .recorded
                .binary_search_by_key(&score.position, |one| one.0);
            let (_, recorded) = self.recorded[at.ok()?];
            Some(f64::from(recorded) - f64::from(score.logprob))
        });
        let (tokens, sum) = deltas.try_fold((0, 0.0), |(tokens, sum), delta| {
            delta.is_finite().then_some((tokens + 1, sum + delta))
        })?;
        if tokens == 0 {
            return None;
        }
        let nll_delta = sum / tokens as f64;
        let is_excessive = tokens >= MIN_JUDGED && nll_delta > self.max_nll_delta;
        let is_redone =
            is_excessive && (budgeter.ledger()).flag_drift(&self.chain, &self.segments, self.level);
        Some(Drift {
            nll_delta,
            tokens,
            is_excessive,
            is_redone,
        })
    }
}

impl Drift {
    /// What the report says of it.
    pub fn report(&self) -> DriftReport {
        DriftReport {
            nll_delta: self.nll_delta,
            tokens: self.tokens,
        }
    }

    /// What the client is told of a summary that moves the model too far.
    pub fn warning(&self) -> Option<Warning> {
        let what = match self.is_redone {
            true => "the next request gets a more detailed one",
            false => "it is as detailed as can be",
        };
        self.is_excessive.then(|| {
            let message = format!(
                "Behind the summary, the model's own answers are {:.2} nats per token less likely \
                 than when it gave them: {what}.",
                self.nll_delta
            );
            Warning::new("drift", message)
        })
    }
}

impl DraftInput {
    /// Allows no edit of an earlier request that is a summary which another one is to take the place
    /// of; those that it would have allowed.
    pub(super) fn set_drifted_apart(
        &self,
        known: &[KnownEdit],
        allowed: &mut [bool],
    ) -> Vec<Drifted> {
        let mut drifted = Vec::new();
        for (known, is_allowed) in known.iter().zip(allowed) {
            let is_accepted = self.accepted_drift.contains(&known.segments);
            if let EditOp::Compact(level) = known.edit.op
                && known.drift == DriftVerdict::Excessive
                && *is_allowed
                && !is_accepted
            {
                *is_allowed = false;
                drifted.push((known.segments.clone(), level));
            }
        }
        drifted
    }
}

/// Begins with a level that is more detailed than all of these.
pub(super) fn ask_for_detail(resolved: &mut Resolved, drifted: &[Drifted]) {
    let level = &mut resolved.policy.compaction.level;
    for (_, worse) in drifted {
        *level = worse.more_detailed().unwrap_or(*worse).min(*level);
    }
}

impl Draft {
    /// Where the answers to this request are kept, if summaries may come to stand before them. Not
    /// with documents or memories in the prompt: they are gone with the next request, and the answer
    /// would be less likely without them whatever the summary says.
    pub(super) fn recording(&self, budgeter: &Budgeter, revision: &Revision) -> Option<Recording> {
        let ladder = &self.resolved.policy.ladder;
        if !self.input.conversation.add_generation_prompt
            || !ladder.contains(&Rung::CompactHistory)
            || self.division.inserted.contains(&true)
        {
            return None;
        }
        let behind = last_summary(&revision.edits);
        Some(Recording {
            scores: budgeter.answer_scores(),
            conversation: *self.chain.keys().last()?,
            behind: behind.map(|(_, edit)| self.chain.keys()[*edit.segments.end()]),
        })
    }

    /// The same conversation with the summaries that have moved the model too far: nothing more
    /// detailed fits.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub(super) fn accepting_drift(mut self, budgeter: &Budgeter) -> Result<Self, ApiError> {
        let drifted = self.summaries.drifted().iter();
        let accepted = drifted.map(|(segments, _)| segments.clone()).collect();
        self.input.accepted_drift = accepted;
        self.again(budgeter)
    }

    /// Forgets summaries that others have taken the place of, and does not question those again
    /// that nothing could replace.
    pub(super) fn settle_drift(&self, ledger: &mut EditLedger, edits: &[StandingEdit]) {
        let new =
            |edit: &&StandingEdit| !edit.is_known && matches!(edit.edit.op, EditOp::Compact(_));
        for (segments, _) in self.summaries.drifted() {
            let mut new = edits.iter().filter(new);
            if new.any(|edit| overlap(&edit.segments, segments)) {
                ledger.supersede_drifted(&self.chain, segments);
            }
        }
        for segments in &self.input.accepted_drift {
            ledger.accept_drift(&self.chain, segments);
        }
    }

    /// What to compare behind the request's last summary; `None` if there is none, or nothing was
    /// kept of the answers behind it.
    pub(super) fn drift_watch(
        &self,
        budgeter: &Budgeter,
        revision: &Revision,
    ) -> Option<DriftWatch> {
        let (edit, summary) = last_summary(&revision.edits)?;
        let EditOp::Compact(level) = summary.edit.op else {
            return None;
        };
        let recorded = self.recorded(budgeter, revision, summary);
        (!recorded.is_empty()).then(|| DriftWatch {
            edit,
            chain: self.chain.clone(),
            segments: summary.segments.clone(),
            level,
            max_nll_delta: self.resolved.policy.compaction.max_nll_delta,
            recorded: sampled(recorded),
        })
    }

    /// Positions in the edited prompt of tokens that the model has generated before the summary
    /// stood there, and how likely they were.
    fn recorded(
        &self,
        budgeter: &Budgeter,
        revision: &Revision,
        summary: &StandingEdit,
    ) -> Vec<(usize, f32)> {
        let behind = *summary.segments.end();
        let summary = self.chain.keys()[behind];
        let scores = budgeter.answer_scores();
        // A panic in between leaves answers that are whole.
        let mut scores = scores.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recorded = Vec::new();
        for (first, before) in self.answers_behind(behind) {
            let expected = self.expected_at(first, revision);
            let answers = scores.find(&self.chain.keys()[before]);
            // Where the client or the template has changed a byte of it, nothing is compared.
            let place = answers
                .iter()
                .filter(|answer| answer.behind != Some(summary))
                .find_map(|answer| {
                    let at = find_near(&revision.tokens, &answer.tokens, expected)?;
                    Some((at, answer))
                });
            if let Some((at, answer)) = place {
                let is_next = recorded.last().is_none_or(|&(last, _)| last < at);
                let positions = (at..).zip(answer.logprobs.iter().copied());
                recorded.extend(positions.filter(|_| is_next && at > 0));
            }
        }
        recorded
    }

    /// The first segment of each of the model's messages behind a segment, and the segment that its
    /// conversation had ended with.
    fn answers_behind(&self, behind: usize) -> Vec<(usize, usize)> {
        let is_own = |at: usize| {
            let kind = &self.division.segments[at].kind;
            matches!(
                kind,
                SegmentKind::Assistant | SegmentKind::Reasoning | SegmentKind::ToolCall { .. }
            )
        };
        let message = |at: usize| self.division.places[at].message();
        let mut found = Vec::new();
        for at in behind + 1..self.division.segments.len() {
            let before = (0..at).rev().find(|&at| !self.division.inserted[at]);
            if let Some(before) = before
                && is_own(at)
                && message(before) != message(at)
            {
                found.push((at, before));
            }
        }
        found
    }

    /// About where a segment behind the last summary begins in the edited prompt: counted from the
    /// end, since a summary takes away what the template has written around its turns.
    fn expected_at(&self, segment: usize, revision: &Revision) -> usize {
        let whole = self.division.tokens.len();
        let from_end = whole.saturating_sub(self.division.segments[segment].start);
        let behind = revision.edits.iter();
        let freed: usize = behind
            .filter(|edit| *edit.segments.start() > segment)
            .map(|edit| edit.edit.before.saturating_sub(edit.edit.after))
            .sum();
        (revision.tokens.len() + freed).saturating_sub(from_end)
    }
}

/// The last compaction of a conversation, and its number among the edits.
fn last_summary(edits: &[StandingEdit]) -> Option<(usize, &StandingEdit)> {
    let mut edits = edits.iter().enumerate().rev();
    edits.find(|(_, edit)| matches!(edit.edit.op, EditOp::Compact(_)))
}

/// Where `wanted` stands in `tokens`, as near to `expected` as can be.
fn find_near(tokens: &[u32], wanted: &[u32], expected: usize) -> Option<usize> {
    let places = (0..=SLACK).flat_map(|far| [expected.checked_sub(far), Some(expected + far)]);
    places.flatten().find(|&at| {
        tokens
            .get(at..)
            .is_some_and(|rest| rest.starts_with(wanted))
    })
}

/// At most [`MAX_COMPARED`] of them, at equal distances.
fn sampled(recorded: Vec<(usize, f32)>) -> Vec<(usize, f32)> {
    let all = recorded.len();
    if all <= MAX_COMPARED {
        return recorded;
    }
    (0..MAX_COMPARED)
        .map(|at| recorded[at * all / MAX_COMPARED])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_found_as_near_as_can_be_and_not_farther_than_the_slack() {
        let mut tokens = vec![0; 300];
        for at in [40, 100, 130] {
            tokens[at..at + 3].copy_from_slice(&[7, 8, 9]);
        }
        let near = |expected| find_near(&tokens, &[7, 8, 9], expected);
        assert_eq!(
            [near(100), near(110), near(120)],
            [Some(100), Some(100), Some(130)]
        );
        assert_eq!([near(130 + SLACK), near(131 + SLACK)], [Some(130), None]);
        assert_eq!(near(0), Some(40));
        assert_eq!(find_near(&tokens, &[7, 8, 8], 100), None);
    }

    #[test]
    fn of_many_tokens_some_at_equal_distances_are_compared() {
        let recorded = |number: usize| (0..number).map(|at| (at, 0.0)).collect::<Vec<_>>();
        assert_eq!(sampled(recorded(MAX_COMPARED)), recorded(MAX_COMPARED));
        let some = sampled(recorded(3 * MAX_COMPARED));
        assert_eq!((some.len(), some[0].0, some[1].0), (MAX_COMPARED, 0, 3));
        assert!(some.is_sorted_by(|a, b| a.0 < b.0));
    }
}
