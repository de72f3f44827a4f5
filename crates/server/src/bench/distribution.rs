//! What numbers are drawn from, as the command line names it.

use std::fmt;
use std::str::FromStr;

use rand_distr::{Distribution as _, LogNormal, Normal};

use crate::measure::random::Random;

/// Standard deviations beyond which a number is drawn anew, so that there is a greatest one.
const CUT: f64 = 3.0;

/// A distribution of numbers; what they may be is for its owner to check.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Distribution<N> {
    /// `N`: always the same.
    Fixed(N),
    /// `MIN..MAX`: each as likely as the others, both included.
    Uniform(N, N),
    /// Around a middle.
    Curve(Curve),
}

/// Numbers around a middle, of which those that are far from it are drawn anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Curve {
    /// `normal:MEAN,SD`, within three standard deviations.
    Normal(f64, f64),
    /// `lognormal:MEDIAN,SIGMA`, whose logarithm has the standard deviation SIGMA; within three.
    LogNormal(f64, f64),
}

impl Curve {
    /// The smallest and the greatest number, before any rounding.
    pub(super) fn ends(self) -> (f64, f64) {
        match self {
            Self::Normal(mean, sd) => (mean - CUT * sd, mean + CUT * sd),
            Self::LogNormal(median, sigma) => {
                (median * (-CUT * sigma).exp(), median * (CUT * sigma).exp())
            }
        }
    }

    /// The first drawn number that `accepted` takes.
    pub(super) fn first<T>(self, random: &mut Random, accepted: impl Fn(f64) -> Option<T>) -> T {
        loop {
            let number = match self {
                Self::Normal(mean, sd) => Normal::new(mean, sd)
                    .expect("checked when it was read")
                    .sample(random),
                Self::LogNormal(median, sigma) => LogNormal::new(median.ln(), sigma)
                    .expect("checked when it was read")
                    .sample(random),
            };
            if let Some(taken) = accepted(number) {
                return taken;
            }
        }
    }

    /// Whether it can be drawn from: a finite spread that is not negative, around a finite middle of
    /// `least` or more.
    pub(super) fn is_sound(self, least: f64) -> bool {
        let (Self::Normal(middle, spread) | Self::LogNormal(middle, spread)) = self;
        let is_positive = middle > 0.0 || matches!(self, Self::Normal(..));
        spread.is_finite() && spread >= 0.0 && middle.is_finite() && middle >= least && is_positive
    }
}

impl<N: FromStr> FromStr for Distribution<N> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| text.trim().parse::<N>().ok();
        let pair = |text: &str| {
            let (first, second) = text.split_once(',')?;
            Some((first.trim().parse().ok()?, second.trim().parse().ok()?))
        };
        let read = if let Some(text) = text.strip_prefix("normal:") {
            pair(text).map(|(mean, sd)| Self::Curve(Curve::Normal(mean, sd)))
        } else if let Some(text) = text.strip_prefix("lognormal:") {
            pair(text).map(|(median, sigma)| Self::Curve(Curve::LogNormal(median, sigma)))
        } else if let Some((min, max)) = text.split_once("..") {
            number(min)
                .zip(number(max))
                .map(|(min, max)| Self::Uniform(min, max))
        } else {
            number(text).map(Self::Fixed)
        };
        read.ok_or_else(|| {
            format!("{text:?} is none of N, MIN..MAX, normal:MEAN,SD and lognormal:MEDIAN,SIGMA")
        })
    }
}

impl<N: fmt::Display> fmt::Display for Distribution<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(number) => write!(out, "{number}"),
            Self::Uniform(min, max) => write!(out, "{min}..{max}"),
            Self::Curve(Curve::Normal(mean, sd)) => write!(out, "normal:{mean},{sd}"),
            Self::Curve(Curve::LogNormal(median, sigma)) => {
                write!(out, "lognormal:{median},{sigma}")
            }
        }
    }
}
