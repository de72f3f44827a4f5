//! What requests ask of the cache: OpenAI's `prompt_cache_key`, `prompt_cache_retention` and
//! `prompt_cache_options`, and whether the answer tells how the cache was used.

use std::time::Duration;

use super::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// Bytes of a cache key at most.
const MAX_KEY_BYTES: usize = 512;
/// The longest time that anything is kept.
const MAX_TTL: Duration = Duration::from_secs(24 * 3_600);

/// What a request asks of the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheWish {
    /// Name of the account that retained prefixes count on; empty is the caller's own.
    pub key: String,
    /// How long the whole prompt is kept after its last use.
    pub ttl: Option<Duration>,
    /// Whether the answer tells what was cached, and why no more.
    pub explain: bool,
}

/// Takes the fields.
///
/// # Errors
/// The first wrong one.
pub fn cache_wish(fields: &mut Fields) -> Result<CacheWish, ApiError> {
    let key = fields.string("prompt_cache_key")?.unwrap_or_default();
    if key.len() > MAX_KEY_BYTES {
        let message = format!(
            "Invalid value for `prompt_cache_key`: {} bytes, at most {MAX_KEY_BYTES}.",
            key.len()
        );
        return Err(ApiError::field("prompt_cache_key", message));
    }
    let retention = retention(fields)?;
    let options = options(fields)?;
    Ok(CacheWish {
        key,
        ttl: retention.max(options),
        explain: fields.boolean("explain_cache")?.unwrap_or(false),
    })
}

/// `in_memory` is what happens to every prompt; `24h` keeps it for a day.
fn retention(fields: &mut Fields) -> Result<Option<Duration>, ApiError> {
    let name = "prompt_cache_retention";
    match fields.string(name)?.as_deref() {
        None | Some("in_memory" | "in-memory") => Ok(None),
        Some("24h") => Ok(Some(MAX_TTL)),
        Some(other) => {
            let message = format!("`{name}` must be in_memory or 24h, not `{other}`.");
            Err(ApiError::field(name, message))
        }
    }
}

fn options(fields: &mut Fields) -> Result<Option<Duration>, ApiError> {
    let Some(options) = fields.value("prompt_cache_options") else {
        return Ok(None);
    };
    let mut options = Fields::from_value("prompt_cache_options".to_owned(), options)?;
    let path = options.path("ttl");
    let ttl = match options.value("ttl") {
        None => None,
        Some(value) => {
            let text = value
                .as_str()
                .ok_or_else(|| wrong_type(&path, "a string", &value))?;
            let message = || {
                let text = format!("`{path}` must be a time such as 30s, 5m or 1h, at most 24h.");
                ApiError::field(&path, text)
            };
            Some(ttl(text).ok_or_else(message)?)
        }
    };
    options.finish(&[], &[])?;
    Ok(ttl)
}

/// Reads `30s`, `5m`, `1h`.
pub(super) fn ttl(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let scale = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let time = Duration::from_secs(number.checked_mul(scale)?);
    (time > Duration::ZERO && time <= MAX_TTL).then_some(time)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: Value) -> Result<CacheWish, ApiError> {
        cache_wish(&mut Fields::from_value(String::new(), body)?)
    }

    #[test]
    fn the_longest_time_counts() {
        let wish = read(json!({"prompt_cache_key": "a", "prompt_cache_options": {"ttl": "30m"}}));
        let wish = wish.expect("good fields");
        assert_eq!(
            (wish.key.as_str(), wish.ttl),
            ("a", Some(Duration::from_secs(1_800)))
        );
        let both = json!({"prompt_cache_retention": "24h", "prompt_cache_options": {"ttl": "5m"}});
        assert_eq!(read(both).map(|wish| wish.ttl), Ok(Some(MAX_TTL)));
        let memory = json!({"prompt_cache_retention": "in_memory"});
        assert_eq!(read(memory), Ok(CacheWish::default()));
    }

    #[test]
    fn wrong_values_are_named() {
        for (body, name) in [
            (json!({"prompt_cache_key": 1}), "prompt_cache_key"),
            (
                json!({"prompt_cache_key": "x".repeat(513)}),
                "prompt_cache_key",
            ),
            (
                json!({"prompt_cache_retention": "7d"}),
                "prompt_cache_retention",
            ),
            (json!({"prompt_cache_options": 3}), "prompt_cache_options"),
            (
                json!({"prompt_cache_options": {"ttl": "25h"}}),
                "prompt_cache_options.ttl",
            ),
            (
                json!({"prompt_cache_options": {"ttl": "0s"}}),
                "prompt_cache_options.ttl",
            ),
            (
                json!({"prompt_cache_options": {"ttl": "5 m"}}),
                "prompt_cache_options.ttl",
            ),
            (
                json!({"prompt_cache_options": {"ttl": "99999999999999999999h"}}),
                "prompt_cache_options.ttl",
            ),
            (
                json!({"prompt_cache_options": {"tl": "5m"}}),
                "prompt_cache_options.tl",
            ),
            (json!({"explain_cache": "yes"}), "explain_cache"),
        ] {
            let error = read(body.clone()).expect_err("a wrong value");
            assert!(
                error.message().contains(&format!("`{name}`")),
                "{body}: {}",
                error.message()
            );
        }
    }
}
