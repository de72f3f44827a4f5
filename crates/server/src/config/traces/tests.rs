use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::config::resolve;

/// What becomes of flags and variables.
fn config(
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Result<Option<TracesConfig>, ConfigError> {
    let settings = Cli::try_parse_from([&["purser"], arguments].concat())
        .unwrap()
        .serve;
    let environment = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    resolve(settings, &environment).map(|config| config.traces)
}

fn endpoint(arguments: &[&str], variables: &[(&str, &str)]) -> Option<String> {
    let config = config(arguments, variables).unwrap();
    config.map(|config| config.endpoint.to_string())
}

const FLAGS: [&str; 2] = ["--otlp-traces-endpoint", "http://flag:4318/v1/traces"];
const SPANS: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://spans/here");
const ALL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318/otlp/");

#[test]
fn the_flag_is_stronger_than_the_variables() {
    assert_eq!(endpoint(&[], &[]), None);
    let flag = Some("http://flag:4318/v1/traces".to_owned());
    assert_eq!(endpoint(&FLAGS, &[SPANS, ALL]), flag);
    assert_eq!(
        endpoint(&[], &[SPANS, ALL]).as_deref(),
        Some("https://spans/here")
    );
    // An endpoint for all signals gets the path of this one.
    assert_eq!(
        endpoint(&[], &[ALL]).as_deref(),
        Some("http://all:4318/otlp/v1/traces")
    );
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318");
    assert_eq!(
        endpoint(&[], &[bare]).as_deref(),
        Some("http://localhost:4318/v1/traces")
    );
    for off in [
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_TRACES_EXPORTER", "none"),
    ] {
        assert_eq!(endpoint(&FLAGS, &[off]), None);
    }
}

#[test]
fn defaults_are_those_of_the_specification() {
    let config = config(&FLAGS, &[]).unwrap().unwrap();
    assert_eq!(config.timeout, Duration::from_secs(10));
    assert_eq!((config.max_queue, config.max_batch), (2_048, 512));
    assert_eq!(config.delay, Duration::from_secs(5));
    assert_eq!(config.service_name, None);
}

#[test]
fn variables_are_read() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250"),
        ("OTEL_SERVICE_NAME", "chat"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=1%202, other = b"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    let config = config(&FLAGS, &variables).unwrap().unwrap();
    assert_eq!(config.timeout, Duration::from_millis(250));
    assert_eq!(config.service_name.as_deref(), Some("chat"));
    assert_eq!((config.max_queue, config.max_batch), (100, 100));
    assert_eq!(config.delay, Duration::from_millis(20));
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    for url in [
        "collector:4317",
        "localhost",
        "ftp://host/",
        "http://",
        "/v1",
    ] {
        let refused = config(&["--otlp-traces-endpoint", url], &[]).unwrap_err();
        let expected = format!("--otlp-traces-endpoint: `{url}` is no URL");
        assert!(refused.to_string().starts_with(&expected), "{refused}");
    }
    let refused = config(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")]);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("--otlp-traces-endpoint: `nowhere`"),
        "{refused}"
    );
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/etc/ca.pem"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no header"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1,b c=2"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
    ] {
        let refused = config(&FLAGS, &[(name, value)]).unwrap_err().to_string();
        let expected = format!("--otlp-traces-endpoint: {name} ");
        assert!(refused.starts_with(&expected), "{refused}");
    }
    for ratio in ["1.5", "half", "-0.1"] {
        let sampler = ("OTEL_TRACES_SAMPLER", "traceidratio");
        let refused = config(&FLAGS, &[sampler, ("OTEL_TRACES_SAMPLER_ARG", ratio)]);
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("OTEL_TRACES_SAMPLER_ARG"), "{refused}");
    }
    // Nobody minds what is set for others where no spans are made.
    assert_eq!(
        config(&[], &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).unwrap(),
        None
    );
}
