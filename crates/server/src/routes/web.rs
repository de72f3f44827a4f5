//! The web pages: `GET /`, `GET /docs` and the files that they load, which are inside the program.
//!
//! They are open, as they hold nothing: what they show they ask for with the key of their user.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::not_found;
use super::place::Place;
use crate::app::App;

/// What the page may load and do: nothing but this server's own files and API. Text cannot become
/// HTML or a script, even by mistake.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

const PAGE: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// A [`File`] of crates/server/web/.
macro_rules! embedded {
    ($name:literal, $content_type:expr) => {
        File {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../web/", $name)),
        }
    };
}

const INDEX: File = embedded!("index.html", PAGE);
const DOCS: File = embedded!("docs.html", PAGE);

/// What `/assets/` has.
const ASSETS: [File; 20] = [
    embedded!("api.js", SCRIPT),
    embedded!("chat.js", SCRIPT),
    embedded!("conversation.js", SCRIPT),
    embedded!("detail.js", SCRIPT),
    embedded!("docs.css", STYLE),
    embedded!("docs.js", SCRIPT),
    embedded!("element.js", SCRIPT),
    embedded!("icon.svg", "image/svg+xml"),
    embedded!("live.js", SCRIPT),
    embedded!("main.js", SCRIPT),
    embedded!("metrics.js", SCRIPT),
    embedded!("operation.js", SCRIPT),
    embedded!("panels.css", STYLE),
    embedded!("requests.js", SCRIPT),
    embedded!("schema.js", SCRIPT),
    embedded!("sse.js", SCRIPT),
    embedded!("style.css", STYLE),
    embedded!("ttft.js", SCRIPT),
    embedded!("units.js", SCRIPT),
    embedded!("zones.js", SCRIPT),
];

struct File {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

/// The routes of the page.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(async |headers: HeaderMap| INDEX.answer(&headers)))
        .route(
            "/docs",
            get(async |headers: HeaderMap| DOCS.answer(&headers)),
        )
        .route("/assets/{file}", get(asset))
}

/// The names of what `/assets/` has.
pub(super) fn asset_names() -> Vec<&'static str> {
    ASSETS.iter().map(|file| file.name).collect()
}

async fn asset(Place(name): Place<String>, uri: Uri, headers: HeaderMap) -> Response {
    match ASSETS.iter().find(|file| file.name == name) {
        Some(file) => file.answer(&headers),
        None => not_found(uri).await,
    }
}

impl File {
    /// The file, or 304 where the browser has it. Browsers ask each time, so that a page of one
    /// version never meets a script of another.
    fn answer(&self, asked: &HeaderMap) -> Response {
        let tag = self.tag();
        let headers = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, "no-cache"),
            (header::ETAG, &tag),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
        ];
        let known = asked.get_all(header::IF_NONE_MATCH).iter();
        if known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag)
        {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.bytes).into_response()
    }

    /// A name for the content.
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}
