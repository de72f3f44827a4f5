//! One agent at work.

use std::sync::Arc;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::conversation::Conversation;
use super::ending::{Ending, Roster};
use super::script::{Line, Script};
use super::turn::Turn;
use crate::bench::BenchError;
use crate::bench::asker::Asker;
use crate::bench::endpoint::Endpoint;
use crate::bench::ledger::Ledger;
use crate::bench::outcome::ms;
use crate::measure::ServerError;
use crate::measure::client::StreamAnswer;
use crate::measure::clock;

/// What the agents of a run share.
#[derive(Debug, Clone)]
pub(super) struct Office {
    pub(super) asker: Arc<Asker>,
    pub(super) ledger: Ledger<Turn>,
    pub(super) roster: Roster,
    pub(super) bar: ProgressBar,
    pub(super) turns: u32,
    /// Fields that every request has besides its messages and its length.
    pub(super) settings: Value,
}

/// An agent.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) office: Office,
    /// From 1.
    pub(super) number: u32,
    pub(super) script: Script,
    pub(super) conversation: Conversation,
    /// Prompt and answer of the turn before in tokens, where the server counts them.
    pub(super) previous: Option<(u64, u64)>,
}

impl Worker {
    /// Takes its turns, and leaves in the roster how it ended.
    pub(super) async fn work(mut self) {
        for turn in 1..=self.office.turns {
            self.end_with(Ending::Interrupted { turn });
            if let Err(ending) = self.take(turn).await {
                self.office.bar.inc(u64::from(self.office.turns - turn) + 1);
                self.end_with(ending);
                return;
            }
            self.office.bar.inc(1);
        }
        self.end_with(Ending::Finished);
    }

    fn end_with(&self, ending: Ending) {
        self.office.roster.set(self.number, ending);
    }

    /// # Errors
    /// How the agent ends, unless the turn was answered.
    async fn take(&mut self, turn: u32) -> Result<(), Ending> {
        let line = self.script.next_line();
        tokio::time::sleep(line.pause).await;
        if let Some(says) = self.overflow(&line) {
            return Err(Ending::ContextFull { turn, says });
        }
        let role = self.conversation.read(&line.passage.text);
        let mut body = self.office.settings.clone();
        body["messages"] = json!(self.conversation.messages());
        body["max_tokens"] = json!(line.output_len);
        let asked = Turn {
            agent: self.number,
            turn,
            pause_ms: ms(line.pause),
            input_len: line.passage.tokens,
            role,
            broken_calls: self.conversation.broken_calls(),
            output_len: line.output_len,
            previous_prompt_tokens: self.previous.map(|(prompt, _)| prompt),
            reusable_tokens: self.previous.map(|(prompt, answer)| prompt + answer),
        };
        let ledger = &self.office.ledger;
        let ticket = ledger.open(asked, clock::monotonic());
        let answer = self.office.asker.send(Endpoint::Chat, body).await;
        if let Some(says) = too_long(&answer) {
            ledger.withdraw(ticket);
            return Err(Ending::ContextFull { turn, says });
        }
        ledger.close(ticket, &answer);
        match answer {
            Ok(answer) => {
                self.conversation.hear(&answer);
                let usage = answer.usage;
                self.previous = usage.prompt_tokens.zip(usage.completion_tokens);
                Ok(())
            }
            Err(error) => Err(Ending::Failed {
                turn,
                error: error.to_string(),
            }),
        }
    }

    /// Why `line` is too much for the server, by its own limit: some servers do not refuse then, but
    /// forget the beginning of the prompt.
    fn overflow(&self, line: &Line) -> Option<String> {
        let (limit, (prompt, answer)) = self.office.asker.limit().zip(self.previous)?;
        let [result, output] = [line.passage.tokens, line.output_len].map(u64::from);
        let tokens = prompt + answer + result + output;
        (tokens > limit).then(|| {
            format!(
                "about {tokens} tokens ({prompt} of the prompt before, {answer} of its answer, \
                 {result} of a result, {output} to generate), max_model_len is {limit}"
            )
        })
    }
}

/// The server's words, where it refused because of the length.
fn too_long(answer: &Result<StreamAnswer, BenchError>) -> Option<String> {
    match answer {
        Err(BenchError::Server(ServerError::Refused(refusal))) if refusal.is_too_long() => {
            Some(refusal.message.clone())
        }
        _ => None,
    }
}
