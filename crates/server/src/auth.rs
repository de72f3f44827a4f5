//! Who asks: API keys, and whose cached prefixes a request may share.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use engine::RetentionKey;
use memory::Tenant;
use subtle::ConstantTimeEq;

use crate::app::App;
use crate::config::serve::AccessConfig;
use crate::wire::error::ApiError;

/// A caller that was let in.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The caller's key, if there are keys.
    key: Option<String>,
    /// Whether all share their prefixes.
    shares_prefixes: bool,
}

impl Caller {
    /// Lets a caller in, or not.
    ///
    /// # Errors
    /// 401 when keys are asked for and the request carries none of them.
    pub fn admit(access: &AccessConfig, key: Option<&str>) -> Result<Self, ApiError> {
        if access.api_keys.is_empty() {
            return Ok(Self {
                key: None,
                shares_prefixes: true,
            });
        }
        let token = key.ok_or_else(ApiError::unauthorized)?;
        // All keys are compared, in constant time each: the time taken tells nothing about them.
        let mut found = None;
        for key in &access.api_keys {
            if bool::from(key.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(key);
            }
        }
        let key = found.ok_or_else(ApiError::unauthorized)?;
        Ok(Self {
            key: Some(key.clone()),
            shares_prefixes: access.shared_prefix_cache,
        })
    }

    /// The salt of a request of this caller: prefixes are shared within key and `cache_salt`.
    pub fn cache_salt(&self, request_salt: &str) -> Vec<u8> {
        let own = self.key.as_deref().filter(|_| !self.shares_prefixes);
        let namespace = own.unwrap_or_default();
        if namespace.is_empty() && request_salt.is_empty() {
            return Vec::new();
        }
        // The length in front keeps ("a", "bc") and ("ab", "c") apart.
        let mut salt = (namespace.len() as u64).to_le_bytes().to_vec();
        salt.extend_from_slice(namespace.as_bytes());
        salt.extend_from_slice(request_salt.as_bytes());
        salt
    }

    /// Whose account retained prefixes count on: that of the caller and the `prompt_cache_key`.
    pub fn retention_key(&self, prompt_cache_key: &str) -> RetentionKey {
        let namespace = self.key.as_deref().unwrap_or_default();
        let mut key = (namespace.len() as u64).to_le_bytes().to_vec();
        key.extend_from_slice(namespace.as_bytes());
        key.extend_from_slice(prompt_cache_key.as_bytes());
        RetentionKey::from(key)
    }

    /// Whose memory the caller sees: each key has its own, whether or not prefixes are shared.
    pub fn tenant(&self) -> Tenant {
        Tenant::of(self.key.as_deref().unwrap_or_default().as_bytes())
    }
}

/// Middleware: a request goes on with its [`Caller`], or ends with 401.
pub async fn require_key(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = Caller::admit(app.access(), key(request.headers()))?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// The key of a request: `Authorization: Bearer KEY`, or `x-api-key: KEY` as Anthropic's clients send
/// it.
fn key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let authorization = text(header::AUTHORIZATION).and_then(bearer);
    authorization.or_else(|| text(HeaderName::from_static("x-api-key")))
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn access(keys: &[&str], shared: bool) -> AccessConfig {
        let api_keys = keys.iter().map(|&key| key.to_owned()).collect();
        AccessConfig {
            api_keys,
            shared_prefix_cache: shared,
        }
    }

    #[test]
    fn only_known_keys_are_let_in() {
        let access = access(&["one", "two"], false);
        let admit = |name: &'static str, value: &'static str| {
            let name = HeaderName::from_static(name);
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            Caller::admit(&access, key(&headers))
        };
        for (name, value) in [
            ("authorization", "Bearer two"),
            ("authorization", "bearer one"),
            ("x-api-key", "one"),
        ] {
            assert!(admit(name, value).is_ok(), "{name}: {value}");
        }
        for (name, value) in [
            ("authorization", "Bearer three"),
            ("authorization", "Basic one"),
            ("authorization", "one"),
            ("authorization", "Bearer "),
            ("x-api-key", "Bearer one"),
            ("x-api-key", ""),
            ("api-key", "one"),
        ] {
            assert!(admit(name, value).is_err(), "{name}: {value}");
        }
        assert!(Caller::admit(&access, None).is_err());
        assert!(Caller::admit(&self::access(&[], false), None).is_ok());
    }

    #[test]
    fn each_key_and_salt_has_its_own_prefixes() {
        let salt = |access: &AccessConfig, key: &str, salt: &str| {
            Caller::admit(access, Some(key)).unwrap().cache_salt(salt)
        };
        let own = access(&["a", "ab"], false);
        let salts = [
            salt(&own, "a", ""),
            salt(&own, "ab", ""),
            salt(&own, "a", "b"),
            salt(&own, "ab", "b"),
        ];
        for (index, one) in salts.iter().enumerate() {
            assert!(salts[..index].iter().all(|other| other != one));
        }
        let shared = access(&["a", "ab"], true);
        assert_eq!(salt(&shared, "a", ""), salt(&shared, "ab", ""));
        assert_ne!(salt(&shared, "a", ""), salt(&shared, "a", "x"));
    }
}
