//! A simulated client: what it asked, what it heard, when it leaves.

use std::sync::{Arc, Mutex};

use kv_cache::TokenId;
use models::testing::FakeRunner;
use models::{LogSoftmax, LoraAdapter};

use super::adapters::again;
use super::constraint::{BREAKS_AFTER, Thirds};
use super::occurrences::Occurrences;
use super::scenario::{Submission, VOCAB_SIZE};
use crate::sampler::{Row, RowSampler};
use crate::{AdapterHandle, Event, EventSink, FinishReason, PromptLogprob, RequestError};

/// What a client has heard so far; shared between the world and the sink in the engine.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) tokens: Vec<TokenId>,
    pub(super) finished: Option<FinishReason>,
    pub(super) failed: Option<RequestError>,
    /// Prompt tokens taken from the cache.
    pub(super) admitted: Option<usize>,
    pub(super) left: bool,
    preempted: bool,
    /// Everything, in order, for the comparison of two runs.
    pub(super) log: Vec<String>,
    scored: Option<Vec<PromptLogprob>>,
    state: Option<Vec<f32>>,
    events: usize,
}

pub(super) struct Client {
    pub(super) submission: Submission,
    /// Salt that its prefixes are shared under.
    pub(super) salt: Vec<u8>,
    /// What it is computed with, to compute it alone.
    adapter: Option<LoraAdapter>,
    pub(super) heard: Arc<Mutex<Heard>>,
}

/// The engine's end of a client.
struct ClientSink {
    heard: Arc<Mutex<Heard>>,
    max_events: usize,
    leaves_after: Option<usize>,
}

impl EventSink for ClientSink {
    fn send(&mut self, event: Event) {
        let mut heard = self.heard.lock().unwrap();
        assert!(
            heard.finished.is_none() && heard.failed.is_none(),
            "an event after the end"
        );
        heard.log.push(format!("{event:?}"));
        heard.events += 1;
        assert!(
            heard.events <= self.max_events,
            "more events than the sink has room for"
        );
        match event {
            Event::Admitted(admission) => {
                assert_eq!(heard.admitted, None, "admitted twice");
                heard.admitted = Some(admission.cached_tokens);
            }
            Event::Scored(scored) => {
                assert!(heard.admitted.is_some(), "scored before the admission");
                assert!(heard.tokens.is_empty() && heard.scored.is_none());
                heard.scored = Some(scored);
            }
            Event::Embedded(state) => {
                assert!(heard.admitted.is_some(), "a state before the admission");
                assert!(heard.tokens.is_empty() && heard.state.is_none());
                heard.state = Some(state);
            }
            Event::Token(output) => {
                assert!(heard.admitted.is_some(), "a token before the admission");
                heard.tokens.push(output.token);
            }
            Event::Finished(completion) => {
                let stop_token = matches!(completion.reason, FinishReason::Stop(_));
                let expected = heard.tokens.len() + usize::from(stop_token);
                assert_eq!(completion.completion_tokens, expected);
                heard.preempted = completion.preemptions > 0;
                heard.finished = Some(completion.reason);
            }
            Event::Failed(error) => heard.failed = Some(error),
        }
        heard.left |= self
            .leaves_after
            .is_some_and(|tokens| heard.tokens.len() >= tokens);
    }

    fn is_closed(&self) -> bool {
        self.heard.lock().unwrap().left
    }
}

impl Client {
    pub(super) fn new(submission: Submission, adapter: Option<&(u64, AdapterHandle)>) -> Self {
        Self {
            salt: match adapter {
                None => submission.cache_salt.clone(),
                Some((_, adapter)) => adapter.cache_salt(&submission.cache_salt),
            },
            adapter: again(adapter.map(|(identity, _)| *identity)),
            submission,
            heard: Arc::default(),
        }
    }

    pub(super) fn sink(&self) -> Box<dyn EventSink> {
        Box::new(ClientSink {
            heard: Arc::clone(&self.heard),
            max_events: self.submission.stop.max_tokens + 4,
            leaves_after: self.submission.leaves_after,
        })
    }

    /// Compares what was heard with the same request run alone.
    pub(super) fn check(&self, refused: bool, may_fail: bool) {
        let heard = self.heard.lock().unwrap();
        if refused {
            assert!(heard.log.is_empty(), "a refused request heard something");
            return;
        }
        self.check_scores(&heard);
        self.check_state(&heard);
        let (tokens, reason) = self.alone();
        assert!(
            tokens.starts_with(&heard.tokens),
            "{:?} is no start of {tokens:?}",
            heard.tokens
        );
        match (&heard.finished, &heard.failed) {
            (Some(finished), None) => {
                assert_eq!(*finished, reason);
                assert_eq!(heard.tokens, tokens);
            }
            (None, Some(RequestError::Model(_))) => assert!(may_fail, "no step was to fail"),
            (None, Some(RequestError::Constraint(_))) => {
                assert_eq!(self.submission.constraint(), Some(true));
                assert_eq!(heard.tokens.len(), BREAKS_AFTER);
            }
            (None, Some(RequestError::Refused(_))) => assert!(heard.tokens.is_empty()),
            (None, Some(RequestError::Abandoned)) => assert!(self.submission.background),
            (None, Some(RequestError::ShutDown)) => panic!("nobody shut the engine down"),
            (None, None) => assert!(heard.left, "the request never ended"),
            (Some(_), Some(_)) => panic!("the request ended twice"),
        }
    }

    /// Adds how this request ended.
    pub(super) fn count(&self, refused: bool, occurrences: &mut Occurrences) {
        let heard = self.heard.lock().unwrap();
        occurrences.refused_as_too_long += u64::from(refused);
        occurrences.left += u64::from(heard.left && heard.finished.is_none());
        occurrences.finished += u64::from(heard.finished.is_some());
        let constrained = self.submission.constraint().is_some();
        let adapted = heard.finished.is_some() && self.adapter.is_some();
        occurrences.adapted += u64::from(adapted);
        occurrences.constrained += u64::from(heard.finished.is_some() && constrained);
        match heard.failed {
            Some(RequestError::Model(_)) => occurrences.failed_with_a_step += 1,
            Some(RequestError::Refused(_)) => occurrences.refused_by_queue += 1,
            Some(RequestError::Abandoned) => occurrences.abandoned += 1,
            Some(RequestError::Constraint(_)) => occurrences.broken_constraints += 1,
            Some(RequestError::ShutDown) | None => {}
        }
    }

    /// The state is that of the prompt's last token, whatever was cached.
    fn check_state(&self, heard: &Heard) {
        let is_due = !heard.tokens.is_empty() || heard.finished.is_some();
        let ids: Vec<u32> = self.submission.prompt.iter().map(|token| token.0).collect();
        let expected = FakeRunner::oracle_state(self.adapter.as_ref(), &ids).to_vec();
        match &heard.state {
            Some(state) => assert!(self.submission.embeds() && *state == expected),
            None => assert!(!is_due || !self.submission.embeds(), "no state was told"),
        }
    }

    /// Every token that was not cached is scored once, by all that stands before it.
    fn check_scores(&self, heard: &Heard) {
        let (wanted, prompt) = (self.submission.scored(), &self.submission.prompt);
        let Some(scored) = &heard.scored else {
            let is_due = !heard.tokens.is_empty() || heard.finished.is_some();
            assert!(!is_due || wanted.is_empty(), "nothing was scored");
            return;
        };
        let cached = heard.admitted.unwrap_or(0);
        let positions: Vec<usize> = scored.iter().map(|score| score.position).collect();
        let mut expected = wanted;
        expected.retain(|&position| position > cached);
        if heard.finished.is_some() && !heard.preempted {
            assert_eq!(positions, expected, "{cached} tokens were cached");
        }
        // After a preemption the cache may spare what others have computed meanwhile.
        expected.retain(|position| positions.contains(position));
        assert_eq!(positions, expected);
        let ids: Vec<u32> = prompt.iter().map(|token| token.0).collect();
        // A few of them: each hashes all that stands before it.
        for &PromptLogprob { position, logprob } in scored.iter().step_by(1 + scored.len() / 4) {
            let adapter = self.adapter.as_ref();
            let logits = FakeRunner::adapted_logits(VOCAB_SIZE, adapter, &ids[..position]);
            let softmax = LogSoftmax::new(&logits).unwrap();
            let by_definition = softmax.logprob(logits[ids[position] as usize]);
            assert_eq!(logprob, by_definition, "the token at {position}");
        }
    }

    /// The answer by definition: no batch, no blocks, no cache.
    fn alone(&self) -> (Vec<TokenId>, FinishReason) {
        let Submission {
            prompt,
            sampling,
            stop,
            ..
        } = &self.submission;
        let mut sampler = RowSampler::default();
        let mut history = prompt.clone();
        let mut tokens = Vec::new();
        loop {
            let ids: Vec<u32> = history.iter().map(|token| token.0).collect();
            let logits = FakeRunner::adapted_logits(VOCAB_SIZE, self.adapter.as_ref(), &ids);
            let forbidden: &[TokenId] = if tokens.len() < stop.min_tokens {
                &stop.stop_token_ids
            } else {
                &[]
            };
            let allowed = self.submission.constraint().map(|_| Thirds::mask(&tokens));
            let row = Row {
                params: sampling,
                history: &history,
                prompt_len: prompt.len(),
                forbidden,
                allowed: allowed.as_ref(),
            };
            let token = sampler.sample(&logits, row).unwrap().token;
            if stop.stop_token_ids.contains(&token) {
                return (tokens, FinishReason::Stop(token));
            }
            history.push(token);
            tokens.push(token);
            if tokens.len() == stop.max_tokens {
                return (tokens, FinishReason::Length);
            }
        }
    }
}
