//! What cannot be meant is a 4xx that names the field, through the whole server.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::context::{CHAT, body};
use crate::world::{Setup, World};

/// Who asks, unless a row says otherwise.
const KEY: &str = "one";
/// Tokens of the window.
const WINDOW: usize = 8_192;

/// What is asked, and what the refusal must say.
struct Row {
    method: &'static str,
    route: String,
    body: Value,
    key: &'static str,
    status: u16,
    /// The field that is named.
    param: &'static str,
    /// `error.code`, or else `error.context_budget.code`.
    code: Option<&'static str>,
}

impl Row {
    fn new(method: &'static str, route: impl Into<String>, body: Value) -> Self {
        Self {
            method,
            route: route.into(),
            body,
            key: KEY,
            status: 400,
            param: "",
            code: None,
        }
    }

    /// A completion of two tool turns with this `context_budget`.
    fn budget(budget: &Value, param: &'static str, code: impl Into<Option<&'static str>>) -> Self {
        Self {
            param,
            code: code.into(),
            ..Self::new("POST", CHAT, body(2, budget))
        }
    }

    /// A restore of a well-formed handle by a key that has nothing behind it.
    fn handle(handle: &str, key: &'static str) -> Self {
        Self {
            key,
            status: 404,
            param: "handle",
            code: Some("bad_restore_handle"),
            ..Self::new("POST", "/v1/context/restore", json!({"handle": handle}))
        }
    }

    /// A request to the memory `notes`, below its route.
    fn memory(method: &'static str, route: &str, body: Value, param: &'static str) -> Self {
        let route = format!("/v1/context/memory/{route}");
        Self {
            param,
            ..Self::new(method, route, body)
        }
    }

    async fn ask(&self, world: &World) -> Answer {
        let url = format!("{}{}", world.url, self.route);
        let request = world.client.request(self.method.parse().unwrap(), url);
        let request = request.bearer_auth(self.key).json(&self.body);
        Answer::read(request.send().await.unwrap()).await
    }

    async fn check(&self, world: &World) {
        let answer = self.ask(world).await;
        let what = format!("{} {}: {}", self.route, self.body, answer.text);
        assert_eq!(answer.status, self.status, "{what}");
        let error = &answer.json()["error"];
        assert_eq!(error["type"], "invalid_request_error", "{what}");
        assert_eq!(error["param"], self.param, "{what}");
        let code = match &error["code"] {
            Value::Null => &error["context_budget"]["code"],
            code => code,
        };
        assert_eq!(code.as_str(), self.code, "{what}");
    }
}

fn zones() -> Vec<Row> {
    let zones = |zones: Value| json!({"max_context_tokens": 4_096, "zones": zones});
    vec![
        Row::budget(
            &zones(json!({"scratch": {}})),
            "context_budget.zones.scratch",
            "unknown_zone",
        ),
        Row::budget(
            &zones(json!({"history": {"min": 9, "max": 3}})),
            "context_budget.zones.history.min",
            "bounds_out_of_order",
        ),
        Row::budget(
            &zones(json!({"retrieval": {"target": {"fraction": 0.5}, "max": 2_047}})),
            "context_budget.zones.retrieval.target",
            "bounds_out_of_order",
        ),
        // 2,000 + 1,500 + 597 = 4,097 tokens.
        Row::budget(
            &zones(
                json!({"history": {"min": 2_000}, "tool_outputs": {"min": 1_500},
                "memory": {"min": 597}}),
            ),
            "context_budget.zones",
            "zone_min_conflict",
        ),
        Row::budget(
            &zones(json!({"system": {"max": 3}})),
            "context_budget.zones.system.max",
            "zone_over_max",
        ),
        // The conversation has six messages.
        Row::budget(
            &zones(json!({"stable_prefix": {"until": {"message_index": 7}}})),
            "context_budget.zones.stable_prefix.until.message_index",
            "no_such_message",
        ),
    ]
}

fn budgets() -> Vec<Row> {
    let tokens = |tokens: Value| json!({"max_context_tokens": tokens});
    let field = "context_budget.max_context_tokens";
    vec![
        Row::budget(&tokens(json!(0)), field, None),
        Row::budget(&tokens(json!(WINDOW + 1)), field, "budget_above_window"),
        Row::budget(&tokens(json!(150)), "messages", "context_length_exceeded"),
        Row::budget(
            &json!({"utilization": {"high": 0.5, "low": 0.5}}),
            "context_budget.utilization.low",
            "bounds_out_of_order",
        ),
        Row::budget(
            &json!({"ladder": ["dedupe", "dedupe"]}),
            "context_budget.ladder[1]",
            "repeated_rung",
        ),
        Row::budget(&json!({"profile": "none"}), "context_budget.profile", None),
    ]
}

fn memories() -> Vec<Row> {
    let view = |path: &str| json!({"command": "view", "path": path});
    let rename = json!({"command": "rename", "old_path": "/memories/a", "new_path": "/b"});
    vec![
        Row::memory("POST", "notes", view("/memories/../secret"), "path"),
        Row::memory("POST", "notes", view("/etc/passwd"), "path"),
        Row::memory("POST", "notes", view("/memories/%2e%2e/secret"), "path"),
        Row::memory("POST", "notes", rename, "new_path"),
        Row::memory("GET", "notes/files/a%2f..%2f..%2fb", Value::Null, "path"),
        Row::memory(
            "PUT",
            "notes/files/%252e%252e/x",
            json!({"text": ""}),
            "path",
        ),
        Row::memory("DELETE", "notes/files/a%00b", Value::Null, "path"),
        Row::memory("GET", "%2e%2e%2fnotes/files/a", Value::Null, "namespace"),
    ]
}

/// The handle of a result that was cleared for [`KEY`].
async fn cleared(world: &World) -> String {
    let budget = json!({"max_context_tokens": 4_096, "report": "full"});
    let answer = Row::new("POST", CHAT, body(30, &budget)).ask(world).await;
    let answer = answer.ok();
    let edits = answer["context_budget"]["edits"].as_array().unwrap();
    let mut handles = edits.iter().filter_map(|edit| edit["restore"].as_str());
    handles.next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_by_the_name_of_its_field() {
    let mut setup = Setup {
        api_keys: vec![KEY, "two"],
        max_model_len: WINDOW,
        ..Setup::default()
    };
    setup.limits.max_messages = 200;
    let world = World::start(setup).await;
    let handle = cleared(&world).await;
    for row in zones().iter().chain(&budgets()).chain(&memories()) {
        row.check(&world).await;
    }
    let malformed = Row {
        param: "handle",
        ..Row::new(
            "POST",
            "/v1/context/restore",
            json!({"handle": "ctx://../a"}),
        )
    };
    malformed.check(&world).await;
    // Another key's handle is told from one that never was by nothing.
    for never in ["ctx://kpxbdyjgykpxj", "ctx://00112233445566778899"] {
        Row::handle(never, KEY).check(&world).await;
    }
    Row::handle(&handle, "two").check(&world).await;
    let theirs = Row::new("POST", "/v1/context/restore", json!({"handle": handle}));
    theirs.ask(&world).await.ok();
    world.until_idle().await;
}
