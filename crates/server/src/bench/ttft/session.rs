//! The requests of a run, one after the other.

use super::args::{HitRate, TtftArgs};
use super::measurement::{Measurement, Place};
use crate::bench::asker::{Asker, Longest, Target};
use crate::bench::error::BenchError;
use crate::bench::prompt::PromptSource;
use crate::measure::client::StreamAnswer;

/// A server that has answered.
#[derive(Debug)]
pub(super) struct Session<'a> {
    args: &'a TtftArgs,
    asker: Asker,
    source: PromptSource,
    /// What the user should know about how the server is asked.
    pub(super) notes: Vec<String>,
}

impl<'a> Session<'a> {
    /// Finds out how the server is asked.
    ///
    /// # Errors
    /// Any [`BenchError`] but those of the command line.
    pub(super) async fn open(args: &'a TtftArgs, seed: u64) -> Result<Self, BenchError> {
        let longest = Longest {
            prompt_tokens: args.prompt_tokens,
            max_tokens: args.max_tokens,
            option: "--prompt-tokens",
        };
        let mut asker = Asker::open(&args.server, longest, seed).await?;
        Ok(Self {
            args,
            source: PromptSource::new(asker.form().clone(), seed),
            notes: std::mem::take(&mut asker.notes),
            asker,
        })
    }

    pub(super) fn target(&self) -> Target {
        self.asker.target()
    }

    /// The order in which one repetition takes the hit rates.
    pub(super) fn order(&mut self) -> Vec<HitRate> {
        self.source.order(&self.args.hit_rates)
    }

    /// One request of full length whose time does not count: buffers, graphs and the connection
    /// are there afterwards.
    ///
    /// # Errors
    /// Those of a streamed request.
    pub(super) async fn warm_up(&mut self) -> Result<(), BenchError> {
        let prompt = self.source.fresh(self.len());
        self.ask(&prompt).await.map(|_| ())
    }

    /// Warms the cache as `place` asks, then measures.
    ///
    /// # Errors
    /// Those of a streamed request.
    pub(super) async fn measure(&mut self, place: Place) -> Result<Measurement, BenchError> {
        let pair = self.source.pair(place.hit_rate, self.len());
        let warming = match &pair.warming {
            Some(prompt) => Some(self.ask(prompt).await?),
            None => None,
        };
        let answer = self.ask(&pair.measured).await?;
        Ok(Measurement::new(place, warming.as_ref(), &answer))
    }

    fn len(&self) -> usize {
        self.source.form().units_for(self.args.prompt_tokens)
    }

    async fn ask(&self, prompt: &[u32]) -> Result<StreamAnswer, BenchError> {
        self.asker.ask(prompt, self.args.max_tokens, &[]).await
    }
}
