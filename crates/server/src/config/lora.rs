//! Adapters: which are loaded at start, and what there is room for.

use std::path::PathBuf;
use std::str::FromStr;

use models::LoraLimits;
use serde::{Deserialize, Deserializer};

use super::serve::LoraConfig;
use super::settings::ServeSettings;
use super::{ConfigError, at_least_one, wrong};

/// Largest rank of an adapter by default, as vLLM's.
const DEFAULT_MAX_RANK: usize = 16;
/// Adapters that there is room for where they come at run time.
const DEFAULT_MAX_LORAS: usize = 4;

/// An adapter and its name: `NAME=FOLDER`, or as JSON `{"name": .., "path": ..}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraModule {
    /// What requests call it.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
}

/// The JSON form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoraModuleFields {
    name: String,
    path: PathBuf,
}

impl FromStr for LoraModule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let module = if text.starts_with('{') {
            let fields: LoraModuleFields = serde_json::from_str(text)
                .map_err(|error| format!("`{text}` is no adapter: {error}"))?;
            Self {
                name: fields.name,
                path: fields.path,
            }
        } else {
            let (name, path) = text
                .split_once('=')
                .ok_or_else(|| format!("`{text}` is no adapter; write NAME=FOLDER"))?;
            Self {
                name: name.to_owned(),
                path: PathBuf::from(path),
            }
        };
        match module.name.is_empty() || module.path.as_os_str().is_empty() {
            true => Err(format!("`{text}` lacks a name or a folder")),
            false => Ok(module),
        }
    }
}

impl<'de> Deserialize<'de> for LoraModule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the flags about adapters say together; `None` without any.
///
/// # Errors
/// A flag that cannot work, or contradicts another.
pub(super) fn lora(
    settings: &ServeSettings,
    model_names: &[String],
) -> Result<Option<LoraConfig>, ConfigError> {
    let modules = settings.lora_modules.clone().unwrap_or_default();
    let at_run_time = settings.allow_runtime_lora_updating.unwrap_or(false);
    let max_loras = at_least_one("max-loras", settings.max_loras)?;
    let max_rank = at_least_one("max-lora-rank", settings.max_lora_rank)?;
    let nothing = modules.is_empty() && !at_run_time;
    let asked = settings.enable_lora == Some(true) || max_loras.is_some() || max_rank.is_some();
    match (settings.enable_lora, nothing) {
        (Some(false), false) => {
            let message = "it is off, and --lora-modules or --allow-runtime-lora-updating need it";
            return Err(wrong("enable-lora", message));
        }
        (_, true) if asked => {
            let message = "no adapter can be loaded: name some with --lora-modules, or let clients \
                           load them with --allow-runtime-lora-updating";
            return Err(wrong("enable-lora", message));
        }
        (_, true) => return Ok(None),
        (_, false) => {}
    }
    for (index, module) in modules.iter().enumerate() {
        let name = &module.name;
        let twice = modules[..index].iter().any(|other| other.name == *name);
        if twice || model_names.contains(name) {
            let message = format!("two models would be called {name}");
            return Err(wrong("lora-modules", message));
        }
    }
    let spare = if at_run_time { DEFAULT_MAX_LORAS } else { 0 };
    let max_loras = max_loras.unwrap_or(modules.len().max(spare));
    if max_loras < modules.len() {
        let message = format!(
            "{max_loras} is less than the {} of --lora-modules",
            modules.len()
        );
        return Err(wrong("max-loras", message));
    }
    Ok(Some(LoraConfig {
        limits: LoraLimits {
            max_loras,
            max_lora_rank: max_rank.unwrap_or(DEFAULT_MAX_RANK),
        },
        modules,
        at_run_time,
    }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn config(arguments: &[&str]) -> Result<Option<LoraConfig>, String> {
        let cli = Cli::try_parse_from([&["purser"], arguments].concat());
        let settings = cli.map_err(|error| error.to_string())?.serve;
        lora(&settings, &["base".to_owned()]).map_err(|error| error.to_string())
    }

    fn limits(arguments: &[&str]) -> (usize, usize) {
        let limits = config(arguments).unwrap().unwrap().limits;
        (limits.max_loras, limits.max_lora_rank)
    }

    #[test]
    fn adapters_are_named_in_both_forms() {
        assert_eq!(config(&[]), Ok(None));
        let json = r#"{"name": "b", "path": "/x=y"}"#;
        let config = config(&["--lora-modules", "a=some/folder", json]);
        let config = config.unwrap().unwrap();
        let module = |name: &str, path: &str| LoraModule {
            name: name.to_owned(),
            path: path.into(),
        };
        assert_eq!(
            config.modules,
            [module("a", "some/folder"), module("b", "/x=y")]
        );
        assert!(!config.at_run_time);
    }

    #[test]
    fn there_is_room_for_those_that_are_named_and_those_that_may_come() {
        let open = "--allow-runtime-lora-updating";
        assert_eq!(limits(&["--lora-modules", "a=b"]), (1, 16));
        assert_eq!(limits(&[open]), (4, 16));
        assert_eq!(limits(&[open, "--lora-modules", "a=b"]), (4, 16));
        let asked = [
            "--max-loras",
            "9",
            "--max-lora-rank",
            "64",
            "--lora-modules",
            "a=b",
        ];
        assert_eq!(limits(&asked), (9, 64));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let cases: [(&[&str], &str); 9] = [
            (
                &["--lora-modules", "a"],
                "`a` is no adapter; write NAME=FOLDER",
            ),
            (&["--lora-modules", "=b"], "`=b` lacks a name or a folder"),
            (
                &["--lora-modules", r#"{"name": "a"}"#],
                "missing field `path`",
            ),
            (
                &["--lora-modules", "a=b", "a=c"],
                "--lora-modules: two models would be called a",
            ),
            (
                &["--lora-modules", "base=b"],
                "--lora-modules: two models would be called base",
            ),
            (
                &["--lora-modules", "a=b", "c=d", "--max-loras", "1"],
                "--max-loras: 1 is less than",
            ),
            (&["--max-loras", "0"], "--max-loras: it must be at least 1"),
            (
                &["--max-lora-rank", "8"],
                "--enable-lora: no adapter can be loaded",
            ),
            (
                &["--enable-lora=false", "--lora-modules", "a=b"],
                "--enable-lora: it is off",
            ),
        ];
        for (arguments, want) in cases {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(want), "{arguments:?}: {error}");
        }
    }
}
