//! The environment variables that tools of the hub share.

use std::path::{Path, PathBuf};

use crate::source::HubOptions;

impl HubOptions {
    /// The options that the environment asks for, read as `huggingface_hub` documents it
    /// (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>):
    ///
    /// - `HF_ENDPOINT`;
    /// - `HF_HUB_CACHE`, or else the folder `hub` of `HF_HOME`, which is `huggingface` in
    ///   `XDG_CACHE_HOME`, or else in `~/.cache`;
    /// - `HF_TOKEN`, or else the file `HF_TOKEN_PATH`, which is `token` in `HF_HOME`, where logging
    ///   in writes it; `HF_HUB_DISABLE_IMPLICIT_TOKEN` sends none;
    /// - `HF_HUB_OFFLINE`;
    /// - `HF_HUB_DISABLE_PROGRESS_BARS`.
    ///
    /// Older names of the same variables count where the documented one is not set. A variable that
    /// is set to nothing counts as not set.
    ///
    /// `lookup` gives a variable's value. Nothing else is read but the token's file; a file that
    /// cannot be read is no token, as there is none on most machines.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let value = |names: &[&str]| {
            let values = names.iter().filter_map(|&name| lookup(name));
            values
                .map(|value| value.trim().to_owned())
                .find(|value| !value.is_empty())
        };
        let is_set = |names: &[&str]| value(names).is_some_and(|value| is_true(&value));
        let user = value(&["HOME"]).map(PathBuf::from);
        let folder =
            |names: &[&str]| value(names).map(|folder| expand_user(&folder, user.as_deref()));

        let caches =
            folder(&["XDG_CACHE_HOME"]).or_else(|| user.as_ref().map(|user| user.join(".cache")));
        let home = folder(&["HF_HOME"]).or_else(|| caches.map(|caches| caches.join("huggingface")));
        let cache_dir = folder(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"])
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token_file =
            folder(&["HF_TOKEN_PATH"]).or_else(|| home.as_ref().map(|home| home.join("token")));
        let token = match is_set(&["HF_HUB_DISABLE_IMPLICIT_TOKEN"]) {
            true => None,
            false => value(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
                .or_else(|| token_file.as_deref().and_then(read_token)),
        };
        Self {
            endpoint: value(&["HF_ENDPOINT"]),
            cache_dir,
            token,
            offline: is_set(&["HF_HUB_OFFLINE"]) || is_set(&["TRANSFORMERS_OFFLINE"]),
            revision: None,
            progress_bar: !is_set(&["HF_HUB_DISABLE_PROGRESS_BARS"]),
        }
    }
}

/// The spellings that `huggingface_hub` takes for yes.
fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
}

/// `~` at the start is the user's folder.
fn expand_user(path: &str, user: Option<&Path>) -> PathBuf {
    match (user, path.strip_prefix('~')) {
        (Some(user), Some("")) => user.to_owned(),
        (Some(user), Some(rest)) if rest.starts_with('/') => {
            user.join(rest.trim_start_matches('/'))
        }
        _ => PathBuf::from(path),
    }
}

fn read_token(file: &Path) -> Option<String> {
    let token = std::fs::read_to_string(file).ok()?;
    let token = token.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests;
