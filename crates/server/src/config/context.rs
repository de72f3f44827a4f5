//! Settings of the context budgeter.

use std::collections::BTreeMap;

use context::{Mode, Preset, Settings, resolve_profile};

use super::names::ContextModeName;
use super::serve::ContextConfig;
use super::settings::ServeSettings;
use super::{ConfigError, wrong};
use crate::validate::budget;

impl ContextConfig {
    /// Checks that the profiles of the file and the default one can be kept in a window of so many
    /// tokens: otherwise every request that uses them would be refused.
    ///
    /// # Errors
    /// The first that cannot, with its field.
    pub fn check_window(&self, window: usize) -> Result<(), ConfigError> {
        for (name, settings) in &self.profiles {
            resolve_profile(settings, window).map_err(|error| {
                wrong(
                    "config",
                    format!("`profiles.{name}.{}`: {}", error.field, error.problem),
                )
            })?;
        }
        let preset = Preset::from_name(&self.profile);
        match preset.filter(|_| !self.profiles.contains_key(&self.profile)) {
            None => Ok(()),
            Some(preset) => match resolve_profile(&preset.settings(), window) {
                Ok(_) => Ok(()),
                Err(error) => Err(wrong(
                    "context-profile",
                    format!("`{}`: {error}", self.profile),
                )),
            },
        }
    }
}

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
