//! What agents say and read, drawn from the seed.

use std::time::Duration;

use serde_json::Value;

use super::args::AgentArgs;
use crate::bench::prompt::{PromptForm, PromptSource};
use crate::measure::random::Random;

/// The texts of one agent, one turn after the other: the same seed gives the same ones, whatever the
/// other agents do meanwhile.
#[derive(Debug)]
pub(super) struct Script {
    args: AgentArgs,
    /// The task, until the first turn has taken it.
    task: Option<Passage>,
    source: PromptSource,
    random: Random,
}

/// A text.
#[derive(Debug, Clone)]
pub(super) struct Passage {
    pub(super) text: Value,
    /// As it was asked for, in tokens.
    pub(super) tokens: u32,
}

/// What a turn adds, and what it asks for.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Before the request is sent; none before the first.
    pub(super) pause: Duration,
    /// The task, or a tool's result.
    pub(super) passage: Passage,
    /// Tokens to generate.
    pub(super) output_len: u32,
}

/// The common system prompt, and the script of each agent.
pub(super) fn write(args: &AgentArgs, form: &PromptForm, seed: u64) -> (Value, Vec<Script>) {
    let mut source = PromptSource::new(form.clone(), seed);
    let mut random = Random::new(!seed);
    let system = source.fresh(form.units_for(args.system_len));
    let script = |_| {
        let mut own = Random::new(random.next_u64());
        let tokens = args.input_len.draw(&mut own);
        // From the common source, so that no two tasks begin alike.
        let task = source.fresh(form.units_within(tokens));
        Script {
            args: args.clone(),
            task: Some(Passage {
                text: form.render(&task),
                tokens,
            }),
            source: PromptSource::new(form.clone(), own.next_u64()),
            random: own,
        }
    };
    let scripts = (0..args.agents).map(script).collect();
    (form.render(&system), scripts)
}

impl Script {
    /// The next turn.
    pub(super) fn next_line(&mut self) -> Line {
        let (pause, passage) = match self.task.take() {
            Some(task) => (Duration::ZERO, task),
            None => {
                let pause = self.args.pause.draw(&mut self.random);
                let tokens = self.args.result_len.draw(&mut self.random);
                let len = self.source.form().units_within(tokens);
                let units = self.source.fresh(len);
                let text = self.source.form().render(&units);
                (pause, Passage { text, tokens })
            }
        };
        Line {
            pause,
            passage,
            output_len: self.args.output_len.draw(&mut self.random),
        }
    }
}

#[cfg(test)]
mod tests;
