//! What is good enough: a service-level objective per request, and how many requests meet it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::outcome::Answered;

/// `ttft:500,tpot:50,e2el:10000`: milliseconds that a request may take.
#[derive(Debug, Clone, PartialEq)]
pub struct Goodput(Vec<(Metric, f64)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Ttft,
    Tpot,
    E2el,
}

impl Metric {
    const ALL: [Self; 3] = [Self::Ttft, Self::Tpot, Self::E2el];

    fn name(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Tpot => "tpot",
            Self::E2el => "e2el",
        }
    }

    /// `None` for TPOT of a single token, which has no time between tokens.
    fn of(self, answered: &Answered) -> Option<f64> {
        match self {
            Self::Ttft => Some(answered.ttft_ms),
            Self::Tpot => answered.tpot_ms,
            Self::E2el => Some(answered.e2el_ms),
        }
    }
}

impl Goodput {
    /// Whether a request took no longer than it may.
    pub(super) fn is_met(&self, answered: &Answered) -> bool {
        self.0
            .iter()
            .all(|(metric, limit)| metric.of(answered).is_none_or(|ms| ms <= *limit))
    }
}

impl FromStr for Goodput {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut limits: Vec<(Metric, f64)> = Vec::new();
        for part in text.split(',') {
            let limit = part.split_once(':').and_then(|(name, limit)| {
                let metric = Metric::ALL.into_iter().find(|m| m.name() == name.trim())?;
                let limit = limit.trim().parse::<f64>().ok()?;
                (limit > 0.0).then_some((metric, limit))
            });
            let (metric, limit) = limit
                .ok_or_else(|| format!("{part:?} is no ttft:MS, tpot:MS or e2el:MS above 0"))?;
            if limits.iter().any(|(known, _)| *known == metric) {
                return Err(format!("{} is there twice", metric.name()));
            }
            limits.push((metric, limit));
        }
        Ok(Self(limits))
    }
}

impl fmt::Display for Goodput {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (metric, limit)) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(out, "{comma}{}:{limit}", metric.name())?;
        }
        Ok(())
    }
}

impl Serialize for Goodput {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Goodput;
    use crate::bench::outcome::Answered;

    #[test]
    fn a_request_meets_all_of_it_or_not() {
        let goodput: Goodput = "ttft:100,tpot:20,e2el:1000".parse().unwrap();
        assert_eq!(goodput.to_string(), "ttft:100,tpot:20,e2el:1000");
        let answered = |ttft_ms, tpot_ms, e2el_ms| Answered {
            ttft_ms,
            tpot_ms,
            e2el_ms,
            ..Answered::default()
        };
        assert!(goodput.is_met(&answered(100.0, Some(20.0), 1000.0)));
        assert!(goodput.is_met(&answered(100.0, None, 100.0)));
        assert!(!goodput.is_met(&answered(100.1, Some(20.0), 1000.0)));
        assert!(!goodput.is_met(&answered(100.0, Some(20.1), 1000.0)));
        assert!(!goodput.is_met(&answered(100.0, Some(20.0), 1000.1)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "ttft", "ttft:0", "ttft:x", "itl:5", "ttft:5,ttft:6"] {
            assert!(text.parse::<Goodput>().is_err(), "{text:?}");
        }
    }
}
