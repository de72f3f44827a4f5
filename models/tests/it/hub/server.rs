//! A hub in this process: one repository, what it is asked, and how it fails.
//!
//! It answers as the public hub does: small files directly, large ones with a redirect to a storage
//! that knows ranges but no repositories.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use models::{HubOptions, HubRequest};
use sha2::{Digest, Sha256};

pub(super) const REPO: &str = "tiny/llama";
pub(super) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How a request for the bytes of a large file goes wrong.
pub(super) enum Fault {
    /// The connection closes after so many bytes of the body.
    Truncate(usize),
    /// The whole file, whatever range was asked for.
    IgnoreRange,
    /// Another byte in the middle.
    Damage,
    /// A page of an error.
    Status(u16),
}

/// What the hub has, and how it behaves; a test may change it at any time.
pub(super) struct Shelf {
    /// Where the storage is: at the hub's own address.
    address: String,
    /// The repository that the files are in.
    pub(super) repo: String,
    /// A name that redirects to it.
    pub(super) old_repo: Option<String>,
    /// Branches and tags, with their commits.
    pub(super) revisions: BTreeMap<String, String>,
    /// The files, of every commit.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// The token that opens the files; the listing is open, as that of a gated model is.
    pub(super) token: Option<String>,
    /// Status and `X-Error-Code` for what is not there.
    pub(super) unknown_repo: (u16, Option<&'static str>),
    pub(super) unknown_revision: Option<&'static str>,
    /// An answer to everything.
    pub(super) page: Option<String>,
    /// What happens to the next requests for bytes of large files.
    pub(super) faults: VecDeque<Fault>,
}

pub(super) struct Hub {
    pub(super) address: String,
    shelf: Arc<Mutex<Shelf>>,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A request.
struct Asked {
    method: String,
    path: String,
    range_start: Option<usize>,
    authorization: Option<String>,
}

/// An answer; the body of one to `HEAD` is not sent.
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Bytes of the body that are sent before the connection closes.
    cut: Option<usize>,
}

impl Hub {
    /// A hub whose repository has these files; `main` is at [`COMMIT`].
    pub(super) fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shelf = Arc::new(Mutex::new(Shelf {
            address: address.clone(),
            repo: REPO.into(),
            old_repo: None,
            revisions: BTreeMap::from([("main".into(), COMMIT.into())]),
            files,
            token: None,
            unknown_repo: (404, Some("RepoNotFound")),
            unknown_revision: Some("RevisionNotFound"),
            page: None,
            faults: VecDeque::new(),
        }));
        let asked = Arc::default();
        let hub = Self {
            address,
            shelf,
            asked,
        };
        let (shelf, asked) = (Arc::clone(&hub.shelf), Arc::clone(&hub.asked));
        // The threads end with the process; nothing waits for them.
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shelf, asked) = (Arc::clone(&shelf), Arc::clone(&asked));
                spawn(move || converse(stream, &shelf, &asked));
            }
        });
        hub
    }

    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    /// A request for the repository, with a cache at `cache` and nothing else set.
    pub(super) fn request(&self, cache: &Path) -> HubRequest {
        let options = HubOptions {
            endpoint: Some(self.address.clone()),
            cache_dir: Some(cache.to_owned()),
            ..HubOptions::default()
        };
        HubRequest {
            repo: REPO.into(),
            gguf: None,
            options,
        }
    }

    /// What was asked since the last call: method, path, range and token.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

/// The files of a model that the tests serve: valid configuration, weights of nonsense.
pub(super) fn model_files() -> BTreeMap<String, Vec<u8>> {
    let config = r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2,
        "num_hidden_layers": 1, "num_key_value_heads": 1, "vocab_size": 64,
        "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "hidden_act": "silu"}"#;
    let text = |text: &str| text.as_bytes().to_vec();
    BTreeMap::from([
        ("README.md".into(), text("# Llama")),
        ("config.json".into(), text(config)),
        ("consolidated.safetensors".into(), vec![1; 70_000]),
        ("model.safetensors".into(), weights(100_000)),
        ("original/params.json".into(), text("{}")),
        ("pytorch_model.bin".into(), vec![2; 70_000]),
        ("tokenizer.json".into(), text(r#"{"model": {}}"#)),
    ])
}

/// Bytes without a pattern that a mistake could repeat.
pub(super) fn weights(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

/// Digest that names the blob of a large file.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digest that names the blob of a small file; as long as git's.
pub(super) fn small_etag(bytes: &[u8]) -> String {
    sha256(bytes)[..40].to_owned()
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name("hub".into());
    thread.spawn(work).unwrap();
}

fn converse(stream: TcpStream, shelf: &Mutex<Shelf>, log: &Mutex<Vec<String>>) {
    let mut writer = stream.try_clone().unwrap();
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    while let Some(asked) = read(&mut lines) {
        log.lock().unwrap().push(asked.line());
        let answer = shelf.lock().unwrap().answer(&asked);
        if answer.send(&mut writer, asked.method == "HEAD").is_err() || answer.cut.is_some() {
            let _ = writer.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn read(lines: &mut impl Iterator<Item = String>) -> Option<Asked> {
    let first = lines.next()?;
    let mut words = first.split(' ');
    let method = words.next()?.to_owned();
    let path = words.next()?.to_owned();
    let mut asked = Asked {
        method,
        path,
        range_start: None,
        authorization: None,
    };
    for header in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = header.split_once(": ").unwrap();
        match name.to_lowercase().as_str() {
            "range" => {
                let start = value.strip_prefix("bytes=").unwrap().split('-').next();
                asked.range_start = Some(start.unwrap().parse().unwrap());
            }
            "authorization" => asked.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(asked)
}

impl Asked {
    fn line(&self) -> String {
        let mut line = format!("{} {}", self.method, self.path);
        if let Some(start) = self.range_start {
            line += &format!(" from {start}");
        }
        if let Some(authorization) = &self.authorization {
            line += &format!(" as {authorization}");
        }
        line
    }
}

impl Answer {
    fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
        }
    }

    fn refusal(status: u16, code: Option<&str>) -> Self {
        let answer = Self::new(status, r#"{"error": "the hub's own words"}"#);
        let code = code.map(|code| ("x-error-code", code.to_owned()));
        code.into_iter()
            .fold(answer, |answer, (name, value)| answer.with(name, value))
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn send(&self, writer: &mut TcpStream, head_only: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\n", self.status);
        head += &format!("content-length: {}\r\n", self.body.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        writer.write_all(head.as_bytes())?;
        if head_only {
            return Ok(());
        }
        writer.write_all(&self.body[..self.cut.unwrap_or(self.body.len())])
    }
}

impl Shelf {
    fn answer(&mut self, asked: &Asked) -> Answer {
        if let Some(page) = &self.page {
            return Answer::new(200, page.as_str());
        }
        if let Some(digest) = asked.path.strip_prefix("/storage/") {
            return self.stored(digest, asked);
        }
        if let Some(old) = &self.old_repo
            && asked.path.contains(old.as_str())
        {
            let location = asked.path.replace(old.as_str(), &self.repo);
            return Answer::new(307, "").with("location", location);
        }
        let path = asked.path.strip_prefix("/api/models/");
        match path.map(|path| path.strip_prefix(self.repo.as_str())) {
            Some(None) => Answer::refusal(self.unknown_repo.0, self.unknown_repo.1),
            Some(Some("")) => Answer::new(200, "{}"),
            Some(Some(rest)) => self.listing(rest.strip_prefix("/revision/").unwrap()),
            None => self.file(asked),
        }
    }

    fn listing(&self, revision: &str) -> Answer {
        let revision = revision.replace("%2F", "/");
        let known = self.revisions.values().find(|commit| **commit == revision);
        let Some(commit) = self.revisions.get(&revision).or(known) else {
            return Answer::refusal(404, self.unknown_revision);
        };
        let names = self.files.keys();
        let files: Vec<String> = names
            .map(|name| format!(r#"{{"rfilename": "{name}"}}"#))
            .collect();
        let files = files.join(",");
        let repo = &self.repo;
        let body = format!(r#"{{"id": "{repo}", "sha": "{commit}", "siblings": [{files}]}}"#);
        Answer::new(200, body)
    }

    fn file(&self, asked: &Asked) -> Answer {
        let wanted = self.token.as_ref().map(|token| format!("Bearer {token}"));
        if wanted.is_some() && wanted != asked.authorization {
            let status = if asked.authorization.is_some() {
                403
            } else {
                401
            };
            let words = "Access to model tiny/llama is restricted.";
            return Answer::refusal(status, Some("GatedRepo")).with("x-error-message", words);
        }
        let resolve = format!("/{}/resolve/", self.repo);
        let path = asked.path.strip_prefix(&resolve).unwrap();
        let (commit, name) = path.split_once('/').unwrap();
        let Some(bytes) = self.files.get(name) else {
            return Answer::refusal(404, Some("EntryNotFound"));
        };
        if !name.ends_with(".safetensors") {
            let etag = format!("W/\"{}\"", small_etag(bytes));
            let answer = Answer::new(200, bytes.as_slice()).with("etag", etag);
            return answer.with("x-repo-commit", commit);
        }
        let digest = sha256(bytes);
        Answer::new(302, "")
            .with("location", format!("{}/storage/{digest}", self.address))
            .with("x-repo-commit", commit)
            .with("x-linked-etag", format!("\"{digest}\""))
            .with("x-linked-size", bytes.len().to_string())
    }

    fn stored(&mut self, digest: &str, asked: &Asked) -> Answer {
        let mut files = self.files.values();
        let mut bytes = files.find(|bytes| sha256(bytes) == digest).unwrap().clone();
        let mut start = asked.range_start;
        let mut cut = None;
        let fault = if asked.method == "GET" {
            self.faults.pop_front()
        } else {
            None
        };
        match fault {
            Some(Fault::Status(status)) => return Answer::new(status, "<html>no</html>"),
            Some(Fault::Truncate(sent)) => cut = Some(sent),
            Some(Fault::IgnoreRange) => start = None,
            Some(Fault::Damage) => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
            }
            None => {}
        }
        let status = if start.is_some() { 206 } else { 200 };
        let mut answer = Answer::new(status, &bytes[start.unwrap_or(0)..]);
        answer.cut = cut;
        answer.with("etag", "\"of-the-storage\"")
    }
}
