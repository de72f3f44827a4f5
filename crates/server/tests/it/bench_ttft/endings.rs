//! How runs end that do not end well.

use std::net::TcpListener;

use super::*;

/// Runs with prompts of 100 tokens; the error has every one of `words`, and no file is written.
async fn check_error(config: Config, options: &[&str], words: &[&str]) {
    let options: Vec<&str> = ["--prompt-tokens", "100"]
        .iter()
        .chain(options)
        .copied()
        .collect();
    let ran = bench(config, &options).await;
    let error = ran.error.expect("the run fails");
    for word in words {
        assert!(error.contains(word), "{error:?} lacks {word:?}");
    }
    assert_eq!(ran.json, Value::Null);
}

#[tokio::test]
async fn keys_models_and_lengths_are_named() {
    let locked = Config {
        key: Some("sk-1"),
        ..Config::default()
    };
    check_error(locked.clone(), &[], &["401", "no such key", "--api-key"]).await;
    check_error(locked, &["--api-key", "sk-2"], &["401"]).await;
    let unknown = [
        "no model \"x\"",
        "`x` does not exist",
        "it serves fake-1, fake-2",
    ];
    check_error(Config::default(), &["--model", "x"], &unknown).await;
    let none = Config {
        models: vec![],
        ..Config::default()
    };
    check_error(none, &[], &["lists no model; pass --model"]).await;
    let short = Config {
        max_model_len: 100,
        ..Config::default()
    };
    let limit = [
        "100 prompt tokens and 1 to generate",
        "limit is 100 tokens",
        "--prompt-tokens",
    ];
    check_error(short, &[], &limit).await;
    let silent = Config {
        max_model_len: 99,
        says_limit: false,
        ..Config::default()
    };
    check_error(
        silent,
        &[],
        &["maximum context length is 99 tokens", "--prompt-tokens"],
    )
    .await;
}

#[tokio::test]
async fn a_limit_that_just_fits_is_kept() {
    let config = Config {
        max_model_len: 101,
        ..Config::default()
    };
    let ran = bench(config, &["--prompt-tokens", "100", "--repeat", "1"]).await;
    assert_eq!(ran.error, None);
}

#[tokio::test]
async fn streams_without_a_token_are_no_measurements() {
    let with = |flow| Config {
        flow,
        ..Config::default()
    };
    check_error(with(Flow::Empty), &[], &["ended without a single token"]).await;
    check_error(with(Flow::Error), &[], &["stream", "out of memory"]).await;
    check_error(
        with(Flow::NoStream),
        &[],
        &["does not stream", "finish_reason"],
    )
    .await;
}

#[tokio::test]
async fn a_server_without_completions_is_the_wrong_one() {
    let config = Config {
        has_completions: false,
        has_chat: false,
        ..Config::default()
    };
    check_error(
        config,
        &[],
        &["neither /v1/completions nor /v1/chat/completions"],
    )
    .await;
}

#[tokio::test]
async fn rates_asked_for_twice_are_refused() {
    check_error(
        Config::default(),
        &["--hit-rates", "0,5,5"],
        &["--hit-rates: 5 is there twice"],
    )
    .await;
}

/// Runs against `url`; the error has every one of `words`.
async fn check_url(url: &str, words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let (args, _) = arguments(url, &folder, &["--timeout", "1"]);
    let error = ttft::run(&args, &mut Vec::new(), pending())
        .await
        .unwrap_err()
        .to_string();
    for word in words {
        assert!(error.contains(word), "{url}: {error:?} lacks {word:?}");
    }
}

#[tokio::test]
async fn wrong_addresses_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (_fake, url) = Fake::start(Config::default()).await;
    check_url(
        &format!("http://{closed}"),
        &["cannot reach", "refused", "does the server run"],
    )
    .await;
    check_url(
        &format!("{url}/other"),
        &["other/v1/models", "404", "--base-url"],
    )
    .await;
    check_url(&format!("{url}/v1/models"), &["404", "--base-url"]).await;
    check_url(
        "127.0.0.1:8000",
        &["--base-url 127.0.0.1:8000", "http://127.0.0.1:8000"],
    )
    .await;
    check_url("localhost:8000", &["does not begin with http://"]).await;
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    check_url(
        &format!("http://{}", deaf.local_addr().unwrap()),
        &["sent nothing for 1 s"],
    )
    .await;
}

#[tokio::test]
async fn a_trailing_v1_makes_no_difference() {
    let (_fake, url) = Fake::start(Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    for end in ["/", "/v1", "/v1/"] {
        let options = ["--prompt-tokens", "20", "--repeat", "1", "--hit-rates", "0"];
        let (args, _) = arguments(&format!("{url}{end}"), &folder, &options);
        ttft::run(&args, &mut Vec::new(), pending()).await.unwrap();
    }
}

#[tokio::test]
async fn places_that_cannot_be_written_are_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |output: PathBuf, words: &str| {
        let output = output.to_str().unwrap();
        // Nothing listens there: the path is looked at before the server is.
        let args = [
            "ttft",
            "--base-url",
            "http://127.0.0.1:1",
            "--output",
            output,
        ];
        let run = ttft::run(&Cli::parse_from(args).args, &mut Vec::new(), pending()).await;
        let error = run.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    check(
        folder.path().join("missing/results.json"),
        "there is no folder",
    )
    .await;
    check(folder.path().to_owned(), "is a folder").await;
}

#[tokio::test]
async fn an_interrupted_run_keeps_what_it_has() {
    let config = Config {
        silent_from: 12,
        ..Config::default()
    };
    let (fake, url) = Fake::start(config).await;
    let folder = tempfile::tempdir().unwrap();
    let (args, output) = arguments(&url, &folder, &["--prompt-tokens", "100"]);
    let interrupt = async {
        while fake.seen().len() < 12 {
            fake.came.notified().await;
        }
    };
    let mut out = Vec::new();
    let error = ttft::run(&args, &mut out, interrupt)
        .await
        .unwrap_err()
        .to_string();
    let json: Value = serde_json::from_slice(&fs::read(&output).unwrap()).unwrap();
    let taken = json["measurements"].as_array().unwrap().len();
    // Of 12 requests two come before the measurements, and at most half of the others warm.
    assert!((4..=10).contains(&taken), "{taken}");
    assert_eq!(
        error,
        format!("interrupted after {taken} of 35 measurements, 1 more in flight")
    );
    assert_eq!(json["in_flight_at_interrupt"], 1);
    assert_eq!(json["complete"], false);
    assert!(String::from_utf8(out).unwrap().contains("p50 ms"));
}

#[tokio::test]
async fn an_interrupt_before_the_first_measurement_writes_nothing() {
    let (_fake, url) = Fake::start(Config::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let (args, output) = arguments(&url, &folder, &[]);
    let error = ttft::run(&args, &mut Vec::new(), async {})
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(error, "interrupted after 0 of 35 measurements");
    assert!(!output.exists());
}

#[tokio::test]
async fn a_server_that_fails_on_the_way_leaves_the_results_so_far() {
    let config = Config {
        broken_from: 12,
        ..Config::default()
    };
    let ran = bench(config, &["--prompt-tokens", "100"]).await;
    let taken = ran.measurements().len();
    assert!((4..=9).contains(&taken), "{taken}");
    let error = ran.error.unwrap();
    assert!(
        error.contains(&format!("ended after {taken} of 35 measurements")),
        "{error}"
    );
    assert!(error.contains("500: the device is lost"), "{error}");
    assert_eq!(ran.json["complete"], false);
}
