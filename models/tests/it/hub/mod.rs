//! Models of a hub, from a server in this process that speaks the hub's protocol.

mod failures;
mod server;

use std::fs;
use std::path::Path;

use models::hub::{HubError, Progress, fetch, fetch_with};
use models::{Encoder, HubRequest, ModelSource, open};

use crate::golden;
use server::{COMMIT, Hub, REPO, model_files, sha256, small_etag, weights};

const OTHER_COMMIT: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// What a download said about itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    /// Files and bytes of each phase, and how far it got.
    phases: Vec<(usize, u64, u64)>,
    waits: Vec<String>,
    finished: usize,
}

impl Progress for Heard {
    fn start(&mut self, files: usize, bytes: u64) {
        self.phases.push((files, bytes, 0));
    }

    fn advance_to(&mut self, bytes: u64) {
        self.phases.last_mut().unwrap().2 = bytes;
    }

    fn wait(&mut self, file: &str) {
        self.waits.push(file.to_owned());
    }

    fn finish(&mut self) {
        self.finished += 1;
    }
}

fn fail(request: &HubRequest) -> HubError {
    match fetch(request) {
        Ok(folder) => panic!("{request:?} was fetched to {}", folder.display()),
        Err(error) => error,
    }
}

/// Names below `folder`, in alphabetical order.
fn names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => names.extend(
                self::names(&entry.path())
                    .iter()
                    .map(|below| format!("{name}/{below}")),
            ),
            false => names.push(name),
        }
    }
    names.sort_unstable();
    names
}

#[test]
fn a_model_is_fetched_into_the_layout_that_other_tools_share() {
    let files = model_files();
    let hub = Hub::start(files.clone());
    let template = b"{{ messages }}".to_vec();
    let extra = "additional_chat_templates/rag.jinja";
    hub.shelf().files.insert(extra.into(), template.clone());
    let cache = tempfile::tempdir().unwrap();
    let mut heard = Heard::default();
    let folder = fetch_with(&hub.request(cache.path()), &mut heard).unwrap();

    let repo = cache.path().join("models--tiny--llama");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    let wanted = ["config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(names(&folder), [&[extra] as &[&str], &wanted].concat());
    for name in wanted {
        assert_eq!(fs::read(folder.join(name)).unwrap(), files[name], "{name}");
    }
    assert_eq!(fs::read(folder.join(extra)).unwrap(), template);
    assert_eq!(fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);

    let weights = sha256(&files["model.safetensors"]);
    let mut blobs = vec![
        small_etag(&files["config.json"]),
        small_etag(&files["tokenizer.json"]),
        small_etag(&template),
        weights.clone(),
    ];
    blobs.sort_unstable();
    assert_eq!(names(&repo.join("blobs")), blobs);
    let link = fs::read_link(folder.join("model.safetensors")).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(weights));
    let link = fs::read_link(folder.join(extra)).unwrap();
    assert_eq!(
        link,
        Path::new("../../../blobs").join(small_etag(&template))
    );

    let small = files["config.json"].len() + files["tokenizer.json"].len() + template.len();
    let small = small as u64;
    assert_eq!(heard.phases, [(3, small, small), (1, 100_000, 100_000)]);
    assert_eq!((heard.finished, heard.waits.len()), (2, 0));
    let asked = hub.asked();
    assert!(
        asked.iter().all(|line| !line.contains(" as ")),
        "no token: {asked:?}"
    );
}

#[test]
fn the_second_time_costs_one_question_and_offline_none() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let folder = fetch(&request).unwrap();
    hub.asked();

    let mut heard = Heard::default();
    assert_eq!(fetch_with(&request, &mut heard).unwrap(), folder);
    assert_eq!(hub.asked(), ["GET /api/models/tiny/llama/revision/main"]);
    assert_eq!(heard, Heard::default());

    request.options.offline = true;
    for revision in [None, Some("main"), Some(COMMIT)] {
        request.options.revision = revision.map(str::to_owned);
        assert_eq!(fetch(&request).unwrap(), folder, "{revision:?}");
    }
    assert!(hub.asked().is_empty());
}

#[test]
fn a_new_commit_costs_what_it_changes() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let request = hub.request(cache.path());
    let old = fetch(&request).unwrap();
    hub.asked();
    let tokenizer = br#"{"model": {"type": "BPE"}}"#.to_vec();
    {
        let mut shelf = hub.shelf();
        shelf.revisions.insert("main".into(), OTHER_COMMIT.into());
        shelf
            .files
            .insert("tokenizer.json".into(), tokenizer.clone());
    }
    let new = fetch(&request).unwrap();
    assert!(new.ends_with(OTHER_COMMIT));
    assert_eq!(fs::read(new.join("tokenizer.json")).unwrap(), tokenizer);
    let asked = hub.asked();
    let sent = asked.iter().filter(|line| line.starts_with("GET /tiny"));
    let sent: Vec<&String> = sent.collect();
    assert_eq!(sent.len(), 1, "{asked:?}");
    assert!(sent[0].ends_with("/tokenizer.json"));
    // A server that still runs on the old commit keeps its files.
    let files = model_files();
    assert_eq!(
        fs::read(old.join("tokenizer.json")).unwrap(),
        files["tokenizer.json"]
    );
    assert_eq!(
        fs::read(new.join("model.safetensors")).unwrap(),
        files["model.safetensors"]
    );
}

#[test]
fn a_revision_is_a_branch_a_tag_or_a_commit() {
    let hub = Hub::start(model_files());
    let tags = [("v1.0", OTHER_COMMIT), ("feature/x", COMMIT)];
    for (tag, commit) in tags {
        hub.shelf().revisions.insert(tag.into(), commit.into());
    }
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    for (revision, commit) in [tags[0], tags[1], (OTHER_COMMIT, OTHER_COMMIT)] {
        request.options.revision = Some(revision.into());
        assert!(fetch(&request).unwrap().ends_with(commit), "{revision}");
    }
    let refs = cache.path().join("models--tiny--llama/refs");
    assert_eq!(names(&refs), ["feature/x", "v1.0"]);
    assert_eq!(fs::read_to_string(refs.join("v1.0")).unwrap(), OTHER_COMMIT);
    let asked = hub.asked();
    let pinned = asked.iter().filter(|line| line.contains("/resolve/"));
    let commits = [COMMIT, OTHER_COMMIT];
    let is_pinned = |line: &String| commits.iter().any(|commit| line.contains(commit));
    assert!(
        pinned.clone().count() > 0 && pinned.clone().all(is_pinned),
        "{asked:?}"
    );
}

#[test]
fn shards_come_with_their_index_and_the_model_opens() {
    let variant = golden::folder().join("llama-bfloat16-sharded");
    let files = names(&variant).into_iter();
    let files = files.map(|name| (name.clone(), fs::read(variant.join(name)).unwrap()));
    let hub = Hub::start(files.collect());
    let unneeded = weights(5_000);
    hub.shelf()
        .files
        .insert("model-old.safetensors".into(), unneeded);
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    for offline in [false, true] {
        request.options.offline = offline;
        let model = open(&ModelSource::Hub(request.clone())).unwrap();
        assert_eq!(model.name(), REPO);
        let local = open(&ModelSource::Folder(variant.clone())).unwrap();
        assert_eq!(model.fingerprint(), local.fingerprint());
    }
    let folder = fetch(&request).unwrap();
    assert!(!folder.join("model-old.safetensors").exists());
    let shard = "model-00003-of-00005.safetensors";
    fs::remove_file(folder.join(shard)).unwrap();
    let error = fail(&request).to_string();
    assert!(
        error.contains(shard) && error.contains("HF_HUB_OFFLINE"),
        "{error}"
    );
}

#[test]
fn a_gguf_file_is_opened_by_its_quantisation() {
    let small = crate::gguf::small_file();
    let files = [("m-Q8_0.gguf", small), ("m-Q4_K_M.gguf", weights(5_000))];
    let hub = Hub::start(files.map(|(name, bytes)| (name.to_owned(), bytes)).into());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.gguf = Some("q8_0".to_owned());
    for offline in [false, true] {
        request.options.offline = offline;
        let model = open(&ModelSource::Hub(request.clone())).unwrap();
        assert_eq!((model.name(), model.config().vocab_size), (REPO, 160));
    }
    let file = fetch(&request).unwrap();
    assert!(file.ends_with("m-Q8_0.gguf"), "{}", file.display());
    assert!(!file.with_file_name("m-Q4_K_M.gguf").exists());
    request.gguf = Some("Q6_K".to_owned());
    request.options.offline = false;
    let error = fail(&request).to_string();
    assert!(
        error.contains("no GGUF file Q6_K; it has m-Q4_K_M.gguf, m-Q8_0.gguf"),
        "{error}"
    );
}

#[test]
fn a_renamed_repository_is_followed() {
    let hub = Hub::start(model_files());
    hub.shelf().old_repo = Some("small/lama".into());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    request.repo = "small/lama".into();
    let folder = fetch(&request).unwrap();
    // Under the name that was asked for, so that it is found again offline.
    let repo = cache.path().join("models--small--lama");
    assert_eq!(folder, repo.join("snapshots").join(COMMIT));
    assert_eq!(
        fs::read(folder.join("model.safetensors")).unwrap(),
        weights(100_000)
    );
}

#[test]
fn equal_files_are_one_blob() {
    let mut files = model_files();
    let tokenizer = files["tokenizer.json"].clone();
    files.insert("tokenizer_config.json".into(), tokenizer.clone());
    let hub = Hub::start(files);
    let cache = tempfile::tempdir().unwrap();
    let folder = fetch(&hub.request(cache.path())).unwrap();
    assert_eq!(
        fs::read(folder.join("tokenizer_config.json")).unwrap(),
        tokenizer
    );
    let asked = hub.asked();
    let sent = asked.iter().filter(|line| line.starts_with("GET /tiny"));
    assert_eq!(
        sent.filter(|line| line.contains("/tokenizer")).count(),
        1,
        "{asked:?}"
    );
}

#[test]
fn a_file_that_another_process_downloads_is_waited_for() {
    /// Lets go of the lock as soon as the download waits for it.
    struct Release(Option<fs::File>, Vec<String>);
    impl Progress for Release {
        fn start(&mut self, _files: usize, _bytes: u64) {}
        fn advance_to(&mut self, _bytes: u64) {}
        fn wait(&mut self, file: &str) {
            self.0 = None;
            self.1.push(file.to_owned());
        }
        fn finish(&mut self) {}
    }
    let files = model_files();
    let hub = Hub::start(files.clone());
    let cache = tempfile::tempdir().unwrap();
    let locks = cache.path().join(".locks/models--tiny--llama");
    fs::create_dir_all(&locks).unwrap();
    let name = format!("{}.lock", sha256(&files["model.safetensors"]));
    let lock = fs::File::create(locks.join(name)).unwrap();
    lock.lock().unwrap();
    let mut release = Release(Some(lock), Vec::new());
    fetch_with(&hub.request(cache.path()), &mut release).unwrap();
    assert_eq!(release.1, ["model.safetensors"]);
}

#[test]
fn fetching_works_inside_an_asynchronous_program() {
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let request = hub.request(cache.path());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { fetch(&request) }).unwrap();
}

#[test]
fn an_encoder_is_fetched_with_what_says_how_it_pools() {
    let golden = golden::folder().join("embedders/bert");
    let files = names(&golden).into_iter().map(|name| {
        let bytes = fs::read(golden.join(&name)).unwrap();
        (name, bytes)
    });
    let hub = Hub::start(files.collect());
    let cache = tempfile::tempdir().unwrap();
    let mut request = hub.request(cache.path());
    let encoder = Encoder::open(&ModelSource::Hub(request.clone())).unwrap();
    assert_eq!(encoder.window(), 48);
    let folder = cache
        .path()
        .join("models--tiny--llama/snapshots")
        .join(COMMIT);
    let wanted = [
        "1_Pooling/config.json",
        "config.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(names(&folder), wanted);
    request.options.offline = true;
    assert!(Encoder::open(&ModelSource::Hub(request)).is_ok());
}

#[test]
fn what_is_no_encoder_costs_no_download() {
    let error = |request: &HubRequest| match Encoder::open(&ModelSource::Hub(request.clone())) {
        Ok(_) => panic!("{request:?} was opened"),
        Err(error) => error.to_string(),
    };
    let hub = Hub::start(model_files());
    let cache = tempfile::tempdir().unwrap();
    let decoder = error(&hub.request(cache.path()));
    assert!(
        decoder.contains("architecture LlamaForCausalLM is not supported; supported are BertModel"),
        "{decoder}"
    );
    let asked = hub.asked();
    assert!(
        !asked.iter().any(|line| line.contains("model.safetensors")),
        "{asked:?}"
    );
    hub.shelf().files = [("m-Q8_0.gguf".to_owned(), weights(5_000))].into();
    let gguf = error(&hub.request(cache.path()));
    assert!(gguf.contains("model.safetensors"), "{gguf}");
    assert!(!hub.asked().iter().any(|line| line.contains("m-Q8_0.gguf")));
}
