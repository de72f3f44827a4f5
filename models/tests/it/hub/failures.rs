//! What goes wrong between here and a hub.

use std::fs;
use std::net::TcpListener;

use models::hub::{HubError, fetch, fetch_with};

use super::server::{COMMIT, Fault, Hub, REPO, model_files, sha256, weights};
use super::{Heard, fail, names};

/// Asserts that a text contains each of the words.
#[track_caller]
fn assert_says(error: &HubError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

/// Requests for bytes of the storage, as the server saw them.
fn stored(hub: &Hub) -> Vec<String> {
    let mut asked = hub.asked();
    asked.retain(|line| line.starts_with("GET /storage/"));
    let ranges = asked.iter().map(|line| match line.split_once(" from ") {
        Some((_, start)) => format!("from {start}"),
        None => "whole".to_owned(),
    });
    ranges.collect()
}

#[test]
fn names_that_cannot_be_are_refused_without_a_question() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    for repo in ["", "a/b/c", "../etc", "a/", "a/b c", "a--b/c"] {
        let mut request = hub.request(cache.path());
        request.repo = repo.into();
        assert_says(
            &fail(&request),
            &["neither a folder nor the id of a model", repo],
        );
    }
    let mut request = hub.request(cache.path());
    request.options.revision = Some("../../../etc".into());
    assert_says(&fail(&request), &["cannot be a revision of tiny/llama"]);
    let mut request = hub.request(cache.path());
    request.options.token = Some("hf_ä\n".into());
    assert_says(&fail(&request), &["HF_TOKEN", REPO]);
    for endpoint in ["hub.example", "ftp://hub.example", "http://"] {
        let mut request = hub.request(cache.path());
        request.options.endpoint = Some(endpoint.into());
        assert_says(&fail(&request), &["HF_ENDPOINT", endpoint]);
    }
    let mut request = hub.request(cache.path());
    request.options.cache_dir = None;
    assert_says(&fail(&request), &["HF_HOME"]);
    assert!(hub.asked().is_empty());
    assert!(names(cache.path()).is_empty());
}

#[test]
fn an_unknown_repository_is_named() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.repo = "tiny/typo".into();
    // The public hub tells strangers 401; a plain server knows no codes.
    for unknown in [
        (404, Some("RepoNotFound")),
        (401, Some("RepoNotFound")),
        (404, None),
    ] {
        hub.shelf().unknown_repo = unknown;
        let error = fail(&request);
        assert!(
            matches!(error, HubError::UnknownRepo { .. }),
            "{unknown:?}: {error}"
        );
        assert_says(&error, &["tiny/typo", &hub.address, "HF_TOKEN"]);
    }
}

#[test]
fn an_unknown_revision_is_named() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.options.revision = Some("v9".into());
    for code in [Some("RevisionNotFound"), None] {
        hub.shelf().unknown_revision = code;
        let error = fail(&request);
        assert!(
            matches!(error, HubError::UnknownRevision { .. }),
            "{code:?}: {error}"
        );
        assert_says(&error, &[REPO, "v9"]);
    }
}

#[test]
fn a_gated_model_says_how_to_get_in() {
    let hub = Hub::start(model_files());
    hub.shelf().token = Some("hf_right".into());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let terms = format!("{}/tiny/llama", hub.address);
    let words = [REPO, "config.json", "HF_TOKEN", &terms, "is restricted"];
    let error = fail(&request);
    assert_says(&error, &words);
    assert_says(
        &error,
        &["401", "set HF_TOKEN to a token of an account with access"],
    );

    request.options.token = Some("hf_wrong".into());
    let error = fail(&request);
    assert_says(&error, &words);
    assert_says(&error, &["403", "has no access"]);
    assert!(!error.to_string().contains("hf_wrong"));
    assert!(!format!("{request:?}").contains("hf_wrong"));

    request.options.token = Some("hf_right".into());
    fetch(&request).unwrap();
    let asked = hub.asked();
    assert!(
        asked
            .iter()
            .any(|line| line.ends_with(" as Bearer hf_right")),
        "{asked:?}"
    );
}

#[test]
fn offline_nothing_is_asked() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.options.offline = true;
    let error = fail(&request);
    let folder = cache.path().to_str().unwrap();
    assert_says(&error, &["HF_HUB_OFFLINE", REPO, "revision main", folder]);

    request.options.offline = false;
    let snapshot = fetch(&request).unwrap();
    hub.asked();
    request.options.offline = true;
    request.options.revision = Some("v1.0".into());
    assert_says(&fail(&request), &["revision v1.0"]);
    request.options.revision = None;
    // Another tool fetched no more than the configuration.
    fs::remove_file(snapshot.join("model.safetensors")).unwrap();
    assert_says(&fail(&request), &["model.safetensors"]);
    assert!(hub.asked().is_empty());
}

#[test]
fn a_hub_that_is_gone_leaves_the_cache() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let folder = fetch(&request).unwrap();
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    request.options.endpoint = Some(gone.clone());
    assert_eq!(fetch(&request).unwrap(), folder);
    let empty = tempfile::tempdir().unwrap();
    request.options.cache_dir = Some(empty.path().to_owned());
    let error = fail(&request);
    assert!(matches!(error, HubError::Network { .. }), "{error}");
    assert_says(&error, &[REPO, &gone, "HF_ENDPOINT", "HF_HUB_OFFLINE"]);
}

#[test]
fn weights_of_another_format_are_named() {
    let mut files = model_files();
    files.remove("model.safetensors");
    files.remove("consolidated.safetensors");
    files.insert("model.onnx".into(), vec![3; 1000]);
    let hub = Hub::start(files);
    let cache = tempfile::tempdir().unwrap();
    let error = fail(&hub.request(cache.path()));
    assert_says(
        &error,
        &[
            REPO,
            "model.safetensors",
            "PyTorch .bin and ONNX",
            "not read",
        ],
    );
    assert_eq!(hub.asked().len(), 1, "nothing is downloaded");
}

#[test]
fn a_model_of_no_supported_family_costs_no_weights() {
    let hub = Hub::start(model_files());
    let config = br#"{"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}"#;
    hub.shelf()
        .files
        .insert("config.json".into(), config.to_vec());
    let cache = tempfile::tempdir().unwrap();
    let error = fail(&hub.request(cache.path()));
    assert!(matches!(error, HubError::Config { .. }), "{error}");
    assert_says(&error, &[REPO, "T5ForConditionalGeneration"]);
    assert!(stored(&hub).is_empty());
}

#[test]
fn a_missing_file_is_named() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let request = hub.request(cache.path());
    hub.shelf().files.remove("config.json");
    assert_says(&fail(&request), &[REPO, "config.json", "main"]);

    let hub = Hub::start(model_files());
    let index = "model.safetensors.index.json";
    let request = hub.request(cache.path());
    for (shard, words) in [
        ("model-1.safetensors", "has no model-1.safetensors"),
        ("../model.safetensors", "not the name of a file"),
    ] {
        let text = format!(r#"{{"weight_map": {{"a": "{shard}"}}}}"#);
        hub.shelf().files.insert(index.into(), text.into_bytes());
        hub.shelf()
            .revisions
            .insert("main".into(), sha256(shard.as_bytes())[..40].into());
        assert_says(&fail(&request), &[REPO, words]);
    }
}

#[test]
fn an_interrupted_download_goes_on_where_it_stopped() {
    let hub = Hub::start(model_files());
    hub.shelf()
        .faults
        .extend([Fault::Truncate(60_000), Fault::Truncate(30_000)]);
    let cache = tempfile::tempdir().unwrap();
    let mut heard = Heard::default();
    let folder = fetch_with(&hub.request(cache.path()), &mut heard).unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
    assert_eq!(stored(&hub), ["whole", "from 60000", "from 90000"]);
    assert_eq!(heard.phases[1], (1, 100_000, 100_000));
}

#[test]
fn half_a_file_is_never_taken_for_whole() {
    let hub = Hub::start(model_files());
    let blob = sha256(&weights(100_000));
    let cuts = [Fault::Truncate(40_000)].into_iter();
    hub.shelf()
        .faults
        .extend(cuts.chain((0..20).map(|_| Fault::Truncate(0))));
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let error = fail(&request);
    assert!(matches!(error, HubError::Interrupted { .. }), "{error}");
    assert_says(
        &error,
        &[
            "model.safetensors",
            REPO,
            "40000 of 100000 bytes",
            "run again",
        ],
    );

    let repo = cache.path().join("models--tiny--llama");
    assert!(!repo.join("blobs").join(&blob).exists());
    assert!(
        !repo
            .join("snapshots")
            .join(COMMIT)
            .join("model.safetensors")
            .exists()
    );
    assert!(!repo.join("refs").exists());
    request.options.offline = true;
    assert_says(&fail(&request), &["HF_HUB_OFFLINE"]);
    request.options.offline = false;

    stored(&hub);
    hub.shelf().faults.clear();
    let folder = fetch(&request).unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
    assert_eq!(stored(&hub), ["from 40000"]);
    assert!(
        names(&repo.join("blobs"))
            .iter()
            .all(|name| !name.contains("incomplete"))
    );
}

#[test]
fn a_server_without_ranges_sends_the_file_again() {
    let hub = Hub::start(model_files());
    hub.shelf()
        .faults
        .extend([Fault::Truncate(60_000), Fault::IgnoreRange]);
    let cache = tempfile::tempdir().unwrap();
    let folder = fetch(&hub.request(cache.path())).unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
    assert_eq!(stored(&hub), ["whole", "from 60000", "whole"]);
}

#[test]
fn damaged_bytes_are_found_and_deleted() {
    let hub = Hub::start(model_files());
    hub.shelf().faults.push_back(Fault::Damage);
    let cache = tempfile::tempdir().unwrap();
    let request = hub.request(cache.path());
    let error = fail(&request);
    assert!(matches!(error, HubError::Damaged { .. }), "{error}");
    let blob = sha256(&weights(100_000));
    assert_says(&error, &["model.safetensors", REPO, &blob]);
    let blobs = cache.path().join("models--tiny--llama/blobs");
    assert!(names(&blobs).iter().all(|name| !name.contains(&blob)));
    fetch(&request).unwrap();
}

#[test]
fn a_wrong_beginning_is_thrown_away() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--tiny--llama/blobs");
    fs::create_dir_all(&blobs).unwrap();
    let part = format!("{}.incomplete", sha256(&weights(100_000)));
    fs::write(blobs.join(part), vec![0; 50_000]).unwrap();
    let folder = fetch(&hub.request(cache.path())).unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
    assert_eq!(stored(&hub), ["from 50000", "whole"]);
}

#[test]
fn a_blob_of_the_wrong_length_is_fetched_again() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("models--tiny--llama/blobs");
    fs::create_dir_all(&blobs).unwrap();
    fs::write(
        blobs.join(sha256(&weights(100_000))),
        b"<html>an error</html>",
    )
    .unwrap();
    let folder = fetch(&hub.request(cache.path())).unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
}

#[test]
fn a_page_of_an_error_is_not_a_file() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    hub.shelf().faults.push_back(Fault::Status(403));
    let request = hub.request(cache.path());
    let error = fail(&request);
    assert!(matches!(error, HubError::AccessDenied { .. }), "{error}");
    assert_says(&error, &["model.safetensors"]);
    // A busy server is asked again.
    hub.shelf().faults.push_back(Fault::Status(503));
    let folder = fetch(&request).unwrap();
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
}

#[test]
fn a_page_of_a_hotel_is_not_a_hub() {
    let hub = Hub::start(model_files());
    hub.shelf().page = Some("<html>Please log in</html>".into());
    let cache = tempfile::tempdir().unwrap();
    let error = fail(&hub.request(cache.path()));
    assert!(matches!(error, HubError::Protocol { .. }), "{error}");
    assert_says(&error, &[&hub.address, REPO]);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let hub = Hub::start(model_files());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = fail(&hub.request(&file));
    assert!(matches!(error, HubError::Disk { .. }), "{error}");
    assert_says(&error, &[file.to_str().unwrap()]);
}
