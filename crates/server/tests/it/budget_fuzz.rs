//! Random conversations through the whole budgeter: counted, divided, planned, edited, rendered,
//! remembered, and then longer by a turn.
//!
//! `PURSER_BUDGET_SEEDS=N` runs N conversations instead of the default; `PURSER_BUDGET_SEED=S` runs
//! conversation S alone.

mod conversation;

use std::time::Duration;

use context::canonical_tools;
use serde_json::{Value, json};
use server::auth::Caller;
use server::budget::pipeline::{self, Circumstances, Settled};
use server::budget::progress::Progress;
use server::prompt;
use server::validate::chat::{self, ChatRequest};
use server::wire::error::ApiError;

use crate::context::CHAT;
use crate::world::{Setup, World};
use conversation::Random;

/// Conversations of every test run; each is asked about several times.
const DEFAULT_SEEDS: u64 = 40;

/// Conversations that the engine answers, with summaries and as many without.
const ANSWERED: u64 = 24;

/// What was reached, so that no property holds because nothing happened.
#[derive(Debug, Default)]
struct Reached {
    requests: usize,
    edited: usize,
    replayed: usize,
    compacted: usize,
    infeasible: usize,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test's own knob, not configuration"
)]
fn knob(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("the knob is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_settled_holds_for_random_conversations() {
    let mut setup = Setup {
        max_model_len: 8_192,
        ..Setup::default()
    };
    setup.limits.max_messages = 1_000;
    let world = World::start(setup).await;
    let mut reached = Reached::default();
    if let Some(seed) = knob("PURSER_BUDGET_SEED") {
        run(&world, seed, &mut reached).await;
        return;
    }
    for seed in 0..knob("PURSER_BUDGET_SEEDS").unwrap_or(DEFAULT_SEEDS) {
        run(&world, seed, &mut reached).await;
    }
    println!("{reached:?}");
    assert!(reached.edited * 5 > reached.requests, "{reached:?}");
    assert!(reached.replayed * 10 > reached.requests, "{reached:?}");
    assert!(reached.compacted * 50 > reached.requests, "{reached:?}");
    assert!(reached.infeasible > 0, "{reached:?}");
}

/// A conversation, and the same one two more times, longer each time.
async fn run(world: &World, seed: u64, reached: &mut Reached) {
    let mut random = Random::new(seed);
    let mut body = conversation::random(&mut random);
    for step in 0..3 {
        let context = format!("seed {seed}, step {step}");
        reached.requests += 1;
        check(world, &body, &context, reached).await;
        conversation::grow(&mut body, &mut random);
    }
}

/// What the engine has computed for random conversations, as it was told beforehand.
#[derive(Debug, Default)]
struct Foretold {
    answers: usize,
    edited: usize,
    plans: usize,
    prefilled: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_foretold_is_what_the_engine_computes() {
    for with_summaries in [false, true] {
        let mut setup = Setup {
            max_model_len: 8_192,
            // So few that conversations take each other's place.
            num_blocks: 577,
            ..Setup::default()
        };
        setup.limits.max_messages = 1_000;
        let world = World::start(setup).await;
        let mut foretold = Foretold::default();
        let conversations = knob("PURSER_BUDGET_SEEDS").unwrap_or(ANSWERED);
        for seed in 0..conversations {
            answer(&world, seed, with_summaries, &mut foretold).await;
        }
        println!("{foretold:?}");
        let conversations = conversations as usize;
        assert!(foretold.answers > conversations, "{foretold:?}");
        assert!(foretold.plans > conversations, "{foretold:?}");
        assert!(foretold.edited > conversations / 2, "{foretold:?}");
        assert!(world.engine().stats().evictions > 0);
        if !with_summaries {
            // Nothing else was computed.
            world
                .until("counted", |stats| {
                    stats.prompt_tokens_computed == foretold.prefilled
                })
                .await;
        }
    }
}

/// A conversation through the whole server, and the same one two more times, longer each time.
async fn answer(world: &World, seed: u64, with_summaries: bool, foretold: &mut Foretold) {
    let mut random = Random::new(seed);
    let mut body = conversation::random(&mut random);
    if !with_summaries {
        body["context_budget"]["ladder"] = json!([
            "dedupe",
            "clear_tool_results",
            "reduce_retrieval",
            "offload"
        ]);
    }
    for step in 0..3 {
        let context = format!("seed {seed}, step {step}, summaries {with_summaries}");
        idle(world).await;
        let plan = world.ask("/v1/context/plan", body.clone()).await;
        let answer = world.ask(CHAT, body.clone()).await;
        conversation::grow(&mut body, &mut random);
        if answer.status == 400 {
            let error = &answer.json()["error"];
            assert_eq!(
                error["code"], "context_length_exceeded",
                "{context}: {error}"
            );
            continue;
        }
        let answer = answer.ok();
        let (usage, report) = (&answer["usage"], &answer["context_budget"]);
        let used = usage["prompt_tokens"].as_u64().unwrap();
        let cached = usage["prompt_tokens_details"]["cached_tokens"]
            .as_u64()
            .unwrap();
        assert_eq!(report["budget"]["used"], used, "{context}");
        assert_eq!(report["cache"]["matched"], cached, "{context}: {report}");
        assert_eq!(
            report["cache"]["prefilled"],
            used - cached,
            "{context}: {report}"
        );
        let plan = plan.ok();
        if plan["is_exact"] == true {
            foretold.plans += 1;
            assert_eq!(plan["cached_tokens"], cached, "{context}: {plan}");
            assert_eq!(
                plan["predicted_prefill_tokens"],
                used - cached,
                "{context}: {plan}"
            );
        }
        foretold.answers += 1;
        foretold.prefilled += used - cached;
        foretold.edited += usize::from(report["status"] == "edited");
    }
}

/// Waits for what is written in the background: it changes what is cached and remembered.
async fn idle(world: &World) {
    while world.app.compactor().num_in_background() > 0 {
        tokio::time::sleep(Duration::from_micros(100)).await;
    }
    world.until_idle().await;
}

async fn check(world: &World, body: &Value, context: &str, reached: &mut Reached) {
    let plain = plain(world, body).await;
    let observed = settle(world, &observing(body)).await;
    let observed = observed.unwrap_or_else(|error| panic!("{context}: {}", error.message()));
    assert_eq!(observed.tokens, unsorted(world, body).await, "{context}");

    // What is written meanwhile changes what the next plan may use, and so does what is computed.
    idle(world).await;
    // The plan is a function of the request and of what is cached and remembered.
    let foreseen = [plan(world, body).await, plan(world, body).await];
    let settled = match settle(world, body).await {
        Ok(settled) => settled,
        Err(error) => {
            let told = error.body();
            assert_eq!(
                told["error"]["code"], "context_length_exceeded",
                "{context}: {told}"
            );
            // What a summary comes to is known only when it is written.
            let hoped = |told: &Value| told.to_string().contains("\"written\":false");
            let mut foreseen = foreseen.iter().flatten();
            assert!(foreseen.all(hoped), "{context}: {told}");
            reached.infeasible += 1;
            return;
        }
    };
    let [first, second] =
        foreseen.map(|told| told.unwrap_or_else(|error| panic!("{context}: {}", error.message())));
    assert_eq!(first, second, "{context}");
    let edits = settled.report.to_json(true)["edits"].clone();
    let written = |edits: &Value| edits.to_string().contains("\"op\":\"compact\"");
    if !written(&edits) && !written(&first) {
        assert_eq!(first, edits, "{context}");
    }

    let budget = body["context_budget"]["max_context_tokens"]
        .as_u64()
        .unwrap() as usize;
    let length = settled.tokens.len() + settled.min_output_tokens;
    assert!(length <= budget, "{context}: {length} of {budget}");
    let stable = settled.report.cache.stable_prefix_end;
    assert_eq!(settled.tokens[..stable], plain[..stable], "{context}");
    check_text(world, body, &settled, context);

    // The same request again: everything is remembered, and nothing else is done.
    let again = settle(world, body).await;
    let again = again.unwrap_or_else(|error| panic!("{context}: {}", error.message()));
    let repeated = again.report.to_json(true)["edits"].clone();
    let all = edits.as_array().unwrap();
    reached.edited += usize::from(!all.is_empty());
    reached.replayed += usize::from(all.iter().any(|edit| edit["source"] == "ledger"));
    reached.compacted += usize::from(written(&edits));
    for edit in repeated.as_array().unwrap().iter().take(all.len()) {
        assert_eq!(edit["source"], "ledger", "{context}: {edits} {repeated}");
    }
    assert_eq!(
        again.tokens, settled.tokens,
        "{context}: {edits} {repeated}"
    );
}

/// What must not be touched is there, and every call has its result.
fn check_text(world: &World, body: &Value, settled: &Settled, context: &str) {
    let text = world.tokenizer.decode(&settled.tokens, false).unwrap();
    for kept in conversation::untouchable(body) {
        assert!(
            text.contains(&kept),
            "{context}: {kept:?} is gone from {text}"
        );
    }
    let calls = text.matches("<tool_call>\n{\"name\"").count();
    // With the line's end that the template writes: a summary may have the tag, since the model of
    // this test says any token.
    let results = text.matches("<tool_response>\n").count();
    // The instruction for calls names one, too.
    assert_eq!(
        calls.saturating_sub(usize::from(!body["tools"].is_null())),
        results,
        "{context}: {text}"
    );
}

/// The edits that would be made.
async fn plan(world: &World, body: &Value) -> Result<Value, ApiError> {
    let ChatRequest {
        conversation, wish, ..
    } = parsed(world, body);
    let caller = caller(world);
    let planned = pipeline::plan(&world.app, conversation, &wish, &circumstances(&caller)).await?;
    let planned = planned.map_err(|declined| declined.error)?;
    Ok(planned.report().to_json(true)["edits"].clone())
}

async fn settle(world: &World, body: &Value) -> Result<Settled, ApiError> {
    let ChatRequest {
        conversation, wish, ..
    } = parsed(world, body);
    let caller = caller(world);
    let settled =
        pipeline::settle(&world.app, conversation, &wish, &circumstances(&caller)).await?;
    settled.map_err(|declined| declined.error)
}

fn parsed(world: &World, body: &Value) -> ChatRequest {
    let bytes = body.to_string();
    chat::request(bytes.as_bytes(), world.app.model(), world.app.limits())
        .unwrap_or_else(|error| panic!("{}: {body}", error.message()))
}

fn caller(world: &World) -> Caller {
    Caller::admit(world.app.access(), None).unwrap()
}

fn circumstances(caller: &Caller) -> Circumstances<'_> {
    Circumstances {
        caller,
        cache_salt: "",
        adapter: None,
        priority: 0,
        output_asked: Some(16),
        progress: Progress::default(),
    }
}

fn observing(body: &Value) -> Value {
    let mut observing = body.clone();
    observing["context_budget"]["mode"] = json!("observe");
    observing
}

/// The prompt as the client sent it, but for the order of its tools.
async fn plain(world: &World, body: &Value) -> Vec<u32> {
    let mut body = body.clone();
    if let Some(tools) = body["tools"].as_array() {
        body["tools"] = json!(canonical_tools(tools));
    }
    unsorted(world, &body).await
}

/// The prompt as the client sent it.
async fn unsorted(world: &World, body: &Value) -> Vec<u32> {
    let mut conversation = parsed(world, body).conversation;
    for message in &mut conversation.messages {
        message.as_object_mut().unwrap().shift_remove("context");
    }
    prompt::of_chat(&world.app, conversation).await.unwrap()
}
