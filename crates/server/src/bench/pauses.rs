//! How long a client does something else.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand_distr::{Distribution as _, Uniform};
use serde::{Serialize, Serializer};

use super::distribution::Distribution;
use crate::measure::random::Random;

/// The longest that may be asked for, in seconds: a day.
const LONGEST: f64 = 86_400.0;

/// A distribution of seconds, at least 0: `S`, `MIN..MAX`, `normal:MEAN,SD` or
/// `lognormal:MEDIAN,SIGMA`, the last two within three standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pauses(Distribution<f64>);

impl Pauses {
    /// A pause.
    pub(super) fn draw(self, random: &mut Random) -> Duration {
        Duration::from_secs_f64(match self.0 {
            Distribution::Fixed(seconds) => seconds,
            Distribution::Uniform(min, max) => {
                let pauses = Uniform::new_inclusive(min, max).expect("checked when it was read");
                pauses.sample(random)
            }
            Distribution::Curve(curve) => {
                let (least, most) = curve.ends();
                // The ends are rounded, and without a spread every number is both of them.
                let margin = 1e-9 * most.abs();
                let pauses = (least - margin).max(0.0)..=most + margin;
                curve.first(random, |seconds| {
                    pauses.contains(&seconds).then_some(seconds)
                })
            }
        })
    }

    /// # Errors
    /// Why nothing of the kind can be drawn.
    fn check(self) -> Result<Self, &'static str> {
        let (is_sound, longest) = match self.0 {
            Distribution::Fixed(seconds) => (seconds >= 0.0, seconds),
            Distribution::Uniform(min, max) => (0.0 <= min && min <= max, max),
            Distribution::Curve(curve) => (curve.is_sound(0.0), curve.ends().1),
        };
        if !is_sound {
            return Err("pauses are at least 0, and their spread is not negative");
        }
        if longest > LONGEST {
            return Err("the longest would be more than a day");
        }
        Ok(self)
    }
}

impl FromStr for Pauses {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self(text.parse()?)
            .check()
            .map_err(|reason| format!("{text:?}: {reason}"))
    }
}

impl fmt::Display for Pauses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Serialize for Pauses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
