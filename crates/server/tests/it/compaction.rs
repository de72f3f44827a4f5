//! Summaries by the served model: what they compute, what is made of them, and when there are none.

use std::sync::Arc;

use context::{
    ChainKey, CompactionSchedule, InstructionsMode, LedgerScope, SegmentChain, SummaryLevel,
    SummaryOrigin, SummaryRequest, segment_digest,
};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use server::budget::compaction::{
    Asked, Compacted, CompactionFailure, CompactionTask, Compactor, NotTaken, Recall,
    SummaryGate, SummaryLengths,
};
use server::prompt;
use server::validate::chat::Conversation;
use server::validate::messages::Tools;
use tokio::sync::mpsc;

use crate::world::{PATIENCE, Setup, World};

/// Asks with one sentence; numbers are critical; takes whole messages, from the first on.
struct NumberGate;

impl SummaryGate for NumberGate {
    fn instruction(&self, asked: &Asked<'_>) -> String {
        format!("Sum up all of the above in {} words.", asked.max_tokens / 2)
    }

    fn recall(&self, span: &[Box<str>], summary: &str) -> Recall {
        let said: Vec<&str> = words(summary).collect();
        let mut items: Vec<&str> = span.iter().flat_map(|text| words(text)).collect();
        items.retain(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
        items.sort_unstable();
        items.dedup();
        let missing: Vec<Box<str>> = items
            .iter()
            .filter(|item| !said.contains(item))
            .map(|&item| item.into())
            .collect();
        let kept = items.len() - missing.len();
        Recall {
            found: items.len(),
            kept,
            recall: kept as f64 / items.len().max(1) as f64,
            missing,
        }
    }

    fn extract(
        &self,
        span: &[Box<str>],
        max_tokens: usize,
        count: &mut dyn FnMut(&str) -> usize,
    ) -> String {
        let mut text = String::new();
        for message in span {
            let longer = format!("{text}{message}\n");
            if count(&longer) > max_tokens {
                break;
            }
            text = longer;
        }
        text
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !char.is_alphanumeric())
}

fn compactor() -> Compactor {
    Compactor::new(Arc::new(NumberGate))
}

fn message(role: &str, content: impl Into<String>) -> Value {
    json!({"role": role, "content": content.into()})
}

/// A conversation of `turns` turns, and the question that follows.
fn messages(turns: usize) -> Vec<Value> {
    let mut messages = vec![message("system", "You are a careful assistant.")];
    for turn in 0..turns {
        let asked = format!("Question {turn}: {}", "what does the long river say? ".repeat(6));
        let said = format!("Answer {turn}: {}", "it says that the sea is far away. ".repeat(6));
        messages.extend([message("user", asked), message("assistant", said)]);
    }
    messages.push(message("user", "And how far is the sea?"));
    messages
}

fn conversation(messages: &[Value], tools: &[Value]) -> Conversation {
    Conversation {
        messages: messages.to_vec(),
        tools: Tools {
            definitions: tools.to_vec(),
            enabled: true,
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
    let text = |message: &Value| message["content"].as_str().unwrap().into();
    CompactionTask {
        conversation: conversation(messages, &[]),
        span: messages.iter().map(text).collect(),
        extends_summary: false,
        request: SummaryRequest {
            preserve: Vec::new(),
            instructions: None,
            instructions_mode: InstructionsMode::Append,
            schedule: CompactionSchedule::Foreground,
            pause_after: false,
        },
        level,
        lengths: SummaryLengths {
            detailed,
            span: 100_000,
            room: 100_000,
        },
        critical_recall: 0.95,
        cache_salt: Vec::new(),
        priority: 0,
    }
}

/// Facts that a summary of them must keep.
fn facts() -> Vec<Value> {
    vec![
        message("user", "The port is 8123 and the budget is 4312."),
        message("assistant", "I noted 8123 and 4312."),
    ]
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
    assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
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
        task.critical_recall = 0.0;
        let compactor = compactor();
        let compacted = compactor.summarise(&world.app, task).await.unwrap();
        world.until_idle().await;
        let after = world.engine().stats();

        // 34 of the 40 tokens are the model's, the others are kept for critical items.
        let instruction = message("user", "Sum up all of the above in 17 words.");
        let instructed = render(&[span, &[instruction]].concat(), true).await;
        let shared = history.iter().zip(&instructed).take_while(|(a, b)| a == b).count();
        let tokens = compacted.tokens;
        assert_eq!((tokens.prompt, tokens.cached), (instructed.len(), shared));
        let turn = instructed.len() - render(span, false).await.len();
        assert!(tokens.prefilled() < turn, "{tokens:?} for a turn of {turn}");
        assert_eq!((tokens.output, tokens.recomputed), (34, 0));
        assert!(turn < 40 && tokens.total() < 40 + 34, "{tokens:?}");

        // The engine's own counts; the last token generated is never computed.
        let computed = after.step_tokens.sum - before.step_tokens.sum;
        assert_eq!(computed as usize, tokens.total() - 1);
        let prefilled = after.prompt_tokens_computed - before.prompt_tokens_computed;
        assert_eq!(prefilled as usize, tokens.prefilled());
        // And it read the right tokens from the cache: it says what it says without one.
        let said = world.decode(&world.oracle(&instructed, 34));
        let summary = compacted.summary.text.lines().next().unwrap();
        assert!(said.trim().starts_with(summary), "{said:?}, {summary:?}");
        assert_eq!(compacted.summary.origin, SummaryOrigin::Model);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_keeps_what_matters_stands_as_it_is() {
    let world = World::saying("Port 8123, budget 4312.").await;
    let compactor = compactor();
    let task = task(&facts(), SummaryLevel::Medium, 128);
    let compacted = compactor.summarise(&world.app, task).await.unwrap();
    assert_eq!(&*compacted.summary.text, "Port 8123, budget 4312.");
    assert_eq!(compacted.summary.origin, SummaryOrigin::Model);
    assert_eq!(compacted.summary.critical_recall, 1.0);
    let tokens = world.tokenizer.encode(&compacted.summary.text, false).unwrap();
    assert_eq!(compacted.summary.tokens, tokens.len());
    // The token that ended it was generated as well.
    assert_eq!(compacted.tokens.output, tokens.len() + 1);
    assert_eq!(compacted.level, SummaryLevel::Medium);
    let critical = compacted.critical;
    assert_eq!((critical.found, critical.kept, critical.appended), (2, 2, 0));
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
    let world = World::saying("<think>Hm, 4312?</think>\nThe port is 8123.").await;
    let task = task(&facts(), SummaryLevel::Detailed, 120);
    let compacted = compactor().summarise(&world.app, task).await.unwrap();
    assert_eq!(&*compacted.summary.text, "The port is 8123.\nfacts:\n- 4312");
    let critical = compacted.critical;
    assert_eq!((critical.found, critical.kept, critical.appended), (2, 2, 1));
    assert_eq!(compacted.summary.critical_recall, 1.0);
    assert!(compacted.summary.tokens <= 120);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_more_detailed_level_is_tried_when_too_much_is_missing() {
    let said = "- The port is 8123, as said.\n- The budget is 4312, as said.\n- Nothing else.";
    let world = World::saying(said).await;
    let whole = world.tokenizer.encode(said, false).unwrap().len();
    // A quarter of it has room for neither the second line nor the items; half of it for all.
    let detailed = 4 * (whole / 2);
    let task = task(&facts(), SummaryLevel::Brief, detailed);
    let compacted = compactor().summarise(&world.app, task).await.unwrap();
    assert_eq!(compacted.level, SummaryLevel::Detailed, "{compacted:?}");
    assert_eq!(&*compacted.summary.text, said);
    let levels: Vec<_> = compacted.rejected.iter().map(|tried| tried.level).collect();
    assert_eq!(levels[0], SummaryLevel::Brief);
    let reasons = compacted.rejected.iter().map(|tried| tried.reason.name());
    assert!(reasons.into_iter().all(|name| name == "below_recall"));
    // All attempts count.
    assert!(compacted.tokens.output > whole + 1, "{:?}", compacted.tokens);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentences_of_the_span_stand_in_when_no_level_passes() {
    let world = World::saying("We talked.").await;
    let compactor = compactor();
    let mut task = task(&facts(), SummaryLevel::Medium, 60);
    task.lengths.detailed = 80;
    let mut many = facts();
    many.extend((100..140).map(|number| message("user", format!("Mind {number} too."))));
    task.span = many
        .iter()
        .map(|message| message["content"].as_str().unwrap().into())
        .collect();
    let compacted = compactor.summarise(&world.app, task).await.unwrap();
    assert_eq!(compacted.summary.origin, SummaryOrigin::Extractive);
    assert_eq!(compacted.level, SummaryLevel::Medium);
    assert!(compacted.summary.tokens <= 40, "{compacted:?}");
    let text = &compacted.summary.text;
    assert!(text.starts_with("The port is 8123 and the budget is 4312."), "{text}");
    assert!(compacted.summary.critical_recall < 0.95);
    let levels: Vec<_> = compacted.rejected.iter().map(|tried| tried.level).collect();
    assert_eq!(levels, [SummaryLevel::Medium, SummaryLevel::Detailed]);
    let rejected = r#"purser_context_compactions_rejected_total{reason="below_recall"} 2"#;
    assert_figure(&compactor, rejected);
    let written = r#"purser_context_compactions_total{source="extractive",level="medium"} 1"#;
    assert_figure(&compactor, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_answered_without_a_model() {
    let world = World::start(Setup::default()).await;
    // Too long for the window, with the summary.
    let mut too_long = task(&messages(60), SummaryLevel::Brief, 800);
    too_long.critical_recall = 0.0;
    let compacted = compactor().summarise(&world.app, too_long).await.unwrap();
    assert_eq!(compacted.summary.origin, SummaryOrigin::Extractive);
    let [tried] = &compacted.rejected[..] else {
        panic!("{compacted:?}")
    };
    assert_eq!(tried.reason.name(), "too_long");
    assert_eq!(compacted.tokens.total(), 0);
    // No room for a sentence: there is no summary at all.
    let mut tiny = task(&facts(), SummaryLevel::Detailed, 1);
    tiny.critical_recall = 1.0;
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
    world.step_until("summarising", |stats| stats.num_running == 1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    world
        .step_until("cancelled", |stats| stats.num_running == 0 && stats.num_used_blocks == 0)
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
    let deliver = move |compacted| drop(sender.try_send(compacted));
    let taken = compactor.summarise_later(&world.app, key(number), task, deliver);
    (taken, receiver)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_summary_in_the_background_is_delivered() {
    let world = World::saying("Port 8123, budget 4312.").await;
    let compactor = compactor();
    world.gate.close();
    let (taken, mut delivered) = later(&world, &compactor, 1);
    assert_eq!(taken, Ok(()));
    world.step_until("in the background", |stats| stats.num_background_running == 1).await;
    assert_eq!(compactor.num_in_background(), 1);
    world.gate.open();
    let compacted = tokio::time::timeout(PATIENCE, delivered.recv()).await.unwrap().unwrap();
    assert_eq!(&*compacted.summary.text, "Port 8123, budget 4312.");
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
    world.step_until("in the background", |stats| stats.num_background_running == 1).await;
    let (answer, ()) = tokio::join!(world.chat(json!({"max_tokens": 4})), async {
        world.step_until("abandoned", |stats| stats.abandoned == 1).await;
        world.gate.open();
    });
    answer.ok();
    // No summary, not even one without a model: it may be tried again.
    assert_eq!(tokio::time::timeout(PATIENCE, delivered.recv()).await.unwrap(), None);
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
    world.step_until("in the background", |stats| stats.num_background_running == 1).await;
    assert_eq!(compactor.num_in_background(), 2);
    compactor.stop();
    assert_eq!(first.recv().await, None);
    assert_eq!(second.recv().await, None);
    world.step_until("cancelled", |stats| stats.num_used_blocks == 0).await;
    let (taken, _) = later(&world, &compactor, 2);
    assert_eq!(taken, Err(NotTaken::Stopped));
}
