//! Settings that cannot be meant.

use std::fmt;

use super::Symbol;
use crate::Rung;

/// A setting that cannot be, by the path of its field.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsError {
    /// The field below `context_budget`, such as `zones.retrieval.min`.
    pub field: String,
    /// What is wrong with it.
    pub problem: SettingsProblem,
}

/// What is wrong with a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingsProblem {
    /// The symbol stands for nothing in this field.
    MisplacedSymbol {
        /// The symbol.
        symbol: Symbol,
    },
    /// It exceeds a field that it must not exceed.
    Disorder {
        /// Its tokens.
        tokens: usize,
        /// The other field's path.
        above: String,
        /// The other field's tokens.
        limit: usize,
    },
    /// A number outside its range; shares and scores are from 0 to 1.
    OutOfRange {
        /// The number.
        value: f64,
        /// The least that it may be.
        least: f64,
        /// The most that it may be.
        most: f64,
    },
    /// 0, where at least 1 is needed.
    Zero,
    /// More tokens than the window has.
    AboveWindow {
        /// Its tokens.
        tokens: usize,
        /// The window's.
        window: usize,
    },
    /// More tokens than the budget has.
    AboveBudget {
        /// Its tokens.
        tokens: usize,
        /// The budget.
        budget: usize,
    },
    /// Marks of utilisation in the wrong order.
    MarkDisorder {
        /// The mark.
        value: f64,
        /// The path of the mark that it must be below.
        above: String,
        /// That mark.
        limit: f64,
    },
    /// The minima that are numbers exceed the budget together, whatever the prompt.
    MinimaOverBudget {
        /// Their sum.
        sum: usize,
        /// The budget.
        budget: usize,
        /// The minima, by the path of their fields.
        minima: Vec<(String, usize)>,
    },
    /// No zone of that name, and neither a tier nor a bound that would declare it.
    UnknownZone,
    /// A tier that allows edits, for a zone in which there are none.
    ProtectedZone,
    /// The ladder has a rung twice.
    RepeatedRung {
        /// The rung.
        rung: Rung,
    },
    /// The request asks for more output than the setting allows.
    OutputAsked {
        /// What it asks for.
        asked: usize,
        /// What is allowed.
        max: usize,
    },
    /// There are fewer messages.
    NoSuchMessage {
        /// The message's number.
        index: usize,
        /// How many there are.
        messages: usize,
    },
    /// The tool is excluded from clearing, which this field contradicts.
    ExcludedTool,
}

impl SettingsProblem {
    /// Its code in the answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::MisplacedSymbol { .. } => "misplaced_symbol",
            Self::Disorder { .. } | Self::MarkDisorder { .. } => "bounds_out_of_order",
            Self::OutOfRange { .. } | Self::Zero => "out_of_range",
            Self::AboveWindow { .. } => "budget_above_window",
            Self::AboveBudget { .. } => "above_budget",
            Self::MinimaOverBudget { .. } => "zone_min_conflict",
            Self::UnknownZone => "unknown_zone",
            Self::ProtectedZone => "protected_zone",
            Self::RepeatedRung { .. } => "repeated_rung",
            Self::OutputAsked { .. } => "output_above_max",
            Self::NoSuchMessage { .. } => "no_such_message",
            Self::ExcludedTool => "excluded_tool",
        }
    }
}

impl SettingsError {
    pub(super) fn new(field: impl Into<String>, problem: SettingsProblem) -> Self {
        Self {
            field: field.into(),
            problem,
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for SettingsError {}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MisplacedSymbol { symbol } => {
                write!(f, "`{}` has no meaning here", symbol.name())
            }
            Self::Disorder {
                tokens,
                above,
                limit,
            } => write!(f, "{tokens} tokens are more than the {limit} of {above}"),
            Self::OutOfRange { value, least, most } if most.is_infinite() => {
                write!(f, "{value} is not a number from {least} on")
            }
            Self::OutOfRange { value, least, most } => {
                write!(f, "{value} is not a number from {least} to {most}")
            }
            Self::Zero => f.write_str("must be at least 1"),
            Self::AboveWindow { tokens, window } => {
                write!(
                    f,
                    "{tokens} tokens are more than the {window} of the window"
                )
            }
            Self::AboveBudget { tokens, budget } => {
                write!(
                    f,
                    "{tokens} tokens are more than the {budget} of the budget"
                )
            }
            Self::MarkDisorder {
                value,
                above,
                limit,
            } => write!(f, "{value} is not below the {limit} of {above}"),
            Self::MinimaOverBudget {
                sum,
                budget,
                minima,
            } => {
                write!(
                    f,
                    "minima of {sum} tokens do not fit into the budget of {budget} ("
                )?;
                for (at, (field, tokens)) in minima.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{field} {tokens}")?;
                }
                f.write_str(")")
            }
            Self::UnknownZone => {
                f.write_str("no such zone; a zone of your own needs a tier or a bound")
            }
            Self::ProtectedZone => f.write_str("no text of this zone is ever edited"),
            Self::RepeatedRung { rung } => write!(f, "`{}` stands there twice", rung.name()),
            Self::OutputAsked { asked, max } => {
                write!(
                    f,
                    "{asked} output tokens are asked for, but {max} is the most"
                )
            }
            Self::NoSuchMessage { index, messages } => {
                write!(f, "message {index} of {messages}")
            }
            Self::ExcludedTool => f.write_str("the tool is in exclude_tools"),
        }
    }
}
