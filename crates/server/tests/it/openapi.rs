//! `GET /openapi.json` says what the routes are, and what they take.

mod fields;

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::world::{Setup, World};

/// What the handles, ids and names of these examples name is not there.
const NAMES_NOTHING: [&str; 3] = [
    "/v1/context/restore",
    "/v1/context/feedback",
    "/v1/unload_lora_adapter",
];
/// What the folders of these examples are is not there.
const NO_FOLDER: &str = "/v1/load_lora_adapter";

/// A server with everything switched on.
async fn whole_world() -> World {
    World::start(Setup {
        adapter_slots: 1,
        ..Setup::default()
    })
    .await
}

async fn document(world: &World) -> Value {
    world.get("/openapi.json").await.ok()
}

/// Every path, method and operation of a document.
fn operations(document: &Value) -> Vec<(&str, Method, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, it)| (path.as_str(), method.to_uppercase().parse().unwrap(), it))
    });
    operations.collect()
}

/// The example bodies of an operation.
fn examples(operation: &Value) -> Vec<&Value> {
    let content = &operation["requestBody"]["content"]["application/json"];
    let examples = content["examples"].as_object().into_iter().flatten();
    examples.map(|(_, example)| &example["value"]).collect()
}

/// A path whose open parts are as its parameters' examples.
fn filled(path: &str, operation: &Value) -> String {
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    parameters.fold(path.to_owned(), |path, parameter| {
        let example = parameter["example"].as_str().unwrap_or("none");
        path.replace(
            &format!("{{{}}}", parameter["name"].as_str().unwrap()),
            example,
        )
    })
}

async fn send(world: &World, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let request = world.client.request(method, format!("{}{path}", world.url));
    let request = match body {
        Some(body) => request.json(body),
        None => request,
    };
    Answer::read(request.send().await.unwrap()).await
}

/// What `.route(` calls of a source file say: paths with their methods.
fn routes_of(source: &str) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for call in source.split(".route(").skip(1) {
        let path = call.split('"').nth(1).unwrap().replace("{*", "{");
        // The methods are in the rest of the call, whose brackets are closed in the end.
        let mut depth = 1;
        let rest = call.split_at(call.find("\",").unwrap() + 2).1;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth == 0
        });
        let handlers = &rest[..end.unwrap()];
        for method in ["get", "post", "put", "patch", "delete"] {
            let before = handlers.find(&format!("{method}("));
            let begins =
                |at: usize| !handlers[..at].ends_with(|c: char| c.is_alphanumeric() || c == ':');
            if before.is_some_and(begins) {
                routes.insert((path.clone(), method.to_uppercase()));
            }
        }
    }
    routes
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_in_the_document_and_nothing_else_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut routes = BTreeSet::new();
    for file in ["routes.rs", "routes/openapi.rs", "routes/web.rs"] {
        let source = std::fs::read_to_string(folder.join(file)).unwrap();
        routes.extend(routes_of(&source));
    }
    assert!(routes.len() > 40, "{routes:?}");
    let world = whole_world().await;
    let document = document(&world).await;
    let told = operations(&document);
    let told: BTreeSet<_> = told
        .iter()
        .map(|(path, method, _)| ((*path).to_owned(), method.to_string()))
        .collect();
    assert_eq!(told, routes);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_answers_as_one_that_is_there() {
    let world = whole_world().await;
    let document = document(&world).await;
    assert_eq!(document["openapi"], "3.1.1");
    assert!(
        !document.to_string().contains("\"$max"),
        "a figure is missing"
    );
    for (path, method, operation) in operations(&document) {
        let answer = send(&world, method.clone(), &filled(path, operation), None).await;
        let status = answer.status.as_u16();
        assert_ne!(status, 405, "{method} {path}");
        let nothing = format!("There is nothing at {}.", filled(path, operation));
        assert!(
            path == "/assets/{file}" || !answer.text.contains(&nothing),
            "{method} {path}"
        );
        let is_told = operation["responses"].get(status.to_string()).is_some();
        assert!(is_told, "{method} {path}: {status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_accepted_and_a_body_has_one() {
    let world = whole_world().await;
    let document = document(&world).await;
    let mut sent = 0;
    for (path, method, operation) in operations(&document) {
        for body in examples(operation) {
            let answer = send(&world, method.clone(), &filled(path, operation), Some(body)).await;
            let expected = match path {
                path if NAMES_NOTHING.contains(&path) => 404,
                NO_FOLDER => 400,
                _ => 200,
            };
            let status = match answer.status.as_u16() {
                201 => 200,
                status => status,
            };
            assert_eq!(status, expected, "{path} {body}: {}", answer.text);
            sent += 1;
        }
        let needs_one = operation["requestBody"]["required"] == true;
        assert!(!needs_one || !examples(operation).is_empty(), "{path}");
    }
    assert!(sent > 40, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_open_and_tells_of_keys() {
    let setup = Setup {
        api_keys: vec!["one"],
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let document = document(&world).await;
    assert_eq!(
        document["security"],
        json!([{"bearer": []}, {"x-api-key": []}])
    );
    for (path, method, operation) in operations(&document) {
        let answer = send(&world, method.clone(), &filled(path, operation), None).await;
        let is_open = operation["security"] == json!([]);
        let is_refused = answer.status == 401;
        assert_eq!(is_refused, !is_open, "{method} {path}: {}", answer.text);
    }
    let world = World::start(Setup::default()).await;
    assert_eq!(self::document(&world).await["security"][0], json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_left_out() {
    let setup = Setup {
        web_ui: false,
        records: server::records::RecordLimits {
            max_records: 0,
            ..server::records::RecordLimits::default()
        },
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let document = document(&world).await;
    let paths = document["paths"].as_object().unwrap();
    for absent in [
        "/",
        "/docs",
        "/assets/{file}",
        "/v1/requests",
        "/v1/requests/{id}",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
    ] {
        assert!(!paths.contains_key(absent), "{absent}");
    }
    assert!(paths.contains_key("/v1/chat/completions"));
    let tags = document["tags"].as_array().unwrap();
    assert!(tags.iter().all(|tag| tag["name"] != "Pages"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_no_text_is_refused_in_the_apis_words() {
    let world = World::start(Setup::default()).await;
    for path in [
        "/v1/models/%ff",
        "/v1/responses/%ff",
        "/v1/requests/%ff",
        "/v1/context/policy/%ff",
        "/v1/context/feedback/%ff",
        "/v1/context/memory/team/files/%ff",
        "/assets/%ff",
    ] {
        world.get(path).await.error(400);
    }
}
