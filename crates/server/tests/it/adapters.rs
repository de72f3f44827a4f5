//! LoRA adapters by name: answers, loading and unloading, errors.

use std::path::Path;

use models::testing::{ALL_PROJECTIONS, AdapterFiles};
use models::{ModelConfig, ModelSource};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::answer::Answer;
use crate::world::{Setup, World};

fn config() -> ModelConfig {
    let model = models::open(&ModelSource::Embedded).unwrap();
    model.config().clone()
}

/// A folder with an adapter of the embedded model.
fn folder(seed: u64, rank: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = AdapterFiles::random(&config(), &ALL_PROJECTIONS, rank, seed);
    files.write(folder.path()).unwrap();
    folder
}

async fn world(adapter_slots: usize) -> World {
    World::start(Setup {
        adapter_slots,
        ..Setup::default()
    })
    .await
}

async fn load(world: &World, name: &str, path: &Path) -> Answer {
    let body = json!({"lora_name": name, "lora_path": path});
    world.ask("/v1/load_lora_adapter", body).await
}

async fn unload(world: &World, name: &str) -> Answer {
    let body = json!({"lora_name": name});
    world.ask("/v1/unload_lora_adapter", body).await
}

/// A completion of `model`, some of whose prompt is that of every other one.
fn asked(model: &str, number: u32) -> Value {
    let mut prompt: Vec<u32> = (100..160).collect();
    prompt.push(number);
    json!({"model": model, "prompt": prompt, "max_tokens": 24})
}

async fn text(world: &World, body: Value) -> String {
    let answer = world.ask("/v1/completions", body).await;
    answer.ok()["choices"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn adapters_and_the_model_answer_side_by_side_as_they_do_alone() {
    let (first, second) = (folder(1, 16), folder(2, 3));
    let world = world(2).await;
    let models = ["pebble", "first", "second"];
    assert_eq!(load(&world, "first", first.path()).await.status, 200);
    let loaded = load(&world, "second", second.path()).await;
    assert_eq!(
        loaded.text,
        "Success: LoRA adapter 'second' added successfully."
    );
    let mut alone = Vec::new();
    for number in 0..4 {
        for model in models {
            alone.push(text(&world, asked(model, number)).await);
        }
    }
    // The same prompt has three answers, and none finds another's blocks.
    assert!(alone[0] != alone[1] && alone[1] != alone[2] && alone[0] != alone[2]);
    world.gate.close();
    let together = (0..4).flat_map(|number| models.map(|model| text(&world, asked(model, number))));
    let together: Vec<_> = together.collect();
    let all = futures::future::join_all(together);
    let opened = async {
        let all = |stats: &engine::EngineStats| stats.num_running + stats.num_waiting == 12;
        world.step_until("all are there", all).await;
        world.gate.open();
    };
    let (all, ()) = tokio::join!(all, opened);
    assert_eq!(all, alone);
}

#[tokio::test]
async fn an_answer_names_its_adapter_and_models_are_listed() {
    let adapter = folder(3, 4);
    let world = world(1).await;
    assert_eq!(load(&world, "mine", adapter.path()).await.status, 200);
    let chat = world.chat(json!({"model": "mine", "max_tokens": 2})).await;
    assert_eq!(chat.json()["model"], "mine");
    let listed = world.get("/v1/models").await.json();
    let told: Vec<(&str, &str, Option<&str>)> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| {
            let text = |field: &str| model[field].as_str();
            (text("id").unwrap(), text("root").unwrap(), text("parent"))
        })
        .collect();
    let root = adapter.path().to_str().unwrap();
    let want = [
        ("pebble", "pebble", None),
        ("alias", "pebble", None),
        ("mine", root, Some("pebble")),
    ];
    assert_eq!(told, want);
    assert_eq!(
        world.get("/v1/models/mine").await.json()["parent"],
        "pebble"
    );
}

#[tokio::test]
async fn prefixes_are_those_of_one_adapter() {
    let (first, second) = (folder(4, 4), folder(5, 4));
    let world = world(1).await;
    let cached = async |model: &str| {
        let answer = world.ask("/v1/completions", asked(model, 1)).await;
        let usage = &answer.json()["usage"];
        usage["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(load(&world, "mine", first.path()).await.status, 200);
    assert_eq!(cached("pebble").await, 0);
    assert_eq!(cached("mine").await, 0);
    assert!(cached("mine").await > 0);
    // Another adapter under the same name finds nothing; the same one again finds its own.
    assert_eq!(unload(&world, "mine").await.status, 200);
    assert_eq!(load(&world, "mine", second.path()).await.status, 200);
    assert_eq!(cached("mine").await, 0);
    assert_eq!(unload(&world, "mine").await.status, 200);
    assert_eq!(load(&world, "again", first.path()).await.status, 200);
    assert!(cached("again").await > 0);
}

#[tokio::test]
async fn requests_finish_with_an_adapter_that_was_unloaded() {
    let adapter = folder(6, 4);
    let world = world(1).await;
    assert_eq!(load(&world, "mine", adapter.path()).await.status, 200);
    let want = text(&world, asked("mine", 7)).await;
    world.gate.close();
    let running = text(&world, asked("mine", 7));
    let meanwhile = async {
        world
            .step_until("it runs", |stats| stats.num_running > 0)
            .await;
        let unloaded = unload(&world, "mine").await;
        assert_eq!(
            unloaded.text,
            "Success: LoRA adapter 'mine' removed successfully."
        );
        let refused = world.ask("/v1/completions", asked("mine", 7)).await;
        assert_eq!(refused.error(404)["code"], "model_not_found");
        world.gate.open();
    };
    let (got, ()) = tokio::join!(running, meanwhile);
    assert_eq!(got, want);
    // The slot is free again.
    assert_eq!(load(&world, "mine", adapter.path()).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_loaded_is_said() {
    let (adapter, large) = (folder(7, 4), folder(8, 17));
    let world = world(1).await;
    let missing = world
        .ask("/v1/load_lora_adapter", json!({"lora_name": "mine"}))
        .await;
    assert_eq!(missing.error(400)["param"], "lora_path");
    let unknown = json!({"lora_name": "a", "lora_path": "b", "load_inplace": true});
    let unknown = world.ask("/v1/load_lora_adapter", unknown).await;
    assert_eq!(unknown.error(400)["param"], "load_inplace");

    let rank = load(&world, "mine", large.path()).await;
    assert_eq!(rank.error(400)["param"], "lora_path");
    assert!(rank.text.contains("exceeds 16"), "{}", rank.text);
    let nowhere = load(&world, "mine", Path::new("/no/such/folder")).await;
    assert_eq!(nowhere.error(400)["param"], "lora_path");
    assert!(
        nowhere.text.contains("adapter_config.json: No such file"),
        "{}",
        nowhere.text
    );

    // What failed has left the name and the slot free.
    assert_eq!(load(&world, "mine", adapter.path()).await.status, 200);
    for name in ["mine", "pebble", "alias"] {
        let taken = load(&world, name, adapter.path()).await;
        assert_eq!(taken.error(400)["param"], "lora_name");
    }
    let full = load(&world, "other", adapter.path()).await;
    let message = full.error(409)["message"].to_string();
    assert!(message.contains("all 1 slots"), "{message}");
    unload(&world, "other").await.error(404);
}

#[tokio::test]
async fn clients_load_nothing_unless_they_may() {
    let adapter = folder(9, 4);
    let world = World::start(Setup::default()).await;
    for answer in [
        load(&world, "mine", adapter.path()).await,
        unload(&world, "mine").await,
    ] {
        let message = answer.error(403)["message"].to_string();
        assert!(
            message.contains("--allow-runtime-lora-updating"),
            "{message}"
        );
    }
}
