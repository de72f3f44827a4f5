//! Settings of the context budgeter.

use std::collections::BTreeMap;

use context::{Mode, Preset, Settings};

use super::serve::ContextConfig;
use super::settings::{ContextModeName, ServeSettings};
use super::{ConfigError, wrong};
use crate::validate::budget;

/// Checks what the flags and the file say of the context budgeter.
///
/// # Errors
/// The first field of a profile that cannot be, a profile that there is not, or a share that is none.
pub(super) fn context(settings: &ServeSettings) -> Result<ContextConfig, ConfigError> {
    let defaults = ContextConfig::default();
    let mut profiles: BTreeMap<String, Settings> = BTreeMap::new();
    for (name, value) in settings.profiles.iter().flatten() {
        let path = format!("profiles.{name}");
        let profile = budget::profile(&path, value.clone())
            .map_err(|error| wrong("config", error.message().to_owned()))?;
        profiles.insert(name.clone(), profile);
    }
    let profile = settings.context_profile.clone().unwrap_or(defaults.profile);
    if !profiles.contains_key(&profile) && Preset::from_name(&profile).is_none() {
        let message = format!("`{profile}` is neither a profile of the file nor a preset");
        return Err(wrong("context-profile", message));
    }
    let max_background_share = settings
        .context_max_background_share
        .unwrap_or(defaults.max_background_share);
    if !(0.0..=1.0).contains(&max_background_share) {
        return Err(wrong(
            "context-max-background-share",
            format!("{max_background_share} must be at least 0 and at most 1"),
        ));
    }
    Ok(ContextConfig {
        mode: match settings.context_mode {
            None => defaults.mode,
            Some(ContextModeName::Off) => Mode::Off,
            Some(ContextModeName::Observe) => Mode::Observe,
            Some(ContextModeName::Enforce) => Mode::Enforce,
        },
        profile,
        profiles,
        memory: settings.context_memory.clone(),
        ledger_bytes: settings
            .context_ledger_bytes
            .map_or(defaults.ledger_bytes, |size| size.0),
        max_background_share,
    })
}
