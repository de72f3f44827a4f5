//! Requests of the workloads: token ids drawn from numpy's PCG64, a stream of their own for each
//! workload and repetition, so that no two prompts begin alike unless they should.

use super::generator::Generator;
use super::scale::Scale;

/// Token ids are uniform on this range: inside of both vocabularies, below every special token.
const IDS: (u32, u32) = (1_000, 100_000);

/// A prompt and how many tokens are generated behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Token ids.
    pub prompt: Vec<u32>,
    /// Tokens to generate.
    pub max_tokens: usize,
}

/// Prompts that begin alike: `base`, and others that share its first `shared` tokens.
pub(crate) struct Probes {
    pub(crate) base: Request,
    pub(crate) shared: usize,
    pub(crate) probes: Vec<Request>,
}

/// Draws requests of one size.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// By what counts and lengths are divided.
    pub scale: Scale,
    /// Ids are taken modulo it: nothing changes if it has all that are drawn.
    pub vocab_size: usize,
}

impl Requests {
    /// Decoding of one stream: a prompt of its own for each repetition.
    pub(crate) fn single(&self, prompt_len: usize, repetition: u32) -> Vec<Request> {
        let stream = 100_000 + prompt_len as u32 * 16 + repetition;
        self.fixed(stream, 1, prompt_len, 256)
    }

    /// Decoding of `count` streams behind 128 tokens each.
    pub fn batch(&self, count: usize, repetition: u32) -> Vec<Request> {
        let stream = 2_000_000 + count as u32 * 16 + repetition;
        self.fixed(stream, count, 128, 256)
    }

    /// Prompts alone.
    pub(crate) fn prefill(&self, count: usize, prompt_len: usize, repetition: u32) -> Vec<Request> {
        let stream = 3_000_000 + prompt_len as u32 * 16 + repetition;
        self.fixed(stream, count, prompt_len, 1)
    }

    /// `count` prompts of which the first `shared` tokens, about `percent` %, are the base's.
    pub(crate) fn probes(
        &self,
        prompt_len: usize,
        (percent, shared): (u32, usize),
        count: usize,
    ) -> Probes {
        let mut ids = self.ids(4_000_000 + prompt_len as u32 * 1_000 + percent * 8);
        let (prompt_len, shared) = (
            self.scale.of(prompt_len),
            self.scale.of_shared(shared, prompt_len),
        );
        let base = ids.draw(prompt_len);
        let probe = |_| {
            let mut prompt = base[..shared].to_vec();
            prompt.extend(ids.draw(prompt_len - shared));
            Request::with_prompt(prompt, 1)
        };
        Probes {
            probes: (0..count).map(probe).collect(),
            base: Request::with_prompt(base, 1),
            shared,
        }
    }

    /// 512 requests of many lengths, behind `shared` tokens that all have in common: the same lengths
    /// and tails whatever is shared.
    pub(crate) fn mixed(&self, shared: usize) -> Vec<Request> {
        let mut ids = self.ids(5_000_000);
        let count = self.scale.of(512);
        let mut lengths = |least: u32, end: u32| -> Vec<usize> {
            let drawn = (0..count).map(|_| ids.generator.below(least, end) as usize);
            drawn.map(|length| self.scale.of(length)).collect()
        };
        let (prompts, outputs) = (lengths(128, 2_049), lengths(16, 513));
        let prefix = match shared {
            0 => Vec::new(),
            shared => self.ids(5_000_001).draw(self.scale.of(shared)),
        };
        let lengths = prompts.into_iter().zip(outputs);
        lengths
            .map(|(prompt_len, max_tokens)| {
                let prompt = [&prefix[..], &ids.draw(prompt_len)].concat();
                Request::with_prompt(prompt, max_tokens)
            })
            .collect()
    }

    /// What comes first, untimed.
    pub fn warm_up(&self) -> Vec<Request> {
        let mut ids = self.ids(9_000_000);
        let long = [(128, 16), (1_000, 16), (3_000, 8), (9_000, 4)];
        let short = std::iter::repeat_n((200, 8), self.scale.of(60));
        long.into_iter()
            .chain(short)
            .map(|(prompt_len, output_len)| {
                let prompt = ids.draw(self.scale.of(prompt_len));
                Request::with_prompt(prompt, self.scale.of(output_len))
            })
            .collect()
    }

    fn fixed(
        &self,
        stream: u32,
        count: usize,
        prompt_len: usize,
        output_len: usize,
    ) -> Vec<Request> {
        let mut ids = self.ids(stream);
        let (prompt_len, output_len) = (self.scale.of(prompt_len), self.scale.of(output_len));
        (0..self.scale.of(count))
            .map(|_| Request::with_prompt(ids.draw(prompt_len), output_len))
            .collect()
    }

    fn ids(&self, stream: u32) -> Ids {
        Ids {
            generator: Generator::new(0, stream),
            vocab_size: self.vocab_size,
        }
    }
}

impl Request {
    fn with_prompt(prompt: Vec<u32>, max_tokens: usize) -> Self {
        Self { prompt, max_tokens }
    }
}

/// Draws token ids.
struct Ids {
    generator: Generator,
    vocab_size: usize,
}

impl Ids {
    fn draw(&mut self, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| (self.generator.below(IDS.0, IDS.1) as usize % self.vocab_size) as u32)
            .collect()
    }
}

#[cfg(test)]
mod tests;
