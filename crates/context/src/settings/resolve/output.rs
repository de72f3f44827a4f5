//! Tokens for the answer.

use super::super::{Bound, OutputSettings, SettingsError, SettingsProblem, Symbol};
use super::bounds::{Written, WrittenBounds};
use crate::Bounds;

/// Where the output's bounds stand in a request.
pub(super) const PATH: &str = "zones.output_buffer";

const FLOOR: usize = 512;
const TARGET: usize = 1024;

/// The output's bounds, none beyond what the request asks for, and the minimum that was written
/// as a number.
pub(super) fn bounds(
    settings: OutputSettings,
    asked: Option<usize>,
    budget: usize,
) -> Result<(Bounds, Option<usize>), SettingsError> {
    let floor = asked.unwrap_or(FLOOR.min(budget / 8));
    let written = |name: &str, bound: Option<Bound>, default: usize| match bound {
        None => Ok(Written::Wish(default)),
        Some(bound) => Written::new(
            &format!("{PATH}.{name}"),
            bound,
            budget,
            |symbol| match symbol {
                Symbol::AnswerFloor => Ok(floor),
                symbol => Err(SettingsProblem::MisplacedSymbol { symbol }),
            },
        ),
    };
    let written = WrittenBounds {
        min: written("min", settings.min, floor)?,
        target: written(
            "target",
            settings.target,
            asked.unwrap_or(TARGET.min(budget / 4)),
        )?,
        max: written("max", settings.max, asked.unwrap_or(budget))?,
    };
    written.check(PATH)?;
    if let (Some(max), Some(asked)) = (written.max.number(), asked)
        && asked > max
    {
        let problem = SettingsProblem::OutputAsked { asked, max };
        return Err(SettingsError::new(format!("{PATH}.max"), problem));
    }
    let bounds = written.settle();
    let most = asked.unwrap_or(usize::MAX);
    let bounds = Bounds {
        min: bounds.min.min(most),
        target: bounds.target.min(most),
        max: bounds.max.min(most),
    };
    Ok((bounds, written.min.number()))
}
