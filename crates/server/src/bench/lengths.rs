//! How long prompts and answers are.

use std::fmt;
use std::str::FromStr;

use rand_distr::{Distribution as _, Uniform};
use serde::{Serialize, Serializer};

use super::distribution::Distribution;
use crate::measure::random::Random;

/// The longest that may be asked for.
const LONGEST: u32 = 16_777_216;

/// A distribution of lengths in tokens, at least 1: `N`, `MIN..MAX`, `normal:MEAN,SD` or
/// `lognormal:MEDIAN,SIGMA`, the last two within three standard deviations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lengths(Distribution<u32>);

impl Lengths {
    /// The longest that is ever drawn.
    #[must_use]
    pub fn longest(self) -> u32 {
        match self.0 {
            Distribution::Fixed(length) => length,
            Distribution::Uniform(_, max) => max,
            Distribution::Curve(curve) => curve.ends().1.floor() as u32,
        }
    }

    /// A length.
    pub(super) fn draw(self, random: &mut Random) -> u32 {
        match self.0 {
            Distribution::Fixed(length) => length,
            Distribution::Uniform(min, max) => {
                let lengths = Uniform::new_inclusive(min, max).expect("checked when it was read");
                lengths.sample(random)
            }
            Distribution::Curve(curve) => {
                let lengths = curve.ends().0.max(1.0).floor()..=f64::from(self.longest());
                curve.first(random, |length| {
                    let length = length.round();
                    lengths.contains(&length).then_some(length as u32)
                })
            }
        }
    }

    /// # Errors
    /// Why nothing of the kind can be drawn.
    fn check(self) -> Result<Self, &'static str> {
        let sound = match self.0 {
            Distribution::Fixed(length) => length >= 1,
            Distribution::Uniform(min, max) => 1 <= min && min <= max,
            Distribution::Curve(curve) => curve.is_sound(1.0),
        };
        if !sound {
            return Err("lengths are at least 1, and their spread is not negative");
        }
        if self.longest() > LONGEST {
            return Err("the longest would have more than 16,777,216 tokens");
        }
        Ok(self)
    }
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self(text.parse()?)
            .check()
            .map_err(|reason| format!("{text:?}: {reason}"))
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Serialize for Lengths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
