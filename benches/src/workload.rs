//! Named workloads, the same for every program that is compared.

use std::fmt;
use std::str::FromStr;

/// What one repetition computes.
///
/// Written as `llama-bench` names its tests: `pp512` is a prompt of 512 tokens, `tg128` are 128
/// tokens generated one after the other; `tg32x8@128` are 32 tokens for each of 8 sequences that
/// are computed together and have 128 tokens behind them, and with `tg32x8@shared1024` they have
/// the same 1,024, which are computed and kept once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Compute a prompt into an empty KV cache and take the last token's logits.
    Prefill {
        /// Tokens of the prompt.
        tokens: usize,
    },
    /// Steps of one token per sequence, each with logits.
    Decode {
        /// Steps.
        tokens: usize,
        /// Sequences in each step.
        sequences: usize,
        /// Tokens of each sequence before the first step; computing them is not timed.
        context: usize,
        /// Whether those tokens are the same for all, and their KV is kept once.
        is_shared: bool,
    },
}

/// A name that is no workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownWorkload(String);

impl Workload {
    /// Sequences that it holds at once.
    pub fn sequences(&self) -> usize {
        match *self {
            Self::Prefill { .. } => 1,
            Self::Decode { sequences, .. } => sequences,
        }
    }

    /// Tokens at the start of every sequence that are the same and kept once.
    pub fn shared_len(&self) -> usize {
        match *self {
            Self::Decode {
                context,
                is_shared: true,
                ..
            } => context,
            _ => 0,
        }
    }

    /// Tokens of each sequence at its end.
    pub fn context(&self) -> usize {
        match *self {
            Self::Prefill { tokens } => tokens,
            Self::Decode {
                tokens, context, ..
            } => context + tokens,
        }
    }

    /// Tokens that it times.
    pub fn timed_tokens(&self) -> usize {
        match *self {
            Self::Prefill { tokens } => tokens,
            Self::Decode {
                tokens, sequences, ..
            } => tokens * sequences,
        }
    }
}

/// Token `position` of sequence `sequence`: scattered over the vocabulary, the same in every
/// program that is compared.
pub fn token(sequence: usize, position: usize, vocab_size: usize) -> u32 {
    let index = (sequence * 65_536 + position) as u32;
    index.wrapping_mul(2_654_435_761) % vocab_size as u32
}

impl FromStr for Workload {
    type Err = UnknownWorkload;

    fn from_str(name: &str) -> Result<Self, UnknownWorkload> {
        let unknown = || UnknownWorkload(name.to_owned());
        let count = |digits: &str| match digits.parse() {
            Ok(count) if count > 0 => Ok(count),
            _ => Err(unknown()),
        };
        if let Some(tokens) = name.strip_prefix("pp") {
            return Ok(Self::Prefill {
                tokens: count(tokens)?,
            });
        }
        let rest = name.strip_prefix("tg").ok_or_else(unknown)?;
        let (rest, context, is_shared) = match rest.split_once('@') {
            Some((rest, context)) => match context.strip_prefix("shared") {
                Some(context) => (rest, count(context)?, true),
                None => (rest, count(context)?, false),
            },
            None => (rest, 0, false),
        };
        let (tokens, sequences) = match rest.split_once('x') {
            Some((tokens, sequences)) => (tokens, count(sequences)?),
            None => (rest, 1),
        };
        Ok(Self::Decode {
            tokens: count(tokens)?,
            sequences,
            context,
            is_shared,
        })
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Prefill { tokens } => write!(f, "pp{tokens}"),
            Self::Decode {
                tokens,
                sequences,
                context,
                is_shared,
            } => {
                write!(f, "tg{tokens}")?;
                if sequences > 1 {
                    write!(f, "x{sequences}")?;
                }
                if context > 0 {
                    let shared = if is_shared { "shared" } else { "" };
                    write!(f, "@{shared}{context}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for UnknownWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no workload; write for example pp512, tg128 or tg32x8@128",
            self.0
        )
    }
}

impl std::error::Error for UnknownWorkload {}

#[cfg(test)]
mod tests;
