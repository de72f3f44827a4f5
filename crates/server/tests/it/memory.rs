//! `/v1/context/restore` and `/v1/context/memory`.

use memory::Handle;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::world::{Setup, World};

const FILE: &str = "/v1/context/memory/team/files/notes/plan.md";

/// What `key` is answered.
async fn ask(world: &World, method: &str, key: &str, route: &str, body: Value) -> Answer {
    let method = method.parse().unwrap();
    let request = world
        .client
        .request(method, format!("{}{route}", world.url))
        .bearer_auth(key)
        .json(&body);
    Answer::read(request.send().await.unwrap()).await
}

async fn two_keys() -> World {
    World::start(Setup {
        api_keys: vec!["one", "two"],
        // Sharing prefixes must not share memories.
        shared_prefix_cache: true,
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_restores_its_text_to_its_owner_alone() {
    let world = two_keys().await;
    let text = "line one\n\u{fffd}\u{0}\ttwo \u{1f980}";
    let tenant = memory::Tenant::of(b"one");
    let stored = world.app.memory().put(&tenant, text).unwrap();
    let body = json!({"handle": stored.handle.to_string()});
    let restored = ask(&world, "POST", "one", "/v1/context/restore", body.clone()).await;
    assert_eq!(restored.ok()["text"], text);

    let theirs = ask(&world, "POST", "two", "/v1/context/restore", body).await;
    let absent = json!({"handle": Handle::of(&tenant, "never put away").to_string()});
    let absent = ask(&world, "POST", "two", "/v1/context/restore", absent).await;
    for answer in [theirs, absent] {
        let error = answer.error(404);
        assert_eq!(error["code"], "bad_restore_handle");
        assert_eq!(error["param"], "handle");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_handle_is_named() {
    let world = World::start(Setup::default()).await;
    for body in [
        json!({}),
        json!({"handle": 3}),
        json!({"handle": ""}),
        json!({"handle": "ctx://"}),
        json!({"handle": "ctx://../../../etc/passwd"}),
        json!({"handle": "ctx://00112233445566778899ff"}),
        json!({"handle": "CTX://00112233445566778899"}),
        json!({"handle": "ctx://zzzzzzzzzzzzz"}),
    ] {
        let answer = world.ask("/v1/context/restore", body.clone()).await;
        assert_eq!(answer.error(400)["param"], "handle", "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_belong_to_the_key_that_wrote_them() {
    let world = two_keys().await;
    let file = json!({"text": "Ship on Friday.\n"});
    assert_eq!(
        ask(&world, "PUT", "one", FILE, file.clone()).await.status,
        201
    );
    assert_eq!(ask(&world, "PUT", "one", FILE, file).await.status, 200);
    let read = ask(&world, "GET", "one", FILE, Value::Null).await;
    assert_eq!(read.ok()["text"], "Ship on Friday.\n");
    let theirs = ask(&world, "GET", "two", FILE, Value::Null).await;
    assert_eq!(theirs.error(404)["code"], "memory_not_found");

    let search = json!({"query": "friday"});
    let route = "/v1/context/memory/team/search";
    let found = ask(&world, "POST", "one", route, search.clone()).await.ok();
    assert_eq!(found["results"][0]["path"], "/memories/notes/plan.md");
    assert_eq!(found["results"][0]["text"], "Ship on Friday.");
    let theirs = ask(&world, "POST", "two", route, search).await.ok();
    assert_eq!(theirs["results"], json!([]));

    let deleted = ask(&world, "DELETE", "one", FILE, Value::Null).await.ok();
    assert_eq!(deleted["deleted"], 1);
    ask(&world, "GET", "one", FILE, Value::Null)
        .await
        .error(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_memory_tool_are_answered_as_the_model_reads_them() {
    let world = World::start(Setup::default()).await;
    let route = "/v1/context/memory/agent";
    let run = async |call: Value| world.ask(route, call).await.ok();
    let created = run(json!({"command": "create", "path": "/memories/a.txt",
        "file_text": "port 8123\n"}))
    .await;
    assert_eq!(created["is_error"], false);
    run(
        json!({"command": "str_replace", "path": "/memories/a.txt", "old_str": "8123",
        "new_str": "9017"}),
    )
    .await;
    let view = run(json!({"command": "view", "path": "/memories/a.txt"})).await;
    assert!(
        view["content"].as_str().unwrap().contains("port 9017"),
        "{view}"
    );
    let missing = run(json!({"command": "view", "path": "/memories/b.txt"})).await;
    assert_eq!(missing["is_error"], true);
    assert!(
        missing["content"]
            .as_str()
            .unwrap()
            .contains("/memories/b.txt")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leads_out_of_the_memories() {
    let world = World::start(Setup::default()).await;
    let wrong = [
        (
            json!({"command": "view", "path": "/memories/../secret"}),
            "path",
        ),
        (json!({"command": "view", "path": "/etc/passwd"}), "path"),
        (
            json!({"command": "view", "path": "/memories/%2e%2e/secret"}),
            "path",
        ),
        (
            json!({"command": "view", "path": "/memories/a\u{0}b"}),
            "path",
        ),
        (
            json!({"command": "view", "path": "/memories/..\\secret"}),
            "path",
        ),
        (
            json!({"command": "rename", "old_path": "/memories/a", "new_path": "/b"}),
            "new_path",
        ),
        (json!({"command": "chmod", "path": "/memories"}), "command"),
        (
            json!({"command": "insert", "path": "/memories/a"}),
            "insert_line",
        ),
        (
            json!({"command": "view", "path": "/memories", "mode": 1}),
            "mode",
        ),
    ];
    for (call, param) in wrong {
        let answer = world.ask("/v1/context/memory/agent", call.clone()).await;
        assert_eq!(answer.error(400)["param"], param, "{call}");
    }
    for path in ["a%2f..%2f..%2fb", "%252e%252e/x", "a%00b"] {
        let answer = world
            .get(&format!("/v1/context/memory/agent/files/{path}"))
            .await;
        assert_eq!(answer.error(400)["param"], "path", "{path}");
    }
    let answer = world.get("/v1/context/memory/%2e%2e%2fagent/files/a").await;
    assert_eq!(answer.error(400)["param"], "namespace");
}
