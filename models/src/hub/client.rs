//! What is asked of a hub, and what its refusals mean.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use hf_hub::repository::download::HFByteStream;
use hf_hub::{HFClient, HFError, HFRepository, RepoTypeModel, split_id};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap};
use reqwest::{Response, Url, redirect};

use super::HubError;
use super::cache::is_commit;
use crate::source::{HubOptions, HubRequest};

const PUBLIC_HUB: &str = "https://huggingface.co";
const USER_AGENT: &str = concat!("purser/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence, after which a connection is given up; not the time that an answer may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Times that `hf-hub` repeats a request that found no server or a busy one.
const RETRIES: usize = 2;
const RETRY_DELAY: Duration = Duration::from_millis(200);
const MAX_REDIRECTS: usize = 5;
/// `hf-hub` looks into the environment for a token unless it is given one; of this one, which no
/// header can carry, it sends nothing.
const NO_TOKEN: &str = "\n";
/// Longest name of a blob; the file system's limit is 255 with the endings.
const MAX_ETAG: usize = 200;

/// A repository on a hub.
pub(super) struct Client {
    model: HFRepository<RepoTypeModel>,
    /// Does not follow redirects: a hub describes a file in the answer that redirects to it.
    http: reqwest::Client,
    endpoint: Url,
    repo: String,
    revision: String,
    token: Option<String>,
}

/// A revision of a repository.
pub(super) struct Listing {
    /// SHA-1 of the commit.
    pub(super) commit: String,
    /// Paths of its files.
    pub(super) names: Vec<String>,
}

/// A file of a commit.
#[derive(Clone, Debug)]
pub(super) struct RemoteFile {
    /// Its path.
    pub(super) name: String,
    /// Digest of its bytes: SHA-256 of a large file, git's SHA-1 of others.
    pub(super) etag: String,
    /// Bytes.
    pub(super) size: u64,
}

impl Client {
    /// A client for the request's repository; nothing is sent yet.
    pub(super) fn new(request: &HubRequest, revision: &str) -> Result<Self, HubError> {
        let options = &request.options;
        let endpoint = endpoint(options)?;
        let token = token(request)?;
        let wrong = |error: &dyn Error| HubError::Endpoint {
            endpoint: endpoint.to_string(),
            reason: causes(error),
        };
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .connect_timeout(CONNECT_TIMEOUT)
                .read_timeout(READ_TIMEOUT);
            // No proxy leads to the machine itself.
            if is_loopback(&endpoint) {
                builder.no_proxy()
            } else {
                builder
            }
        };
        let http = builder().redirect(redirect::Policy::none()).build();
        let http = http.map_err(|error| wrong(&error))?;
        let following = builder().build().map_err(|error| wrong(&error))?;
        let hub = HFClient::builder()
            .endpoint(endpoint.as_str())
            .token(token.as_deref().unwrap_or(NO_TOKEN))
            .user_agent(USER_AGENT)
            .client(following)
            .cache_enabled(false)
            // Unused, and passed so that the environment is not read.
            .cache_dir(options.cache_dir.clone().unwrap_or_default())
            .retry_max_attempts(RETRIES)
            .retry_base_delay(RETRY_DELAY)
            .build()
            .map_err(|error| wrong(&error))?;
        let (owner, name) = split_id(&request.repo);
        Ok(Self {
            model: hub.model(owner, name),
            http,
            endpoint,
            repo: request.repo.clone(),
            revision: revision.to_owned(),
            token,
        })
    }

    /// The commit that the revision is at, and its files.
    ///
    /// # Errors
    /// As [`HubError`] tells them apart.
    pub(super) async fn resolve(&self) -> Result<Listing, HubError> {
        let what = format!("revision {}", self.revision);
        let info = self.model.info().revision(self.revision.as_str()).send();
        let info = match info.await {
            Ok(info) => info,
            Err(HFError::RevisionNotFound { context, .. }) => {
                let code = context.and_then(|context| context.error_code);
                return Err(self.no_revision(code.as_deref()).await);
            }
            Err(error) => return Err(self.failure(&what, error)),
        };
        let commit = info.sha.unwrap_or_default();
        if !is_commit(&commit) {
            return Err(self.protocol(&what, format!("{commit:?} is no commit")));
        }
        let files = info.siblings.unwrap_or_default();
        let names = files.into_iter().map(|file| file.rfilename).collect();
        Ok(Listing { commit, names })
    }

    /// Digest and size of a file.
    ///
    /// # Errors
    /// As [`HubError`] tells them apart.
    pub(super) async fn describe(&self, commit: &str, name: &str) -> Result<RemoteFile, HubError> {
        let mut url = self.url(commit, name);
        // Redirects within the hub lead to a repository's present name; one that leaves it leads to
        // the storage, and describes the file itself.
        for _ in 0..MAX_REDIRECTS {
            let mut request = self
                .http
                .head(url.clone())
                .header(ACCEPT_ENCODING, "identity");
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            let response = request.send().await;
            let response = response.map_err(|error| self.network(name, &error))?;
            match inner_redirect(&response, &url) {
                Some(next) => url = next,
                None => return self.remote_file(name, &response),
            }
        }
        Err(self.protocol(name, "it redirects forever".to_owned()))
    }

    /// The bytes of a file, or a range of them.
    ///
    /// # Errors
    /// As [`HubError`] tells them apart.
    pub(super) async fn stream(
        &self,
        commit: &str,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<HFByteStream, HubError> {
        let stream = self
            .model
            .download_file_stream()
            .filename(name)
            .revision(commit)
            .maybe_range(range)
            .send();
        match stream.await {
            Ok((_, stream)) => Ok(stream),
            Err(error) => Err(self.failure(name, error)),
        }
    }

    fn url(&self, commit: &str, name: &str) -> Url {
        let mut url = self.endpoint.clone();
        url.path_segments_mut()
            .expect("the endpoint is an http address")
            .pop_if_empty()
            .extend(self.repo.split('/'))
            .extend(["resolve", commit])
            .extend(name.split('/'));
        url
    }

    fn remote_file(&self, name: &str, response: &Response) -> Result<RemoteFile, HubError> {
        let (status, headers) = (response.status(), response.headers());
        if !status.is_success() && !status.is_redirection() {
            let (code, message) = (
                text(headers, "x-error-code"),
                text(headers, "x-error-message"),
            );
            return Err(self.refusal(name, status.as_u16(), code, message));
        }
        let etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag"));
        let etag = etag.unwrap_or_default();
        let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        if etag.is_empty()
            || etag.len() > MAX_ETAG
            || etag.starts_with('.')
            || !etag.bytes().all(is_plain)
        {
            return Err(self.protocol(name, format!("the ETag is {etag:?}")));
        }
        let size = text(headers, "x-linked-size").or_else(|| text(headers, "content-length"));
        let Some(size) = size.and_then(|size| size.parse().ok()) else {
            return Err(self.protocol(name, "it does not tell the file's size".to_owned()));
        };
        Ok(RemoteFile {
            name: name.to_owned(),
            etag: etag.to_owned(),
            size,
        })
    }

    /// The revision is not there; neither may be the repository.
    async fn no_revision(&self, code: Option<&str>) -> HubError {
        let has_repo = match code {
            Some("RepoNotFound") => Ok(false),
            Some("RevisionNotFound") => Ok(true),
            _ => self.model.exists().send().await,
        };
        match has_repo {
            Ok(true) => HubError::UnknownRevision {
                repo: self.repo.clone(),
                revision: self.revision.clone(),
            },
            Ok(false) => self.unknown_repo(),
            Err(error) => self.failure("the repository", error),
        }
    }

    fn unknown_repo(&self) -> HubError {
        HubError::UnknownRepo {
            repo: self.repo.clone(),
            endpoint: self.hub(),
        }
    }

    /// The library's error, about `what`.
    fn failure(&self, what: &str, error: HFError) -> HubError {
        match error {
            HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Conflict { context }
            | HFError::RateLimited { context, .. }
            | HFError::Http { context } => {
                let (code, message) = (&context.error_code, &context.server_message);
                let status = context.status.as_u16();
                self.refusal(what, status, code.as_deref(), message.as_deref())
            }
            HFError::RepoNotFound { .. } => self.unknown_repo(),
            HFError::EntryNotFound { path, .. } => self.missing(path),
            HFError::Request { source, .. } if source.is_decode() => {
                self.protocol(what, causes(&source))
            }
            HFError::Request { source, .. } => self.network(what, &source),
            error @ HFError::Xet { .. } => self.network(what, &error),
            error => self.protocol(what, causes(&error)),
        }
    }

    /// An answer with a status of failure. The hub's codes tell more than the status: it hides
    /// from strangers which repositories exist.
    fn refusal(
        &self,
        what: &str,
        status: u16,
        code: Option<&str>,
        message: Option<&str>,
    ) -> HubError {
        let repo = self.repo.clone();
        let (endpoint, what) = (self.hub(), what.to_owned());
        let message = message.unwrap_or_default().to_owned();
        match (status, code) {
            (_, Some("RepoNotFound")) => self.unknown_repo(),
            (401 | 403, _) => HubError::AccessDenied {
                repo,
                endpoint,
                what,
                status,
                message,
                with_token: self.token.is_some(),
            },
            (404, _) => self.missing(what),
            _ => HubError::Refused {
                repo,
                endpoint,
                what,
                status,
                message,
            },
        }
    }

    fn missing(&self, file: String) -> HubError {
        HubError::MissingFile {
            repo: self.repo.clone(),
            revision: self.revision.clone(),
            file,
        }
    }

    fn network(&self, what: &str, error: &dyn Error) -> HubError {
        HubError::Network {
            repo: self.repo.clone(),
            endpoint: self.hub(),
            what: what.to_owned(),
            reason: causes(error),
        }
    }

    fn protocol(&self, what: &str, reason: String) -> HubError {
        HubError::Protocol {
            repo: self.repo.clone(),
            endpoint: self.hub(),
            what: what.to_owned(),
            reason,
        }
    }

    fn hub(&self) -> String {
        self.endpoint.as_str().trim_end_matches('/').to_owned()
    }
}

/// What an error of a transfer says, from the outermost to the first cause.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors repeat their cause.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

fn endpoint(options: &HubOptions) -> Result<Url, HubError> {
    let text = options.endpoint.as_deref().unwrap_or(PUBLIC_HUB);
    let wrong = |reason: String| HubError::Endpoint {
        endpoint: text.to_owned(),
        reason,
    };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(wrong(format!("{scheme} is not http or https"))),
    }
}

fn token(request: &HubRequest) -> Result<Option<String>, HubError> {
    let token = request.options.token.clone();
    match token
        .as_deref()
        .map(|token| token.bytes().all(|b| b.is_ascii_graphic()))
    {
        Some(false) => Err(HubError::Token {
            repo: request.repo.clone(),
        }),
        _ => Ok(token.filter(|token| !token.is_empty())),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Where an answer redirects to on the same server.
fn inner_redirect(response: &Response, url: &Url) -> Option<Url> {
    let location = text(response.headers(), "location")?;
    let is_inner = location.starts_with('/') && !location.starts_with("//");
    (response.status().is_redirection() && is_inner)
        .then(|| url.join(location).ok())
        .flatten()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
