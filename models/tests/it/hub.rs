//! Models of a hub, from a server in this process that speaks the hub's protocol.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use models::{HubOptions, HubRequest, ModelSource, OpenError, open};

use crate::golden;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const REPO: &str = "tiny/llama";

/// The server: one repository, what it was asked for, and whether it asks for a token.
struct Hub {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    token: Option<&'static str>,
}

impl Hub {
    /// Serves the golden folder `variant` as [`REPO`], with a file that nobody needs.
    fn start(variant: &str, token: Option<&'static str>) -> Self {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(golden::folder().join(variant)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            files.insert(name, std::fs::read(path).unwrap());
        }
        files.insert("pytorch_model.bin".into(), vec![7; 1000]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, shelf) = (Arc::clone(&asked), Arc::new(Shelf { files, token }));
        // The thread ends with the process; nothing waits for it.
        let serve = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (log, shelf) = (Arc::clone(&log), Arc::clone(&shelf));
                let answer = move || shelf.answer_all(stream, &log);
                std::thread::Builder::new()
                    .name("connection".into())
                    .spawn(answer)
                    .unwrap();
            }
        };
        std::thread::Builder::new()
            .name("hub".into())
            .spawn(serve)
            .unwrap();
        Self { address, asked }
    }

    fn request(&self, cache: &Path) -> HubRequest {
        let options = HubOptions {
            endpoint: Some(self.address.clone()),
            cache_dir: Some(cache.to_owned()),
            token: Some("none".into()),
            ..HubOptions::default()
        };
        HubRequest {
            repo: REPO.into(),
            options,
        }
    }

    /// Files whose bodies were sent, in alphabetical order.
    fn sent(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        let bodies = asked
            .iter()
            .filter_map(|line| line.strip_prefix("GET /tiny/llama/resolve/"));
        let mut names: Vec<String> = bodies
            .map(|path| path.rsplit('/').next().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    }
}

impl Shelf {
    fn answer_all(&self, stream: TcpStream, log: &Mutex<Vec<String>>) {
        let mut writer = stream.try_clone().unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        while let Some(first) = lines.next() {
            let headers: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let target = first.strip_suffix(" HTTP/1.1").unwrap().to_owned();
            let reply = self.reply(&target, &headers);
            log.lock().unwrap().push(target);
            if writer.write_all(&reply).is_err() {
                return;
            }
        }
    }

    fn reply(&self, target: &str, headers: &[String]) -> Vec<u8> {
        let (method, path) = target.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let authorised = self.token.is_none_or(|token| {
            let wanted = format!("authorization: bearer {token}");
            headers.iter().any(|header| header.to_lowercase() == wanted)
        });
        let of_repo = path
            .strip_prefix("/api/models/")
            .or_else(|| path.strip_prefix('/'))
            .and_then(|path| path.strip_prefix(REPO));
        let missing = |code: &str| {
            reply(
                method,
                "404 Not Found",
                &format!("x-error-code: {code}\r\n"),
                b"{}",
            )
        };
        let Some(rest) = of_repo else {
            return missing("RepoNotFound");
        };
        if rest.starts_with("/revision/no-such") {
            return missing("RevisionNotFound");
        }
        if !authorised && !rest.starts_with("/revision/") && !rest.starts_with("/tree/") {
            let extra = "x-error-code: GatedRepo\r\nx-error-message: tiny/llama is gated\r\n";
            return reply(method, "401 Unauthorized", extra, b"{}");
        }
        if rest.starts_with("/revision/") {
            let body = format!("{{\"id\":\"{REPO}\",\"sha\":\"{COMMIT}\"}}");
            return reply(method, "200 OK", "", body.as_bytes());
        }
        if rest.starts_with("/tree/") {
            let entries = self.files.iter().map(|(name, bytes)| {
                let size = bytes.len();
                format!(r#"{{"type":"file","oid":"{name}","size":{size},"path":"{name}"}}"#)
            });
            let body = format!("[{}]", entries.collect::<Vec<_>>().join(","));
            return reply(method, "200 OK", "", body.as_bytes());
        }
        let name = rest.rsplit('/').next().unwrap();
        match self.files.get(name) {
            None => missing("EntryNotFound"),
            Some(bytes) => {
                let extra = format!("etag: \"etag-of-{name}\"\r\nx-repo-commit: {COMMIT}\r\n");
                reply(method, "200 OK", &extra, bytes)
            }
        }
    }
}

fn reply(method: &str, status: &str, extra: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {extra}\r\n"
    );
    let body = if method == "HEAD" { &[] } else { body };
    [head.as_bytes(), body].concat()
}

fn error(request: &HubRequest) -> String {
    match open(&ModelSource::Hub(request.clone())) {
        Ok(_) => panic!("{request:?} was opened"),
        Err(OpenError::Hub(error)) => error.to_string(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_model_is_fetched_once_and_then_taken_from_the_cache() {
    let hub = Hub::start("llama-bfloat16-sharded", None);
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let model = open(&ModelSource::Hub(request.clone())).unwrap();
    assert_eq!(model.name(), REPO);
    let folder = golden::folder().join("llama-bfloat16-sharded");
    let local = open(&ModelSource::Folder(folder)).unwrap();
    assert_eq!(model.fingerprint(), local.fingerprint());
    // Neither the pickle nor the goldens.
    let files = [
        "config.json",
        "generation_config.json",
        "model-00001-of-00005.safetensors",
        "model-00002-of-00005.safetensors",
        "model-00003-of-00005.safetensors",
        "model-00004-of-00005.safetensors",
        "model-00005-of-00005.safetensors",
        "model.safetensors.index.json",
    ];
    assert_eq!(hub.sent(), files);
    // The layout that huggingface_hub shares.
    let repo = cache.path().join("models--tiny--llama");
    assert_eq!(
        std::fs::read_to_string(repo.join("refs/main")).unwrap(),
        COMMIT
    );
    assert!(
        repo.join("snapshots")
            .join(COMMIT)
            .join("config.json")
            .is_file()
    );
    assert!(repo.join("blobs/etag-of-config.json").is_file());

    open(&ModelSource::Hub(request.clone())).unwrap();
    assert_eq!(hub.sent(), files, "the second time nothing is sent");

    hub.asked.lock().unwrap().clear();
    request.options.offline = true;
    open(&ModelSource::Hub(request)).unwrap();
    assert!(
        hub.asked.lock().unwrap().is_empty(),
        "offline nobody is asked"
    );
}

#[test]
fn a_revision_can_be_named_and_misspelt() {
    let hub = Hub::start("qwen3", None);
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.options.revision = Some("v1".into());
    open(&ModelSource::Hub(request.clone())).unwrap();
    assert!(cache.path().join("models--tiny--llama/refs/v1").is_file());
    request.options.revision = Some("no-such".into());
    assert_eq!(
        error(&request),
        "repository tiny/llama has no revision no-such"
    );
}

#[test]
fn an_unknown_repository_is_named() {
    let hub = Hub::start("qwen3", None);
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.repo = "tiny/typo".into();
    let want = "repository tiny/typo was not found; check its spelling, and set HF_TOKEN if it is \
                private";
    assert_eq!(error(&request), want);
    for repo in ["no-slash", "a/b/c", "../etc", "a/", "a/b c"] {
        request.repo = repo.into();
        assert!(
            error(&request).contains("neither a folder nor a hub id"),
            "{repo}"
        );
    }
}

#[test]
fn a_gated_repository_asks_for_a_token() {
    let hub = Hub::start("qwen3", Some("secret"));
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let refused = error(&request);
    assert!(
        refused.contains("HF_TOKEN") && refused.contains("tiny/llama is gated"),
        "{refused}"
    );
    request.options.token = Some("secret".into());
    assert!(!format!("{request:?}").contains("secret"));
    open(&ModelSource::Hub(request)).unwrap();
}

#[test]
fn offline_without_a_cached_model_is_an_error_that_says_so() {
    let cache = tempfile::tempdir().unwrap();
    let hub = Hub::start("qwen3", None);
    let mut request = hub.request(cache.path());
    request.options.offline = true;
    let refused = error(&request);
    assert!(
        refused.contains("not in the cache") && refused.contains("HF_HUB_OFFLINE"),
        "{refused}"
    );
    assert!(hub.asked.lock().unwrap().is_empty());
}

#[test]
fn a_hub_that_does_not_answer_is_an_error_that_says_so() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let cache = tempfile::tempdir().unwrap();
    let options = HubOptions {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        cache_dir: Some(cache.path().to_owned()),
        token: Some("none".into()),
        ..HubOptions::default()
    };
    let refused = error(&HubRequest {
        repo: REPO.into(),
        options,
    });
    assert!(refused.contains("cannot reach the hub"), "{refused}");
}
