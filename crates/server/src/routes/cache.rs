//! `POST /v1/cache/reset` and `POST /v1/cache/warm`: what operators do to the prefix cache.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde_json::{Value, json};
use text::AnswerFormat;

use super::body::Body;
use super::identity::Identity;
use crate::answer::{AnswerEvent, Answers, Order};
use crate::app::App;
use crate::auth::Caller;
use crate::retention::{self, Marked};
use crate::traces::RequestTrace;
use crate::validate::chat::{self, ChatRequest};
use crate::validate::fields::Fields;
use crate::wire::error::ApiError;
use crate::{prompt, wire::request_record};

/// Forgets all cached prefixes, the retained ones included.
///
/// # Errors
/// 409 while requests hold blocks; nothing is forgotten then.
pub(super) async fn reset(State(app): State<App>, body: Body) -> Result<Json<Value>, ApiError> {
    if !body.0.is_empty() {
        Fields::from_body(&body.0)?.finish(&[], &[])?;
    }
    let before = app.engine().stats().num_cached_blocks;
    let (sender, answer) = tokio::sync::oneshot::channel();
    app.engine().reset_cache(move |done| {
        // Who asked may have gone; the cache is reset all the same.
        let _ = sender.send(done);
    })?;
    match answer.await {
        Ok(true) => Ok(Json(
            json!({"object": "cache.reset", "dropped_blocks": before}),
        )),
        Ok(false) => {
            let running = app.engine().stats().num_running;
            let message = format!(
                "{running} running requests hold blocks of the cache; try again when none runs."
            );
            Err(ApiError::http(StatusCode::CONFLICT, message))
        }
        Err(_) => Err(engine::SubmitError::ShuttingDown.into()),
    }
}

/// Computes the prompt of a chat and keeps it as its `cache_control` marks and `prompt_cache_*`
/// fields say; nothing is answered. The body is that of a chat; what is about the answer has no
/// effect, and one token is generated and dropped.
///
/// # Errors
/// Whatever is wrong with the request, or the server's refusal.
pub(super) async fn warm(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    trace: RequestTrace,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            chat::request(bytes, app.model(), app.limits())
        })
        .await?;
    check(&app, &request)?;
    let mut generation = request.generation;
    (generation.n, generation.stream) = (1, false);
    generation.max_tokens = Some(1);
    generation.min_tokens = 0;
    let marked = Marked::of(&request.conversation);
    let tokens = prompt::of_chat(&app, request.conversation).await?;
    let retention = retention::request(&app, &caller, &generation.cache, marked, &tokens).await;
    let identity = Identity::new("warm-", app.model(), &generation);
    let origin = identity.origin("/v1/cache/warm", &caller, &generation);
    let order = Order {
        prompts: vec![tokens],
        generation: &generation,
        default_max_tokens: None,
        grammar: None,
        format: AnswerFormat::default(),
        window: app.model().window,
        min_output_tokens: 0,
        caller: &caller,
        origin: Some(&origin),
        trace,
        num_before: 0,
        retention,
        scored: Vec::new(),
        recording: None,
    };
    let mut answers = Answers::submit(&app, &order)?;
    let (mut cached, mut retained) = (0, 0);
    while let Some(event) = answers.next().await {
        match event {
            AnswerEvent::Finished(finish) => {
                (cached, retained) = (finish.cached_tokens, finish.retained_tokens);
            }
            AnswerEvent::Failed(error) => return Err(error),
            AnswerEvent::Admitted(_) | AnswerEvent::Delta { .. } | AnswerEvent::Scored(_) => {}
        }
    }
    let prompt_tokens = answers.prompt_tokens();
    let mut told = json!({
        "id": identity.id,
        "object": "cache.warm",
        "created": identity.created,
        "model": identity.model,
        "prompt_tokens": prompt_tokens,
        "cached_tokens": cached,
        "computed_tokens": prompt_tokens - cached,
        "retained_tokens": retained,
    });
    if generation.cache.explain {
        told["cache"] = explained(&app, &caller, &identity.id);
    }
    Ok(Json(told))
}

/// What the record of an answer tells of the cache; `null` without a record.
pub(in crate::routes) fn explained(app: &App, caller: &Caller, id: &str) -> Value {
    let store = app.records();
    let record = store.get(id, caller.tenant());
    record.map_or(Value::Null, |record| {
        request_record::cache(&record, store, &app.model().tokenizer)
    })
}

/// A budget may change with every request, so what it leaves is warmed by asking.
fn check(app: &App, request: &ChatRequest) -> Result<(), ApiError> {
    if request.wish.mode(app)? != context::Mode::Enforce {
        return Ok(());
    }
    let message = "`context_budget`: a prompt is warmed as it is sent, without edits.";
    Err(ApiError::unsupported("context_budget", message))
}
