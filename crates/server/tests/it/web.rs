//! The web page: its files, how they are sent, and that it can be left out.

use std::path::Path;

use reqwest::header::{ETAG, IF_NONE_MATCH};

use crate::answer::Answer;
use crate::world::{Setup, World};

/// Files of crates/server/web/ with what they are.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
    let entries = std::fs::read_dir(folder).unwrap();
    let files = entries.map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    });
    files.collect()
}

/// The content type that a browser needs for a file of this name.
fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => panic!("what is {name}?"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_page_is_served_as_what_it_is() {
    // The page asks for the key; it needs none itself.
    let setup = Setup {
        api_keys: vec!["one"],
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let files = files();
    assert!(files.len() > 10, "{}", files.len());
    for (name, text) in files {
        let route = match name.as_str() {
            "index.html" => "/".to_owned(),
            "docs.html" => "/docs".to_owned(),
            _ => format!("/assets/{name}"),
        };
        let answer = world.get(&route).await;
        assert_eq!(answer.status, 200, "{route}");
        assert_eq!(answer.text, text, "{route}");
        for (header, value) in [
            ("content-type", content_type(&name)),
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(header), value, "{route}");
        }
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        for loose in ["unsafe", "*", "http", "data:"] {
            assert!(!policy.contains(loose), "{policy}");
        }
        let request = world.client.get(format!("{}{route}", world.url));
        let request = request.header(IF_NONE_MATCH, answer.headers[ETAG].clone());
        let again = Answer::read(request.send().await.unwrap()).await;
        assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_are_no_files() {
    let world = World::start(Setup::default()).await;
    for route in [
        "/assets/",
        "/assets/nothing.js",
        "/assets/index.html",
        "/assets/..%2Fsrc%2Fmain.rs",
        "/assets/web/main.js",
        "/index.html",
    ] {
        world.get(route).await.error(404);
    }
    world.ask("/", serde_json::json!({})).await.error(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_can_be_left_out() {
    let setup = Setup {
        web_ui: false,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    world.get("/").await.error(404);
    world.get("/docs").await.error(404);
    world.get("/assets/main.js").await.error(404);
    assert_eq!(world.get("/metrics").await.status, 200);
}

/// A page that works without a network names no other place, and nothing that it says is HTML.
#[test]
fn the_files_name_no_other_server() {
    for (name, text) in files() {
        // The name of SVG's language is no address.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        for banned in [
            "http:",
            "https:",
            "url(//",
            "innerHTML",
            "outerHTML",
            "eval(",
        ] {
            assert!(!text.contains(banned), "{name}: {banned}");
        }
        let lines = text.lines().count();
        assert!(lines < 400, "{name}: {lines} lines");
    }
}
