//! The three bounds of a zone or of the output, settled among each other.

use super::super::{Bound, SettingsError, SettingsProblem, Symbol, share_of};
use super::share;
use crate::Bounds;

/// A bound in tokens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written {
    /// Given as a number: it holds, or is an error.
    Number(usize),
    /// A symbol's tokens, or a default: it yields to numbers.
    Wish(usize),
}

/// `min`, `target` and `max`; the numbers among them are in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrittenBounds {
    pub(super) min: Written,
    pub(super) target: Written,
    pub(super) max: Written,
}

impl Written {
    /// Counts a bound; a share is one of the budget.
    pub(super) fn new(
        field: &str,
        bound: Bound,
        budget: usize,
        symbol: impl FnOnce(Symbol) -> Result<usize, SettingsProblem>,
    ) -> Result<Self, SettingsError> {
        match bound {
            Bound::Tokens(tokens) => Ok(Self::Number(tokens)),
            Bound::Share(value) => Ok(Self::Number(share_of(share(field, value)?, budget))),
            Bound::Symbol(name) => symbol(name)
                .map(Self::Wish)
                .map_err(|problem| SettingsError::new(field, problem)),
        }
    }

    /// The number, if it is one.
    pub(super) fn number(self) -> Option<usize> {
        match self {
            Self::Number(tokens) => Some(tokens),
            Self::Wish(_) => None,
        }
    }
}

impl WrittenBounds {
    /// # Errors
    /// A number that exceeds one that it must not exceed, as a problem of the lower field.
    pub(super) fn check(&self, path: &str) -> Result<(), SettingsError> {
        let pairs = [
            (("min", self.min), ("target", self.target)),
            (("min", self.min), ("max", self.max)),
            (("target", self.target), ("max", self.max)),
        ];
        for ((lower, value), (upper, limit)) in pairs {
            if let (Written::Number(tokens), Written::Number(limit)) = (value, limit)
                && tokens > limit
            {
                return Err(SettingsError::new(
                    format!("{path}.{lower}"),
                    SettingsProblem::Disorder {
                        tokens,
                        above: format!("{path}.{upper}"),
                        limit,
                    },
                ));
            }
        }
        Ok(())
    }

    /// The bounds in order: numbers as they are, wishes as near as the numbers let them.
    pub(super) fn settle(&self) -> Bounds {
        let least = self.min.number().unwrap_or(0);
        let max = match self.max {
            Written::Number(max) => max,
            Written::Wish(max) => max.max(least).max(self.target.number().unwrap_or(0)),
        };
        let target = match self.target {
            Written::Number(target) => target,
            Written::Wish(target) => target.clamp(least, max),
        };
        let min = match self.min {
            Written::Number(min) => min,
            Written::Wish(min) => min.min(target),
        };
        Bounds { min, target, max }
    }
}
