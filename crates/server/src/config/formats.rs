//! In which formats a model's answers are read.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use text::{ReasoningFormat, ToolCallFormat};

/// How calls and reasoning are found in answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerFormats {
    /// Calls of tools.
    pub tool_calls: FormatChoice<ToolCallFormat>,
    /// Reasoning.
    pub reasoning: FormatChoice<ReasoningFormat>,
}

/// Which of the formats of a kind: `auto`, `none`, or its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FormatChoice<F> {
    /// The one that the chat template speaks of.
    #[default]
    Detected,
    /// None: what the model writes is text.
    Off,
    /// This one.
    Given(F),
}

impl<F> FormatChoice<F> {
    /// The format for a model with this chat template.
    pub fn among(self, template: Option<&str>, detect: impl Fn(&str) -> Option<F>) -> Option<F> {
        match self {
            Self::Detected => template.and_then(detect),
            Self::Off => None,
            Self::Given(format) => Some(format),
        }
    }
}

impl<F: FromStr<Err: Display>> FromStr for FormatChoice<F> {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "auto" => Ok(Self::Detected),
            "none" => Ok(Self::Off),
            name => match name.parse() {
                Ok(format) => Ok(Self::Given(format)),
                Err(error) => Err(format!("{error}, auto, none")),
            },
        }
    }
}

impl<'de, F: FromStr<Err: Display>> Deserialize<'de> for FormatChoice<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Calls = FormatChoice<ToolCallFormat>;

    #[test]
    fn names_auto_and_none_are_read() {
        assert_eq!("auto".parse(), Ok(Calls::Detected));
        assert_eq!("none".parse(), Ok(Calls::Off));
        assert_eq!("hermes".parse(), Ok(Calls::Given(ToolCallFormat::Hermes)));
        let error = "hermos".parse::<Calls>().unwrap_err();
        assert!(
            error.contains("hermos") && error.contains("pythonic, "),
            "{error}"
        );
    }

    #[test]
    fn a_given_format_needs_no_template() {
        let given = Calls::Given(ToolCallFormat::Mistral);
        assert_eq!(given.among(None, |_| None), Some(ToolCallFormat::Mistral));
        let hermes = |_: &str| Some(ToolCallFormat::Hermes);
        assert_eq!(Calls::Detected.among(None, hermes), None);
        assert_eq!(
            Calls::Detected.among(Some(""), hermes),
            Some(ToolCallFormat::Hermes)
        );
        assert_eq!(Calls::Off.among(Some(""), hermes), None);
    }
}
