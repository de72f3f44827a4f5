//! What is asked, and when.

use std::time::Duration;

use serde::Serialize;

use super::args::LoadArgs;
use crate::bench::arrivals::Arrivals;
use crate::bench::prompt::{PromptForm, PromptSource};
use crate::measure::random::Random;

/// The requests of a run, drawn one after the other from the seed: the same seed gives the same
/// requests at the same times.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    args: &'a LoadArgs,
    source: PromptSource,
    /// Units of each group's prefix.
    prefixes: Vec<Vec<u32>>,
    arrivals: Arrivals,
    /// Apart from the prompts', so that arrivals do not depend on the tokenizer.
    random: Random,
    next: u32,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) asked: Asked,
    /// After the beginning.
    pub(super) at: Duration,
    /// Units of the form.
    pub(super) prompt: Vec<u32>,
}

/// What a request asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Asked {
    /// From 0, in order of arrival.
    pub(super) index: u32,
    /// Requests of a group begin with the same tokens.
    pub(super) prefix_group: Option<u32>,
    /// Tokens besides the prefix.
    pub(super) input_len: u32,
    /// Tokens to generate.
    pub(super) output_len: u32,
}

impl<'a> Plan<'a> {
    pub(super) fn new(args: &'a LoadArgs, form: PromptForm, seed: u64) -> Self {
        let mut source = PromptSource::new(form, seed);
        let prefixes = match args.prefix_len {
            0 => Vec::new(),
            tokens => {
                let len = source.form().units_for(tokens);
                (0..args.prefix_groups).map(|_| source.fresh(len)).collect()
            }
        };
        Self {
            args,
            source,
            prefixes,
            arrivals: Arrivals::new(args.request_rate, args.burstiness),
            random: Random::new(!seed),
            next: 0,
        }
    }

    /// A prompt of the shortest kind, which shares nothing with the plan's.
    pub(super) fn warm_up(&mut self) -> Vec<u32> {
        self.source.fresh(2)
    }
}

impl Iterator for Plan<'_> {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if self.next == self.args.num_prompts {
            return None;
        }
        let at = self.arrivals.next(&mut self.random);
        let input_len = self.args.input_len.draw(&mut self.random);
        let output_len = self.args.output_len.draw(&mut self.random);
        let group = match self.prefixes.len() {
            0 => None,
            groups => Some(self.random.below(groups)),
        };
        let mut prompt = group.map_or_else(Vec::new, |group| self.prefixes[group].clone());
        let own = self.source.form().units_for(input_len);
        prompt.extend(self.source.fresh(own));
        let asked = Asked {
            index: self.next,
            prefix_group: group.map(|group| group as u32),
            input_len,
            output_len,
        };
        self.next += 1;
        Some(Planned { asked, at, prompt })
    }
}

#[cfg(test)]
mod tests;
