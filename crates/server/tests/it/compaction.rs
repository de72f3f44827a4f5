//! Summaries by the served model: what they compute, what is made of them, and when there are none.

use context::{
    ChainKey, CompactionSchedule, InstructionsMode, LedgerScope, SectionedSummary, SegmentChain,
    SpanPart, Speaker, SummaryLevel, SummaryOrigin, SummaryRequest, critical_tokens, recall,
    segment_digest, summary_instruction,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use server::budget::compaction::{
    Compacted, CompactionCounters, CompactionFailure, CompactionTask, Compactor, NotTaken, Order,
    SpanText, SummaryLengths,
};
use server::prompt;
use server::validate::chat::Conversation;
use server::validate::messages::Tools;
use server::validate::notes::Notes;
use tokio::sync::mpsc;

use crate::world::{IM_END, PATIENCE, Setup, World};

/// A summary of [`facts`] that lacks nothing.
const WHOLE: &str = "goal:\n- write to src/pay/ledger.rs\n\
                     constraints:\n- never touch schema_v7 in this project";

fn message(role: &str, content: impl Into<String>) -> Value {
    json!({"role": role, "content": content.into()})
}

/// A conversation of `turns` turns, and the question that follows.
fn messages(turns: usize) -> Vec<Value> {
    let mut messages = vec![message("system", "You are a careful assistant.")];
    for turn in 0..turns {
        let asked = format!(
            "Question {turn}: {}",
            "what does the long river say? ".repeat(6)
        );
        let said = format!(
            "Answer {turn}: {}",
            "it says that the sea is far away. ".repeat(6)
        );
        messages.extend([message("user", asked), message("assistant", said)]);
    }
    messages.push(message("user", "And how far is the sea?"));
    messages
}

fn conversation(messages: &[Value], tools: &[Value]) -> Conversation {
    Conversation {
        messages: messages.to_vec(),
        notes: Notes::default(),
        tools: Tools {
            definitions: tools.to_vec(),
            deferred: Vec::new(),
            choice: server::validate::messages::ToolChoice::Auto,
            parallel: true,
        },
        documents: None,
        add_generation_prompt: false,
        continue_final_message: false,
        add_special_tokens: false,
        template_kwargs: None,
    }
}

/// A task for what `messages` say.
fn task(messages: &[Value], level: SummaryLevel, detailed: usize) -> CompactionTask {
    let said = |message: &Value| SpanText {
        speaker: match message["role"].as_str().unwrap() {
            "assistant" => Speaker::Assistant,
            _ => Speaker::User,
        },
        text: message["content"].as_str().unwrap().into(),
    };
    CompactionTask {
        conversation: conversation(messages, &[]),
        span: messages.iter().map(said).collect(),
        later: "".into(),
        anchor: None,
        request: SummaryRequest {
            preserve: Vec::new(),
            instructions: None,
            instructions_mode: InstructionsMode::Append,
            schedule: CompactionSchedule::Foreground,
        },
        level,
        lengths: SummaryLengths {
            detailed,
            span: 100_000,
            room: 100_000,
        },
        order: context::SummaryOrder {
            wording: 0,
            max_tokens: 400,
            critical_recall: 0.95,
        },
        max_wait: None,
        cache_salt: Vec::new(),
        adapter: None,
        priority: 0,
    }
}

/// Facts that a summary of them must keep.
fn facts() -> Vec<Value> {
    let asked =
        "Please write to src/pay/ledger.rs. You must never touch schema_v7 in this project.";
    vec![message("user", asked), message("assistant", "Understood.")]
}

/// Paths that a summary must keep, and lines that say so.
fn paths() -> (Vec<Value>, Vec<String>) {
    let paths = ["alpha", "bravo", "delta", "gamma", "kappa", "omega"];
    let paths = paths.map(|name| format!("src/{name}/main_{name}.rs"));
    let said = paths
        .iter()
        .map(|path| format!("Then open {path} and read it."));
    let messages = said.map(|text| message("user", text)).collect();
    (
        messages,
        paths.map(|path| format!("- read {path}")).to_vec(),
    )
}

fn compactor() -> Compactor {
    Compactor::new(CompactionCounters::new())
}

fn key(number: u8) -> ChainKey {
    let scope = LedgerScope {
        tenant_salt: b"",
        policy_major: 1,
        fingerprint: b"",
    };
    let digest = segment_digest(&[&[number]]);
    SegmentChain::from_digests(&scope, [&digest]).keys()[0]
}

fn figures(compactor: &Compactor) -> String {
    let mut registry = Registry::default();
    compactor.counters().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

fn assert_figure(compactor: &Compactor, line: &str) {
    let text = figures(compactor);
    assert!(
        text.lines().any(|found| found == line),
        "no `{line}` in\n{text}"
    );
}

fn long_setup() -> Setup {
    let mut setup = Setup {
        max_model_len: 8_192,
        ..Setup::default()
    };
    setup.limits.max_messages = 256;
    setup
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_instruction_and_the_summary_are_computed() {
    let weather = json!({"type": "function", "function": {"name": "weather", "parameters": {}}});
    for tools in [vec![], vec![weather]] {
        let world = World::start(long_setup()).await;
        let all = messages(50);
        let span = &all[..61];
        let mut asked = json!({"messages": all, "max_tokens": 3});
        if !tools.is_empty() {
            asked["tools"] = json!(tools);
        }
        world.ask("/v1/chat/completions", asked).await.ok();
        world.until_idle().await;

        let render = async |messages: &[Value], generates: bool| {
            let mut conversation = conversation(messages, &tools);
            conversation.add_generation_prompt = generates;
            prompt::of_chat(&world.app, conversation).await.unwrap()
        };
        let history = render(&all, true).await;
        assert!(history.len() >= 4_000, "{} tokens", history.len());
        let before = world.engine().stats();
        let mut task = task(span, SummaryLevel::Detailed, 40);
        task.conversation = conversation(span, &tools);
        let compactor = compactor();
        let compacted = compactor.summarise(&world.app, task).await.unwrap();
        world.until_idle().await;
        let after = world.engine().stats();

        // 34 of the 40 tokens are the model's, the others are kept for critical items.
        let instruction = message("user", summary_instruction(34, None));
        let instructed = render(&[span, &[instruction]].concat(), true).await;
        let shared = history
            .iter()
            .zip(&instructed)
            .take_while(|(a, b)| a == b)
            .count();
        let tokens = compacted.tokens;
        assert_eq!((tokens.prompt, tokens.cached), (instructed.len(), shared));
        let turn = instructed.len() - render(span, false).await.len();
        assert!(
            shared >= instructed.len() - turn,
            "{tokens:?} for a turn of {turn}"
        );
        let said = world.oracle(&instructed, 34);
        let end = said.iter().position(|&token| token == 0 || token == IM_END);
        let output = end.map_or(34, |end| end + 1);
        assert_eq!((tokens.output, tokens.recomputed), (output, 0));
        assert!(
            tokens.total() <= turn + 34,
            "{tokens:?} for a turn of {turn}"
        );

        // The engine's own counts; the last token generated is never computed.
        let computed = after.step_tokens.sum - before.step_tokens.sum;
        assert_eq!(computed as usize, tokens.total() - 1);
        let prefilled = after.prompt_tokens_computed - before.prompt_tokens_computed;
        assert_eq!(prefilled as usize, tokens.prefilled());
        println!("history {}, turn {turn}, {tokens:?}", history.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_keeps_what_matters_stands_as_it_is() {
    let world = World::saying(WHOLE).await;
    let compactor = compactor();
    let task = task(&facts(), SummaryLevel::Medium, 400);
    let compacted = compactor.summarise(&world.app, task).await.unwrap();
    assert_eq!(compacted.summary.text.trim(), WHOLE);
    assert_eq!(compacted.summary.origin, SummaryOrigin::Model);
    assert_eq!(compacted.summary.critical_recall, 1.0);
    let tokens = world
        .tokenizer
        .encode(&compacted.summary.text, false)
        .unwrap();
    assert_eq!(compacted.summary.tokens, tokens.len());
    // The token that ended it was generated as well.
    let script = world.tokenizer.encode(WHOLE, false).unwrap();
    assert_eq!(compacted.tokens.output, script.len() + 1);
    assert_eq!(compacted.level, SummaryLevel::Medium);
    let critical = compacted.critical;
    assert!(
        critical.found >= 2 && critical.kept == critical.found,
        "{critical:?}"
    );
    assert_eq!(critical.appended, 0);
    assert_eq!(compacted.rejected, []);
    let written = r#"purser_context_compactions_total{source="model",level="medium"} 1"#;
    assert_figure(&compactor, written);
    let output = format!(
        r#"purser_context_compaction_tokens_total{{kind="output"}} {}"#,
        compacted.tokens.output
    );
    assert_figure(&compactor, &output);
    assert_figure(&compactor, "purser_context_compaction_seconds_count 1");
    assert_figure(&compactor, "purser_context_critical_recall_sum 1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn critical_items_that_are_missing_are_appended() {
    let said = "<think>Is schema_v7 safe?</think>\ngoal:\n- write to src/pay/ledger.rs";
    let world = World::saying(said).await;
    let task = task(&facts(), SummaryLevel::Detailed, 600);
    let compacted = compactor().summarise(&world.app, task).await.unwrap();
    let text = &compacted.summary.text;
    assert!(
        text.starts_with("goal:\n- write to src/pay/ledger.rs\nfacts:\n- "),
        "{text}"
    );
    assert!(text.contains("never touch schema_v7"), "{text}");
    assert!(compacted.critical.appended >= 1, "{compacted:?}");
    assert!(compacted.summary.critical_recall >= 0.95);
    assert_eq!(compacted.summary.origin, SummaryOrigin::Model);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_summary_is_extended() {
    let world = World::saying("decisions:\n- the port is 9017").await;
    let anchor = "goal:\n- write to src/pay/ledger.rs\nconstraints:\n- never touch schema_v7";
    let mut messages = facts();
    messages.extend([
        message("user", "Use port 9017."),
        message("assistant", "I do."),
    ]);
    let mut task = task(&messages, SummaryLevel::Detailed, 600);
    task.anchor = Some(SectionedSummary::parse(anchor));
    let compacted = compactor().summarise(&world.app, task).await.unwrap();
    let text = &compacted.summary.text;
    for line in [
        "- write to src/pay/ledger.rs",
        "- never touch schema_v7",
        "- the port is 9017",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no `{line}` in {text}"
        );
    }
    assert_eq!(compacted.summary.origin, SummaryOrigin::Model);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_more_detailed_level_is_tried_when_too_much_is_missing() {
    let (messages, lines) = paths();
    let said = format!("artifacts:\n{}", lines.join("\n"));
    let world = World::saying(&said).await;
    let whole = world.tokenizer.encode(&said, false).unwrap().len();
    // Brief has room for half of it, detailed for all.
    let task = task(&messages, SummaryLevel::Brief, 2 * whole);
    let compacted = compactor().summarise(&world.app, task).await.unwrap();
    assert_eq!(
        compacted.summary.origin,
        SummaryOrigin::Model,
        "{compacted:?}"
    );
    assert!(compacted.level < SummaryLevel::Brief, "{compacted:?}");
    assert_eq!(compacted.rejected[0].level, SummaryLevel::Brief);
    let mut reasons = compacted.rejected.iter().map(|tried| tried.reason.name());
    assert!(reasons.all(|name| name == "below_recall"), "{compacted:?}");
    assert!(compacted.summary.critical_recall >= 0.95);
    // All attempts count.
    assert!(compacted.tokens.output > whole, "{:?}", compacted.tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_of_the_span_stand_in_when_no_level_passes() {
    let world = World::saying("We talked.").await;
    let compactor = compactor();
    let (messages, _) = paths();
    let task = task(&messages, SummaryLevel::Medium, 80);
    let compacted = compactor.summarise(&world.app, task).await.unwrap();
    assert_eq!(compacted.summary.origin, SummaryOrigin::Extractive);
    let text = &compacted.summary.text;
    let tokens = world.tokenizer.encode(text, false).unwrap().len();
    assert_eq!(compacted.summary.tokens, tokens);
    assert!(tokens <= 80, "{compacted:?}");
    assert!(text.contains("Then open src/"), "{text}");
    // What it lacks is told.
    let parts: Vec<SpanPart<'_>> = messages
        .iter()
        .map(|message| SpanPart {
            speaker: Speaker::User,
            text: message["content"].as_str().unwrap(),
        })
        .collect();
    let kept = recall(&critical_tokens(&parts, ""), text);
    assert_eq!(compacted.summary.critical_recall, kept);
    assert!(kept < 0.95, "{kept}");
    let levels: Vec<_> = compacted.rejected.iter().map(|tried| tried.level).collect();
    assert_eq!(levels, [SummaryLevel::Medium, SummaryLevel::Detailed]);
    let rejected = r#"purser_context_compactions_rejected_total{reason="below_recall"} 2"#;
    assert_figure(&compactor, rejected);
    let figures = figures(&compactor);
    assert!(
        figures.contains(r#"compactions_total{source="extractive",level=""#),
        "{figures}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_answered_without_a_model() {
    let world = World::start(Setup::default()).await;
    // Too long for the window, with the summary.
    let too_long = task(&messages(60), SummaryLevel::Brief, 800);
    let compacted = compactor().summarise(&world.app, too_long).await.unwrap();
    assert_eq!(compacted.summary.origin, SummaryOrigin::Extractive);
    let [tried] = &compacted.rejected[..] else {
        panic!("{compacted:?}")
    };
    assert_eq!(tried.reason.name(), "too_long");
    assert_eq!(compacted.tokens.total(), 0);
    // No room for a sentence: there is no summary at all.
    let tiny = task(&facts(), SummaryLevel::Detailed, 1);
    let failure = compactor().summarise(&world.app, tiny).await.unwrap_err();
    assert_eq!(failure, CompactionFailure::NoRoom { max_tokens: 1 });
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_cancels_its_summary() {
    let world = World::start(Setup::default()).await;
    world.gate.close();
    let app = world.app.clone();
    let asking = tokio::spawn(async move {
        let task = task(&facts(), SummaryLevel::Detailed, 1_000);
        compactor().summarise(&app, task).await
    });
    world
        .step_until("summarising", |stats| stats.num_running == 1)
        .await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    world
        .step_until("cancelled", |stats| {
            stats.num_running == 0 && stats.num_used_blocks == 0
        })
        .await;
    assert!(world.engine().stats().generation_tokens < 850);
}

/// Offers the summary of the facts in the background.
fn later(
    world: &World,
    compactor: &Compactor,
    number: u8,
) -> (Result<(), NotTaken>, mpsc::Receiver<Compacted>) {
    let (sender, receiver) = mpsc::channel(1);
    let task = task(&facts(), SummaryLevel::Detailed, 1_000);
    let deliver = Box::new(move |compacted| drop(sender.try_send(compacted)));
    let order = std::future::ready(Some(Order { task, deliver }));
    let taken = compactor.summarise_later(&world.app, key(number), order);
    (taken, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_in_the_background_is_delivered() {
    let world = World::saying(WHOLE).await;
    let compactor = compactor();
    world.gate.close();
    let (taken, mut delivered) = later(&world, &compactor, 1);
    assert_eq!(taken, Ok(()));
    world
        .step_until("in the background", |stats| {
            stats.num_background_running == 1
        })
        .await;
    assert_eq!(compactor.num_in_background(), 1);
    world.gate.open();
    let compacted = tokio::time::timeout(PATIENCE, delivered.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(compacted.summary.text.trim(), WHOLE);
    world.until_idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_is_in_the_way_is_given_up() {
    let setup = Setup {
        max_num_seqs: 1,
        ..Setup::default()
    };
    let world = World::start(setup).await;
    let compactor = compactor();
    world.gate.close();
    let (taken, mut delivered) = later(&world, &compactor, 1);
    assert_eq!(taken, Ok(()));
    world
        .step_until("in the background", |stats| {
            stats.num_background_running == 1
        })
        .await;
    let (answer, ()) = tokio::join!(world.chat(json!({"max_tokens": 4})), async {
        world
            .step_until("abandoned", |stats| stats.abandoned == 1)
            .await;
        world.gate.open();
    });
    answer.ok();
    // No summary, not even one without a model: it may be tried again.
    assert_eq!(
        tokio::time::timeout(PATIENCE, delivered.recv())
            .await
            .unwrap(),
        None
    );
    let rejected = r#"purser_context_compactions_rejected_total{reason="abandoned"} 1"#;
    assert_figure(&compactor, rejected);
    world.until_idle().await;
    assert_eq!(compactor.num_in_background(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_in_the_background_outlives_the_server() {
    let world = World::start(Setup::default()).await;
    let compactor = compactor();
    world.gate.close();
    let (_, mut first) = later(&world, &compactor, 1);
    let (_, mut second) = later(&world, &compactor, 1);
    world
        .step_until("in the background", |stats| {
            stats.num_background_running == 1
        })
        .await;
    assert_eq!(compactor.num_in_background(), 2);
    compactor.stop();
    assert_eq!(first.recv().await, None);
    assert_eq!(second.recv().await, None);
    world
        .step_until("cancelled", |stats| stats.num_used_blocks == 0)
        .await;
    let (taken, _) = later(&world, &compactor, 2);
    assert_eq!(taken, Err(NotTaken::Stopped));
}
