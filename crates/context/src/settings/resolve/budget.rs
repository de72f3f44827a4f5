//! The budget, its marks, and where the stable prefix ends.

use super::super::{
    Amount, Facts, SettingsError, SettingsProblem, StablePrefix, UtilizationSettings, share_of,
};
use super::{in_range, share};
use crate::{Low, Utilization};

const HIGH: f64 = 0.85;
const SOFT: f64 = 0.60;
const LOW: f64 = 0.55;

/// B in tokens.
pub(super) fn budget(asked: Option<Amount>, window: usize) -> Result<usize, SettingsError> {
    const FIELD: &str = "max_context_tokens";
    let tokens = match asked {
        None => window,
        Some(asked) => amount(FIELD, asked, window)?,
    };
    if tokens == 0 {
        return Err(SettingsError::new(FIELD, SettingsProblem::Zero));
    }
    if tokens > window {
        return Err(SettingsError::new(
            FIELD,
            SettingsProblem::AboveWindow { tokens, window },
        ));
    }
    Ok(tokens)
}

/// An amount in tokens; a share is one of `whole`.
pub(super) fn amount(field: &str, asked: Amount, whole: usize) -> Result<usize, SettingsError> {
    match asked {
        Amount::Tokens(tokens) => Ok(tokens),
        Amount::Share(value) => Ok(share_of(share(field, value)?, whole)),
    }
}

pub(super) fn utilization(asked: &UtilizationSettings) -> Result<Utilization, SettingsError> {
    let mark = |field: &str, value: f64| in_range(field, value, f64::MIN_POSITIVE, 1.0);
    let high = mark("utilization.high", asked.high.unwrap_or(HIGH))?;
    let soft = mark("utilization.soft", asked.soft.unwrap_or(SOFT.min(high)))?;
    let low = match asked.low {
        None => Low::Share(LOW.min(high * 2.0 / 3.0)),
        Some(Low::Auto) => Low::Auto,
        Some(Low::Share(value)) => Low::Share(share("utilization.low", value)?),
    };
    let disorder = |field: &str, value: f64| {
        let above = "utilization.high".to_owned();
        let limit = high;
        let problem = SettingsProblem::MarkDisorder {
            value,
            above,
            limit,
        };
        SettingsError::new(field, problem)
    };
    if soft > high {
        return Err(disorder("utilization.soft", soft));
    }
    match low {
        Low::Share(value) if value >= high => Err(disorder("utilization.low", value)),
        Low::Share(_) | Low::Auto => Ok(Utilization { soft, high, low }),
    }
}

/// Where the stable prefix ends, in tokens of the rendered prompt.
pub(super) fn stable_prefix_end(
    asked: Option<StablePrefix>,
    facts: &Facts<'_>,
) -> Result<usize, SettingsError> {
    let end = match asked.unwrap_or(StablePrefix::CacheControl) {
        StablePrefix::CacheControl => facts.cache_control_end.unwrap_or(0),
        StablePrefix::Auto => facts.shared_prefix,
        StablePrefix::Tokens(tokens) => tokens,
        StablePrefix::MessageIndex(index) => {
            let messages = facts.message_starts.len();
            match facts.message_starts.get(index) {
                Some(&start) => start,
                None if index == messages => facts.prompt_tokens,
                None => {
                    return Err(SettingsError::new(
                        "zones.stable_prefix.until.message_index",
                        SettingsProblem::NoSuchMessage { index, messages },
                    ));
                }
            }
        }
    };
    Ok(end.min(facts.prompt_tokens))
}
