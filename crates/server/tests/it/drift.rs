//! How far summaries move the model from what it has said before, and what comes of it.

use models::LogSoftmax;
use serde_json::{Value, json};

use crate::runners::{SAID_LOGIT, ScriptRunner, Voice};
use crate::world::{IM_END, Setup, VOCAB_SIZE, World};

const CHAT: &str = "/v1/chat/completions";

/// What the model says to every question.
const SAID: &str = "The river says that the sea is far away, and that nobody has seen its end.";

/// Summaries, so that a new one is another prompt.
const SUMMARIES: [&str; 3] = [
    "goal:\n- find the river",
    "goal:\n- find the river again",
    "goal:\n- find the river once more",
];

/// Questions whose answers the server has seen being given.
const ASKED: usize = 3;

struct Dialogue {
    world: World,
    voice: Voice,
    messages: Vec<Value>,
}

impl Dialogue {
    /// Thirty turns of which the server has seen nothing, and some that it has answered.
    async fn start() -> Self {
        let voice = Voice::default();
        let own = voice.clone();
        let mut setup = Setup {
            max_model_len: 8_192,
            // The script is said to one request at a time.
            max_num_seqs: 1,
            ..Setup::default()
        };
        setup.limits.max_messages = 256;
        let world = World::start_with(setup, move |limits, _| {
            Box::new(ScriptRunner::with_voice(own, IM_END, limits.vocab_size))
        })
        .await;
        let mut messages = vec![json!({"role": "system", "content": "You are careful."})];
        for turn in 0..30 {
            let asked = format!("And then? {}", "what does it say? ".repeat(8 + turn % 3));
            let said = format!("It says {}", "that the sea is far away, ".repeat(4));
            messages.push(json!({"role": "user", "content": asked}));
            messages.push(json!({"role": "assistant", "content": said}));
        }
        let mut dialogue = Self {
            world,
            voice,
            messages,
        };
        dialogue.voice.support(SAID_LOGIT);
        for _ in 0..ASKED {
            let wide = json!({"max_context_tokens": 8_000, "report": "full"});
            let report = dialogue.turn(SAID, &wide).await;
            assert_eq!(report["status"], "fit", "{report}");
        }
        assert_eq!(dialogue.voice.take_scored(), [0; 0]);
        dialogue
    }

    fn tokens(&self, text: &str) -> Vec<u32> {
        self.world.tokenizer.encode(text, false).unwrap()
    }

    fn asks(&mut self, question: &str, budget: &Value) -> Value {
        let asked = json!({"role": "user", "content": question});
        self.messages.push(asked);
        json!({"messages": self.messages, "max_tokens": 64, "context_budget": budget})
    }

    /// Asks, and goes on with the answer; the report.
    async fn turn(&mut self, script: &str, budget: &Value) -> Value {
        self.turn_of("How far is the sea?", script, budget).await
    }

    async fn turn_of(&mut self, question: &str, script: &str, budget: &Value) -> Value {
        self.voice.say(self.tokens(script));
        let body = self.asks(question, budget);
        let answer = self.world.ask(CHAT, body).await.ok();
        self.messages.push(answer["choices"][0]["message"].clone());
        self.world.until_idle().await;
        answer["context_budget"].clone()
    }

    /// By how much less likely the answers are if each token has that logit.
    fn delta(support: f32) -> f64 {
        let logprob = |logit: f32| {
            let mut row = vec![0.0; VOCAB_SIZE];
            row[7] = logit;
            f64::from(LogSoftmax::new(&row).unwrap().logprob(logit))
        };
        logprob(SAID_LOGIT) - logprob(support)
    }
}

fn narrow(compaction: &Value) -> Value {
    json!({"max_context_tokens": 2_048, "report": "full", "compaction": compaction})
}

fn summary(report: &Value) -> Value {
    let edits = report["edits"].as_array().unwrap();
    let mut made = edits.iter().filter(|edit| edit["op"] == "compact");
    let summary = made
        .next()
        .unwrap_or_else(|| panic!("no summary: {report}"));
    assert!(made.next().is_none(), "{report}");
    summary.clone()
}

/// What warnings of drift say.
fn warned(report: &Value) -> Vec<String> {
    let warnings = report["warnings"].as_array().unwrap().iter();
    let drift = warnings.filter(|warning| warning["code"] == "drift");
    drift
        .map(|warning| warning["message"].to_string())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_has_said_is_compared_while_the_prompt_is_computed() {
    let mut dialogue = Dialogue::start().await;
    dialogue.voice.support(9.5);
    let before = dialogue.world.engine().stats();
    let report = dialogue.turn(SUMMARIES[0], &narrow(&json!({}))).await;
    let after = dialogue.world.engine().stats();
    let summary = summary(&report);
    let said = dialogue.tokens(SAID);
    assert_eq!(dialogue.voice.take_scored(), said.repeat(ASKED));
    assert_eq!(summary["drift"]["tokens"], ASKED * said.len(), "{report}");
    let delta = summary["drift"]["nll_delta"].as_f64().unwrap();
    assert!((delta - Dialogue::delta(9.5)).abs() < 1e-5, "{report}");
    assert_eq!(warned(&report), [""; 0]);
    let figure = "purser_context_drift_nll";
    assert_eq!(dialogue.world.metric(&format!("{figure}_count")).await, 1.0);
    let sum = dialogue.world.metric(&format!("{figure}_sum")).await;
    assert!((sum - delta).abs() < 1e-9, "{sum}");

    // The summary and the answer were computed as they would have been: of each all tokens but
    // the last, and its prompt.
    let told = &summary["compaction"]["model_tokens"];
    let number = |value: &Value| value.as_f64().unwrap();
    let prompts = number(&told["prompt"]) - number(&told["cached"]);
    let outputs = number(&told["output"]) + dialogue.tokens(SUMMARIES[0]).len() as f64 + 1.0;
    let computed = prompts + number(&report["cache"]["prefilled"]) + outputs - 2.0;
    assert_eq!(after.step_tokens.sum - before.step_tokens.sum, computed);

    // The next request finds all that in the cache, so there is nothing to compare.
    let report = dialogue.turn(SAID, &narrow(&json!({}))).await;
    assert_eq!(summary_source(&report), ("ledger".into(), Value::Null));
    assert_eq!(dialogue.voice.take_scored(), [0; 0]);
}

fn summary_source(report: &Value) -> (Value, Value) {
    let summary = summary(report);
    (summary["source"].clone(), summary["drift"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_tells_of_it_at_its_end() {
    let mut dialogue = Dialogue::start().await;
    dialogue.voice.say(dialogue.tokens(SUMMARIES[0]));
    dialogue.voice.support(2.0);
    let mut body = dialogue.asks("How far is the sea?", &narrow(&json!({})));
    body["stream"] = json!(true);
    body["stream_options"] = json!({"include_usage": true});
    let answer = dialogue.world.ask(CHAT, body).await;
    let chunks = answer
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: {"));
    let chunks = chunks.map(|chunk| serde_json::from_str(&format!("{{{chunk}")).unwrap());
    let chunks: Vec<Value> = chunks.collect();
    let first = summary(&chunks[0]["context_budget"]);
    assert_eq!(first["drift"], Value::Null, "nothing is computed yet");
    let last = &chunks.last().unwrap()["context_budget"];
    assert_eq!(last["drift"]["ref"], first["ref"], "{last}");
    let delta = last["drift"]["nll_delta"].as_f64().unwrap();
    assert!((delta - Dialogue::delta(2.0)).abs() < 1e-5, "{last}");
    // There is no level that is more detailed than the default one.
    let [warning] = &warned(last)[..] else {
        panic!("{last}")
    };
    assert!(warning.contains("as detailed as can be"), "{warning}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_drifts_is_replaced_by_more_detailed_ones_until_there_is_none() {
    let mut dialogue = Dialogue::start().await;
    let compaction = json!({"level": "brief", "schedule": "foreground"});
    // As unlikely as any other token.
    dialogue.voice.support(0.0);
    let mut levels = Vec::new();
    for (at, script) in SUMMARIES.into_iter().enumerate() {
        let report = dialogue.turn(script, &narrow(&compaction)).await;
        let summary = summary(&report);
        assert_eq!(summary["source"], "new", "{report}");
        levels.push(summary["level"].clone());
        let drift = &summary["drift"];
        let delta = drift["nll_delta"].as_f64().unwrap();
        assert!((delta - Dialogue::delta(0.0)).abs() < 1e-5, "{report}");
        let warned = warned(&report);
        // From the second on, the report also says what it takes the place of.
        assert_eq!(warned.len(), if at == 0 { 1 } else { 2 }, "{warned:?}");
        let last = warned.last().unwrap();
        let comes = if at == 2 {
            "as detailed as can be"
        } else {
            "gets a more detailed one"
        };
        assert!(last.contains(comes), "{last}");
    }
    assert_eq!(levels, ["brief", "medium", "detailed"]);
    for _ in 0..2 {
        let report = dialogue.turn(SAID, &narrow(&compaction)).await;
        assert_eq!(summary_source(&report), ("ledger".into(), Value::Null));
        assert_eq!(summary(&report)["level"], "detailed");
        assert_eq!(warned(&report), [""; 0]);
    }
    let metrics = dialogue.world.get("/metrics").await.text;
    let written = "purser_context_compactions_total{";
    let written = metrics.lines().filter(|line| line.starts_with(written));
    let counts: Vec<&str> = written.filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(counts, ["1"; 3], "one of each level");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_changed_is_not_compared_and_a_lenient_gate_lets_a_summary_stand() {
    let mut dialogue = Dialogue::start().await;
    dialogue.voice.support(0.0);
    let at = dialogue.messages.len() - 1;
    dialogue.messages[at]["content"] = json!(SAID.replace("far", "near"));
    let compaction = json!({"level": "brief", "quality_gate": {"max_nll_delta": 20.0}});
    let report = dialogue.turn(SUMMARIES[0], &narrow(&compaction)).await;
    let said = dialogue.tokens(SAID);
    let compared = (ASKED - 1) * said.len();
    assert_eq!(summary(&report)["drift"]["tokens"], compared, "{report}");
    assert_eq!(warned(&report), [""; 0]);
    let report = dialogue.turn(SAID, &narrow(&compaction)).await;
    assert_eq!(summary_source(&report), ("ledger".into(), Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_drifts_is_better_than_a_refusal() {
    let mut dialogue = Dialogue::start().await;
    dialogue.voice.support(0.0);
    let mut budget = narrow(&json!({"level": "brief", "max_tokens": 1_200}));
    budget["zones"] = json!({"history": {"keep_raw_turns": 5, "min": 0}});
    // Nothing is done before it must be.
    budget["utilization"] = json!({"high": 1.0});
    let report = dialogue.turn(SUMMARIES[0], &budget).await;
    assert_eq!(warned(&report).len(), 1, "{report}");
    // A summary of the next level may have 600 tokens, for which there is no room beside this: the
    // brief one is extended instead.
    let mut long = String::new();
    while dialogue.tokens(&long).len() < 1_350 {
        long.push_str("And what about the sea? ");
    }
    let mut told = Vec::new();
    for script in SUMMARIES.into_iter().chain([SAID; 3]) {
        let report = dialogue.turn_of(&long, script, &budget).await;
        let summary = summary(&report);
        let text = |name: &str| summary[name].as_str().unwrap().to_owned();
        told.push((text("source"), text("level"), warned(&report).len()));
        dialogue.messages.truncate(dialogue.messages.len() - 2);
    }
    let told: Vec<(&str, &str, usize)> = (told.iter())
        .map(|(source, level, warned)| (source.as_str(), level.as_str(), *warned))
        .collect();
    // What it adds is little, so that more detail fits from then on. It ends with the last level.
    let made = [
        ("new", "brief", 1),
        ("new", "medium", 2),
        ("new", "detailed", 2),
    ];
    assert_eq!(told[..3], made, "{told:?}");
    assert_eq!(told[3..], [("ledger", "detailed", 0); 3], "{told:?}");
}
