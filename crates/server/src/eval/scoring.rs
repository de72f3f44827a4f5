//! Whether an answer is right.

use super::facts::Fact;
use crate::scoring::says;

/// Whether the answer contains the value as whole words and not the one that it replaced; of an
/// absent fact, whether it says that it is not there.
pub(super) fn is_right(fact: &Fact, answer: &str) -> bool {
    let replaced = fact.wrong_value.as_deref();
    let replaced = replaced.filter(|_| !fact.value.is_empty());
    says(answer, &fact.value) && !replaced.is_some_and(|wrong| says(answer, wrong))
}

#[cfg(test)]
mod tests;
