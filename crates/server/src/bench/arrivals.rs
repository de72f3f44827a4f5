//! When requests arrive.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand_distr::{Distribution, Gamma};
use serde::{Serialize, Serializer};

use crate::measure::random::Random;

/// Requests per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(f64);

/// Times of arrival, whatever the server does meanwhile: an open loop. The gaps have a gamma
/// distribution, as in vLLM's benchmark: at a burstiness of 1 they are exponential, a Poisson process.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Gaps in seconds; absent where all come at once.
    gaps: Option<Gamma<f64>>,
    at: Duration,
}

impl Rate {
    /// All at once.
    pub const INFINITE: Self = Self(f64::INFINITY);

    /// Whether requests arrive all at once.
    #[must_use]
    pub fn is_infinite(self) -> bool {
        self.0.is_infinite()
    }
}

impl Arrivals {
    /// `burstiness` is positive and finite.
    pub(super) fn new(rate: Rate, burstiness: f64) -> Self {
        let scale = 1.0 / (rate.0 * burstiness);
        let gaps = (!rate.is_infinite())
            .then(|| Gamma::new(burstiness, scale).expect("both are positive"));
        Self {
            gaps,
            at: Duration::ZERO,
        }
    }

    /// When the next one arrives, after the beginning: the first one at once.
    pub(super) fn next(&mut self, random: &mut Random) -> Duration {
        let at = self.at;
        if let Some(gaps) = &self.gaps {
            self.at += Duration::from_secs_f64(gaps.sample(random));
        }
        at
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().parse::<f64>() {
            Ok(rate) if rate > 1e-6 => Ok(Self(rate)),
            _ => Err(format!(
                "{text:?} is no number of requests per second above 0, nor inf"
            )),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl Serialize for Rate {
    /// A number, or `"inf"`, which JSON has no number for.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_infinite() {
            return serializer.serialize_str("inf");
        }
        serializer.serialize_f64(self.0)
    }
}

#[cfg(test)]
mod tests;
