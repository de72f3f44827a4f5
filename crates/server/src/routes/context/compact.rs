//! `POST /v1/context/compact`: a conversation after the edits that its budget takes.

use axum::extract::State;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::budget::pipeline::{self, Circumstances};
use crate::budget::progress::Progress;
use crate::routes::body::Body;
use crate::validate::context as validate;
use crate::wire::error::ApiError;

/// Edits a conversation and remembers the edits, as a completion would, and gives it back.
///
/// # Errors
/// What the completion would be told.
pub(in crate::routes) async fn compact(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<Json<Value>, ApiError> {
    let request = body
        .read(&app, |bytes, app| {
            validate::compact(bytes, app.model(), app.limits())
        })
        .await?;
    let circumstances = Circumstances {
        caller: &caller,
        cache_salt: &request.generation.cache_salt,
        adapter: request.generation.adapter.as_deref(),
        priority: request.generation.priority,
        output_asked: request.generation.max_tokens,
        progress: Progress::default(),
    };
    let wish = request.wish;
    let compacted = pipeline::compact(&app, request.conversation, &wish, &circumstances).await?;
    let compacted = compacted.map_err(|declined| declined.error)?;
    let report = compacted.report();
    app.budgeter().told_plans().tell(caller.tenant(), &report);
    let edited = app
        .text_pool()
        .run(move || Ok((compacted.conversation(), compacted)))
        .await?;
    let (conversation, compacted) = edited;
    let adapter = request.generation.adapter.as_deref();
    let mut answer = json!({
        "object": "context.compact",
        "model": app.model().name_with(adapter),
        "messages": conversation.messages,
        "context_budget": report.to_json(true),
    });
    if let Some(documents) = conversation.documents {
        answer["documents"] = json!(documents);
    }
    if let Some(management) = compacted.management(&wish) {
        answer["context_management"] = management;
    }
    Ok(Json(answer))
}
