//! An episode as tokens.

use super::asker::Asker;
use super::error::EvalError;
use super::message::{Message, Role};
use super::trace::Trace;

/// The tokens of an episode, with the borders of its messages.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rendered {
    /// Of all messages, without the beginning of an answer.
    pub(super) ids: Vec<u32>,
    /// Position after each message's last token: (messages).
    pub(super) ends: Vec<usize>,
    /// What the template writes to begin an answer.
    pub(super) generation: Vec<u32>,
    /// Of each fact's question as a message: (facts).
    pub(super) questions: Vec<Vec<u32>>,
}

/// A prompt before any policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moment<'a> {
    pub(super) messages: Vec<&'a Message>,
    /// Tokens of each message.
    pub(super) counts: Vec<usize>,
    /// Of the whole prompt.
    pub(super) ids: Vec<u32>,
    /// How many of them begin the answer.
    pub(super) generation: usize,
}

impl Rendered {
    /// Asks the server.
    ///
    /// # Errors
    /// `TemplateRewrites`, and those of [`Asker::tokens`].
    pub(super) async fn of(trace: &Trace, asker: &Asker) -> Result<Self, EvalError> {
        let messages = &trace.messages;
        let ids = asker.tokens(messages, false).await?;
        let mut ends = Vec::with_capacity(messages.len());
        for count in 1..messages.len() {
            let begun = asker.tokens(&messages[..count], false).await?;
            if !ids.starts_with(&begun) {
                return Err(EvalError::TemplateRewrites { messages: count });
            }
            ends.push(begun.len());
        }
        ends.push(ids.len());
        let answered = asker.tokens(messages, true).await?;
        let rewrites = EvalError::TemplateRewrites {
            messages: messages.len(),
        };
        let Some(generation) = answered.strip_prefix(ids.as_slice()).map(<[u32]>::to_vec) else {
            return Err(rewrites);
        };
        let mut questions = Vec::with_capacity(trace.facts.len());
        for planted in &trace.facts {
            let mut asked = messages.clone();
            asked.push(Message::new(Role::User, &planted.fact.question));
            let asked = asker.tokens(&asked, false).await?;
            match asked.strip_prefix(ids.as_slice()) {
                Some(question) => questions.push(question.to_vec()),
                None => return Err(rewrites),
            }
        }
        Ok(Self {
            ids,
            ends,
            generation,
            questions,
        })
    }

    /// Tokens of the longest prompt: all messages and the longest question.
    pub(super) fn full_tokens(&self) -> usize {
        let question = self.questions.iter().map(Vec::len).max().unwrap_or(0);
        self.ids.len() + question + self.generation.len()
    }

    /// Tokens of each message.
    pub(super) fn counts(&self) -> Vec<usize> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        self.ends
            .iter()
            .zip(starts)
            .map(|(end, start)| end - start)
            .collect()
    }

    /// The prompt of the turn in which the message of that number was said.
    pub(super) fn turn<'a>(&self, trace: &'a Trace, answer: usize) -> Moment<'a> {
        let until = answer.checked_sub(1).map_or(0, |last| self.ends[last]);
        let ids = [&self.ids[..until], &self.generation].concat();
        Moment {
            messages: trace.messages[..answer].iter().collect(),
            counts: self.counts()[..answer].to_vec(),
            ids,
            generation: self.generation.len(),
        }
    }

    /// The prompt that asks for the fact of that number; `question` is its message.
    pub(super) fn probe<'a>(
        &self,
        trace: &'a Trace,
        fact: usize,
        question: &'a Message,
    ) -> Moment<'a> {
        let tokens = &self.questions[fact];
        let mut messages: Vec<&Message> = trace.messages.iter().collect();
        messages.push(question);
        let mut counts = self.counts();
        counts.push(tokens.len());
        Moment {
            messages,
            counts,
            ids: [self.ids.as_slice(), tokens, &self.generation].concat(),
            generation: self.generation.len(),
        }
    }
}
