//! How long prompts and answers are.

use std::fmt;
use std::str::FromStr;

use rand_distr::{Distribution, LogNormal, Normal, Uniform};
use serde::{Serialize, Serializer};

use crate::measure::random::Random;

/// Standard deviations beyond which a length is drawn anew, so that there is a longest one.
const CUT: f64 = 3.0;
/// The longest that may be asked for.
const LONGEST: u32 = 16_777_216;

/// A distribution of lengths in tokens, at least 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lengths {
    /// `N`: always the same.
    Fixed(u32),
    /// `MIN..MAX`: each as likely as the others, both included.
    Uniform(u32, u32),
    /// `normal:MEAN,SD`, within three standard deviations.
    Normal(f64, f64),
    /// `lognormal:MEDIAN,SIGMA`, whose logarithm has the standard deviation SIGMA; within three.
    LogNormal(f64, f64),
}

impl Lengths {
    /// The longest that is ever drawn.
    #[must_use]
    pub fn longest(self) -> u32 {
        match self {
            Self::Fixed(length) => length,
            Self::Uniform(_, max) => max,
            Self::Normal(mean, sd) => (mean + CUT * sd).floor() as u32,
            Self::LogNormal(median, sigma) => (median * (CUT * sigma).exp()).floor() as u32,
        }
    }

    /// A length.
    pub(super) fn draw(self, random: &mut Random) -> u32 {
        match self {
            Self::Fixed(length) => length,
            Self::Uniform(min, max) => {
                let lengths = Uniform::new_inclusive(min, max).expect("checked when it was read");
                lengths.sample(random)
            }
            Self::Normal(mean, sd) => {
                let lengths = Normal::new(mean, sd).expect("checked when it was read");
                self.first_within(|| lengths.sample(random), (mean - CUT * sd).max(1.0))
            }
            Self::LogNormal(median, sigma) => {
                let lengths = LogNormal::new(median.ln(), sigma).expect("checked when it was read");
                let shortest = (median * (-CUT * sigma).exp()).max(1.0);
                self.first_within(|| lengths.sample(random), shortest)
            }
        }
    }

    /// The first of `draw` that is neither cut off nor below `shortest`.
    fn first_within(self, mut draw: impl FnMut() -> f64, shortest: f64) -> u32 {
        loop {
            let length = draw().round();
            if (shortest.floor()..=f64::from(self.longest())).contains(&length) {
                return length as u32;
            }
        }
    }

    /// # Errors
    /// Why nothing of the kind can be drawn.
    fn check(self) -> Result<Self, &'static str> {
        let ordinary = |x: f64| x.is_finite() && x >= 0.0;
        let sound = match self {
            Self::Fixed(length) => length >= 1,
            Self::Uniform(min, max) => 1 <= min && min <= max,
            Self::Normal(middle, spread) | Self::LogNormal(middle, spread) => {
                ordinary(spread) && middle.is_finite() && middle >= 1.0
            }
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
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let pair = |text: &str| {
            let (first, second) = text.split_once(',')?;
            Some((first.trim().parse().ok()?, second.trim().parse().ok()?))
        };
        let lengths = if let Some(text) = text.strip_prefix("normal:") {
            pair(text).map(|(mean, sd)| Self::Normal(mean, sd))
        } else if let Some(text) = text.strip_prefix("lognormal:") {
            pair(text).map(|(median, sigma)| Self::LogNormal(median, sigma))
        } else if let Some((min, max)) = text.split_once("..") {
            number(min)
                .zip(number(max))
                .map(|(min, max)| Self::Uniform(min, max))
        } else {
            number(text).map(Self::Fixed)
        };
        let unknown = || {
            format!("{text:?} is none of N, MIN..MAX, normal:MEAN,SD and lognormal:MEDIAN,SIGMA")
        };
        lengths
            .ok_or_else(unknown)?
            .check()
            .map_err(|reason| format!("{text:?}: {reason}"))
    }
}

impl fmt::Display for Lengths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(length) => write!(out, "{length}"),
            Self::Uniform(min, max) => write!(out, "{min}..{max}"),
            Self::Normal(mean, sd) => write!(out, "normal:{mean},{sd}"),
            Self::LogNormal(median, sigma) => write!(out, "lognormal:{median},{sigma}"),
        }
    }
}

impl Serialize for Lengths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
