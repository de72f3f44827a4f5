//! The binary itself: it answers with the embedded model, and ends as it should.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use models::testing::{ALL_PROJECTIONS, AdapterFiles};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::answer::{Answer, chat_text, finish_reasons};
use crate::collector::Collector;
use crate::encoders::{TOLERANCE, check, golden, vectors};
use crate::world::{PATIENCE, embedder_folder};

/// A running `purser serve`; dropping it kills it.
struct Process {
    child: Child,
    url: String,
    client: Client,
}

impl Process {
    fn start(flags: &[&str]) -> Self {
        Self::start_in(flags, &[])
    }

    /// With these variables.
    fn start_in(flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_purser"))
            .args(["serve", "--port", "0", "--threads", "2"])
            .args(flags)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .map(|line| line.unwrap())
            .find_map(|line| Some(line[line.find("http://")?..].to_owned()))
            .expect("the server says where it listens");
        let client = Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self {
            child,
            url: url.trim().to_owned(),
            client,
        }
    }

    async fn send(&self, route: &str, body: Value) -> reqwest::Result<Response> {
        self.client
            .post(format!("{}{route}", self.url))
            .json(&body)
            .send()
            .await
    }

    async fn chat(&self, body: Value) -> Answer {
        Answer::read(self.send("/v1/chat/completions", body).await.unwrap()).await
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    }

    /// Waits until the server has understood that it is to stop.
    async fn until_draining(&self) {
        let ready = format!("{}/ready", self.url);
        let waited = tokio::time::timeout(PATIENCE, async {
            // Nobody answers any more when everything is over already.
            while let Ok(ready) = self.client.get(&ready).send().await {
                if ready.status() == 503 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("the server hears the signal");
    }

    /// Waits for the process to end by itself.
    async fn ended(mut self) -> ExitStatus {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        waited.await.expect("the process ends")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone when the test has ended well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn falcon() -> Value {
    json!([
        {
            "role": "system",
            "content": "The budget of project Falcon is 4312 euros. The port of the proxy is 8443.",
        },
        {"role": "user", "content": "What is the budget of project Falcon?"},
    ])
}

/// Real weights: what adapters and the model answer side by side is what they answer alone.
#[tokio::test(flavor = "multi_thread")]
async fn adapters_of_the_embedded_model_are_served() {
    let model = models::open(&models::ModelSource::Embedded).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let modules = ["one", "two"].map(|name| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let seed = name.as_bytes()[0].into();
        let mut files = AdapterFiles::random(model.config(), &ALL_PROJECTIONS, 8, seed);
        // Weak enough for words.
        files.config["lora_alpha"] = 2.into();
        files.write(&path).unwrap();
        format!("{name}={}", path.display())
    });
    let process = Process::start(&["--lora-modules", &modules[0], &modules[1]]);
    let ask = |model: &str| {
        let messages = json!([{"role": "user", "content": "Who are you?"}]);
        process.chat(json!({
            "model": model, "messages": messages, "max_tokens": 24, "temperature": 0,
            "logprobs": true,
        }))
    };
    let choices = |answer: &Answer| answer.ok()["choices"].clone();
    let mut alone = Vec::new();
    for model in ["pebble-20m", "one", "two"] {
        alone.push(choices(&ask(model).await));
    }
    assert!(alone[0] != alone[1] && alone[1] != alone[2], "{alone:?}");
    let order = [1, 0, 2, 2, 0, 1, 1];
    let together = join_all(order.map(|at| ask(["pebble-20m", "one", "two"][at]))).await;
    for (answer, at) in together.iter().zip(order) {
        assert_eq!(choices(answer), alone[at]);
    }
}

/// Both models in one process, from the command line to the vectors.
#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_is_served_beside_the_embedded_model() {
    let folder = embedder_folder("bert");
    let process = Process::start(&["--embedding-model", folder.to_str().unwrap()]);
    let (texts, _, want) = golden("bert");
    let ask = |body: Value| async {
        let answer = process.send("/v1/embeddings", body).await.unwrap();
        Answer::read(answer).await.ok()
    };
    let answer = ask(json!({"input": texts})).await;
    assert_eq!(answer["model"], "bert");
    check(&vectors(&answer), &want, TOLERANCE);
    let own = ask(json!({"input": texts[0], "model": "pebble-20m"})).await;
    assert_eq!(own["model"], "pebble-20m");
    let answer = process
        .chat(json!({"messages": falcon(), "temperature": 0}))
        .await;
    assert_eq!(answer.ok()["model"], "pebble-20m");
    process.signal("-TERM");
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_model_answers_and_calls_tools() {
    let process = Process::start(&[]);
    let expected = "The budget of project Falcon is 4312 euros.";
    let answer = process.chat(json!({"messages": falcon()})).await.ok();
    assert_eq!(answer["choices"][0]["message"]["content"], expected);
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["prompt_tokens"], 52);
    assert_eq!(answer["usage"]["completion_tokens"], 16);
    let stream = json!({
        "messages": falcon(),
        "stream": true,
        "stream_options": {"include_usage": true},
    });
    let chunks = process.chat(stream).await.chunks();
    assert_eq!(chat_text(&chunks, 0), expected);
    assert_eq!(finish_reasons(&chunks), ["stop"]);
    let details = &chunks.last().unwrap()["usage"]["prompt_tokens_details"];
    assert_eq!(details["cached_tokens"], 51);
    let parameters = json!({
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    });
    let tool = json!({"type": "function", "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": parameters,
    }});
    let messages = json!([{"role": "user", "content": "What is the weather in Paris?"}]);
    let answer = process
        .chat(json!({"messages": messages, "tools": [tool]}))
        .await
        .ok();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls", "{answer}");
    assert_eq!(
        choice["message"]["tool_calls"][0]["function"],
        json!({"name": "get_weather", "arguments": "{\"city\": \"Paris\"}"})
    );
    process.signal("-INT");
    assert!(process.ended().await.success());
}

/// Starts streams that say `max_tokens` tokens each, and waits until all of them speak.
async fn streams(process: &Process, max_tokens: usize) -> Vec<(Vec<u8>, Response)> {
    let started = (0..4).map(async |number| {
        let body = json!({
            "prompt": [1, 310, 201, 100 + number],
            "max_tokens": max_tokens,
            "ignore_eos": true,
            "stream": true,
        });
        let mut response = process.send("/v1/completions", body).await.unwrap();
        let first = response.chunk().await.unwrap().unwrap();
        (first.to_vec(), response)
    });
    join_all(started).await
}

async fn read((mut bytes, response): (Vec<u8>, Response)) -> String {
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_running_requests_finish() {
    let process = Process::start(&["--shutdown-timeout", "60"]);
    let running = streams(&process, 100).await;
    process.signal("-TERM");
    process.until_draining().await;
    // Whoever comes later is told; the listener closes only when the last answer is complete.
    if let Ok(late) = process
        .send("/v1/completions", json!({"prompt": [5]}))
        .await
    {
        Answer::read(late).await.error(503);
    }
    for text in join_all(running.into_iter().map(read)).await {
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
        assert!(text.contains("\"finish_reason\":\"length\""), "{text}");
        assert!(!text.contains("\"error\""), "{text}");
    }
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_finish_in_time_ends_with_an_error() {
    let process = Process::start(&["--shutdown-timeout", "0.1"]);
    let running = streams(&process, 8_000).await;
    process.signal("-TERM");
    for text in join_all(running.into_iter().map(read)).await {
        assert!(text.contains("\"code\":\"shutting_down\""), "{text}");
        assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
    }
    assert!(process.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait() {
    let process = Process::start(&["--shutdown-timeout", "1000"]);
    let running = streams(&process, 8_000).await;
    process.signal("-TERM");
    process.until_draining().await;
    process.signal("-TERM");
    join_all(running.into_iter().map(read)).await;
    assert!(process.ended().await.success());
}

#[test]
fn a_public_address_needs_a_key() {
    let output = Command::new(env!("CARGO_BIN_EXE_purser"))
        .args(["serve", "--host", "0.0.0.0", "--port", "0"])
        .env_remove("VLLM_API_KEY")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        message.contains("--api-key") && message.contains("--insecure"),
        "{message}"
    );
}

/// A question behind a prefix of about a thousand tokens.
fn long_question() -> Value {
    let facts: Vec<String> = (0..60)
        .map(|number| format!("The port of proxy {number} is {}.", 8_000 + 7 * number))
        .collect();
    json!({"max_tokens": 8, "temperature": 0, "messages": [
        {"role": "system", "content": facts.join(" ")},
        {"role": "user", "content": "What is the port of proxy 7?"},
    ]})
}

fn cached_share(answer: &Value) -> f64 {
    let usage = &answer["usage"];
    let count = |value: &Value| value.as_f64().expect("a count");
    count(&usage["prompt_tokens_details"]["cached_tokens"]) / count(&usage["prompt_tokens"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_prefixes_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().to_str().expect("a name");
    let flags = ["--kv-disk", disk, "--kv-disk-bytes", "1g"];
    let first = Process::start(&flags);
    let cold = first.chat(long_question()).await.ok();
    assert!(cached_share(&cold) < 0.01, "{cold}");
    first.signal("-TERM");
    assert!(first.ended().await.success());
    let second = Process::start(&flags);
    let warm = second.chat(long_question()).await.ok();
    assert!(cached_share(&warm) > 0.95, "{warm}");
    assert_eq!(warm["choices"], cold["choices"]);
    let record = format!(
        "{}/v1/requests/{}",
        second.url,
        warm["id"].as_str().expect("an id")
    );
    let record = second.client.get(record).send().await.unwrap();
    let record: Value = record.json().await.unwrap();
    let cache = &record["cache"];
    let restored = cache["restored_tokens"].as_u64().expect("a count");
    assert!(
        restored > 900 && Some(restored) <= cache["matched_tokens"].as_u64(),
        "{record}"
    );
    // Killed in the middle: what was evicted until then may be lost, and nothing is wrong.
    second.signal("-KILL");
    let third = Process::start(&flags);
    let again = third.chat(long_question()).await.ok();
    assert_eq!(again["choices"], cold["choices"]);
    assert!(cached_share(&again) > 0.95, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_spans_are_sent_before_the_end() {
    let collector = Collector::start().await;
    let base = format!("http://127.0.0.1:{}", collector.port);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &base[..]),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b"),
        ("OTEL_SERVICE_NAME", "chat"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "deployment.environment.name=test",
        ),
        // Longer than the test: only the end sends.
        ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
    ];
    let process = Process::start_in(&[], &variables);
    let answer = process.chat(json!({"messages": falcon()})).await.ok();
    assert!(collector.spans().is_empty());
    process.signal("-TERM");
    assert!(process.ended().await.success());
    let told = collector.trace().await.told();
    assert_eq!(told["gen_ai.response.id"], answer["id"]);
    assert_eq!(told["gen_ai.response.model"], "pebble-20m");
    let heard = collector.heard(|it| (it.headers["api-key"].clone(), it.resource.clone()));
    let (key, resource) = &heard[0];
    assert_eq!(key, "a b");
    assert_eq!(resource["service.name"], "chat");
    assert_eq!(resource["deployment.environment.name"], "test");
}
