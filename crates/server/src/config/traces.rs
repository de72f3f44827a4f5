//! Whether and where spans of requests are sent: the flag, and the variables that OpenTelemetry
//! defines for it.
//!
//! The variables are those of <https://opentelemetry.io/docs/specs/otel/protocol/exporter/> and
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>. Headers,
//! the sampler and attributes of the resource are read by the SDK itself; here is checked what it
//! would leave out without a word.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::serve::TracesConfig;
use super::settings::ServeSettings;
use super::{ConfigError, Environment, wrong};

const FLAG: &str = "otlp-traces-endpoint";

/// What of `OTEL_EXPORTER_OTLP_..` would have to act and cannot.
const UNSUPPORTED: [&str; 3] = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"];

/// Values of `OTEL_TRACES_SAMPLER` that the SDK has.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Where spans go; `None` when nothing names an endpoint, or OpenTelemetry is switched off.
///
/// # Errors
/// When spans are asked for and something about them cannot work.
pub(super) fn traces(
    settings: &ServeSettings,
    environment: Environment<'_>,
) -> Result<Option<TracesConfig>, ConfigError> {
    if is_switched_off(environment)? {
        return Ok(None);
    }
    let Some(endpoint) = endpoint(settings, environment)? else {
        return Ok(None);
    };
    let variables = Variables(environment);
    variables.check_transport()?;
    variables.check_headers()?;
    variables.check_sampler()?;
    let max_queue = variables.count("OTEL_BSP_MAX_QUEUE_SIZE")?.unwrap_or(2_048);
    let max_batch = variables.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE")?;
    if let Some(batch) = max_batch.filter(|&batch| batch > max_queue) {
        let message = format!(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE is {batch}, more than the {max_queue} spans that may \
             wait (OTEL_BSP_MAX_QUEUE_SIZE)"
        );
        return Err(wrong(FLAG, message));
    }
    let delay = variables.count("OTEL_BSP_SCHEDULE_DELAY")?.unwrap_or(5_000);
    Ok(Some(TracesConfig {
        endpoint,
        timeout: variables.timeout()?,
        service_name: environment("OTEL_SERVICE_NAME"),
        max_queue,
        max_batch: max_batch.unwrap_or(max_queue.min(512)),
        delay: Duration::from_millis(delay as u64),
    }))
}

fn is_switched_off(environment: Environment<'_>) -> Result<bool, ConfigError> {
    let disabled = environment("OTEL_SDK_DISABLED");
    if disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(true);
    }
    match environment("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => Ok(false),
        Some("none") => Ok(true),
        Some(other) => {
            let message = format!("OTEL_TRACES_EXPORTER is `{other}`; there are otlp and none");
            Err(wrong(FLAG, message))
        }
    }
}

/// An endpoint for spans is used as it is; one for all signals gets the path of spans.
fn endpoint(
    settings: &ServeSettings,
    environment: Environment<'_>,
) -> Result<Option<Url>, ConfigError> {
    let given = settings.otlp_traces_endpoint.clone();
    let of_spans = given
        .filter(|url| !url.is_empty())
        .or_else(|| environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
    if let Some(url) = of_spans {
        return collector(&url).map(Some);
    }
    let Some(base) = environment("OTEL_EXPORTER_OTLP_ENDPOINT") else {
        return Ok(None);
    };
    let mut url = collector(&base)?;
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(Some(url))
}

fn collector(text: &str) -> Result<Url, ConfigError> {
    let is_usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    Url::parse(text).ok().filter(is_usable).ok_or_else(|| {
        let message =
            format!("`{text}` is no URL of a collector; write http://localhost:4318/v1/traces");
        wrong(FLAG, message)
    })
}

struct Variables<'a>(Environment<'a>);

impl Variables<'_> {
    /// `OTEL_EXPORTER_OTLP_TRACES_{suffix}`, or the same for all signals: its name and value.
    fn of_exporter(&self, suffix: &str) -> Option<(String, String)> {
        ["OTEL_EXPORTER_OTLP_TRACES_", "OTEL_EXPORTER_OTLP_"]
            .into_iter()
            .find_map(|prefix| {
                let name = format!("{prefix}{suffix}");
                let value = (self.0)(&name)?;
                Some((name, value))
            })
    }

    fn check_transport(&self) -> Result<(), ConfigError> {
        for (suffix, only) in [("PROTOCOL", "http/protobuf"), ("COMPRESSION", "none")] {
            if let Some((name, value)) = self.of_exporter(suffix)
                && value != only
            {
                let message = format!(
                    "{name} is `{value}`; spans are sent by http/protobuf (port 4318 of a \
                     collector, not 4317) without compression, so it can only be `{only}`"
                );
                return Err(wrong(FLAG, message));
            }
        }
        match UNSUPPORTED.into_iter().find_map(|it| self.of_exporter(it)) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("{name} is set, and only the system's certificates are used");
                Err(wrong(FLAG, message))
            }
        }
    }

    fn check_headers(&self) -> Result<(), ConfigError> {
        let Some((name, value)) = self.of_exporter("HEADERS") else {
            return Ok(());
        };
        let is_header = |item: &str| {
            item.split_once('=').is_some_and(|(key, value)| {
                let (key, value) = (key.trim(), value.trim());
                HeaderName::try_from(key).is_ok()
                    && HeaderValue::try_from(value).is_ok()
                    && !value.is_empty()
            })
        };
        // What stands in it may be secret and is not repeated.
        match value.split_terminator(',').all(is_header) {
            true => Ok(()),
            false => Err(wrong(FLAG, format!("{name} must be key=value,key=value"))),
        }
    }

    fn check_sampler(&self) -> Result<(), ConfigError> {
        let Some(sampler) = (self.0)("OTEL_TRACES_SAMPLER") else {
            return Ok(());
        };
        if !SAMPLERS.contains(&sampler.as_str()) {
            let known = SAMPLERS.join(", ");
            let message = format!("OTEL_TRACES_SAMPLER is `{sampler}`; there are {known}");
            return Err(wrong(FLAG, message));
        }
        let ratio = (self.0)("OTEL_TRACES_SAMPLER_ARG").filter(|_| sampler.ends_with("ratio"));
        let is_share = |text: &String| text.parse().is_ok_and(|at| (0.0..=1.0).contains(&at));
        match ratio.filter(|text| !is_share(text)) {
            None => Ok(()),
            Some(text) => {
                let message = format!("OTEL_TRACES_SAMPLER_ARG is `{text}`, not between 0 and 1");
                Err(wrong(FLAG, message))
            }
        }
    }

    /// How long a collector may take to answer.
    fn timeout(&self) -> Result<Duration, ConfigError> {
        let millis = match self.of_exporter("TIMEOUT") {
            Some((name, value)) => at_least_one(&name, &value)?,
            None => 10_000,
        };
        Ok(Duration::from_millis(millis as u64))
    }

    fn count(&self, name: &str) -> Result<Option<usize>, ConfigError> {
        let value = (self.0)(name);
        value.map(|value| at_least_one(name, &value)).transpose()
    }
}

fn at_least_one(name: &str, value: &str) -> Result<usize, ConfigError> {
    let number = value.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| {
        let message = format!("{name} is `{value}`, not a number of at least 1");
        wrong(FLAG, message)
    })
}

#[cfg(test)]
mod tests;
